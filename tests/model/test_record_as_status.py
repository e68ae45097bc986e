"""The record survives the API: whatever is written is read back the same, and the schema drops nothing of it."""
from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import pytest
from fake_api.schema import wrong
from hypothesis import given
from hypothesis import strategies as st

from kubectl_volresize.model import labels
from kubectl_volresize.model.record import Record, ReplicaRecord, VolumeRecord, from_status
from kubectl_volresize.templates import render

SCHEMA = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
VOLUME_PHASES = SCHEMA["properties"]["volumeStatuses"]["items"]["properties"]["phase"]["enum"]

words = st.text(max_size=20)
counts = st.integers(0, 1 << 60)
free = st.dictionaries(st.text("abc", min_size=1, max_size=5), counts | words | st.lists(words, max_size=2), max_size=3)
figures = st.dictionaries(st.sampled_from(["bytes", "totalBytes", "files", "bytesPerSecond", "secondsLeft"]), counts)
times = st.sampled_from(["2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"])
ordinals = st.integers(0, 1000)
sometimes = st.none() | counts


def _volumes() -> st.SearchStrategy[VolumeRecord]:
    plain = {spec.name: words for spec in fields(VolumeRecord)} | {"verified_at": st.just("") | times, "cleaned": st.none() | st.booleans()}
    return st.builds(VolumeRecord, **{**plain, "replica": ordinals, "phase": st.sampled_from(VOLUME_PHASES), "measured": free, "copied": figures,
                                      "bytes": sometimes, "files": sometimes, "passes": st.none() | st.lists(free, max_size=2)})


def _replicas() -> st.SearchStrategy[ReplicaRecord]:
    return st.builds(ReplicaRecord, ordinal=ordinals, pod_uid=words, step=words, intent=free, held_at=words, not_ready_seconds=sometimes)


def _conditions() -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    condition = st.fixed_dictionaries({"status": st.sampled_from(["True", "False"]), "reason": words, "message": words, "lastTransitionTime": times,
                                       "observedGeneration": counts})
    kinds = st.dictionaries(st.sampled_from([labels.READY, labels.VALIDATED, labels.PROGRESSING]), condition)
    return kinds.map(lambda found: tuple({"type": kind, **rest} for kind, rest in found.items()))


records = st.builds(
    Record, phase=st.sampled_from(labels.PHASES), conditions=_conditions(), volumes=st.lists(_volumes(), max_size=3).map(tuple),
    replicas=st.lists(_replicas(), max_size=3).map(tuple), current_replica=st.none() | ordinals, current_volume=words, message=words, progress=words,
    start_time=st.just("") | times, completion_time=st.just("") | times, saved_set=words, set_uid=words, retention=free, stopping=free,
    rollback=free, templates=free, last_request=free, runner=words, mark=words)


@given(records)
def test_any_record_is_read_back_as_it_was_written(record: Record) -> None:
    assert from_status(record.to_status()) == record


@given(records)
def test_the_schema_accepts_any_record_and_drops_no_field_of_it(record: Record) -> None:
    assert wrong(SCHEMA, record.to_status()) == []


_FREE = ("retention", "stopping", "rollback", "templates", "last_request")


def test_every_field_of_the_record_is_a_field_of_the_schema() -> None:
    # The property above would say nothing of a field that to_status forgets.
    full = Record(phase=labels.SYNCING, volumes=(_full(VolumeRecord),), replicas=(_full(ReplicaRecord),), conditions=({"type": "Ready"},),
                  current_replica=0, **{spec.name: {"some": "thing"} if spec.name in _FREE else "some" for spec in fields(Record)
                                        if spec.name not in ("phase", "volumes", "replicas", "conditions", "current_replica")})
    status = full.to_status()
    assert set(status) == set(SCHEMA["properties"])
    assert set(status["volumeStatuses"][0]) == set(SCHEMA["properties"]["volumeStatuses"]["items"]["properties"])
    assert set(status["replicas"][0]) == set(SCHEMA["properties"]["replicas"]["items"]["properties"])


def _full(kind: type[Any]) -> Any:
    """An instance with something in every field."""
    return kind(**{spec.name: {"some": "thing"} if spec.name in ("measured", "intent") else 1 for spec in fields(kind)})


