"""A queue of Jobs (Kueue) decides when a migration starts: what waits in it is neither dead nor nobody's. The real Kueue: tests/e2e/test_kueue.py."""
from __future__ import annotations

import pytest
from builders import NAMESPACE
from calling import Plugin, written
from fake_api import FakeApi
from fake_api.refusal import forbidden
from runner_at_work import add_pod, answer, end, once_asked, request_of
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
    assert "waits in queue batch already" in again.err


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
    assert written(queued) == ["patch volumeresizes", "create jobs", "delete jobs"]
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


def test_the_priority_of_a_manifest_goes_with_the_queue_of_the_option(api: FakeApi, plugin: Plugin) -> None:
    text = MANIFEST.replace("team: storage", f"team: storage, {labels.QUEUE_PRIORITY}: low")
    assert plugin("submit", "-f", "-", stdin=text).code == 0
    end_job(api, "shrink-runner")
    assert plugin("submit", "-f", "-", "--queue", "batch", stdin=text).code == 0
    made = job(api, "shrink-runner-2")["metadata"]["labels"]
    assert (made[labels.QUEUE], made[labels.QUEUE_PRIORITY]) == ("batch", "low")


def test_another_queue_for_what_waits_is_refused(queued: FakeApi, plugin: Plugin) -> None:
    said = plugin(*SUBMIT, "--queue", "other")
    assert said.code == 1 and "waits in queue batch already" in said.err and written(queued) == []


# -- what ends a migration, and a queue that takes and refuses


def only_queued_jobs(api: FakeApi) -> None:
    """As Kueue documents a policy: every Job bears the label."""
    def policy(number: int, verb: str, path: str) -> object:
        body = api.calls[-1].body if api.calls else None
        if verb == "create" and path.split("?")[0].endswith("/jobs") and body and labels.QUEUE not in (body["metadata"].get("labels") or {}):
            return forbidden("jobs.batch is forbidden: ValidatingAdmissionPolicy 'queue-name' denied request: the label is required")
        return None
    api.before_call.append(policy)


def test_where_every_job_has_to_be_queued_one_that_is_may_be_submitted(api: FakeApi, plugin: Plugin) -> None:
    only_queued_jobs(api)
    said = plugin(*QUEUED)
    assert said.code == 0, said.err


def test_a_job_that_waits_is_given_up_only_for_another(queued: FakeApi, plugin: Plugin) -> None:
    only_queued_jobs(queued)
    said = plugin("cancel", "web", "--no-wait")
    assert said.code == 1 and "the Job that does it could not be created" in said.err
    assert queued.find("jobs", NAMESPACE, "web-runner") is not None


def at_work(api: FakeApi) -> None:
    let_go_on(api)
    add_pod(api, "web-runner")
    set_status(api, labels.PLURAL, migration(api), phase="Syncing", startTime="2026-01-01T00:00:00Z")


def put_back(api: FakeApi) -> None:
    """Preempted: Kueue suspends the Job, whose pod is asked to end."""
    api.rest.change("jobs", job(api), lambda new: new["spec"].update(suspend=True))
    pod = api.find("pods", NAMESPACE, "web-runner-x")
    assert pod is not None
    api.rest.change("pods", pod, lambda new: new.update(status={"phase": "Failed"}), status=True)


def test_a_runner_that_loses_its_place_after_it_was_asked_is_followed_by_one_that_answers(queued: FakeApi, plugin: Plugin) -> None:
    at_work(queued)
    once_asked(queued, lambda: put_back(queued))
    assert plugin("cancel", "web", "--timeout", "2").code == 124
    assert "suspend" not in job(queued, "web-runner-2")["spec"] and queued.find("jobs", NAMESPACE, "web-runner") is None


def test_so_is_one_that_loses_it_between_its_answer_and_the_end(queued: FakeApi, plugin: Plugin) -> None:
    at_work(queued)
    once_asked(queued, lambda: (answer(queued, "accepted", "stop at the next safe point"), put_back(queued)))
    assert plugin("cancel", "web", "--timeout", "2").code == 124
    assert "suspend" not in job(queued, "web-runner-2")["spec"] and queued.find("jobs", NAMESPACE, "web-runner") is None


