"""The safety argument: for each guarded step a state in which it is allowed, and for every single condition that state without it, which is refused
in words that name it. The replica has two volumes, and it is always the second that is wrong: one is enough."""
from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import states
from states import (REPLICA, State, claim, claim_name, copied, emptied, exchanged, frozen, frozen_set, new_pv, old_pv, pod, released, shut_down,
                    statefulset, stopped_pod, swapping, temporary_name, uid_of, verified, volume)

from kubectl_volresize.errors import InvariantBroken
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Volume
from kubectl_volresize.plan import cleanup, invariants, replica_steps, steps, swap_steps, undo_steps
from kubectl_volresize.plan.views import final_word

BOTH = ("data", "logs")
OLD, NEW, CLAIM, TEMPORARY = old_pv("logs"), new_pv("logs"), claim_name("logs"), temporary_name("logs")


@dataclass(frozen=True)
class Case:
    """A step, a state that allows it, and what may be wrong with that state: by the words of the refusal, how it comes about."""

    step: steps.Step
    allowed: State
    broken: tuple[tuple[str, Callable[[State], State]], ...]


def unretained_old(state: State) -> State:
    return state.with_volumes(volume(OLD, policy="Delete", role="old"))


def unretained_new(state: State) -> State:
    return state.with_volumes(volume(NEW, policy="Delete", role="new", claim_name=CLAIM))


KEPT: tuple[tuple[str, Callable[[State], State]], ...] = (
    (f"volume {OLD} is not there with reclaim policy Retain", unretained_old),
    (f"volume {NEW} is not there with reclaim policy Retain", unretained_new),
    (f"volume {OLD} is not there with reclaim policy Retain", lambda state: state.without_volumes(OLD)),
    (f"volume {NEW} is not there with reclaim policy Retain", lambda state: state.without_volumes(NEW)),
)
NOT_AS_RECORDED = f"claim {CLAIM} is not as recorded"
ORIGINAL: tuple[tuple[str, Callable[[State], State]], ...] = (
    (NOT_AS_RECORDED, lambda state: state.with_claims(claim(CLAIM, pv=OLD, uid="another"))),
    (NOT_AS_RECORDED, lambda state: state.with_claims(claim(CLAIM, pv=OLD, phase="Lost"))),
    (NOT_AS_RECORDED, lambda state: state.without_claims(CLAIM)),
    (NOT_AS_RECORDED, lambda state: state.with_volumes(volume(OLD, uid="another"))),
)


