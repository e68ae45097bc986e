"""What is given back at the end, on either way: pods of ours, the set's retention policy, the reclaim policy of the volumes in use, our marks."""
from __future__ import annotations

from ..model import labels
from ..model.cluster import Cluster
from ..model.record import Record
from . import manifests
from .steps import Complete, Decision, RemovePod, RestorePolicy, RestoreRetention, Unmark, Wait


def next_to_finish(cluster: Cluster, record: Record, message: str) -> Decision:
    """Every replica is where it shall be: give back, then Complete."""
    for decision in (copiers_gone(cluster), retention(cluster, record), _new_volumes(cluster), _mark(cluster)):
        if decision is not None:
            return decision
    return Complete(message)


def copiers_gone(cluster: Cluster) -> Decision | None:
    """Movers and measurers that are left, of whichever replica."""
    for copier in (*cluster.movers.values(), *cluster.measurers.values()):
        if copier.pod.terminating:
            return Wait("pods-gone", f"pod {copier.pod.name} is being removed", poll=0.2)
        return RemovePod(copier.pod.name, copier.pod.uid)
    return None


def retention(cluster: Cluster, record: Record) -> RestoreRetention | None:
    """The set's own policy again; while a set is frozen or absent there is nothing to patch."""
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating or not record.retention or statefulset.retention == record.retention:
        return None
    return RestoreRetention(statefulset.uid, record.retention)


def _new_volumes(cluster: Cluster) -> RestorePolicy | None:
    for volume in cluster.volumes.values():
        if volume.labels.get(labels.ROLE) == labels.ROLE_NEW and volume.labels.get(labels.MIGRATION) == cluster.migration.name \
                and labels.ORIGINAL_RECLAIM in volume.annotations:
            return RestorePolicy(volume.name, volume.uid, manifests.original_policy(volume))
    return None


def _mark(cluster: Cluster) -> Unmark | None:
    statefulset = cluster.statefulset
    if statefulset is not None and not statefulset.terminating and labels.MIGRATION_UID in statefulset.annotations:
        return Unmark(statefulset.uid)
    return None
