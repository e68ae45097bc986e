"""Somebody deletes the application's pods or the movers, also by force. A stop counts only when every process of the pod is known to have ended: no
copy is called the last one before that."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, set_node_ready
from fake_api import FakeApi
from hands import (Moment, change, claimed, copying, disturbed, entry, find, frozen, is_held, mover_name, pod_name, remove, starting, stopped,
                   swapping, verified, without_finalizers)
from running import demand_migrated, demand_untouched, step_of

from kubectl_volresize.errors import JOB_DONE, JOB_NEEDS_HUMAN, JOB_REFUSED

_DELETED = [{}, {"gracePeriodSeconds": 0}]
_LINGERS = 30.0  # seconds, as measured


def evicted(api: FakeApi, ordinal: int) -> bool:
    """Held and told to stop; its process runs."""
    pod = find(api, "pods", pod_name(ordinal))
    return is_held(api, ordinal) and pod is not None and "deletionTimestamp" in pod["metadata"] and pod["status"]["phase"] == "Running"


# -- the application's


@pytest.mark.row("pod-deleted-copying")
@pytest.mark.parametrize("how", _DELETED)
def test_a_pod_that_is_deleted_while_it_is_copied_comes_back_and_is_copied_on(how: dict[str, int]) -> None:
    end = disturbed(copying, remove("pods", pod_name, **how))
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("pod-deleted-held")
@pytest.mark.parametrize("how", _DELETED)
@pytest.mark.parametrize("moment", [stopped, verified, swapping, frozen])
def test_a_held_pod_that_is_deleted_once_more_stays_until_its_exchange(moment: Moment, how: dict[str, int]) -> None:
    end = disturbed(moment, remove("pods", pod_name, **how))
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("pod-forced-alive")
def test_nothing_is_copied_as_final_while_the_process_of_a_pod_deleted_by_force_lives_on() -> None:
    api_of: list[FakeApi] = []
    too_early: list[str] = []

    def look(api: FakeApi) -> None:
        """What no client can see: a process of the pod although its object says grace period 0."""
        def hook(number: int, verb: str, path: str) -> None:
            alive = [process for process in api.processes.values() if process.pod == (NAMESPACE, pod_name(0)) and not process.role]
            if alive and is_held(api, 0) and (entry(api, 0).get("final") or step_of(api, 0) == "swapping"):
                too_early.append(f"{verb} {path}")
        api.before_call.append(hook)

    def force(api: FakeApi, ordinal: int) -> None:
        remove("pods", pod_name, gracePeriodSeconds=0)(api, ordinal)
        found = find(api, "pods", pod_name(ordinal))
        assert found is not None and found["metadata"]["deletionGracePeriodSeconds"] == 0 and found["status"]["phase"] == "Running"
        api_of.append(api)

    def lingering(api: FakeApi, ordinal: int) -> bool:
        if not api.faults.lingers:
            api.faults.lingers[pod_name(ordinal)] = _LINGERS
            look(api)
        return evicted(api, ordinal)

    end = disturbed(lingering, force)
    assert end.code == JOB_DONE and api_of and too_early == []
    demand_migrated(end.api, {"data": "500Mi"})


def _podgc_takes_it(api: FakeApi, ordinal: int) -> None:
    """Its node's kubelet is dead, and somebody has set the out-of-service taint: the object ends, the process does not (podgc/gc_controller.go)."""
    found = find(api, "pods", pod_name(ordinal))
    assert found is not None
    set_node_ready(api, found["spec"]["nodeName"], False)
    change("pods", pod_name, lambda new: new["status"].update(phase="Failed"), status=True)(api, ordinal)
    remove("pods", pod_name, gracePeriodSeconds=0)(api, ordinal)


@pytest.mark.row("podgc-dead-kubelet")
def test_a_pod_that_the_pod_garbage_collector_ended_on_a_dead_node_is_not_taken_for_stopped() -> None:
    def lingering(api: FakeApi, ordinal: int) -> bool:
        api.faults.lingers[pod_name(ordinal)] = 1e9
        return evicted(api, ordinal)

    end = disturbed(lingering, _podgc_takes_it)
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and f"pod {pod_name(0)} is shutting down" in end.message
    assert not entry(end.api, 0).get("final") and not entry(end.api, 0).get("verified")
    assert end.api.lost_bytes() == {} and end.api.empty_claims == []


@pytest.mark.row("hold-removed")
@pytest.mark.parametrize("moment", [stopped, verified])
def test_a_hold_that_somebody_takes_off_is_put_on_again_and_the_last_pass_made_anew(moment: Moment) -> None:
    end = disturbed(moment, without_finalizers("pods", pod_name), replicas=2)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("hold-removed-exchange")
def test_a_hold_that_somebody_takes_off_before_the_freeze_puts_the_replica_back() -> None:
    end = disturbed(swapping, without_finalizers("pods", pod_name), replicas=2)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "let go by somebody" in end.message
    demand_untouched(end.api, end.before)


@pytest.mark.row("hold-removed-exchange")
def test_a_hold_that_somebody_takes_off_while_the_set_is_frozen_changes_nothing() -> None:
    end = disturbed(frozen, without_finalizers("pods", pod_name), replicas=2)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("pod-deleted-starting")
def test_a_pod_that_is_deleted_when_it_has_just_started_on_its_new_volume_comes_back_there() -> None:
    end = disturbed(starting, remove("pods", pod_name), replicas=2)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("other-pod-deleted")
@pytest.mark.parametrize("moment", [copying, stopped, frozen, claimed])
def test_another_replica_that_is_deleted_is_healed(moment: Moment) -> None:
    end = disturbed(moment, remove("pods", pod_name(0)), replicas=2)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("other-pod-deleted")
def test_a_replica_that_does_not_come_back_before_the_freeze_puts_the_stopped_one_back() -> None:
    def gone_for_good(api: FakeApi, ordinal: int) -> None:
        api.faults.unready.add(pod_name(0))
        remove("pods", pod_name(0))(api, ordinal)

    end = disturbed(stopped, gone_for_good, replicas=2)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and f"waiting until {pod_name(0)} is Ready" in end.message
    end.api.faults.unready.clear()
    demand_untouched(end.api, end.before)


# -- the movers


@pytest.mark.row("mover-deleted")
@pytest.mark.parametrize("how", _DELETED)
@pytest.mark.parametrize("moment", [copying, stopped, verified])
def test_a_mover_that_is_deleted_is_started_again_and_its_words_do_not_count_for_the_next_one(moment: Moment, how: dict[str, int]) -> None:
    end = disturbed(moment, remove("pods", mover_name, **how))
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("mover-deleted")
def test_a_mover_that_is_deleted_in_its_last_pass_makes_another_one_that_is_verified() -> None:
    told: list[str] = []

    def in_its_last_pass(api: FakeApi, ordinal: int) -> bool:
        if step_of(api, ordinal) == "holding" and entry(api, ordinal).get("final"):
            told.append(entry(api, ordinal)["final"])
        return bool(told)

    end = disturbed(in_its_last_pass, remove("pods", mover_name, gracePeriodSeconds=0))
    assert end.code == JOB_DONE and len(told) == 1
    assert entry(end.api, 0)["verified"] == entry(end.api, 0)["final"] != told[0]
    demand_migrated(end.api, {"data": "500Mi"})