def going(state: State, name: str) -> State:
    """Somebody has deleted this volume."""
    raw = copy.deepcopy(state.cluster.volumes[name].raw)
    raw["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return state.with_volumes(Volume(raw))


STAYING: tuple[tuple[str, Callable[[State], State]], ...] = (
    (f"volume {OLD} is being deleted", lambda state: going(state, OLD)),
    (f"volume {NEW} is being deleted", lambda state: going(state, NEW)),
)
NOT_VERIFIED = f"the copy of claim {CLAIM} is not verified since the stop"
VERIFIED: tuple[tuple[str, Callable[[State], State]], ...] = (
    (NOT_VERIFIED, lambda state: state.recording("logs", verified="")),
    (NOT_VERIFIED, lambda state: state.recording("logs", verified=final_word("an earlier pod", states.mover_pod("logs")))),
    (NOT_VERIFIED, lambda state: state.recording("logs", verified=f"final:{uid_of('web-2')}x:mover")),
    (NOT_VERIFIED, lambda state: state.recording_replica(pod_uid="")),
)
NOT_INERT = "the StatefulSet is neither frozen nor absent"
INERT: tuple[tuple[str, Callable[[State], State]], ...] = (
    (NOT_INERT, lambda state: state.with_set(statefulset(volumes=BOTH))),
    (NOT_INERT, lambda state: state.with_set(statefulset(volumes=BOTH, finalizers=(labels.FREEZE_FINALIZER,)))),
    (NOT_INERT, lambda state: state.with_set(frozen_set(volumes=BOTH, finalizers=(labels.FREEZE_FINALIZER, labels.ORPHAN_FINALIZER)))),
    (NOT_INERT, lambda state: state.with_set(frozen_set(volumes=BOTH, finalizers=()))),
)
NOT_STOPPED = "the pod is not held and shut down"
STOPPED: tuple[tuple[str, Callable[[State], State]], ...] = (
    (NOT_STOPPED, lambda state: state.without_pod()),
    (NOT_STOPPED, lambda state: state.with_pod(REPLICA, pod(REPLICA))),
    (NOT_STOPPED, lambda state: state.with_pod(REPLICA, stopped_pod(REPLICA, held=False))),
    (NOT_STOPPED, lambda state: state.with_pod(REPLICA, stopped_pod(REPLICA, states=(states.ENDED, states.RUNNING)))),
    (NOT_STOPPED, lambda state: state.with_pod(REPLICA, stopped_pod(REPLICA, uid="another"))),
    (NOT_STOPPED, lambda state: state.seeing(nodes={})),
)
UNRECORDED = f"nothing is recorded for replica {REPLICA}"


def _standing(state: State) -> State:
    """With the set as it stood when it was saved."""
    return state.with_set(statefulset(volumes=BOTH))


CREATED = {"metadata": {"name": CLAIM}, "spec": {"volumeName": NEW}}
DELETED = swap_steps.DeleteClaim(REPLICA, "logs", CLAIM, uid_of(CLAIM), "{}")
RELEASED = swap_steps.Release(REPLICA, "web-2", uid_of("web-2"), (), "7")
# Temporary claims that a runner finds again after the claims were exchanged: the strictest case of their deletion.
LATE = exchanged(*BOTH).with_claims(states.our_claim(TEMPORARY, pv=NEW, size=states.NEW_SIZE))

SUCCESSOR = {"metadata": {"name": states.SET}, "spec": {"replicas": 3}}
RETURNS = (
    (f"claim {CLAIM} is not Bound", lambda state: state.without_claims(CLAIM)),
    (f"claim {CLAIM} is not Bound", lambda state: state.with_claims(states.our_claim(CLAIM, pv=NEW, phase="Pending"))),
    (f"claim {CLAIM} is not Bound", lambda state: state.with_claims(states.our_claim(CLAIM, pv=NEW, terminating=True))),
    (f"claim {CLAIM} stands on volume {OLD}", lambda state: state.with_claims(claim(CLAIM, pv=OLD))),
    (f"claim {CLAIM} stands on volume pv-empty", lambda state: state.with_claims(claim(CLAIM, pv="pv-empty", uid="of the controller"))),
    *VERIFIED[1:],
)


def _done(given_up: dict[str, str]) -> State:
    """Replica 2 runs on its new volumes, and the user has given up these that were kept."""
    state = exchanged(*BOTH).with_set(statefulset(volumes=BOTH)).with_pod(REPLICA, pod(REPLICA))
    state = state.recording("data", phase="Done").recording("logs", phase="Done")
    asked = {"id": "1", "verb": "cleanup", "args": {"volumes": given_up}, "outcome": "accepted"}
    kept = replace(volume(OLD, role="old", claim_name=CLAIM, claim_uid=uid_of(CLAIM)))
    kept.meta["annotations"]["pv.kubernetes.io/provisioned-by"] = "example.test/disks"
    return replace(state, record=replace(state.record, phase=labels.COMPLETED, last_request=asked)).with_volumes(kept)


def _by_hand(state: State) -> State:
    return state.with_volumes(volume(OLD, role="old"))


DISCARDED = cleanup.DiscardVolume(REPLICA, "logs", OLD, uid_of(OLD), "7", CLAIM, uid_of(CLAIM))

CASES: dict[str, Case] = {
    "hold": Case(replica_steps.Hold(REPLICA, "web-2", uid_of("web-2"), {}), copied(*BOTH), (
        *KEPT, *STAYING, *ORIGINAL, (UNRECORDED, lambda state: state.recording_nothing()))),
    "begin swap": Case(swap_steps.BeginSwap(REPLICA, ()), verified(*BOTH), (
        *STOPPED, *KEPT, *STAYING, *VERIFIED, *ORIGINAL, (UNRECORDED, lambda state: state.recording_nothing()))),
    "freeze": Case(states.freeze(swapping(*BOTH)), swapping(*BOTH), (
        *STOPPED, *KEPT, *STAYING, *VERIFIED, *ORIGINAL,
        ("is not the one that was saved", lambda state: replace(state, record=replace(state.record, saved_set="{}"))),
        ("the StatefulSet has changed since it was saved", lambda state: state.with_set(statefulset(volumes=BOTH, resource_version="8"))),
        ("the StatefulSet has changed since it was saved", lambda state: state.with_set(None)))),
    "release, forward": Case(RELEASED, frozen(*BOTH), VERIFIED),
    "release, forward, claims gone already": Case(RELEASED, frozen(*BOTH).without_claims(CLAIM), INERT),
    "release, back": Case(RELEASED, shut_down(*BOTH), (
        (NOT_INERT, lambda state: state.without_claims(CLAIM)),
        (NOT_INERT, lambda state: state.with_claims(claim(CLAIM, pv=OLD, uid="another"))),
        (NOT_INERT, lambda state: state.with_claims(claim(CLAIM, pv=OLD, phase="Pending"))),
        (NOT_INERT, lambda state: state.with_claims(claim(CLAIM, pv=OLD, terminating=True))),
        (NOT_INERT, lambda state: state.with_volumes(volume(OLD, uid="another"))),
        (NOT_INERT, lambda state: state.recording_nothing()))),
    "delete temporary claim, back": Case(swap_steps.DeleteTemporaryClaim(REPLICA, "logs", TEMPORARY, uid_of(TEMPORARY)), copied(*BOTH), (
        (f"volume {OLD} is not there", lambda state: state.without_volumes(OLD)),
        (f"volume {OLD} is not there", lambda state: unretained_old(state).with_claims(claim(CLAIM, pv=OLD, terminating=True))))),
    "delete temporary claim, forward": Case(swap_steps.DeleteTemporaryClaim(REPLICA, "logs", TEMPORARY, uid_of(TEMPORARY)), LATE, (*KEPT, *VERIFIED)),
    "delete claim": Case(DELETED, released(*BOTH), (
        *INERT, *KEPT, *VERIFIED, ("the pod is still there", lambda state: state.with_pod(REPLICA, stopped_pod(REPLICA))),
        ("the claim's UID is not the recorded one", lambda state: state.recording("logs", old_claim_uid="another")))),
    "create claim": Case(swap_steps.CreateClaim(REPLICA, "logs", CREATED), emptied(*BOTH), (
        *INERT, *VERIFIED,
        ("would not stand on the recorded new volume", lambda state: state.without_volumes(NEW)),
        ("would not stand on the recorded new volume", lambda state: state.with_volumes(volume(NEW, uid="another", claim_name=CLAIM))),
        ("would not stand on the recorded new volume", lambda state: state.recording("logs", new_pv="pv-of-others")),
        (f"volume {NEW} is not reserved for claim {CLAIM}", lambda state: state.with_volumes(volume(NEW))),
        (f"volume {NEW} is not reserved for claim {CLAIM}", lambda state: state.with_volumes(volume(NEW, claim_name=CLAIM, claim_uid="u"))),
        (f"volume {NEW} is not reserved for claim {CLAIM}", lambda state: state.with_volumes(volume(NEW, claim_name="logs-web-1"))))),
    "thaw": Case(swap_steps.Thaw(REPLICA, "{}", uid_of("statefulset"), "7", SUCCESSOR), exchanged(*BOTH), (*INERT, *RETURNS)),
    "recreate": Case(swap_steps.Recreate(REPLICA, SUCCESSOR), exchanged(*BOTH).with_set(None), (*INERT, *RETURNS)),
    "discard volume": Case(DISCARDED, _done({OLD: uid_of(OLD)}), (
        (f"the user did not give up volume {OLD}", lambda state: replace(state, record=replace(state.record, last_request={}))),
        (f"claim {CLAIM} is not Bound to volume {NEW}", lambda state: state.without_claims(CLAIM)),
        (f"claim {CLAIM} is not Bound to volume {NEW}", lambda state: state.with_claims(states.our_claim(CLAIM, pv=NEW, phase="Pending"))),
        (f"claim {CLAIM} is not Bound to volume {NEW}", lambda state: state.with_claims(states.our_claim(CLAIM, pv=NEW, terminating=True))),
        (f"claim {CLAIM} is not Bound to volume {NEW}", lambda state: state.without_volumes(NEW)),
        (f"claim {CLAIM} is not Bound to volume {NEW}", lambda state: state.with_claims(claim(CLAIM, pv=OLD))),
        ("pod web-2 is not Ready", lambda state: state.with_pod(REPLICA, pod(REPLICA, ready=False))),
        ("pod web-2 is not Ready", lambda state: state.without_pod()),
        ("StatefulSet web is not there", lambda state: state.with_set(None)),
        (f"volume {OLD} is used by claim elsewhere", lambda state: state.with_claims(claim("elsewhere", pv=OLD))),
        (f"volume {OLD} is not one that was kept", lambda state: state.recording("logs", phase="Waiting")),
        (f"volume {OLD} was made by hand", _by_hand))),
    "remove stray": Case(undo_steps.RemoveStray("logs-web-2-new-too", uid_of("logs-web-2-new-too")), copied(*BOTH).with_claims(
        claim("logs-web-2-new-too", phase="Pending")), (
        ("is the application's", lambda state: state.recording("logs", old_claim="logs-web-2-new-too")),
        (f"is bound to volume {NEW}", lambda state: state.with_claims(claim("logs-web-2-new-too", pv=NEW))))),
    "give up volume": Case(undo_steps.GiveUpVolume(NEW, uid_of(NEW), "7", "Delete", TEMPORARY, uid_of(TEMPORARY)), copied(*BOTH), (
        (f"volume {NEW} is in use by {CLAIM}", lambda state: state.with_claims(claim(CLAIM, pv=NEW))),
        (f"volume {NEW} is in use", lambda state: state.recording("logs", old_pv_uid=uid_of(NEW))),
        (f"volume {NEW} is in use", lambda state: state.recording("logs", forward="{}")),
        (f"volume {NEW} is in use by claim-of-others", lambda state: state.with_claims(claim("claim-of-others", pv=NEW))))),
}
BROKEN = [(name, index) for name, case in CASES.items() for index in range(len(case.broken))]


def check(step: steps.Step, state: State) -> None:
    invariants.check(step, state.cluster, state.record, state.request)


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_allowed_when_everything_before_it_is_true(name: str) -> None:
    check(CASES[name].step, CASES[name].allowed)


@pytest.mark.parametrize(("name", "index"), BROKEN)
def test_a_step_is_refused_when_one_thing_is_not_true_and_that_thing_is_named(name: str, index: int) -> None:
    case = CASES[name]
    words, breaking = case.broken[index]
    with pytest.raises(InvariantBroken) as refused:
        check(case.step, breaking(case.allowed))
    assert words in refused.value.message
    assert str(case.step) in refused.value.message and refused.value.exit_code == 6


def test_every_guarded_step_has_a_case() -> None:
    assert {type(case.step) for case in CASES.values()} == set(invariants._RULES)


GUARDED: tuple[type[Any], ...] = (replica_steps.Hold, swap_steps.BeginSwap, swap_steps.Freeze, swap_steps.Release,
                                  swap_steps.DeleteTemporaryClaim, swap_steps.DeleteClaim, swap_steps.CreateClaim,
                                  swap_steps.Thaw, swap_steps.Recreate, undo_steps.GiveUpVolume, undo_steps.RemoveStray,
                                  cleanup.DiscardVolume)


@pytest.mark.parametrize("kind", GUARDED, ids=lambda kind: kind.__name__)
def test_what_could_lose_data_is_guarded(kind: type[Any]) -> None:
    assert kind in invariants._RULES


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvariantBroken) as refused:
        check(DELETED, unretained_old(_standing(released(*BOTH))).recording("logs", verified=""))
    for words in (NOT_INERT, NOT_VERIFIED, OLD):
        assert words in refused.value.message