def test_what_is_done_is_not_waited_for_until_a_queue_lets_its_job_end(queued: FakeApi, plugin: Plugin) -> None:
    at_work(queued)
    once_asked(queued, lambda: (answer(queued, "done", "cancelled", phase="Cancelled"), put_back(queued)))
    said = plugin("cancel", "web", "--timeout", "2")
    assert said.code == 0 and "is Cancelled, cancel done" in said.err + said.out


def has_failed(api: FakeApi) -> None:
    at_work(api)
    failed = [{"type": "Ready", "status": "False", "reason": "Resumable", "message": "full", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    set_status(api, labels.PLURAL, migration(api), phase="Failed", message="the disk is full", conditions=failed)


@pytest.mark.parametrize("command", [("status", "--watch"), ("logs", "--follow")])
def test_what_is_over_is_not_watched_until_a_queue_lets_its_job_end(queued: FakeApi, plugin: Plugin, command: tuple[str, str]) -> None:
    has_failed(queued)
    put_back(queued)
    said = plugin(command[0], "web", command[1], "--timeout", "2")
    assert said.code == 5 and "Failed (Resumable): the disk is full" in said.err + said.out


@pytest.mark.parametrize("command", [("status", "--watch"), ("logs", "--follow")])
def test_what_was_over_and_is_resumed_is_watched_while_its_job_waits(queued: FakeApi, plugin: Plugin, command: tuple[str, str]) -> None:
    has_failed(queued)
    end_job(queued, "web-runner", "Failed")
    assert plugin("resume", "web", "--no-wait").code == 0 and job(queued, "web-runner-2")["spec"]["suspend"]
    said = plugin(command[0], "web", command[1], "--timeout", "2")
    assert said.code == 124 and "waiting in queue" in said.err + said.out


@pytest.mark.parametrize(("step", "intent"), [("holding", {}), ("swapping", {}), ("swapping", {"step": "freeze"}), ("thawing", {"step": "freeze"})])
def test_of_a_replica_that_stays_stopped_in_the_queue_it_is_said_how_that_ends(queued: FakeApi, plugin: Plugin, step: str, intent: object) -> None:
    """Its runner was killed, and could not let go of it."""
    at_work(queued)
    stopped = {"ordinal": 2, "step": step, "intent": intent, "heldAt": "2026-01-01T00:00:00Z"}
    set_status(queued, labels.PLURAL, migration(queued), currentReplica=2, replicas=[stopped])
    put_back(queued)
    said = plugin("status", "web").out
    assert WAITS in said and "Replica 2 is stopped until then" in said and f"kubectl volresize cancel vr/web -n {NAMESPACE}" in said


def test_of_one_that_is_at_work_on_nothing_stopped_no_such_thing_is_said(queued: FakeApi, plugin: Plugin) -> None:
    at_work(queued)
    set_status(queued, labels.PLURAL, migration(queued), currentReplica=2, replicas=[{"ordinal": 2, "step": "copying"}])
    put_back(queued)
    assert "in no queue" not in plugin("status", "web").out


def test_of_one_that_is_being_deleted_too(queued: FakeApi, plugin: Plugin) -> None:
    queued.rest.change(labels.PLURAL, migration(queued), lambda new: new["metadata"].update(finalizers=[labels.FINALIZER]))
    at_work(queued)
    put_back(queued)
    with queued.directly_connected() as client:
        client.delete(f"/apis/{labels.API_VERSION}/namespaces/{NAMESPACE}/{labels.PLURAL}/web")
    assert f"to end it now, in no queue: kubectl volresize cancel vr/web -n {NAMESPACE}" in plugin("status", "web").out
    said = plugin("resume", "web", "--no-wait")
    assert said.code == 0 and "is submitted already" not in said.err and "suspend" not in job(queued, "web-runner-2")["spec"]


def test_one_that_is_being_deleted_waits_for_no_queue(queued: FakeApi, plugin: Plugin) -> None:
    queued.rest.change(labels.PLURAL, migration(queued), lambda new: new["metadata"].update(finalizers=[labels.FINALIZER]))
    set_status(queued, labels.PLURAL, migration(queued), phase="Syncing", startTime="2026-01-01T00:00:00Z")
    with queued.directly_connected() as client:
        client.delete(f"/apis/{labels.API_VERSION}/namespaces/{NAMESPACE}/{labels.PLURAL}/web")
    assert plugin("cancel", "web", "--no-wait").code == 0
    assert [one["metadata"]["name"] for one in queued.store.all("jobs", NAMESPACE)] == ["web-runner-2"]
