"""A queue of Jobs (Kueue) decides when a migration starts: what waits in it is neither dead nor nobody's. The real Kueue: tests/e2e/test_kueue.py."""
from __future__ import annotations

import pytest
from builders import NAMESPACE
from calling import Plugin, written
from fake_api import FakeApi
from runner_at_work import answer, end, once_asked, request_of
from submitting import MANIFEST, SUBMIT, end_job, job, migration, set_status

from kubectl_volresize.model import labels

QUEUED = (*SUBMIT, "--queue", "batch")
WAITS = "waiting in queue batch until it lets job.batch/web-runner go on"


def let_go_on(api: FakeApi, name: str = "web-runner") -> None:
    """What Kueue does when there is room."""
    api.rest.change("jobs", job(api, name), lambda new: new["spec"].update(suspend=False))


@pytest.fixture
def queued(api: FakeApi, plugin: Plugin) -> FakeApi:
    """What was written until then does not count."""
    assert plugin(*QUEUED).code == 0
    api.calls.clear()
    return api


def test_its_job_waits_in_the_queue_that_is_named(queued: FakeApi) -> None:
    assert migration(queued)["metadata"]["labels"][labels.QUEUE] == "batch"
    made = job(queued)
    assert made["metadata"]["labels"][labels.QUEUE] == "batch" and made["spec"]["suspend"] is True
    # A queue that manages plain pods must not take the runner's pod for another work.
    assert labels.QUEUE not in made["spec"]["template"]["metadata"]["labels"]


def test_without_a_queue_nothing_waits(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    assert "suspend" not in job(api)["spec"] and labels.QUEUE not in job(api)["metadata"]["labels"]


def test_the_labels_of_a_manifest_name_queue_and_priority(api: FakeApi, plugin: Plugin) -> None:
    text = MANIFEST.replace("team: storage", f"team: storage, {labels.QUEUE}: nightly, {labels.QUEUE_PRIORITY}: low")
    assert plugin("submit", "-f", "-", stdin=text).code == 0
    made = job(api, "shrink-runner")["metadata"]["labels"]
    assert (made[labels.QUEUE], made[labels.QUEUE_PRIORITY]) == ("nightly", "low") and "team" not in made


def test_status_says_that_it_waits_and_how_to_take_it_back(queued: FakeApi, plugin: Plugin) -> None:
    said = plugin("status", "web").out
    assert WAITS in said and "no Job works on it" not in said
    assert f"kubectl delete volumeresize/web job/web-runner -n {NAMESPACE}" in said


def test_the_same_again_makes_no_second_job(queued: FakeApi, plugin: Plugin) -> None:
    again = plugin(*QUEUED)
    assert again.code == 0 and written(queued) == []
    assert "waits in its queue already" in again.err


def test_resume_leaves_what_waits_alone(queued: FakeApi, plugin: Plugin) -> None:
    said = plugin("resume", "web", "--no-wait")
    assert said.code == 0 and written(queued) == [] and WAITS in said.err


def test_what_is_watched_says_once_that_it_waits(queued: FakeApi, plugin: Plugin) -> None:
    said = plugin("status", "web", "--watch", "--timeout", "3")
    assert said.code == 124 and said.err.count(WAITS) == 1


def test_a_place_that_is_taken_away_in_the_middle_is_waited_for_again(queued: FakeApi, plugin: Plugin) -> None:
    """Preempted: Kueue suspends the Job, whose pod is asked to end."""
    let_go_on(queued)
    set_status(queued, labels.PLURAL, migration(queued), phase="Syncing", startTime="2026-01-01T00:00:00Z")
    queued.rest.change("jobs", job(queued), lambda new: new["spec"].update(suspend=True))
    assert WAITS in plugin("status", "web").out
    assert written(queued) == []


def test_one_that_gave_up_goes_on_through_the_same_queue(queued: FakeApi, plugin: Plugin) -> None:
    let_go_on(queued)
    set_status(queued, labels.PLURAL, migration(queued), phase="Syncing", startTime="2026-01-01T00:00:00Z")
    end_job(queued)
    assert plugin("resume", "web", "--no-wait").code == 0
    assert job(queued, "web-runner-2")["metadata"]["labels"][labels.QUEUE] == "batch" and job(queued, "web-runner-2")["spec"]["suspend"] is True


def test_to_cancel_waits_for_no_queue(queued: FakeApi, plugin: Plugin) -> None:
    """And the Job in the queue is deleted: suspended it is, and the queue would let it go on."""
    def cancelled() -> None:
        answer(queued, "done", "cancelled", phase="Cancelled")
        end(queued, "web-runner-2")
    once_asked(queued, cancelled)
    said = plugin("cancel", "web", "--timeout", "20")
    assert said.code == 0 and request_of(queued)["verb"] == "cancel"
    assert written(queued) == ["patch volumeresizes", "delete jobs", "create jobs"]
    made = job(queued, "web-runner-2")
    assert labels.QUEUE not in made["metadata"]["labels"] and "suspend" not in made["spec"]
    assert queued.find("jobs", NAMESPACE, "web-runner") is None


@pytest.mark.parametrize("mode", ["client", "server"])
def test_a_dry_run_takes_nothing_out_of_the_queue(queued: FakeApi, plugin: Plugin, mode: str) -> None:
    said = plugin("cancel", "web", f"--dry-run={mode}")
    assert said.code == 0 and "job.batch/web-runner deleted (" in said.out
    assert queued.find("jobs", NAMESPACE, "web-runner") is not None and written(queued) == []


def test_the_queue_may_be_named_for_what_somebody_applied(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    end_job(api)
    api.calls.clear()
    assert plugin(*QUEUED).code == 0
    assert written(api) == ["patch volumeresizes", "create jobs"]
    assert migration(api)["metadata"]["labels"][labels.QUEUE] == job(api, "web-runner-2")["metadata"]["labels"][labels.QUEUE] == "batch"


@pytest.mark.parametrize("name", ["Batch", "a_b", "-a", "a" * 64, ""])
def test_a_name_that_no_queue_has_is_said(api: FakeApi, plugin: Plugin, name: str) -> None:
    said = plugin(*SUBMIT, "--queue", name)
    assert said.code == 2 and "--queue" in said.err and written(api) == []
