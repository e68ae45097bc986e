"""What must be true before a write, whatever the planner thought: the safety argument once more, as assertions. Each looks at the cluster as just
read and at the record as it was written; a broken one stops the runner for a human before the write is made."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import InvariantBroken
from ..model.cluster import Cluster
from ..model.objects import StatefulSet
from ..model.record import Record, VolumeRecord
from ..model.request import Request
from . import cleanup, manifests, replica_steps, steps, swap_steps, undo_steps
from .views import VolumeView, views, word_is_of


def check(step: steps.Step, cluster: Cluster, record: Record, request: Request) -> None:
    """Raises InvariantBroken with every promise that `step` would break."""
    rule = _RULES.get(type(step))
    broken = list(rule(step, cluster, record, request)) if rule else []
    if broken:
        raise InvariantBroken(f"{step}: " + "; ".join(broken))


def _replica_views(step: Any, cluster: Cluster, record: Record, request: Request) -> tuple[VolumeView, ...]:
    return tuple(view for view in views(cluster, record, request, step.replica) if view.entry.old_claim_uid)


def _recorded(seen: tuple[VolumeView, ...], ordinal: int) -> Iterator[str]:
    """Without this, what must be true of every volume would be true of none."""
    if not seen:
        yield f"nothing is recorded for replica {ordinal}"


def _both_kept(view: VolumeView) -> Iterator[str]:
    for volume, name in ((view.old, view.entry.old_pv), (view.new, view.entry.new_pv)):
        if volume is None or not volume.retained:
            yield f"volume {name} is not there with reclaim policy Retain"


def _staying(view: VolumeView) -> Iterator[str]:
    for volume in (view.old, view.new):
        if volume is not None and volume.terminating:
            yield f"volume {volume.name} is being deleted, and goes when its claim does"


def _verified(record: Record, entry: VolumeRecord) -> Iterator[str]:
    """The copy was verified by a pass that began after this very pod was seen shut down."""
    if not word_is_of(entry.verified, record.replica(entry.replica).pod_uid):
        yield f"the copy of claim {entry.old_claim} is not verified since the stop"


def _set_is_inert(cluster: Cluster) -> Iterator[str]:
    if cluster.statefulset is not None and not cluster.statefulset.inert:
        yield "the StatefulSet is neither frozen nor absent: its controller would create an empty claim and start on it"


def _hold(step: replica_steps.Hold, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    seen = _replica_views(step, cluster, record, request)
    yield from _recorded(seen, step.replica)
    for view in seen:
        if not view.has_original_claim:
            yield f"claim {view.entry.old_claim} is not as recorded"
        yield from _both_kept(view)
        yield from _staying(view)


def _begin_swap(step: swap_steps.BeginSwap, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    pod = cluster.pods.get(step.replica)
    if pod is None or not pod.held or not cluster.shut_down(pod) or pod.uid != record.replica(step.replica).pod_uid:
        yield "the pod is not held and shut down"
    seen = _replica_views(step, cluster, record, request)
    yield from _recorded(seen, step.replica)
    for view in seen:
        yield from _both_kept(view)
        yield from _staying(view)
        yield from _verified(record, view.entry)
        if not view.has_original_claim:
            yield f"claim {view.entry.old_claim} is not as recorded"


def _delete_temporary(step: swap_steps.DeleteTemporaryClaim, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    for view in _replica_views(step, cluster, record, request):
        if view.temporary is None or view.temporary.name != step.claim:
            continue
        exchanged = view.claim is not None and manifests.is_ours(view.claim, cluster.migration.uid, step.replica)
        old_is_whole = view.old is not None and view.old.uid == view.entry.old_pv_uid and view.old.retained
        # A claim that somebody else took away: what was copied is all there still, as long as nothing was exchanged.
        if not view.on_original_claim and (exchanged or not old_is_whole):
            yield from _both_kept(view)
            yield from _verified(record, view.entry)


def _freeze(step: swap_steps.Freeze, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    yield from _begin_swap(swap_steps.BeginSwap(step.replica, ()), cluster, record, request)
    if record.saved_set != step.manifest_json:
        yield "the manifest that would be deleted is not the one that was saved"
    if cluster.statefulset is None or cluster.statefulset.resource_version != step.resource_version:
        yield "the StatefulSet has changed since it was saved"


def _release(step: swap_steps.Release, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    pod = cluster.pods.get(step.replica)
    if pod is not None and not pod.terminating:
        # It runs and goes on running: nothing is let go.
        return
    seen = _replica_views(step, cluster, record, request)
    if not seen or not all(view.on_original_claim for view in seen):
        yield from _set_is_inert(cluster)
    elif cluster.statefulset is not None and cluster.statefulset.inert:
        # The way forward: the claims still stand, and will go next.
        for view in seen:
            yield from _verified(record, view.entry)


def _delete_claim(step: swap_steps.DeleteClaim, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    entry = record.volume(step.replica, step.volume)
    yield from _set_is_inert(cluster)
    yield from _verified(record, entry)
    if not step.uid or step.uid != entry.old_claim_uid:
        yield "the claim's UID is not the recorded one"
    if step.replica in cluster.pods:
        yield "the pod is still there"
    for view in _replica_views(step, cluster, record, request):
        if view.target.name == step.volume:
            yield from _both_kept(view)


def _create_claim(step: swap_steps.CreateClaim, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    entry = record.volume(step.replica, step.volume)
    yield from _set_is_inert(cluster)
    yield from _verified(record, entry)
    volume = cluster.volumes.get(entry.new_pv)
    if step.claim["spec"]["volumeName"] != entry.new_pv or volume is None or volume.uid != entry.new_pv_uid:
        yield "the claim would not stand on the recorded new volume"
    elif not volume.reserved_for(cluster.namespace, entry.old_claim):
        yield f"volume {entry.new_pv} is not reserved for claim {entry.old_claim}"


def _set_returns(step: swap_steps.Thaw | swap_steps.Recreate, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    """Each claim of each replica that the set will start is Bound to the volume that the record names.

    Of the other replicas only what concerns us: a set that stays frozen heals nothing, and a claim that its owner has deleted or made anew since is
    none of our business.
    """
    yield from _set_is_inert(cluster)
    started = StatefulSet({"metadata": {}, **step.successor}).ordinals
    for entry in record.volumes:
        mine = entry.replica == step.replica
        if not entry.old_claim_uid or not (mine or entry.replica in started):
            continue
        claim = cluster.claims.get(entry.old_claim)
        if claim is None or not claim.bound or (mine and claim.terminating):
            yield f"claim {entry.old_claim} is not Bound"
        elif claim.volume_name != (entry.new_pv if entry.verified else entry.old_pv) and (
                mine or manifests.is_ours(claim, cluster.migration.uid, entry.replica)):
            yield f"claim {entry.old_claim} stands on volume {claim.volume_name}"
    for entry in record.of_replica(step.replica):
        yield from _verified(record, entry)


def _give_up(step: undo_steps.GiveUpVolume, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    using = [claim.name for claim in cluster.claims.values() if claim.volume_name == step.pv]
    olds = {entry.old_pv_uid for entry in record.volumes} | {entry.new_pv_uid for entry in record.volumes if entry.forward}
    current = record.current_replica
    temporary = {entry.new_claim for entry in record.of_replica(current)} if current is not None else set()
    foreign = sorted(set(using) - temporary)
    if step.uid in olds or foreign:
        yield f"volume {step.pv} is in use by {', '.join(foreign) or 'the application'}"


def _discard(step: cleanup.DiscardVolume, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    asked = record.open_request.get("args", {}).get("volumes") or {}
    if asked.get(step.pv) != step.uid:
        yield f"the user did not give up volume {step.pv}"
    yield from cleanup.against_discarding(cluster, record, request, step.pv, step.uid)


def _remove_stray(step: undo_steps.RemoveStray, cluster: Cluster, record: Record, request: Request) -> Iterator[str]:
    claim = cluster.claims.get(step.claim)
    if any(entry.old_claim == step.claim for entry in record.volumes):
        yield f"claim {step.claim} is the application's"
    if claim is not None and claim.volume_name in {pv for entry in record.volumes for pv in (entry.old_pv, entry.new_pv) if pv}:
        yield f"claim {step.claim} is bound to volume {claim.volume_name}, which is recorded"


_RULES: dict[type[steps.Step], Callable[[Any, Cluster, Record, Request], Iterator[str]]] = {
    replica_steps.Hold: _hold,
    swap_steps.BeginSwap: _begin_swap, swap_steps.DeleteTemporaryClaim: _delete_temporary, swap_steps.Freeze: _freeze, swap_steps.Release: _release,
    swap_steps.DeleteClaim: _delete_claim, swap_steps.CreateClaim: _create_claim, swap_steps.Thaw: _set_returns, swap_steps.Recreate: _set_returns,
    undo_steps.GiveUpVolume: _give_up, undo_steps.RemoveStray: _remove_stray, cleanup.DiscardVolume: _discard,
}
