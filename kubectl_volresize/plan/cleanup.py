"""Cleaning up: the volumes that were kept as the way back go, those alone that the user has confirmed, and only while the application is seen to run
on the others. The only place in the program from which the data of an application is ever given up."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..model import names
from ..model.asked import Asked
from ..model.cluster import Cluster
from ..model.objects import Claim, Object, Volume
from ..model.record import ACCEPTED, DECLINED, FAILED, FINISHED, Record, VolumeRecord
from ..model.request import Request
from .manifests import PROVISIONED_BY
from .request_steps import Answer
from .steps import NORMAL, Decision, Step, Wait
from .views import user_of

# No claim ever had this UID.
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class DiscardVolume(Step):
    """Reclaim policy Delete on a volume that was kept: its provisioner removes it, data and all. `claim` and `claim_uid`: what it was bound to, which
    a volume that is only reserved has forgotten (it would stay for ever, see GiveUpVolume)."""

    replica: int
    volume: str
    pv: str
    uid: str
    resource_version: str
    claim: str
    claim_uid: str
    event = (NORMAL, "VolumeDiscarded")

    def __str__(self) -> str:
        return f"remove the kept volume {self.pv} of replica {self.replica}, {self.volume}"


@dataclass(frozen=True)
class RememberCleaned(Step):
    replica: int
    volume: str
    pv: str

    def recorded(self, record: Record, now: str) -> Record:
        return record.with_volume(self.replica, self.volume, cleaned=True)

    def __str__(self) -> str:
        return f"volume {self.pv} is gone"


@dataclass(frozen=True)
class _Kept:
    """A volume that is kept for the entry's replica, and the one that is used in its place."""

    entry: VolumeRecord
    name: str
    uid: str
    used: str


def kept(record: Record) -> tuple[_Kept, ...]:
    """Old volumes of migrated replicas; small ones of replicas that a rollback put back."""
    found = []
    for entry in record.volumes:
        if entry.cleaned or not entry.new_pv:
            continue
        if entry.migrated:
            found.append(_Kept(entry, entry.old_pv, entry.old_pv_uid, entry.new_pv))
        elif entry.phase == "RolledBack":
            found.append(_Kept(entry, entry.new_pv, entry.new_pv_uid, entry.old_pv))
    return tuple(found)


def answer(cluster: Cluster, record: Record, request: Request, asked: Asked) -> Step:
    """Accepted, or refused with every reason."""
    wanted = asked.args.get("volumes") or {}
    if not isinstance(wanted, dict):
        return Answer(asked, DECLINED, f"args.volumes is {wanted!r}, not the UIDs of the volumes by their names")
    known = {one.name: one for one in kept(record)}
    against = [f"volume {name} is not kept by this migration" for name in sorted(wanted) if name not in known]
    for name in sorted(set(wanted) & set(known)):
        if known[name].uid != wanted[name]:
            against.append(f"volume {name} is not the one that was recorded (UID {known[name].uid})")
        against += _against(cluster, request, known[name])
    if against:
        return Answer(asked, DECLINED, "; ".join(dict.fromkeys(against)))
    if not wanted:
        return Answer(asked, FINISHED, "no volume was named, so none was removed")
    return Answer(asked, ACCEPTED, f"{len(wanted)} volume(s) are being removed")


def against_discarding(cluster: Cluster, record: Record, request: Request, pv: str, uid: str) -> Iterator[str]:
    """Why this volume must stay, whoever asks; the invariant."""
    found = [one for one in kept(record) if (one.name, one.uid) == (pv, uid)]
    if not found:
        yield f"volume {pv} is not one that was kept by this migration"
    for one in found:
        yield from _against(cluster, request, one)


def _against(cluster: Cluster, request: Request, one: _Kept) -> Iterator[str]:
    entry = one.entry
    claim = cluster.claim_of(entry.volume, request.statefulset, entry.replica)
    claim_name = names.claim(entry.volume, request.statefulset, entry.replica)
    used, pod = cluster.volumes.get(one.used), cluster.pods.get(entry.replica)
    if claim is None or not claim.bound or claim.terminating or claim.volume_name != one.used or used is None or not _bound_to(used, claim):
        yield f"claim {claim_name} is not Bound to volume {one.used}: {one.name} may hold the only copy of its data"
    if cluster.statefulset is None:
        yield f"StatefulSet {request.statefulset} is not there: nobody can say that the data on {one.used} is good"
    elif entry.replica in cluster.statefulset.ordinals and (pod is None or not pod.ready):
        yield f"pod {names.pod(request.statefulset, entry.replica)} is not Ready on volume {one.used}"
    volume = cluster.volumes.get(one.name)
    if volume is None or volume.uid != one.uid:
        return
    if user := user_of(cluster, volume):
        yield f"volume {one.name} is used by claim {user}"
    if PROVISIONED_BY not in volume.annotations:
        yield f"volume {one.name} was made by hand: no provisioner would remove its disk; delete both by hand"


def _bound_to(volume: Volume, claim: Claim) -> bool:
    return volume.claim_ref.get("uid") == claim.uid


def next_for_cleanup(cluster: Cluster, record: Record, request: Request, asked: Asked) -> Decision:
    """One volume after the other; the phase of the migration stays what it is."""
    wanted: Object = asked.args.get("volumes") or {}
    for one in kept(record):
        if wanted.get(one.name) != one.uid:
            continue
        volume = cluster.volumes.get(one.name)
        if volume is None or volume.uid != one.uid:
            return RememberCleaned(one.entry.replica, one.entry.volume, one.name)
        if volume.retained:
            if against := list(_against(cluster, request, one)):
                return Answer(asked, FAILED, "; ".join(against))
            return DiscardVolume(one.entry.replica, one.entry.volume, one.name, one.uid, volume.resource_version,
                                 one.entry.old_claim, str(volume.claim_ref.get("uid") or one.entry.old_claim_uid or NOBODY))
        why = f" ({volume.status.get('message')})" if volume.status.get("message") else ""
        late = Answer(asked, FAILED, f"volume {one.name} is still there{why}: look at its provisioner, then clean up again")
        return Wait("cleaning", f"volume {one.name} is being removed by its provisioner{why}", poll=0.5, fallback=late)
    return Answer(asked, FINISHED, f"{len(wanted)} volume(s) are gone")
