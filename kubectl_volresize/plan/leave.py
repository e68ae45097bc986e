"""What a runner lets go before it leaves, and nobody comes soon.

A namespace that is being deleted: nothing can be created in it any more, and everything goes but what a finalizer keeps. Ours come off at once, while
our rights are still there: its contents are deleted 5 s after it began (pkg/controller/namespace, namespaceDeletionGracePeriod).

A Job that a queue took its place from, or that somebody deleted: the next may come in hours, and a stopped replica would wait with it."""
from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import labels
from ..model.cluster import Cluster
from ..model.objects import Pod
from ..model.record import Record
from ..model.request import Request
from . import swap
from .replica_steps import COPYING, HOLDING
from .steps import NORMAL, Decision, Done, LetGo, RemovePod, Step, Stop, Wait
from .swap_steps import Release
from .undo_steps import Unfreeze
from .views import views

_LOST = "the Job was put back into its queue, or deleted"


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
        return f"{_LOST}; replica {self.replica} serves on the volumes that it has, and is stopped again later"


def may_hold(record: Record) -> bool:
    """Whether a replica may be stopped at this moment, by our doing, and the exchange has not put it back yet."""
    current = record.current_replica
    return current is not None and record.replica(current).step in (HOLDING, swap.SWAPPING)


def next_without_place(cluster: Cluster, record: Record, request: Request, forward: Decision) -> Decision:
    """The application first, then the movers: they have its volume, which may be needed on another node, or by one pod alone. The next runner copies
    and stops it again. An exchange is ended, which takes about a second, unless it waits for something. Done when the runner can leave. `forward`:
    what would be next otherwise."""
    current = record.current_replica
    if current is None:
        return Done("nothing is held")
    if record.stopping or record.replica(current).step == swap.SWAPPING:
        waits = isinstance(forward, Wait) and forward.kind == "swap-others" and not record.stopping
        return Stop("Resumable", f"{_LOST}; replica {current}, not exchanged yet, goes back ({forward})") if waits else forward
    pod, volumes = cluster.pods.get(current), views(cluster, record, request, current)
    if pod is not None and pod.held:
        # Released beside a claim that is not as recorded it could start on an empty one: what to do then is known to the way that it was on.
        return Release.of(current, pod) if all(view.on_original_claim for view in volumes) else forward
    if not record.replica(current).held_at:
        return Done("nothing is held")
    for mover in (view.mover.pod for view in volumes if view.mover is not None):
        return Wait("pods-gone", f"mover {mover.name} is being removed", poll=0.2) if mover.terminating else RemovePod(mover.name, mover.uid)
    return LetServe(current)
