"""A namespace that is being deleted: nothing can be created in it any more, and everything goes but what a finalizer keeps. Ours come off at once,
while our rights are still there: its contents are deleted 5 s after it began (pkg/controller/namespace, namespaceDeletionGracePeriod)."""
from __future__ import annotations

from dataclasses import dataclass

from ..model import labels
from ..model.cluster import Cluster
from ..model.objects import Pod
from .steps import Decision, Done, LetGo, Step
from .undo_steps import Unfreeze


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
