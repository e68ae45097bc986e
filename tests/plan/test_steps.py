"""Every step can say itself in a sentence, and says what the record must hold before it without touching the record that it was given."""
from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import states
from states import NOW

from kubectl_volresize.model import labels
from kubectl_volresize.model.record import Record
from kubectl_volresize.model.asked import Asked
from kubectl_volresize.plan import (cleanup, leave, replica_steps, request_steps, rollback_steps, steps, swap_steps,
                                    undo_steps)
from kubectl_volresize.plan.preflight import Finding

ALL = {kind.__name__: kind for module in (steps, undo_steps, request_steps, rollback_steps, leave, cleanup) for kind in vars(module).values()
       if isinstance(kind, type) and issubclass(kind, steps.Step) and kind is not steps.Step}
# Something for a field, by its annotation; raw objects by the field's name.
_PLAIN: dict[str, Any] = {"str": "some", "int": 2, "int | None": None, "bool": True, "tuple[int, ...]": (2, 1), "tuple[str, ...]": ("data", "logs"),
                          "Asked": Asked("an id", "cancel", {"now": True}), "tuple[Object, ...]": ({"a": 1},),
                          "tuple[tuple[str, Object], ...]": (("data", {"old_pv": "pv"}), ("more", {"old_pv": "pv-more"})),
                          "tuple[tuple[str, Any], ...]": (("data", {"old_claim_uid": "u"}), ("more", {"old_claim_uid": "v"})),
                          "tuple[Finding, ...]": (Finding("budget", "statefulset/web", "is wrong", "mend it"),
                                                  Finding("pod-not-ready", "pod/web-0", "is not Ready"))}
_OBJECTS: dict[str, Any] = {
    "values": {"name": "data-web-2-new", "size": "500Mi"}, "claim": {"metadata": {"name": "data-web-2"}, "spec": {"volumeName": "pv-new"}},
    "counts": {"bytes": 1 << 20, "files": 3, "inodes": 4}, "known": {"new_pv": "pv-new", "new_pv_uid": "u"},
    "successor": {"metadata": {"name": "web"}}, "templates": {"data": {"size": "1Gi", "storageClass": "standard"}},
    "policy": {"whenDeleted": "Delete", "whenScaled": "Retain"}, "original": {"whenDeleted": "Delete", "whenScaled": "Retain"}}


def example(kind: type[Any]) -> steps.Step:
    """A step of this kind with something in every field."""
    fields = {field.name: _OBJECTS[field.name] if field.type == "Object" else _PLAIN[str(field.type)] for field in dataclasses.fields(kind)}
    made: steps.Step = kind(**copy.deepcopy(fields))
    return made


@pytest.mark.parametrize("name", ALL)
def test_a_step_says_itself_in_one_sentence(name: str) -> None:
    step = example(ALL[name])
    sentence = str(step)
    assert sentence and sentence == sentence.strip() and "\n" not in sentence
    # A dataclass's own words are no sentence.
    assert name + "(" not in sentence and "None" not in sentence and "{" not in sentence


@pytest.mark.parametrize("name", ALL)
def test_a_step_is_a_value_that_nobody_changes(name: str) -> None:
    step = example(ALL[name])
    assert step == example(ALL[name])
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.anything = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ALL)
def test_what_a_step_records_never_changes_the_record_it_was_given_nor_the_step(name: str) -> None:
    step, record = example(ALL[name]), states.swapping("data", "logs").record
    before, same_step = copy.deepcopy(record), copy.deepcopy(step)
    after = step.recorded(record, NOW)
    assert record == before and step == same_step
    assert isinstance(after, Record)


@pytest.mark.parametrize("name", ALL)
def test_a_step_that_is_recorded_again_after_a_crash_changes_nothing_more(name: str) -> None:
    step, record = example(ALL[name]), states.swapping("data", "logs").record
    once = step.recorded(record, NOW)
    assert step.recorded(once, NOW) == once


@pytest.mark.parametrize("name", [name for name, kind in ALL.items() if kind.event])
def test_an_event_has_a_type_and_a_camel_case_reason_of_its_own(name: str) -> None:
    kind, reason = ALL[name].event
    assert kind in ("Normal", "Warning") and reason.isalpha() and reason[0].isupper()
    assert [other for other, step in ALL.items() if step.event and step.event[1] == reason] == [name]


def conditions(record: Record) -> dict[str, tuple[str, str]]:
    return {condition["type"]: (condition["status"], condition["reason"]) for condition in record.conditions}


