"""What a runner lets go before it leaves, and nobody comes soon.

A namespace that is being deleted: nothing can be created in it any more, and everything goes but what a finalizer keeps. Ours come off at once, while
our rights are still there: its contents are deleted 5 s after it began (pkg/controller/namespace, namespaceDeletionGracePeriod).

A Job that its queue or somebody suspended, or that was deleted: the next pod may come in hours, and a stopped replica would wait with it."""
from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import labels
from ..model.cluster import Cluster
from ..model.objects import Pod
from ..model.record import Record
from ..model.request import Request
from . import rollback, swap
from .replica_steps import COPYING, HOLDING
from .steps import NORMAL, Decision, Done, LetGo, RemovePod, Step, Stop, Wait
from .swap_steps import BeginSwap, Release
from .undo_steps import Unfreeze
from .views import not_to_be_released_beside

_LOST = "the Job was suspended or deleted"


@dataclass(frozen=True)
class LeavePod(Step):
    """The hold off a pod whose namespace goes: no other pod can be started in its place."""

    replica: int
    pod: str
    remaining: tuple[str, ...]
    resource_version: str

    @classmethod
    def of(cls, replica: int, pod: Pod) -> LeavePod:
        return cls(replica, pod.name, pod.finalizers_without(labels.HOLD_FINALIZER), pod.resource_version)

    def __str__(self) -> str:
        return f"release pod {self.pod}: its namespace is being deleted"


def next_for_leaving(cluster: Cluster) -> Decision:
    """Holds, freeze, then the VolumeResize. The volumes keep the policy Retain: who deletes a namespace by mistake has his data still."""
    for ordinal, pod in sorted(cluster.pods.items()):
        if pod.held:
            return LeavePod.of(ordinal, pod)
    statefulset, migration = cluster.statefulset, cluster.migration
    if statefulset is not None and statefulset.frozen:
        return Unfreeze(statefulset.uid, statefulset.resource_version, statefulset.finalizers_without(labels.FREEZE_FINALIZER))
    if labels.FINALIZER in migration.finalizers:
        return LetGo(migration.finalizers_without(labels.FINALIZER), migration.resource_version)
    return Done(f"namespace {cluster.namespace} is being deleted; the volumes are kept")


@dataclass(frozen=True)
class LetServe(Step):
    """Nothing of its stop counts any more."""

    replica: int
    event = (NORMAL, "ReplicaReleased")

    def recorded(self, record: Record, now: str) -> Record:
        # A rollback has no copy to go back to, and begins with the hold.
        step, phase = (HOLDING, "Waiting") if record.rollback else (COPYING, "Copying")
        for entry in record.of_replica(self.replica):
            if entry.old_claim_uid and not entry.migrated:
                record = record.with_volume(self.replica, entry.volume, phase=phase, final="", verified="", verified_at="", progress="")
        return replace(record.with_replica(self.replica, step=step, held_at="", pod_uid="", intent={}), message=str(self))

    def __str__(self) -> str:
        return f"{_LOST}; replica {self.replica} was let go, starts on the volumes that it has, and is stopped again later"


def may_hold(record: Record) -> bool:
    """Whether a replica may be stopped at this moment, by our doing, and the exchange has not put it back yet."""
    current = record.current_replica
    return current is not None and record.replica(current).step in (HOLDING, swap.SWAPPING)


def left_stopped(record: Record) -> int | None:
    """The replica that stays stopped if the last runner was killed, and could let go of nothing; until the next one comes."""
    current = record.current_replica
    stopped = current is not None and record.replica(current).held_at and (may_hold(record) or swap.set_may_be_away(record))
    return current if stopped else None


def cannot_wait(record: Record) -> bool:
    """Whether there is something that should not wait for a pod that comes in hours: a replica may be stopped, what was begun is being put back, or
    all is over but the last words."""
    return may_hold(record) or bool(record.stopping) or record.terminal


def next_without_place(cluster: Cluster, record: Record, request: Request, forward: Decision) -> Decision:
    """The application first, then the movers: they have its volume, which may be needed on another node, or by one pod alone. The next runner copies
    and stops it again. An exchange is ended, which takes about a second, unless it waits for something; so is one that is next. Done when the runner
    can leave. `forward`: what would be next otherwise."""
    current = record.current_replica
    if current is None or record.terminal or record.stopping or isinstance(forward, BeginSwap):
        return forward
    if record.replica(current).step == swap.SWAPPING:
        waits = isinstance(forward, Wait) and forward.kind == "swap-others"
        return Stop("Resumable", f"{_LOST}; replica {current}, not exchanged yet, goes back ({forward})") if waits else forward
    pod, known = cluster.pods.get(current), record.replica(current)
    volumes = rollback.views_on_its_way(cluster, record, request, current)
    if pod is not None and pod.held:
        # What to do otherwise is known to the way that it was on.
        return forward if not_to_be_released_beside(volumes) else Release.of(current, pod)
    if not known.held_at:
        return Done("nothing is held")
    never_stopped = pod is not None and pod.uid == known.pod_uid and not pod.terminating
    for mover in (view.mover.pod for view in volumes if view.mover is not None and not never_stopped):
        return Wait("pods-gone", f"mover {mover.name} is being removed", poll=0.2) if mover.terminating else RemovePod(mover.name, mover.uid)
    return LetServe(current)
