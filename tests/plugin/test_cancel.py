"""`cancel`, and with it what all requests have in common: one annotation and one runner, however often it is asked; then the answer."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from builders import NAMESPACE
from calling import Plugin, written
from fake_api import FakeApi, Object, Refusal
from runner_at_work import answer, end, once_asked, request_of, with_runners
from submitting import SUBMIT, end_job, migration, set_status

from kubectl_volresize.model import labels

# An answer that is missed must fail and not hang.
CANCEL = ("cancel", "web", "--timeout", "20")
ASKED, STARTED = "patch volumeresizes", "create jobs"


@pytest.fixture
def at_work(api: FakeApi, plugin: Plugin) -> FakeApi:
    """A migration that is being carried out; what was written until then does not count."""
    plugin(*SUBMIT)
    set_phase(api, "Syncing", startTime="2026-01-01T00:00:00Z")
    api.calls.clear()
    return api


def set_phase(api: FakeApi, phase: str, reason: str = "", **status: Any) -> None:
    ready = [{"type": "Ready", "status": "False", "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}] if reason else []
    set_status(api, labels.PLURAL, migration(api), phase=phase, **({"conditions": ready} if ready else {}), **status)


def cancelled(api: FakeApi) -> None:
    answer(api, "done", "cancelled; what was not migrated yet is as it was", phase="Cancelled",
           message="cancelled; what was not migrated yet is as it was")
    for job in api.store.all("jobs", NAMESPACE):
        end(api, job["metadata"]["name"])


# -- the request


def test_a_runner_at_work_is_asked_and_its_answer_is_waited_for(at_work: FakeApi, plugin: Plugin) -> None:
    once_asked(at_work, lambda: cancelled(at_work))
    said = plugin(*CANCEL)
    assert said.code == 0 and written(at_work) == [ASKED]
    assert said.out == "volumeresize.storage.maurice.fr/web cancel requested\n"
    assert "volumeresize.storage.maurice.fr/web is Cancelled, cancel done: cancelled; what was not" in said.err
    assert f"To go on with the rest: kubectl volresize resume vr/web -n {NAMESPACE}" in said.err
    asked = request_of(at_work)
    assert (asked["verb"], asked["args"]) == ("cancel", {}) and len(asked["id"]) == 8


def test_where_no_runner_is_at_work_the_next_job_is_created(at_work: FakeApi, plugin: Plugin) -> None:
    end_job(at_work)
    once_asked(at_work, lambda: cancelled(at_work))
    said = plugin(*CANCEL)
    assert said.code == 0 and written(at_work) == [ASKED, STARTED]
    assert said.out.splitlines() == ["volumeresize.storage.maurice.fr/web cancel requested", "job.batch/web-runner-2 created"]


def test_now_is_passed_on(at_work: FakeApi, plugin: Plugin) -> None:
    assert plugin("cancel", "web", "--now", "--no-wait").code == 0
    assert request_of(at_work)["args"] == {"now": True}


def test_the_real_runner_understands_it(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    end_job(api)
    with_runners(api)
    said = plugin(*CANCEL)
    assert said.code == 0 and migration(api)["status"]["phase"] == "Cancelled", said.err
    assert plugin(*CANCEL).err == "nothing to do: volumeresize.storage.maurice.fr/web is cancelled already\n"


def test_the_write_is_guarded_by_the_version_that_was_read(at_work: FakeApi, plugin: Plugin) -> None:
    version = migration(at_work)["metadata"]["resourceVersion"]
    plugin("cancel", "web", "--no-wait")
    (patch,) = [call.body for call in at_work.calls if call.verb == "patch"]
    assert patch["metadata"]["resourceVersion"] == version and set(patch) == {"metadata"}


def test_a_record_that_a_runner_writes_meanwhile_is_read_again(at_work: FakeApi, plugin: Plugin) -> None:
    before_the_first(at_work, lambda: set_phase(at_work, "Replacing"))
    assert plugin("cancel", "web", "--no-wait").code == 0
    assert request_of(at_work)["verb"] == "cancel"
    assert [call.status for call in at_work.calls if call.verb == "patch"] == [409, 200]


def test_and_judged_again(at_work: FakeApi, plugin: Plugin) -> None:
    before_the_first(at_work, lambda: set_phase(at_work, "Completed"))
    said = plugin("cancel", "web", "--no-wait")
    assert said.code == 4 and "is over (Completed)" in said.err and request_of(at_work) == {}


def before_the_first(api: FakeApi, act: Callable[[], object]) -> None:
    done: list[int] = []

    def hook(number: int, verb: str, path: str) -> None:
        if verb == "patch" and not done:
            done.append(number)
            act()
    api.before_call.append(hook)


def test_who_is_always_too_late_is_told_so(at_work: FakeApi, plugin: Plugin) -> None:
    at_work.before_call.append(lambda number, verb, path: Refusal(409, "Conflict", "the object has been modified") if verb == "patch" else None)
    said = plugin(*CANCEL)
    assert said.code == 1 and "the object has been modified" in said.err


# -- asked before


def test_the_same_again_goes_on_with_what_was_asked(at_work: FakeApi, plugin: Plugin) -> None:
    plugin("cancel", "web", "--no-wait")
    first = request_of(at_work)["id"]
    once_asked(at_work, lambda: cancelled(at_work))
    said = plugin(*CANCEL)
    assert said.code == 0 and "cancel requested already" in said.out
    assert request_of(at_work)["id"] == first and written(at_work) == [ASKED]


def test_also_once_the_runner_has_begun_with_it(at_work: FakeApi, plugin: Plugin) -> None:
    plugin("cancel", "web", "--no-wait")
    answer(at_work, "accepted", "stop at the next safe point")
    once_asked(at_work, lambda: cancelled(at_work))
    assert plugin(*CANCEL).code == 0 and written(at_work) == [ASKED]


def test_a_plugin_killed_between_its_two_writes_only_needs_to_be_run_again(at_work: FakeApi, plugin: Plugin) -> None:
    end_job(at_work)
    at_work.before_call.append(lambda number, verb, path: Refusal(403, "Forbidden", "exceeded quota") if verb == "create" else None)
    said = plugin(*CANCEL)
    assert said.code == 1 and "was asked to cancel, but the Job that does it could not be created: exceeded quota" in said.err
    assert "run the same command again" in said.err
    at_work.before_call.clear()
    once_asked(at_work, lambda: cancelled(at_work))
    assert plugin(*CANCEL).code == 0 and written(at_work)[-1] == STARTED and written(at_work).count(ASKED) == 1


def test_another_request_that_is_not_answered_is_waited_for_by_the_user(at_work: FakeApi, plugin: Plugin) -> None:
    plugin("cancel", "web", "--now", "--no-wait")
    standing = request_of(at_work)["id"]
    said = plugin("cancel", "web", "--no-wait")
    assert said.code == 4 and f"was asked to cancel before (request {standing}), and that is not done yet" in said.err
    assert request_of(at_work)["id"] == standing


def test_a_cancel_under_way_can_be_made_faster(at_work: FakeApi, plugin: Plugin) -> None:
    plugin("cancel", "web", "--no-wait")
    answer(at_work, "accepted", "stop at the next safe point")
    assert plugin("cancel", "web", "--now", "--no-wait").code == 0
    assert request_of(at_work)["args"] == {"now": True}


# -- what there is nothing to cancel of


@pytest.mark.parametrize(("phase", "code", "said"), [
    ("Cancelled", 0, "nothing to do: volumeresize.storage.maurice.fr/web is cancelled already"),
    ("Completed", 4, "is over (Completed)\nto go back to the old volumes: kubectl volresize rollback vr/web -n prod"),
    ("RolledBack", 4, "is over (RolledBack)")])
def test_what_is_over_is_not_cancelled(at_work: FakeApi, plugin: Plugin, phase: str, code: int, said: str) -> None:
    set_phase(at_work, phase)
    result = plugin(*CANCEL)
    assert (result.code, written(at_work)) == (code, []) and said in result.err


def test_what_failed_can_be_cancelled(at_work: FakeApi, plugin: Plugin) -> None:
    set_phase(at_work, "Failed", "NeedsHuman")
    end_job(at_work)
    assert plugin("cancel", "web", "--no-wait").code == 0 and written(at_work) == [ASKED, STARTED]


def test_one_that_is_being_deleted_is_cancelled_by_that(at_work: FakeApi, plugin: Plugin) -> None:
    at_work.rest.change(labels.PLURAL, migration(at_work), lambda new: new["metadata"].update(finalizers=[labels.FINALIZER]))
    at_work.rest.remove(labels.PLURAL, migration(at_work))
    end_job(at_work)
    said = plugin("cancel", "web", "--no-wait")
    assert said.code == 0 and written(at_work) == [STARTED]
    assert "is being deleted, which cancels it" in said.err


# -- the answer


def test_what_the_runner_refuses_is_a_refusal(at_work: FakeApi, plugin: Plugin) -> None:
    once_asked(at_work, lambda: answer(at_work, "refused", "it cannot be, since"))
    said = plugin(*CANCEL)
    assert said.code == 4 and "error: volumeresize.storage.maurice.fr/web: cancel was refused: it cannot be, since" in said.err


def test_what_failed_while_it_was_cancelled_has_the_exit_code_of_its_end(at_work: FakeApi, plugin: Plugin) -> None:
    def fail() -> None:
        set_phase(at_work, "Failed", "NeedsHuman", message="claim x is not as recorded")
        answer(at_work, "failed", "claim x is not as recorded")
        end_job(at_work)
    once_asked(at_work, fail)
    said = plugin(*CANCEL)
    assert said.code == 6 and "is Failed, cancel failed: claim x is not as recorded" in said.err


def test_a_runner_that_went_home_just_then_is_followed_by_another(at_work: FakeApi, plugin: Plugin) -> None:
    reacted: list[str] = []

    def react(number: int, verb: str, path: str) -> None:
        if verb == "patch" and not reacted:
            reacted.append("gone")
            end_job(at_work, how="Complete")
        elif (verb, path.rsplit("/", 1)[1]) == ("create", "jobs"):
            cancelled(at_work)
    at_work.after_call.append(react)
    assert plugin(*CANCEL).code == 0
    assert written(at_work) == [ASKED, STARTED]


def test_a_job_that_gives_up_before_it_is_done_is_no_success(at_work: FakeApi, plugin: Plugin) -> None:
    def give_up() -> None:
        answer(at_work, "accepted", "stop at the next safe point")
        end(at_work, "web-runner", "Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")
    once_asked(at_work, give_up)
    said = plugin(*CANCEL)
    assert said.code == 5 and "job.batch/web-runner ended before cancel was done (BackoffLimitExceeded" in said.err
    assert "Run the same command again" in said.err


def test_a_migration_that_is_gone_is_cancelled(at_work: FakeApi, plugin: Plugin) -> None:
    once_asked(at_work, lambda: at_work.rest.remove(labels.PLURAL, migration(at_work)))
    said = plugin(*CANCEL)
    assert said.code == 0 and "is gone: it was deleted" in said.err


def test_waiting_ends_with_its_time_and_not_what_was_asked_for(at_work: FakeApi, plugin: Plugin) -> None:
    said = plugin("cancel", "web", "--timeout", "0.1")
    assert said.code == 124 and "is not over after 0.1 s; it goes on in the cluster" in said.err


# -- for programs, and for those who are careful


def test_an_output_for_programs_is_the_migration_as_it_ended(at_work: FakeApi, plugin: Plugin) -> None:
    once_asked(at_work, lambda: cancelled(at_work))
    said = plugin(*CANCEL, "-o", "json")
    shown: Object = json.loads(said.out)
    assert said.code == 0 and (shown["metadata"]["name"], shown["status"]["phase"]) == ("web", "Cancelled")
    assert "cancel done" in said.err


def test_names_are_one_a_line(at_work: FakeApi, plugin: Plugin) -> None:
    end_job(at_work)
    assert plugin("cancel", "web", "--no-wait", "-o", "name").out.splitlines() == ["volumeresize.storage.maurice.fr/web", "job.batch/web-runner-2"]


@pytest.mark.parametrize("mode", ["client", "server"])
def test_a_dry_run_leaves_nothing_behind(at_work: FakeApi, plugin: Plugin, mode: str) -> None:
    end_job(at_work)
    said = plugin("cancel", "web", f"--dry-run={mode}")
    assert said.code == 0 and said.out.count("dry run)") == 2 and written(at_work) == []
    assert request_of(at_work) == {} and len(at_work.alive("jobs", NAMESPACE)) == 1


@pytest.mark.parametrize("options", [("--no-wait", "--timeout", "5"), ("--dry-run=client", "--timeout", "5")])
def test_a_timeout_needs_something_to_stop(plugin: Plugin, options: tuple[str, ...]) -> None:
    said = plugin("cancel", "web", *options)
    assert said.code == 2 and "--timeout has nothing to stop" in said.err


def test_without_waiting_it_is_said_how_to_follow(at_work: FakeApi, plugin: Plugin) -> None:
    assert f"Follow it: kubectl volresize logs vr/web -f -n {NAMESPACE}" in plugin("cancel", "web", "--no-wait").out
