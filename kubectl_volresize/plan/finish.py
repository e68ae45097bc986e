"""What is given back at the end, on either way: pods of ours, the set's retention policy, the reclaim policy of the volumes in use, our marks."""
from __future__ import annotations

from ..model import labels, names
from ..model.cluster import Cluster
from ..model.record import Record
from . import manifests
from .swap_steps import Release
from .steps import Complete, Decision, RemovePod, RestorePolicy, RestoreRetention, Unmark, Wait
from .undo_steps import RemoveStray


def next_to_finish(cluster: Cluster, record: Record, message: str) -> Decision:
    """Every replica is where it shall be: give back, then Complete."""
    return given_back(cluster, record) or Complete(message)


def given_back(cluster: Cluster, record: Record) -> Decision | None:
    """What is still to be given back on either way; None when that is all."""
    for decision in (_holds_off(cluster), copiers_gone(cluster), stray_claim(cluster), _retention(cluster, record), _policies(cluster),
                     _mark(cluster)):
        if decision is not None:
            return decision
    return None


def stray_claim(cluster: Cluster) -> RemoveStray | None:
    """A temporary claim of ours, at a time when no replica needs one."""
    statefulset = str(cluster.migration.spec["statefulSetName"])
    for claim in cluster.claims.values():
        volume, replica = claim.labels.get(labels.VOLUME, ""), claim.labels.get(labels.REPLICA, "")
        ours = replica.isdigit() and manifests.is_ours(claim, cluster.migration.uid, int(replica))
        if ours and not claim.terminating and claim.name == names.temporary_claim(volume, statefulset, int(replica)):
            return RemoveStray(claim.name, claim.uid)
    return None


def _holds_off(cluster: Cluster) -> Release | None:
    """A hold on a pod that runs: of a runner that fell asleep between hold and eviction, and was followed. Its deletion would wait for ever."""
    for ordinal, pod in sorted(cluster.pods.items()):
        if pod.held and not pod.terminating:
            return Release.of(ordinal, pod)
    return None


def copiers_gone(cluster: Cluster) -> Decision | None:
    """Movers and measurers that are left, of whichever replica."""
    for copier in (*cluster.movers.values(), *cluster.measurers.values()):
        if copier.pod.terminating:
            return Wait("pods-gone", f"pod {copier.pod.name} is being removed", poll=0.2)
        return RemovePod(copier.pod.name, copier.pod.uid)
    return None


def _retention(cluster: Cluster, record: Record) -> RestoreRetention | None:
    """The set's own policy again; while a set is frozen or absent there is nothing to patch."""
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating or not record.retention or statefulset.retention == record.retention:
        return None
    return RestoreRetention(statefulset.uid, record.retention)


def _policies(cluster: Cluster) -> RestorePolicy | None:
    """Volumes that are in use, new ones and old ones that were only made safe, get their own policy back. An old volume that was replaced stays
    Retain, it is the way back; so does one whose claim somebody deletes just now."""
    for volume in cluster.volumes.values():
        claim = cluster.claims.get(str(volume.claim_ref.get("name")))
        in_use = claim is not None and claim.volume_name == volume.name and not claim.terminating
        if in_use and volume.labels.get(labels.MIGRATION) == cluster.migration.name and labels.ORIGINAL_RECLAIM in volume.annotations:
            return RestorePolicy(volume.name, volume.uid, volume.resource_version, manifests.original_policy(volume))
    return None


def _mark(cluster: Cluster) -> Unmark | None:
    statefulset = cluster.statefulset
    if statefulset is not None and not statefulset.terminating and labels.MIGRATION_UID in statefulset.annotations:
        return Unmark(statefulset.uid)
    return None