ENDS: dict[str, tuple[steps.Step, str, str, str]] = {
    "complete": (steps.Complete("3 replica(s) run"), labels.COMPLETED, "True", "Completed"),
    "refused": (example(steps.Refuse), labels.FAILED, "False", "Refused"),
    "a human": (steps.AskHuman("look"), labels.FAILED, "False", "NeedsHuman"),
    "stopped": (undo_steps.EndStopped(labels.FAILED, "Resumable", "why"), labels.FAILED, "False", "Resumable"),
    "cancelled": (undo_steps.EndStopped(labels.CANCELLED, "Cancelled", "why"), labels.CANCELLED, "False", "Cancelled"),
}


@pytest.mark.parametrize("what", ENDS)
def test_ready_is_true_exactly_in_completed_and_every_end_is_terminal(what: str) -> None:
    step, phase, ready, reason = ENDS[what]
    record = step.recorded(states.swapping().record, NOW)
    assert (record.phase, conditions(record)[labels.READY], conditions(record)[labels.PROGRESSING][0]) == (phase, (ready, reason), "False")
    assert record.terminal and record.completion_time == NOW and record.current_replica is None and record.message


def test_a_refusal_says_every_reason_and_that_nothing_was_changed() -> None:
    record = example(steps.Refuse).recorded(Record(), NOW)
    assert record.message == "refused, nothing was changed: statefulset/web: is wrong (mend it); pod/web-0: is not Ready"
    assert conditions(record)[labels.VALIDATED] == ("False", "Refused")


def test_the_phases_are_walked_as_documented() -> None:
    record, seen = Record(), []
    for step in (steps.Begin("u"), steps.Accept(1, "{}", {}, "0/1"), replica_steps.BeginReplica(2, (("data", {}),)), swap_steps.BeginSwap(2, ()),
                 swap_steps.RememberSwapped(2, ("data",)), swap_steps.ReplicaDone(2, ("data",), 4, "1/1"), steps.Complete("done")):
        record = step.recorded(record, NOW)
        seen.append(record.phase)
    assert seen == ["Validating", "Syncing", "Syncing", "Replacing", "Syncing", "Syncing", "Completed"]


def test_a_runner_that_begins_again_does_not_move_the_start_time() -> None:
    first = steps.Begin("u").recorded(Record(), "first")
    assert steps.Begin("u").recorded(first, "second").start_time == "first"


def test_the_sets_own_retention_policy_is_never_overwritten_by_ours() -> None:
    theirs = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    record = steps.SuspendRetention("u", theirs).recorded(Record(), NOW)
    assert steps.SuspendRetention("u", {"whenDeleted": "Retain", "whenScaled": "Retain"}).recorded(record, NOW).retention == theirs


def test_a_second_reason_to_stop_does_not_hide_the_first() -> None:
    record = steps.Stop("Resumable", "first").recorded(Record(), NOW)
    assert steps.Stop("Refused", "second").recorded(record, NOW).stopping == {"reason": "Resumable", "message": "first"}


def test_a_new_mover_starts_without_the_word_of_an_earlier_one() -> None:
    before = states.verified().record
    assert before.volume(2, "data").verified
    entry = replica_steps.StartMover(2, "data", {"name": "m"}).recorded(before, NOW).volume(2, "data")
    assert entry.verified == entry.final == ""


def test_a_replica_that_was_put_back_keeps_nothing_that_could_count_as_a_copy() -> None:
    record = undo_steps.ForgetReplica(2, ("data",)).recorded(states.verified("data", "logs").record, NOW)
    entry, replica = record.volume(2, "data"), record.replica(2)
    assert (entry.phase, entry.verified, entry.final, entry.new_pv, entry.new_claim_uid, entry.old_claim_uid) == ("RolledBack", "", "", "", "", "")
    assert (replica.step, replica.pod_uid, replica.held_at, record.current_replica) == ("undone", "", "", None)
    assert record.volume(2, "logs").verified


def test_the_exchange_writes_down_all_uids_and_the_set_before_anything_goes() -> None:
    record = swap_steps.BeginSwap(2, ("set", "pod", "claim")).recorded(states.verified().record, NOW)
    assert record.replica(2).intent == {"step": "swap", "uids": ["set", "pod", "claim"], "at": NOW}
    assert swap_steps.Freeze(2, "{}", "u", "7", {}).recorded(record, NOW).saved_set == "{}"
    assert swap_steps.Thaw(2, '{"a": 1}', "u", "7", {}).recorded(record, NOW).saved_set == '{"a": 1}'
