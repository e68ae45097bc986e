"""The cluster as the runner would see it, for refusing at once what it would refuse; and what a record says of volumes that are kept."""
from __future__ import annotations

from dataclasses import replace

from ..model.cluster import Cluster
from ..model.objects import Volume
from ..model.record import Record, VolumeRecord
from ..plan.manifests import PROVISIONED_BY
from .asking import record_of
from .place import Place
from .result import Object
from .words import instant, span

VOLUMES = "persistentvolumes"


def seen(place: Place, migration: Object) -> Cluster:
    """Volumes that the user may not read are taken to be as recorded; the runner looks again."""
    # Brings requests with it, which --help must not pay.
    from ..kube.observe import observe_permitted

    cluster = observe_permitted(place.client, migration)
    return replace(cluster, volumes=_believed(cluster, record_of(migration))) if VOLUMES in cluster.unreadable else cluster


def _believed(cluster: Cluster, record: Record) -> dict[str, Volume]:
    bound = {claim.volume_name: claim for claim in cluster.claims.values()}
    found = {}
    for entry in record.volumes:
        for name, uid in ((entry.old_pv, entry.old_pv_uid), (entry.new_pv, entry.new_pv_uid)):
            claim = bound.get(name)
            reference = {"claimRef": {"namespace": cluster.namespace, "name": claim.name, "uid": claim.uid}} if claim is not None else {}
            meta = {"name": name, "uid": uid, "annotations": {PROVISIONED_BY: "unknown"}}
            found[name] = Volume({"metadata": meta, "spec": {**reference, "persistentVolumeReclaimPolicy": "Retain"}})
    found.pop("", None)
    return found


def data_of(record: Record, entry: VolumeRecord) -> str:
    """RFC 3339 time that the data on the old volume is of; "" when nothing was recorded."""
    return entry.verified_at or record.replica(entry.replica).held_at


def age(since: str, now: float) -> str:
    return span(now - instant(since)) if since else ""
