"""`resume`: a migration goes on after a failure, a cancel or the death of its runner; what lives is left alone."""
from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders import NAMESPACE, set_node_ready, submit
from calling import Plugin, written
from fake_api import FakeApi, Object
from runner_at_work import add_pod, answer, end, once_asked, renew_lease, request_of, with_runners
from submitting import SUBMIT, end_job, job, migration, set_status

from kubectl_volresize.model import labels

RESUME = ("resume", "web", "--timeout", "20")
ASKED, SUSPENDED, STARTED = "patch volumeresizes", "patch jobs", "create jobs"


@pytest.fixture
def begun(api: FakeApi, plugin: Plugin) -> FakeApi:
    """A migration that is not over, with its Job; what was written until then does not count."""
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Syncing", startTime="2026-01-01T00:00:00Z")
    api.calls.clear()
    return api


@pytest.fixture
def failed(begun: FakeApi) -> FakeApi:
    """The same, ended as Failed (Resumable)."""
    over(begun, "Failed", "Resumable")
    end_job(begun)
    return begun


def over(api: FakeApi, phase: str, reason: str = "", **status: Any) -> None:
    ready = {"type": "Ready", "status": "False", "reason": reason or phase, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    set_status(api, labels.PLURAL, migration(api), phase=phase, conditions=[ready], **status)


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def completes(api: FakeApi) -> None:
    over(api, "Completed", message="all is small")
    if request_of(api):
        answer(api, "done", "all is small")
    for found in api.store.all("jobs", NAMESPACE):
        if not found["spec"].get("suspend"):
            end(api, found["metadata"]["name"])


# -- one that is over


@pytest.mark.parametrize(("phase", "reason"), [("Failed", "Resumable"), ("Failed", "NeedsHuman"), ("Failed", "Refused"), ("Cancelled", "")])
def test_what_failed_or_was_cancelled_is_asked_to_go_on(failed: FakeApi, plugin: Plugin, phase: str, reason: str) -> None:
    over(failed, phase, reason)
    once_asked(failed, lambda: completes(failed))
    said = plugin(*RESUME)
    assert said.code == 0 and written(failed) == [ASKED, STARTED]
    assert (request_of(failed)["verb"], request_of(failed)["args"]) == ("resume", {})
    assert said.out.splitlines() == ["volumeresize.storage.maurice.fr/web resume requested", "job.batch/web-runner-2 created"]
    assert "Completed: all is small" in said.err


def test_the_real_runner_goes_on_after_a_cancel(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    end_job(api)
    with_runners(api)
    plugin("cancel", "web", "--timeout", "20")
    assert migration(api)["status"]["phase"] == "Cancelled"
    said = plugin(*RESUME)
    assert said.code == 0 and migration(api)["status"]["phase"] == "Completed", said.err
    assert plugin(*RESUME).err == "nothing to do: volumeresize.storage.maurice.fr/web is completed\n"


@pytest.mark.parametrize("reads_it", [False, True], ids=["has looked for the last time", "reads it"])
def test_a_request_is_not_left_to_a_runner_that_goes_home(begun: FakeApi, plugin: Plugin, reads_it: bool) -> None:
    over(begun, "Failed", "Resumable")
    pod = add_pod(begun, "web-runner")

    def goes_home() -> None:
        if reads_it:
            answer(begun, "accepted", "go on", phase="Validating")
        else:
            begun.rest.change("pods", pod, lambda new: new["status"].update(phase="Failed"), status=True)
            end_job(begun)
    once_asked(begun, goes_home)
    said = plugin("resume", "web", "--no-wait")
    assert said.code == 0 and written(begun) == [ASKED, *([] if reads_it else [STARTED])]


def test_the_exit_code_is_how_it_ends(failed: FakeApi, plugin: Plugin) -> None:
    def ends_again() -> None:
        answer(failed, "failed", "claim x is not as recorded")
        over(failed, "Failed", "NeedsHuman", message="claim x is not as recorded")
        end_job(failed, "web-runner-2")
    once_asked(failed, ends_again)
    assert plugin(*RESUME).code == 6


def test_the_job_of_before_can_do_nothing_any_more(begun: FakeApi, plugin: Plugin) -> None:
    over(begun, "Failed", "Resumable")
    add_pod(begun, "web-runner", phase="Failed")
    assert plugin("resume", "web", "--no-wait").code == 0
    assert written(begun) == [ASKED, SUSPENDED, STARTED] and job(begun)["spec"]["suspend"] is True


def test_what_was_rolled_back_is_not_resumed(failed: FakeApi, plugin: Plugin) -> None:
    over(failed, "RolledBack")
    said = plugin(*RESUME)
    assert (said.code, written(failed)) == (4, []) and "is over (RolledBack)" in said.err


def test_a_cancelled_one_is_not_resumed_beside_a_newer_one(failed: FakeApi, plugin: Plugin) -> None:
    over(failed, "Cancelled")
    failed.clock.advance(60)
    submit(failed, {"data": "400Mi"}, name="web-2")
    said = plugin("resume", "vr/web", "--timeout", "20")
    assert (said.code, written(failed)) == (4, [])
    assert said.err.count("volumeresize/web-2 is newer and works on the same StatefulSet, and is not finished") == 1


def test_nor_one_beside_an_older_one_that_is_not_finished(failed: FakeApi, plugin: Plugin) -> None:
    failed.clock.advance(60)
    newer = submit(failed, {"data": "400Mi"}, name="web-2")
    set_status(failed, labels.PLURAL, newer, phase="Failed")
    set_status(failed, labels.PLURAL, migration(failed), phase="Syncing")
    said = plugin("resume", "vr/web-2", "--timeout", "20")
    assert said.code == 4 and "volumeresize/web is older, works on the same StatefulSet and is not finished" in said.err


# -- one that is not over: its runner alone is missing


def test_a_job_that_gave_up_is_followed_by_the_next_without_a_request(begun: FakeApi, plugin: Plugin) -> None:
    end_job(begun)
    said = plugin("resume", "web", "--no-wait")
    assert said.code == 0 and written(begun) == [STARTED] and request_of(begun) == {}
    assert said.out.splitlines()[:2] == ["volumeresize.storage.maurice.fr/web unchanged", "job.batch/web-runner-2 created"]


def test_the_number_of_the_next_job_is_one_that_none_has_had(begun: FakeApi, plugin: Plugin) -> None:
    end_job(begun)
    plugin("resume", "web", "--no-wait")
    end_job(begun, "web-runner-2")
    # The first one's time to live has passed.
    begun.rest.remove("jobs", job(begun))
    plugin("resume", "web", "--no-wait")
    assert sorted(begun.alive("jobs", NAMESPACE)) == ["web-runner-2", "web-runner-3"]


def test_a_volumeresize_that_was_applied_by_hand_gets_its_runner_and_an_image(api: FakeApi, plugin: Plugin) -> None:
    made = submit(api, {"data": "500Mi"})
    api.rest.change(labels.PLURAL, made, lambda new: new["spec"].update(mover={}))
    assert plugin("resume", "web", "--no-wait").code == 0
    assert written(api) == [ASKED, STARTED]
    assert job(api)["spec"]["template"]["spec"]["containers"][0]["image"] == migration(api)["spec"]["mover"]["image"] != ""


def test_a_runner_that_lives_is_left_alone(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner")
    renew_lease(begun, "web-runner", ago(3))
    said = plugin("resume", "web", "--no-wait")
    assert (said.code, written(begun)) == (0, [])
    assert re.search(r"/web is running already: its runner renewed lease/volresize-web \d+ s ago\n", said.err)
    assert "Follow it: kubectl volresize logs vr/web -f" in said.out


def test_a_runner_that_lives_is_followed_to_its_end(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner")
    renew_lease(begun, "web-runner", ago(3))
    looks: list[int] = []

    def gives_up(number: int, verb: str, path: str) -> None:
        looks.append(number)
        if len(looks) == 12:
            over(begun, "Failed", "Resumable")
            end_job(begun)
    begun.before_call.append(gives_up)
    said = plugin(*RESUME)
    assert (said.code, written(begun)) == (5, []) and "is running already" in said.err and "Failed" in said.err


def test_but_when_it_shall_be_replaced(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner")
    renew_lease(begun, "web-runner", ago(3))
    said = plugin("resume", "web", "--replace-runner", "--no-wait")
    assert said.code == 0 and written(begun) == [SUSPENDED, STARTED]
    assert "job.batch/web-runner suspended" in said.out


def test_a_runner_that_hangs_is_replaced_by_itself(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner")
    renew_lease(begun, "web-runner", ago(300))
    said = plugin("resume", "web", "--no-wait")
    assert said.code == 0 and written(begun) == [SUSPENDED, STARTED]
    assert "The runner of volumeresize.storage.maurice.fr/web has not renewed lease/volresize-web since" in said.err


def test_a_clock_that_goes_wrong_is_no_death(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner")
    renew_lease(begun, "web-runner", ago(300))
    looked: list[int] = []

    def renew(number: int, verb: str, path: str) -> None:
        if path.endswith("/leases/volresize-web"):
            looked.append(number)
            found = begun.find("leases", NAMESPACE, "volresize-web")
            if len(looked) == 2 and found is not None:
                begun.rest.change("leases", found, lambda new: new["spec"].update(renewTime=ago(290)))
    begun.before_call.append(renew)
    said = plugin("resume", "web", "--no-wait")
    assert (said.code, written(begun)) == (0, []) and "is running already: its runner renewed lease/volresize-web just now" in said.err


def test_a_runner_on_a_node_that_is_not_ready_is_replaced(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner")
    renew_lease(begun, "web-runner", ago(3))
    set_node_ready(begun, "node-1", False)
    said = plugin("resume", "web", "--no-wait")
    assert written(begun) == [SUSPENDED, STARTED] and "is on node/node-1, which is not Ready" in said.err


def test_who_may_read_neither_nodes_nor_leases_takes_it_for_alive(begun: FakeApi, plugin: Plugin) -> None:
    begun.denied |= {("get", "nodes"), ("get", "leases")}
    add_pod(begun, "web-runner")
    said = plugin("resume", "web", "--no-wait")
    assert (said.code, written(begun)) == (0, []) and "you may not read its lease" in said.err


def test_one_that_starts_is_left_alone_too(begun: FakeApi, plugin: Plugin) -> None:
    said = plugin("resume", "web", "--no-wait")
    assert (said.code, written(begun)) == (0, []) and "is starting already: waiting for job.batch/web-runner to start a pod" in said.err


def test_unless_it_waits_for_an_image_that_is_named_anew(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner", phase="Pending")
    said = plugin("resume", "web", "--image", "registry.example/volmig:8", "--no-wait")
    assert said.code == 0 and written(begun) == [ASKED, SUSPENDED, STARTED]
    assert job(begun, "web-runner-2")["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/volmig:8"


# -- what may be changed


def spec_of(api: FakeApi) -> Object:
    return dict(migration(api)["spec"])


def test_how_to_copy_may_be_changed_and_what_is_wanted_may_not(failed: FakeApi, plugin: Plugin) -> None:
    before = spec_of(failed)
    failed.rest.change(labels.PLURAL, migration(failed), lambda new: new["spec"].update(
        mover={**new["spec"]["mover"], "resources": {"limits": {"cpu": "1"}}}, acknowledge=["owned-set"]))
    said = plugin("resume", "web", "--bandwidth", "20M", "--image", "registry.example/volmig:8", "--acknowledge", "node-cordoned,owned-set",
                  "--no-wait")
    assert said.code == 0 and written(failed) == [ASKED, STARTED]
    assert spec_of(failed) == {**before, "copy": {"bandwidth": "20M"}, "acknowledge": ["owned-set", "node-cordoned"],
                               "mover": {"image": "registry.example/volmig:8", "resources": {"limits": {"cpu": "1"}}}}
    assert plugin("resume", "web", "--volume", "data=1Gi").code == 2


def test_it_is_also_changed_when_resume_was_asked_for_before(failed: FakeApi, plugin: Plugin) -> None:
    plugin("resume", "web", "--no-wait")
    asked = request_of(failed)
    end_job(failed, "web-runner-2")
    assert plugin("resume", "web", "--bandwidth", "20M", "--no-wait").code == 0
    assert request_of(failed) == asked and spec_of(failed)["copy"] == {"bandwidth": "20M"}


def test_what_a_runner_at_work_would_not_read_is_refused(begun: FakeApi, plugin: Plugin) -> None:
    add_pod(begun, "web-runner")
    renew_lease(begun, "web-runner", ago(3))
    said = plugin("resume", "web", "--bandwidth", "20M")
    assert (said.code, written(begun)) == (4, []) and "add --replace-runner" in said.err
    assert plugin("resume", "web", "--bandwidth", "20M", "--replace-runner", "--no-wait").code == 0
    assert written(begun) == [ASKED, SUSPENDED, STARTED] and spec_of(begun)["copy"] == {"bandwidth": "20M"}


@pytest.mark.parametrize(("value", "said"), [("fast", "'fast' is not a Kubernetes quantity"), ("0", "must be more than 0 bytes per second")])
def test_a_speed_that_is_none_is_named(plugin: Plugin, value: str, said: str) -> None:
    result = plugin("resume", "web", "--bandwidth", value)
    assert result.code == 2 and said in result.err


# -- a record that is gone


def test_what_is_left_of_a_lost_record_is_named(begun: FakeApi, plugin: Plugin) -> None:
    begun.rest.remove(labels.PLURAL, migration(begun))
    pod, claim = begun.find("pods", NAMESPACE, "web-1"), begun.find("persistentvolumeclaims", NAMESPACE, "data-web-1")
    assert pod is not None and claim is not None
    begun.rest.change("pods", pod, lambda new: new["metadata"].update(finalizers=[labels.HOLD_FINALIZER]))
    volume = begun.find("persistentvolumes", "", claim["spec"]["volumeName"])
    assert volume is not None
    marks = {labels.MIGRATION: "web", labels.ROLE: "old", labels.REPLICA: "1", labels.VOLUME: "data"}
    begun.rest.change("persistentvolumes", volume, lambda new: new["metadata"].update(labels=marks))
    said = plugin("resume", "web")
    assert (said.code, written(begun)) == (6, [])
    assert f"pod/web-1 is held by the finalizer {labels.HOLD_FINALIZER}" in said.err
    assert f"persistentvolume/{volume['metadata']['name']}: the old volume of replica 1, data" in said.err
    assert "docs/recovery.md" in said.err


def test_where_nothing_is_left_there_is_no_migration(api: FakeApi, plugin: Plugin) -> None:
    said = plugin("resume", "web")
    assert said.code == 1 and "web is neither a StatefulSet with a VolumeResize nor a VolumeResize" in said.err
