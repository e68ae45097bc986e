"""One executor per step: it does to the cluster what the step says, once, with the UID or resourceVersion that the step carries. A step without one
only changes the record. Every executor may be called again after a crash in its middle."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ApiError, Conflict, TooManyRequests, VolresizeError
from ..kube import paths
from ..model import labels
from ..model.objects import Object
from ..plan import cleanup, leave, replica_steps, steps, swap_steps, undo_steps
from ..templates import render
from . import set_swap
from .store import Fenced
from .tools import Tools, set_finalizers


class Postponed(VolresizeError):
    """{message}"""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def take_up(tools: Tools, step: steps.TakeUp) -> None:
    path = paths.migrations(tools.namespace, tools.migration)
    meta = tools.client.get(path)["metadata"]
    if not meta.get("deletionTimestamp"):
        set_finalizers(tools, path, (*(meta.get("finalizers") or ()), labels.FINALIZER), meta["resourceVersion"])


def let_go(tools: Tools, step: steps.LetGo) -> None:
    if step.mark:
        # Before: with the finalizer a VolumeResize that was deleted is gone, and a runner that comes then does not know which Lease was ours.
        tools.lease.remove(step.mark)
    set_finalizers(tools, paths.migrations(tools.namespace, tools.migration), step.remaining, step.resource_version)


def _start_copier(tools: Tools, values: Object) -> None:
    pod = render("mover", **values, lease={"name": tools.lease.name, "uid": tools.lease.uid})
    tools.client.create(paths.pods(tools.namespace), pod)


def start_measurer(tools: Tools, step: steps.StartMeasurer) -> None:
    _start_copier(tools, step.values)


def start_mover(tools: Tools, step: replica_steps.StartMover) -> None:
    _start_copier(tools, step.values)


def remove_pod(tools: Tools, step: steps.RemovePod) -> None:
    tools.client.delete(paths.pods(tools.namespace, step.pod), uid=step.uid, grace_seconds=step.grace)


def suspend_retention(tools: Tools, step: steps.SuspendRetention) -> None:
    _retention(tools, step.uid, steps.KEEP_CLAIMS)


def restore_retention(tools: Tools, step: steps.RestoreRetention) -> None:
    _retention(tools, step.uid, step.policy)


def _retention(tools: Tools, uid: str, policy: Object) -> None:
    tools.client.merge_patch(paths.statefulsets(tools.namespace, tools.statefulset),
                             {"metadata": {"uid": uid}, "spec": {"persistentVolumeClaimRetentionPolicy": policy}})


def unmark(tools: Tools, step: steps.Unmark) -> None:
    marks = dict.fromkeys((labels.MIGRATION_UID, labels.REPLICA_MARK, labels.ADOPTED))
    tools.client.merge_patch(paths.statefulsets(tools.namespace, tools.statefulset), {"metadata": {"uid": step.uid, "annotations": marks}})


def keep_volume(tools: Tools, step: steps.KeepVolume) -> None:
    marks = {labels.MANAGED_BY: labels.MANAGER, labels.MIGRATION: tools.migration, labels.REPLICA: str(step.replica), labels.VOLUME: step.volume,
             labels.ROLE: step.role}
    _volume(tools, step, "Retain", {"labels": marks, "annotations": {labels.ORIGINAL_RECLAIM: step.original}})


def give_up_volume(tools: Tools, step: undo_steps.GiveUpVolume) -> None:
    body = _given_up(step.policy, tools.namespace, step.claim, step.claim_uid)
    tools.client.merge_patch(paths.volumes(step.pv), {"metadata": _this(step), "spec": body})


def _given_up(policy: str, namespace: str, name: str, uid: str) -> Object:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name, "uid": uid, "resourceVersion": None}
    return {"persistentVolumeReclaimPolicy": policy, "claimRef": claim}


def restore_policy(tools: Tools, step: steps.RestorePolicy) -> None:
    marks = dict.fromkeys((labels.MANAGED_BY, labels.MIGRATION, labels.REPLICA, labels.VOLUME, labels.ROLE))
    _volume(tools, step, step.policy, {"labels": marks, "annotations": {labels.ORIGINAL_RECLAIM: None}})


def _volume(tools: Tools, step: steps.KeepVolume | steps.RestorePolicy, policy: str, meta: Object) -> None:
    tools.client.merge_patch(paths.volumes(step.pv), {"metadata": {**_this(step), **meta}, "spec": {"persistentVolumeReclaimPolicy": policy}})


def _this(step: Any) -> Object:
    """This object, and as it was when the step was decided: a runner that slept since, and was followed, changes nothing (409)."""
    return {"uid": step.uid, "resourceVersion": step.resource_version}


def discard_volume(tools: Tools, step: cleanup.DiscardVolume) -> None:
    body = _given_up("Delete", tools.namespace, step.claim, step.claim_uid)
    tools.client.merge_patch(paths.volumes(step.pv), {"metadata": _this(step), "spec": body})


def create_target(tools: Tools, step: replica_steps.CreateTarget) -> None:
    tools.client.create(paths.claims(tools.namespace), render("claim", **step.values))


def hold(tools: Tools, step: replica_steps.Hold) -> None:
    """Asked first without consequences, then held, then evicted: a held pod that nobody may evict would be stuck for whoever deletes it."""
    set_swap.rehearse(tools, step.successor)
    path = paths.pods(tools.namespace, step.pod)
    _evict(tools, step, dry_run=True)
    pod = tools.client.get(path)
    meta = pod["metadata"]
    if meta["uid"] != step.uid or meta.get("deletionTimestamp"):
        raise Conflict(status=409, verb="hold", path=path, message="the pod is another one by now, or is being deleted")
    before = tuple(meta.get("finalizers") or ())
    if labels.HOLD_FINALIZER not in before:
        set_finalizers(tools, path, (*before, labels.HOLD_FINALIZER), meta["resourceVersion"])
    try:
        # A runner that slept here, and was followed by one that is done by now, would leave a stopped pod that nobody lets go.
        tools.fence()
        _evict(tools, step, dry_run=False)
    except (Postponed, Fenced):
        _let_pod_go(tools, path, step.uid)
        raise


def _evict(tools: Tools, step: replica_steps.Hold, *, dry_run: bool) -> None:
    try:
        tools.client.evict(tools.namespace, step.pod, uid=step.uid, dry_run=dry_run)
    except TooManyRequests as error:
        raise Postponed("eviction", f"pod {step.pod} may not be evicted now: {error.fields['message']}") from error
    except ApiError as error:
        if error.status < 500:
            raise
        raise Postponed("eviction", f"pod {step.pod} may not be evicted: {error.fields['message']}") from error


def _let_pod_go(tools: Tools, path: str, uid: str) -> None:
    meta = tools.client.get(path)["metadata"]
    if meta["uid"] == uid and not meta.get("deletionTimestamp"):
        remaining = tuple(finalizer for finalizer in meta.get("finalizers") or () if finalizer != labels.HOLD_FINALIZER)
        set_finalizers(tools, path, remaining, meta["resourceVersion"])


def tell_mover(tools: Tools, step: replica_steps.TellMover) -> None:
    tools.client.merge_patch(paths.pods(tools.namespace, step.pod), {"metadata": {"uid": step.uid, "annotations": {labels.FINAL: step.word}}})


def release(tools: Tools, step: swap_steps.Release) -> None:
    set_finalizers(tools, paths.pods(tools.namespace, step.pod), step.remaining, step.resource_version)


def leave_pod(tools: Tools, step: leave.LeavePod) -> None:
    set_finalizers(tools, paths.pods(tools.namespace, step.pod), step.remaining, step.resource_version)


def delete_temporary_claim(tools: Tools, step: swap_steps.DeleteTemporaryClaim) -> None:
    tools.client.delete(paths.claims(tools.namespace, step.claim), uid=step.uid)


def remove_stray(tools: Tools, step: undo_steps.RemoveStray) -> None:
    tools.client.delete(paths.claims(tools.namespace, step.claim), uid=step.uid)


def delete_claim(tools: Tools, step: swap_steps.DeleteClaim) -> None:
    tools.client.delete(paths.claims(tools.namespace, step.claim), uid=step.uid)


def create_claim(tools: Tools, step: swap_steps.CreateClaim) -> None:
    tools.client.create(paths.claims(tools.namespace), step.claim)


def nudge(tools: Tools, step: swap_steps.Nudge) -> None:
    tools.client.merge_patch(paths.claims(tools.namespace, step.claim), {"metadata": {"uid": step.uid, "annotations": {labels.NUDGE: tools.now()}}})


def reserve(tools: Tools, step: swap_steps.Reserve) -> None:
    # What is not said is kept by a merge patch.
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": tools.namespace, "name": step.claim, "uid": None,
                 "resourceVersion": None, "fieldPath": None}
    tools.client.merge_patch(paths.volumes(step.pv), {"metadata": _this(step), "spec": {"claimRef": reference}})


_DO: dict[type[steps.Step], Callable[[Tools, Any], None]] = {
    steps.TakeUp: take_up, steps.LetGo: let_go, steps.StartMeasurer: start_measurer, steps.RemovePod: remove_pod,
    steps.SuspendRetention: suspend_retention, steps.RestoreRetention: restore_retention, steps.Unmark: unmark, steps.KeepVolume: keep_volume,
    steps.RestorePolicy: restore_policy,
    replica_steps.CreateTarget: create_target, replica_steps.StartMover: start_mover, replica_steps.Hold: hold, replica_steps.TellMover: tell_mover,
    swap_steps.DeleteTemporaryClaim: delete_temporary_claim, swap_steps.Reserve: reserve, swap_steps.Freeze: set_swap.freeze,
    swap_steps.StripReference: set_swap.strip_reference, swap_steps.StripOrphanFinalizer: set_swap.strip_orphan_finalizer,
    swap_steps.Release: release, swap_steps.DeleteClaim: delete_claim, swap_steps.CreateClaim: create_claim, swap_steps.Nudge: nudge,
    swap_steps.Thaw: set_swap.thaw, swap_steps.Recreate: set_swap.recreate, swap_steps.AdoptSet: set_swap.adopt,
    cleanup.DiscardVolume: discard_volume, leave.LeavePod: leave_pod, undo_steps.Unfreeze: set_swap.unfreeze, undo_steps.GiveUpVolume: give_up_volume,
    undo_steps.RemoveStray: remove_stray,
}


def execute(tools: Tools, step: steps.Step) -> None:
    """Carry the step out. Raises ApiError, Unreachable, Postponed, set_swap.WouldChange."""
    do = _DO.get(type(step))
    if do is not None:
        do(tools, step)