def test_a_claim_without_a_recorded_uid_is_never_deleted() -> None:
    with pytest.raises(InvariantBroken):
        check(replace(DELETED, uid=""), released(*BOTH).recording("logs", old_claim_uid=""))


def test_a_manifest_that_was_edited_after_it_was_saved_is_not_deleted() -> None:
    with pytest.raises(InvariantBroken):
        check(replace(CASES["freeze"].step, manifest_json='{"edited": true}'), swapping(*BOTH))  # type: ignore[type-var]


def test_the_set_returns_with_the_replicas_that_were_put_back_on_their_old_volumes() -> None:
    before = exchanged(*BOTH)
    other = before.record.with_volume(1, "data", old_claim="data-web-1", old_claim_uid=uid_of("data-web-1"), old_pv=old_pv("data", 1))
    check(CASES["thaw"].step, replace(before, record=other))
    with pytest.raises(InvariantBroken, match="claim data-web-1 is not Bound"):
        check(CASES["thaw"].step, replace(before, record=other).without_claims("data-web-1"))


def test_a_frozen_set_returns_whatever_its_owner_did_meanwhile_to_the_claims_of_other_replicas() -> None:
    record = exchanged(*BOTH).record.with_volume(1, "data", old_claim="data-web-1", old_claim_uid="long gone", old_pv=old_pv("data", 1),
                                                 new_pv=new_pv("data", 1), verified="word")
    state = replace(exchanged(*BOTH), record=record)
    fewer = replace(CASES["thaw"].step, successor={**SUCCESSOR, "spec": {"replicas": 1}})  # type: ignore[type-var]
    check(fewer, state.without_claims("data-web-1"))
    for touched in (claim("data-web-1", pv="made anew"), states.our_claim("data-web-1", 1, pv=new_pv("data", 1), terminating=True)):
        check(CASES["thaw"].step, state.with_claims(touched))
    with pytest.raises(InvariantBroken, match="claim data-web-1 stands on volume"):
        check(CASES["thaw"].step, state.with_claims(states.our_claim("data-web-1", 1, pv=old_pv("data", 1))))


def test_reading_and_remembering_need_no_permission() -> None:
    check(steps.TakeUp(), states.running())
    check(replica_steps.RememberVerified(REPLICA, "data", "word", ()), states.running())
