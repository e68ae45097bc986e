"""next_step: from what is seen and what is recorded to the next thing to do. No clock, no I/O, no memory: a runner that was killed anywhere asks
again and gets the rest. What is decided about one replica stands in replica.py (until its copies are verified) and swap.py."""
from __future__ import annotations

from ..model import labels, names
from ..model.asked import CLEANUP, Asked, unanswered
from ..model.cluster import Cluster
from ..model.objects import StatefulSet
from ..model.record import FAILED, Record
from ..model.request import Request
from . import cleanup, finish, leave, manifests, rollback, swap, undo
from .pending import done, pending_ordinals, template_done
from .replica import next_for_replica
from .request_steps import Answer
from .requests import next_for_request
from .steps import KEEP_CLAIMS, AskHuman, Begin, Decision, Done, KeepVolume, LetGo, Step, Stop, SuspendRetention, TakeUp, Wait
from .undo_steps import UNDONE
from .validate import next_to_validate
from .waits import STOP, STRIP, Limit

# Something may be half done then, and its record must not be deleted by accident. After every other end nothing of ours is left in the cluster.
_KEEPS_FINALIZER = "NeedsHuman"


def next_step(cluster: Cluster, record: Record, request: Request) -> Decision:
    """The next step of the migration, a Wait with its reason, or Done."""
    if cluster.namespace_going:
        return leave.next_for_leaving(cluster)
    if record.terminal:
        return _after_the_end(cluster, record, request)
    if cluster.cancelled:
        return undo.next_for_undo(cluster, record, request, labels.CANCELLED, "the VolumeResize was deleted; what was not migrated yet is as it was")
    if labels.FINALIZER not in cluster.migration.finalizers:
        return TakeUp()
    if (asked := unanswered(cluster.migration, record)) is not None:
        return next_for_request(cluster, record, request, asked)
    if record.stopping:
        return undo.next_for_undo(cluster, record, request, str(record.stopping["reason"]), str(record.stopping["message"]))
    if record.rollback:
        return rollback.next_for_rollback(cluster, record, request)
    if not record.start_time:
        return Begin(cluster.statefulset.uid if cluster.statefulset else "")
    if record.phase == labels.VALIDATING:
        return next_to_validate(cluster, record, request)
    return _migrate(cluster, record, request)


def too_late(record: Record, wait: Wait, limit: Limit, cancelled: bool, message: str) -> Step:
    """What is done when a wait has taken longer than it may."""
    if limit.then == STRIP and wait.fallback is not None:
        return wait.fallback
    if record.terminal:
        under_way = record.last_request
        return Answer(Asked(under_way["id"], under_way["verb"], under_way.get("args") or {}), FAILED, message)
    if limit.then == STOP and not record.stopping and not cancelled:
        return Stop("Resumable", message)
    return AskHuman(message)


def _after_the_end(cluster: Cluster, record: Record, request: Request) -> Decision:
    if not cluster.cancelled and (asked := unanswered(cluster.migration, record)) is not None:
        return next_for_request(cluster, record, request, asked)
    under_way = record.open_request
    if under_way.get("verb") == CLEANUP:
        return cleanup.next_for_cleanup(cluster, record, request, Asked(under_way["id"], CLEANUP, under_way.get("args") or {}))
    ours = labels.FINALIZER in cluster.migration.finalizers
    keeps = record.phase == labels.FAILED and record.reason == _KEEPS_FINALIZER
    if not keeps and (stray := finish.stray_claim(cluster)):
        return stray
    if ours and not keeps:
        remaining = cluster.migration.finalizers_without(labels.FINALIZER)
        return LetGo(remaining, cluster.migration.resource_version, record.mark)
    return Done(record.message)


def _migrate(cluster: Cluster, record: Record, request: Request) -> Decision:
    current = record.current_replica
    if current is not None and record.replica(current).step not in ("", swap.DONE, UNDONE):
        return next_for_replica(cluster, record, request, current)
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating:
        return Stop("Resumable", f"StatefulSet {request.statefulset} is gone or going: somebody deleted it; create it again, then resume")
    if statefulset.uid != record.set_uid:
        return Stop("Resumable", f"StatefulSet {statefulset.name} was deleted and created again by somebody else; look at it, then resume")
    pending = pending_ordinals(cluster, request)
    if not pending and not all(template_done(statefulset, target) for target in request.targets):
        return Stop("Resumable", f"StatefulSet {statefulset.name} was scaled down: no replica is left that has to be migrated, "
                                 "and its volumeClaimTemplates still ask for the old size")
    if not pending:
        return finish.next_to_finish(cluster, record, _outcome(cluster, record, request))
    return _make_safe(cluster, statefulset, request, pending) or next_for_replica(cluster, record, request, pending[0])


def _make_safe(cluster: Cluster, statefulset: StatefulSet, request: Request, pending: tuple[int, ...]) -> Decision | None:
    """Before the first replica is touched: nothing that a user or a controller deletes may take data with it."""
    if statefulset.retention != KEEP_CLAIMS:
        return SuspendRetention(statefulset.uid, statefulset.retention)
    targets = [(ordinal, target) for ordinal in pending for target in request.targets]
    for ordinal, target in targets:
        claim = cluster.claim_of(target.name, request.statefulset, ordinal)
        if claim is None or done(claim, target):
            continue
        if any(owner.get("kind") in ("StatefulSet", "Pod") for owner in claim.owners):
            return Wait("retention", f"claim {claim.name} is still owned by the StatefulSet or its pod", poll=0.2)
        volume = cluster.volume_of(claim)
        if volume is not None and not volume.retained:
            return KeepVolume(ordinal, target.name, volume.name, volume.uid, volume.resource_version, labels.ROLE_OLD,
                              manifests.original_policy(volume))
    return None


def _outcome(cluster: Cluster, record: Record, request: Request) -> str:
    """What is said at the end: of which volumes there still are, and of claims that nobody had asked to leave out."""
    migrated = [entry for entry in record.volumes if entry.phase == "Done"]
    olds = {entry.old_pv for entry in migrated}
    kept, gone = sorted(olds & cluster.volumes.keys()), sorted(olds - cluster.volumes.keys())
    claims = [(target, claim) for target in request.targets for claim in cluster.claims.values()
              if names.ordinal_of(claim.name, f"{target.name}-{request.statefulset}") is not None]
    left = sorted(claim.name for target, claim in claims if not done(claim, target))
    replicas = len({entry.replica for entry in migrated})
    told = [f"{replicas} replica(s) stand on their new volumes; the old volumes are kept: {', '.join(kept) or 'none'}"]
    if gone:
        told.append(f"old volume {', '.join(gone)} was deleted by somebody")
    if left:
        told.append(f"claim {', '.join(left)}, of a replica that the StatefulSet has not now, keeps its old size")
    return "; ".join(told)
