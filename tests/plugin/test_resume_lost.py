"""`resume` of a migration whose VolumeResize was deleted by force: what is left is named, and with a copy of the record it is created anew."""
from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml
from builders import NAMESPACE, SET
from calling import Plugin, written
from fake_api import FakeApi, Object
from runner_at_work import add_pod, renew_lease, request_of
from submitting import SUBMIT, job, migration

from kubectl_volresize.model import labels
from kubectl_volresize.model.kept import Kept, pack
from kubectl_volresize.model.record import Record

RESUME = ("resume", SET, "--no-wait")
CREATED = ["create volumeresizes", "create jobs"]


@pytest.fixture
def lost(api: FakeApi, plugin: Plugin) -> FakeApi:
    """Deleted by force while it copied, its Job still there, its Lease with the copy and no runner that lives."""
    plugin(*SUBMIT)
    found = migration(api)
    copy = pack(Kept(SET, found["spec"], Record(phase=labels.SYNCING, start_time="2026-01-01T00:00:00Z", mark=found["metadata"]["uid"])))
    renew_lease(api, "web-runner", "2026-01-01T00:00:00.000000Z")
    api.rest.change("leases", _lease(api), lambda new: new["metadata"].update(annotations={labels.RECORD: copy}))
    api.rest.remove(labels.PLURAL, migration(api))
    api.calls.clear()
    return api


def _lease(api: FakeApi) -> Object:
    found = api.find("leases", NAMESPACE, f"volresize-{SET}")
    assert found is not None
    return found


@pytest.mark.parametrize("named", [SET, f"sts/{SET}", f"vr/{SET}"])
def test_it_is_created_anew_with_what_it_had_asked_for_and_a_runner(lost: FakeApi, plugin: Plugin, named: str) -> None:
    _suspend(lost)
    said = plugin("resume", named, "--no-wait")
    assert (said.code, written(lost)) == (0, CREATED)
    assert "was deleted by force; it is written again from what is left of it" in said.err + said.out
    assert request_of(lost)["verb"] == "resume" and request_of(lost)["args"] == {"rebuild": True}
    assert migration(lost)["spec"]["volumes"] == [{"name": "data", "newSize": "500Mi"}]
    assert job(lost, "web-runner-2") is not None


def _suspend(api: FakeApi) -> None:
    api.rest.change("jobs", api.find("jobs", NAMESPACE, "web-runner") or {}, lambda new: new["spec"].update(suspend=True))


def test_how_to_copy_may_be_changed_as_with_any_resume(lost: FakeApi, plugin: Plugin) -> None:
    _suspend(lost)
    image = (lost.find("jobs", NAMESPACE, "web-runner") or {})["spec"]["template"]["spec"]["containers"][0]["image"]
    assert plugin(*RESUME, "--bandwidth", "20M", "--acknowledge", "owned-set").code == 0
    spec = migration(lost)["spec"]
    assert spec["copy"] == {"bandwidth": "20M"} and spec["acknowledge"] == ["owned-set"] and spec["mover"]["image"] == image


def test_what_would_be_created_is_shown_with_a_dry_run_and_nothing_is_written(lost: FakeApi, plugin: Plugin) -> None:
    _suspend(lost)
    said = plugin("resume", SET, "--dry-run=client", "-o", "yaml")
    assert (said.code, written(lost)) == (0, [])
    assert {"VolumeResize", "Job"} <= {one["kind"] for document in yaml.safe_load_all(said.out) for one in document.get("items", [document])}


def test_a_runner_that_lives_is_left_to_write_its_record_again(lost: FakeApi, plugin: Plugin) -> None:
    add_pod(lost, "web-runner")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lost.rest.change("leases", _lease(lost), lambda new: new["spec"].update(renewTime=now))
    said = plugin(*RESUME)
    assert (said.code, written(lost)) == (4, [])
    assert "writes its record again by itself" in said.err


def test_the_job_of_a_runner_that_hangs_is_suspended_first(lost: FakeApi, plugin: Plugin) -> None:
    add_pod(lost, "web-runner")
    assert plugin(*RESUME).code == 0
    assert written(lost) == ["create volumeresizes", "patch jobs", "create jobs"]


def test_a_job_that_is_about_to_start_is_enough(lost: FakeApi, plugin: Plugin) -> None:
    assert plugin(*RESUME).code == 0
    assert written(lost) == ["create volumeresizes"]


def test_other_verbs_say_that_it_is_lost_and_that_resume_goes_on_with_it(lost: FakeApi, plugin: Plugin) -> None:
    for verb in (("cancel", SET), ("rollback", SET), ("cleanup", SET)):
        said = plugin(*verb)
        assert (said.code, written(lost)) == (6, []), verb
        assert "lease/volresize-web: a copy of its record (Syncing)" in said.err
        assert "it goes on with: kubectl volresize resume web -n prod" in said.err


def test_who_may_not_read_leases_is_told_no_more_than_he_may_see(lost: FakeApi, plugin: Plugin) -> None:
    lost.denied.add(("list", "leases"))
    said = plugin(*RESUME)
    assert (said.code, written(lost)) == (1, []) and "neither a StatefulSet with a VolumeResize nor a VolumeResize" in said.err