def test_phases_are_those_of_the_schema() -> None:
    assert tuple(SCHEMA["properties"]["phase"]["enum"]) == labels.PHASES


def test_nothing_recorded_yet_is_pending() -> None:
    assert from_status({}) == Record()
    assert Record().to_status() == {"phase": "Pending"}


def test_the_zeroth_replica_and_a_zero_are_not_taken_for_nothing() -> None:
    record = Record(current_replica=0).with_volume(0, "data", bytes=0, files=0).with_replica(0, not_ready_seconds=0)
    status = record.to_status()
    assert status["currentReplica"] == 0
    assert status["volumeStatuses"][0]["replica"] == status["volumeStatuses"][0]["bytes"] == status["volumeStatuses"][0]["files"] == 0
    assert status["replicas"][0] == {"ordinal": 0, "notReadySeconds": 0}


def test_a_field_of_a_newer_version_stops_nobody() -> None:
    record = from_status({"phase": "Syncing", "later": 1, "volumeStatuses": [{"volumeName": "data", "replica": 2, "later": 1}],
                          "replicas": [{"ordinal": 2, "later": 1}]})
    assert record.volume(2, "data") == VolumeRecord(volume="data", replica=2)
    assert record.replica(2) == ReplicaRecord(ordinal=2)


@given(records, ordinals, words)
def test_changing_a_record_leaves_the_old_one_alone(record: Record, ordinal: int, name: str) -> None:
    before = copy.deepcopy(record)
    record.with_volume(ordinal, name, phase="Done").with_replica(ordinal, step="done").with_condition("Ready", "True", "R", "m", "now", 1)
    assert record == before


@given(records, ordinals, words)
def test_one_entry_per_replica_and_volume(record: Record, ordinal: int, name: str) -> None:
    once = record.with_volume(ordinal, name, old_pv="a").with_volume(ordinal, name, new_pv="b")
    assert [(entry.old_pv, entry.new_pv) for entry in once.of_replica(ordinal) if entry.volume == name] == [("a", "b")]
    twice = once.with_replica(ordinal, step="one").with_replica(ordinal, pod_uid="u")
    assert [(entry.step, entry.pod_uid) for entry in twice.replicas if entry.ordinal == ordinal] == [("one", "u")]


def test_entries_stand_in_the_order_of_work_highest_ordinal_first() -> None:
    record = Record().with_volume(0, "data").with_volume(2, "logs").with_volume(2, "data").with_replica(0).with_replica(2)
    assert [(entry.replica, entry.volume) for entry in record.volumes] == [(2, "data"), (2, "logs"), (0, "data")]
    assert [entry.ordinal for entry in record.replicas] == [2, 0]


@pytest.mark.parametrize(("status", "since"), [("False", "first"), ("True", "second")])
def test_a_conditions_transition_time_moves_only_with_its_status(status: str, since: str) -> None:
    begun = Record().with_condition("Ready", "False", "InProgress", "working", "first", 1)
    [condition] = begun.with_condition("Ready", status, "Other", "another message", "second", 2).conditions
    assert condition == {"type": "Ready", "status": status, "reason": "Other", "message": "another message", "lastTransitionTime": since,
                         "observedGeneration": 2}


def test_one_condition_leaves_the_others_alone() -> None:
    record = Record().with_condition("Validated", "True", "Passed", "ok", "first", 1).with_condition("Ready", "False", "R", "m", "second", 1)
    assert [(one["type"], one["lastTransitionTime"]) for one in record.conditions] == [("Ready", "second"), ("Validated", "first")]


def test_a_message_without_end_does_not_fill_the_record() -> None:
    record = Record(message="x" * 10_000).with_condition("Ready", "False", "R", "y" * 10_000, "now", 1)
    status = record.to_status()
    assert len(status["message"]) == 2000 and len(status["conditions"][0]["message"]) == 1000


def test_asking_for_a_set_that_was_never_saved_is_an_error_and_not_an_empty_set() -> None:
    with pytest.raises(ValueError):
        Record().saved


@pytest.mark.parametrize("phase", labels.PHASES)
def test_terminal_phases(phase: str) -> None:
    assert Record(phase=phase).terminal == (phase in ("Completed", "Failed", "Cancelled", "RolledBack"))
