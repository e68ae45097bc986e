"""The way back: a cancelled or stopped migration puts its current replica back on the old volumes, unless that is past return, and gives back
whatever it had changed. The application comes first: the pod is released before anything is tidied up."""
from __future__ import annotations

from ..model import labels, names
from ..model.cluster import Cluster
from ..model.record import Record
from ..model.request import Request
from . import finish, manifests, replica, rollback, swap
from .rollback_steps import LeaveReplica
from .steps import AskHuman, Decision, KeepVolume, RemovePod, Stop, Wait
from .swap_steps import DeleteTemporaryClaim, Release
from .undo_steps import UNDONE, EndStopped, ForgetReplica, GiveUpVolume, Unfreeze, phase_of
from .views import VolumeView, not_to_be_released_beside


def next_for_undo(cluster: Cluster, record: Record, request: Request, reason: str, message: str) -> Decision:
    """Until nothing of the current replica's attempt is left, then EndStopped."""
    current = record.current_replica
    if current is not None and not _stands(record, current):
        volumes = rollback.views_on_its_way(cluster, record, request, current)
        if swap.past_return(cluster, record, current, volumes):
            # Forward is the shorter way to a safe point.
            forward = _forward(cluster, record, request, current)
            return AskHuman(forward.message) if isinstance(forward, Stop) else forward
        if decision := _let_go(cluster, current, volumes) or _put_back(cluster, record, request, current, volumes):
            return decision
    return finish.given_back(cluster, record) or EndStopped(phase_of(reason), reason, message)


def _stands(record: Record, current: int) -> bool:
    """Nothing is to be undone or waited for; with `now` not even that it is Ready on what it stands on."""
    step = record.replica(current).step
    return step == swap.DONE or (step == swap.STARTING and bool(record.stopping.get("now")))


def _forward(cluster: Cluster, record: Record, request: Request, ordinal: int) -> Decision:
    if record.rollback:
        return rollback.next_for_rollback(cluster, record, request)
    return replica.next_for_replica(cluster, record, request, ordinal)


def _let_go(cluster: Cluster, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    """Freeze and hold off: the application comes back before anything is tidied up."""
    statefulset, pod = cluster.statefulset, cluster.pods.get(ordinal)
    if statefulset is not None and statefulset.frozen and not statefulset.terminating:
        remaining = statefulset.finalizers_without(labels.FREEZE_FINALIZER)
        return Unfreeze(statefulset.uid, statefulset.resource_version, remaining)
    if pod is not None and pod.held:
        if strange := not_to_be_released_beside(volumes):
            return AskHuman(f"pod {pod.name} is held, but its claim {strange[0].entry.old_claim} is not as recorded: "
                            "released, it could start on an empty one")
        return Release.of(ordinal, pod)
    return None


def _put_back(cluster: Cluster, record: Record, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    begun = [view for view in volumes if view.entry.old_claim_uid]
    if record.rollback:
        # Nothing was made for it, and what is called new here holds the only copy of the old data.
        return _old_again(ordinal, begun) or LeaveReplica(ordinal, tuple(view.target.name for view in begun)) if begun else None
    for view in begun:
        if decision := _give_up(cluster, request, ordinal, view):
            return decision
    if record.replica(ordinal).step == UNDONE or not begun:
        return None
    return ForgetReplica(ordinal, tuple(view.target.name for view in begun))


def _old_again(ordinal: int, volumes: list[VolumeView]) -> KeepVolume | None:
    """Whoever has nothing but labels to go by takes a new volume without a claim for half a copy, which can be given up."""
    for view in volumes:
        volume = view.new
        if volume is not None and volume.uid == view.entry.new_pv_uid and volume.labels.get(labels.ROLE) == labels.ROLE_NEW:
            return KeepVolume(ordinal, view.target.name, volume.name, volume.uid, volume.resource_version, labels.ROLE_OLD,
                              manifests.original_policy(volume))
    return None


def _give_up(cluster: Cluster, request: Request, ordinal: int, view: VolumeView) -> Decision | None:
    if view.mover is not None:
        mover = view.mover.pod
        return Wait("undoing", f"mover {mover.name} is being removed", poll=0.2) if mover.terminating else RemovePod(mover.name, mover.uid)
    if view.new is not None and _made_by_us(view) and view.new.retained and manifests.policy_of_given_up(view.new) != "Retain":
        claim_uid = view.entry.new_claim_uid or (view.temporary.uid if view.temporary else "")
        claim = names.temporary_claim(view.target.name, request.statefulset, ordinal)
        return GiveUpVolume(view.new.name, view.new.uid, view.new.resource_version, manifests.policy_of_given_up(view.new), claim, claim_uid)
    if view.temporary is not None and manifests.is_ours(view.temporary, cluster.migration.uid, ordinal):
        if view.temporary.terminating:
            return Wait("undoing", f"temporary claim {view.temporary.name} is being deleted", poll=0.2)
        return DeleteTemporaryClaim(ordinal, view.target.name, view.temporary.name, view.temporary.uid)
    return None


def _made_by_us(view: VolumeView) -> bool:
    """The volume behind our temporary claim, by UID; never the one that the application uses."""
    recorded = view.new is not None and view.new.uid == view.entry.new_pv_uid
    behind_ours = view.new is not None and view.temporary is not None and view.new.claim_ref.get("uid") == view.temporary.uid
    return (view.new is not None and (recorded or behind_ours) and view.new.uid != view.entry.old_pv_uid
            and view.claim is not None and view.claim.volume_name != view.new.name)
