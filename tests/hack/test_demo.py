"""The demonstration must be able to say that a promise is broken: what its bystanders see, and what is made of it."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import report
import timeline
from report import Replica, Volume
from timeline import Seen, Span, Swap


def _set(at: float, kind: str, uid: str = "old", terminating: bool = False, frozen: bool = False) -> Seen:
    metadata: dict[str, Any] = {"name": "test-sts", "uid": uid, "finalizers": [timeline.FREEZE] if frozen else []}
    return Seen(at, kind, {"metadata": metadata | ({"deletionTimestamp": "now"} if terminating else {})})


def _pod(at: float, kind: str, ready: bool, uid: str = "old", restarts: int = 0, name: str = "test-sts-0") -> Seen:
    status = {"conditions": [{"type": "Ready", "status": str(ready)}], "containerStatuses": [{"name": "app", "restartCount": restarts}]}
    return Seen(at, kind, {"metadata": {"name": name, "uid": uid}, "status": status})


def test_a_set_that_went_and_came_back_was_frozen_and_absent() -> None:
    events = [_set(0, "ADDED"), _set(1, "MODIFIED", frozen=True), _set(2, "MODIFIED", terminating=True, frozen=True),
              _set(3, "MODIFIED", terminating=True), _set(3.5, "DELETED", terminating=True), _set(3.75, "ADDED", "new"), _set(9, "MODIFIED", "new")]
    assert timeline.swaps(events) == [Swap(frozen=Span(2, 3.75), absent=Span(3.5, 3.75), by_freeze=True)]


def test_a_set_deleted_without_a_freeze_is_told_from_a_frozen_one() -> None:
    (swap,) = timeline.swaps([_set(0, "ADDED"), _set(1, "DELETED"), _set(2, "ADDED", "new")])
    assert not swap.by_freeze and swap.absent == Span(1, 2)


def test_a_pod_is_not_ready_from_its_stop_until_its_successor_is() -> None:
    events = [_pod(0, "ADDED", True), _pod(1, "MODIFIED", False), _pod(2, "DELETED", False), _pod(3, "ADDED", False, "new"),
              _pod(4, "MODIFIED", True, "new")]
    assert timeline.not_ready(events, "test-sts-0") == [Span(1, 4)]
    assert timeline.lives(events, "test-sts-0") == ["old", "new"]


def test_a_pod_that_never_came_back_has_no_end() -> None:
    (span,) = timeline.not_ready([_pod(0, "ADDED", True), _pod(1, "DELETED", True)], "test-sts-0")
    assert span.end == float("inf")


def test_a_restarted_container_counts_however_short() -> None:
    events = [_pod(0, "ADDED", True), _pod(1, "MODIFIED", True, restarts=1), _pod(2, "MODIFIED", True, restarts=2)]
    assert timeline.restarts(events, "test-sts-0") == 2


@pytest.fixture
def replica() -> Replica:
    """One that was migrated as promised."""
    return Replica(pod="test-sts-1", not_ready=(Span(10, 13),), swaps=(Swap(Span(11, 12), Span(11.9, 12), True),), silent=3.0, lives=2, restarts=0)


@pytest.fixture
def volume() -> Volume:
    return Volume(pod="test-sts-1", name="data", claim="data-test-sts-1", requested="1Gi", persistent_volume="pv-1", size_kib=1000000, digest="d",
                  entries=("a", "b"), allocated=4096, lines=10, sum="s")


def _broken(promises: list[report.Promise]) -> list[str]:
    return [promise.text for promise in promises if not promise.kept]


def test_a_replica_as_promised_breaks_nothing(replica: Replica) -> None:
    assert not _broken(report.time_promises([replica, replace(replica, pod="test-sts-0", not_ready=(Span(20, 23),))]))


@pytest.mark.parametrize("disaster", [
    {"swaps": (Swap(Span(11, 12), Span(11.7, 12), True),)}, {"swaps": (Swap(Span(10, 13.5), Span(13.4, 13.5), True),)},
    {"swaps": (Swap(Span(11, 12), Span(11.9, 12), False),)}, {"swaps": ()}, {"lives": 3}, {"restarts": 1},
    {"not_ready": (Span(10, 13), Span(15, 16))}], ids=["absent", "frozen", "unfrozen", "no swap", "replaced twice", "restarted", "stopped twice"])
def test_each_disaster_in_time_breaks_a_promise(replica: Replica, disaster: dict[str, Any]) -> None:
    assert _broken(report.time_promises([replace(replica, **disaster)]))


def test_two_replicas_down_at_once_break_a_promise(replica: Replica) -> None:
    other = replace(replica, pod="test-sts-0", not_ready=(Span(12, 14),))
    assert _broken(report.time_promises([replica, other])) == ["never two replicas not Ready at a time"]


def test_a_smaller_volume_with_the_same_content_breaks_nothing(volume: Volume) -> None:
    after = replace(volume, requested="500Mi", persistent_volume="pv-2", size_kib=469328, lines=50, sum="t", sum_before="s")
    assert not _broken(report.content_promises([volume], [after], "data", "500Mi"))


@pytest.mark.parametrize("disaster", [
    {"digest": "e", "entries": ("a", "c")}, {"allocated": 1 << 20}, {"sum_before": "another"}, {"lines": 10}, {"requested": "1Gi"},
    {"size_kib": 1000000}],
    ids=["content", "hole filled", "another journal", "silent application", "claim of the old size", "volume of the old size"])
def test_each_disaster_to_data_breaks_a_promise(volume: Volume, disaster: dict[str, Any]) -> None:
    after = replace(volume, requested="500Mi", persistent_volume="pv-2", size_kib=469328, lines=50, sum="t", sum_before="s")
    assert len(_broken(report.content_promises([volume], [replace(after, **disaster)], "data", "500Mi"))) == 1


def test_a_volume_that_nobody_named_must_not_change(volume: Volume) -> None:
    after = replace(volume, persistent_volume="pv-2", lines=50, sum_before="s")
    assert _broken(report.content_promises([volume], [after], "logs", "500Mi")) == ["test-sts-1, data: left alone"]
