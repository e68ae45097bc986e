"""What a runner lets go before it leaves, and nobody comes soon.

A namespace that is being deleted: nothing can be created in it any more, and everything goes but what a finalizer keeps. Ours come off at once, while
our rights are still there: its contents are deleted 5 s after it began (pkg/controller/namespace, namespaceDeletionGracePeriod).

A Job that a queue took its place from: it may wait for hours, and a stopped replica would wait with it."""
from __future__ import annotations

from dataclasses import dataclass

from ..model import labels
from ..model.cluster import Cluster
from ..model.objects import Pod
from ..model.record import Record
from ..model.request import Request
from . import swap
from .replica_steps import HOLDING
from .steps import Decision, Done, LetGo, Step
from .swap_steps import Release
from .undo_steps import Unfreeze
from .views import views


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


def may_hold(record: Record) -> bool:
    """Whether a replica may be stopped at this moment, by our doing, and the exchange has not put it back yet."""
    current = record.current_replica
    return current is not None and record.replica(current).step in (HOLDING, swap.SWAPPING)


def next_without_place(cluster: Cluster, record: Record, request: Request, forward: Decision) -> Decision:
    """Back to the volumes that it has; the next runner stops it again. An exchange that has begun is ended: it takes about a second. Done when
    the runner can leave. `forward`: what would be next otherwise."""
    current = record.current_replica
    if current is not None and record.replica(current).step == swap.SWAPPING:
        return forward
    pod = cluster.pods.get(current) if current is not None else None
    if current is None or pod is None or not pod.held:
        return Done("nothing is held")
    if not all(view.on_original_claim for view in views(cluster, record, request, current)):
        return Done(f"pod {pod.name} is held, and it is not safe to release it")
    return Release.of(current, pod)
