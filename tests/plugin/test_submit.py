"""`submit`: one VolumeResize and one Job, however often it is called."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from builders import NAMESPACE, Cluster, add_set, three_replicas
from calling import Plugin, written
from fake_api import FakeApi, Refusal
from submitting import BOTH, MANIFEST, SUBMIT, allow_no_disruption, end_job, job, migration, set_status

from kubectl_volresize.model import labels
from kubectl_volresize.version import VERSION


# -- what it creates


def test_the_volumeresize_comes_first_and_the_job_after_it(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin(*SUBMIT)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[:2] == ["volumeresize.storage.maurice.fr/web created", "job.batch/web-runner created"]
    assert f"kubectl volresize logs web -f -n {NAMESPACE}" in answer.out
    assert written(api) == BOTH


def test_the_request_is_recorded_whole(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT[:-1], "data=500Mi,storageClass=immediate", "--head-room", "25", "--bandwidth", "50M", "--image", "registry.example/volmig:7",
           "--run-as-user", "1000", "--acknowledge", "no-fs-group")
    assert migration(api)["spec"] == {
        "statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi", "storageClass": "immediate"}], "headRoomPercent": 25,
        "copy": {"bandwidth": "50M"}, "mover": {"image": "registry.example/volmig:7", "runAsUser": 1000}, "acknowledge": ["no-fs-group"]}


def test_the_job_gets_a_name_and_a_namespace_and_nothing_else(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    (container,) = job(api)["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--namespace", NAMESPACE, "--name", "web"]
    assert job(api)["metadata"]["labels"] == {labels.MANAGED_BY: labels.MANAGER, labels.MIGRATION: "web", labels.ROLE: labels.ROLE_RUNNER}


@pytest.mark.parametrize("typed", ["web", "sts/web", "statefulset/web", "StatefulSet.apps/web"])
def test_a_set_may_be_named_as_in_kubectl(api: FakeApi, plugin: Plugin, typed: str) -> None:
    assert plugin("submit", typed, *SUBMIT[2:]).code == 0
    assert migration(api)["spec"]["statefulSetName"] == "web"


@pytest.mark.parametrize(("flag", "manifest", "variable", "used"), [
    ("flag/i", "manifest/i", "variable/i", "flag/i"), (None, "manifest/i", "variable/i", "manifest/i"), (None, None, "variable/i", "variable/i"),
    (None, None, None, f"mauricethomas/volmig:{VERSION}")])
def test_the_image_is_the_one_named_nearest_to_the_user(api: FakeApi, plugin: Plugin, monkeypatch: pytest.MonkeyPatch, flag: str | None,
                                                        manifest: str | None, variable: str | None, used: str) -> None:
    if variable:
        monkeypatch.setenv("VOLRESIZE_IMAGE", variable)
    text = MANIFEST + (f"  mover: {{image: {manifest}}}\n" if manifest else "")
    assert plugin("submit", "-f", "-", *(["--image", flag] if flag else []), stdin=text).code == 0
    assert migration(api, "shrink")["spec"]["mover"]["image"] == used
    assert job(api, "shrink-runner")["spec"]["template"]["spec"]["containers"][0]["image"] == used


@pytest.mark.parametrize("mode", ["client", "server"])
def test_a_dry_run_leaves_nothing_behind(api: FakeApi, plugin: Plugin, mode: str) -> None:
    answer = plugin(*SUBMIT, f"--dry-run={mode}")
    assert answer.code == 0 and answer.out.count("dry run)") == 2
    assert written(api) == []
    assert api.find(labels.PLURAL, NAMESPACE, "web") is None


def test_objects_can_be_piped_on(api: FakeApi, plugin: Plugin) -> None:
    assert plugin(*SUBMIT, "-o", "name").out == "volumeresize.storage.maurice.fr/web\njob.batch/web-runner\n"


# -- the same again


def test_a_second_submit_adopts_what_runs(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    answer = plugin(*SUBMIT)
    assert answer.code == 0 and written(api) == BOTH
    assert "is running already" in answer.err
    assert answer.out.splitlines()[:2] == ["volumeresize.storage.maurice.fr/web unchanged", "job.batch/web-runner unchanged"]


def test_it_is_not_stopped_by_what_the_running_migration_does_to_the_set(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Replacing", startTime="2026-01-01T00:00:00Z")
    allow_no_disruption(api)
    answer = plugin(*SUBMIT, "--error-unchanged")
    assert (answer.code, written(api)) == (3, BOTH)


def test_a_plugin_killed_between_its_two_writes_only_needs_to_be_run_again(api: FakeApi, plugin: Plugin) -> None:
    def no_jobs(number: int, verb: str, path: str) -> Refusal | None:
        return Refusal(403, "Forbidden", 'jobs.batch "web-runner" is forbidden: exceeded quota') if (verb, path.rsplit("/", 1)[1]) == (
            "create", "jobs") else None
    api.before_call.append(no_jobs)
    answer = plugin(*SUBMIT)
    assert answer.code == 1
    assert "volumeresize.storage.maurice.fr/web was created, but not its Job" in answer.err and "exceeded quota" in answer.err
    assert "run the same command again" in answer.err
    api.before_call.clear()
    api.calls.clear()
    again = plugin(*SUBMIT)
    assert again.code == 0 and written(api) == ["create jobs"]
    assert again.out.splitlines()[:2] == ["volumeresize.storage.maurice.fr/web unchanged", "job.batch/web-runner created"]


def test_the_next_job_goes_on_when_the_first_one_gave_up(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Syncing", startTime="2026-01-01T00:00:00Z")
    end_job(api)
    # Where it stopped, the set may look like one that must not be started with; what matters then its runner checks.
    allow_no_disruption(api)
    api.calls.clear()
    assert plugin(*SUBMIT).code == 0
    assert written(api) == ["create jobs"]
    assert job(api, "web-runner-2")["spec"]["template"]["spec"]["containers"][0]["args"][-1] == "web"


def test_a_volumeresize_applied_by_hand_gets_its_job_and_the_image_that_its_movers_need(api: FakeApi, plugin: Plugin) -> None:
    api.rest.post(labels.PLURAL, {"metadata": {"name": "web", "namespace": NAMESPACE},
                                  "spec": {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}]}})
    answer = plugin(*SUBMIT, "--image", "registry.example/volmig:7")
    assert answer.code == 0 and written(api) == ["patch volumeresizes", "create jobs"]
    assert migration(api)["spec"]["mover"]["image"] == "registry.example/volmig:7"


def test_a_newer_plugin_adopts_what_an_older_one_started(api: FakeApi, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(*SUBMIT)
    monkeypatch.setenv("VOLRESIZE_IMAGE", "registry.example/newer:2")
    assert "is running already" in plugin(*SUBMIT).err


def test_two_who_submit_at_once_do_not_start_two(api: FakeApi, plugin: Plugin) -> None:
    def other_is_faster(number: int, verb: str, path: str) -> None:
        if (verb, path.rsplit("/", 1)[1]) == ("create", labels.PLURAL) and api.find(labels.PLURAL, NAMESPACE, "web") is None:
            api.rest.post(labels.PLURAL, {"metadata": {"name": "web", "namespace": NAMESPACE},
                                          "spec": {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}]}})
    api.before_call.append(other_is_faster)
    answer = plugin(*SUBMIT)
    assert answer.code == 1 and "run the same command again" in answer.err
    assert api.alive("jobs", NAMESPACE) == []


# -- names


def test_the_second_migration_of_a_set_takes_a_name_that_nobody_bears(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Failed")
    end_job(api)
    add_set(api, Cluster(name="web-2", replicas=1))
    assert plugin(*SUBMIT).code == 0
    assert migration(api, "web-3")["spec"]["statefulSetName"] == "web"


def test_a_name_of_the_users_own(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT, "--name", "before-black-friday")
    assert job(api, "before-black-friday-runner")


def test_a_name_that_is_taken_is_said(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Failed")
    answer = plugin(*SUBMIT, "--name", "web")
    assert answer.code == 1 and "volumeresize.storage.maurice.fr/web exists already and is over (Failed)" in answer.err


# -- together with its neighbours


def test_install_and_submit_in_one_go(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas().without_installation())
    answer = plugin(*SUBMIT, "--install")
    assert answer.code == 0 and answer.out.count(" created\n") == 13
    assert job(api)


def test_following_ends_with_the_outcome(api: FakeApi, plugin: Plugin) -> None:
    def complete(number: int, verb: str, path: str) -> None:
        if (verb, path.rsplit("/", 1)[1]) == ("create", "jobs"):
            set_status(api, labels.PLURAL, migration(api), phase="Completed", message="all is small")
            end_job(api, how="Complete")
    api.after_call.append(complete)
    answer = plugin(*SUBMIT, "--follow")
    assert answer.code == 0
    assert "job.batch/web-runner created" in answer.out and "Completed: all is small" in answer.err
