"""A record that was lost: its VolumeResize was deleted by force while no runner lived, and `resume` has created another of the same name. What was in
it stands on the Lease, copied there before each step was carried out. So it is as if the last runner had died just before it wrote a step down, and
from there every runner can go on.

The copy is an annotation, which more people may write than a record. It is believed only where the cluster bears it out: it is of this very request,
and each volume that it names is one of this namespace, by UID. Only the cluster's admins and we can change that of a volume.

Without a copy the labels on claims and volumes tell enough to put back what was begun, as long as the StatefulSet stands and all its claims do. Which
copy was verified and what the set looked like they do not tell, so nothing is ever exchanged on their word.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import UsageError
from ..model import labels, names
from ..model.asked import Asked
from ..model.cluster import Cluster
from ..model.objects import Claim, Object, StatefulSet, Volume
from ..model.kept import Kept
from ..model.quantity import human
from ..model.record import DECLINED, Record
from ..model.request import Request, Target, from_spec
from . import manifests
from .request_steps import answered
from .steps import NORMAL, WARNING, Step, ended

_PUT_BACK = "its record was lost, and so was the copy: what was not migrated yet is as it was; submit again for the rest"


@dataclass(frozen=True)
class WriteAgain(Step):
    """The record as it was, with the UID that our marks on other objects bear. The request stays unanswered: what it means for this record is
    another question."""

    record: Record
    event = (NORMAL, "RecordWrittenAgain")

    def recorded(self, record: Record, now: str) -> Record:
        return replace(self.record, start_time=self.record.start_time or now)

    def __str__(self) -> str:
        return f"write the lost record again, as it stood: {self.record.phase}"


@dataclass(frozen=True)
class RefuseToRebuild(Step):
    """Nothing was touched, and no migration begins in place of the lost one."""

    asked: Asked
    reasons: tuple[str, ...]
    event = (WARNING, "RecordLost")

    def recorded(self, record: Record, now: str) -> Record:
        return ended(answered(record, self.asked, DECLINED, str(self)), labels.FAILED, "Refused", str(self), now)

    def __str__(self) -> str:
        return f"the lost record cannot be written again, nothing was changed: {'; '.join(self.reasons)}; see docs/recovery.md, The record is lost"


def next_to_rebuild(cluster: Cluster, request: Request, asked: Asked) -> Step:
    """The record as its copy has it, or what there is to be put back; else everything that speaks against it."""
    if cluster.kept is not None:
        against = tuple(_against(cluster, request, cluster.kept))
        return RefuseToRebuild(asked, against) if against else WriteAgain(cluster.kept.record)
    if "volumes" not in asked.args:
        return RefuseToRebuild(asked, (f"no copy of it is on the lease of StatefulSet {request.statefulset}",))
    against = tuple(_unclear(cluster, request))
    return RefuseToRebuild(asked, against) if against else WriteAgain(_from_marks(cluster, request))


def _against(cluster: Cluster, request: Request, kept: Kept) -> Iterator[str]:
    try:
        lost = from_spec(kept.spec)
    except UsageError as error:
        yield f"the copy is of a request that cannot be read: {error.message}"
        return
    if (kept.name, lost.statefulset, lost.targets) != (cluster.migration.name, request.statefulset, request.targets):
        yield f"the copy is of volumeresize/{kept.name}, which asked for something else"
    if not kept.record.start_time or not kept.record.mark:
        yield "the copy is of a migration that had not begun"
    for entry in kept.record.volumes:
        for name, uid in ((entry.old_pv, entry.old_pv_uid), (entry.new_pv, entry.new_pv_uid)):
            volume = cluster.volumes.get(name)
            if volume is not None and (uid not in ("", volume.uid) or volume.claim_ref.get("namespace") != cluster.namespace):
                yield f"volume {name} is not the one that the copy names"


# -- from labels alone


@dataclass(frozen=True)
class _Traces:
    """What was made for one volume of one replica: its temporary claim, its new volume."""

    temporary: Claim | None
    new: Volume | None


def _unclear(cluster: Cluster, request: Request) -> Iterator[str]:
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating:
        yield f"no copy of it is on the lease, and StatefulSet {request.statefulset} is {'gone' if statefulset is None else 'frozen or going'}"
        return
    interrupted = _interrupted(cluster, request, statefulset)
    for ordinal in sorted({*statefulset.ordinals, *interrupted}):
        for target in request.targets:
            claim = cluster.claim_of(target.name, request.statefulset, ordinal)
            if claim is None or claim.terminating or not claim.bound or _volume_of(cluster, claim) is None:
                yield f"claim {names.claim(target.name, request.statefulset, ordinal)} is not Bound to a volume that says the same"
    if len(interrupted) > 1:
        yield f"replicas {', '.join(map(str, interrupted))} are begun, and only one can have been"
    if len(marks := _marks(cluster, request)) > 1:
        yield f"the temporary claims bear the marks of several migrations: {', '.join(sorted(marks))}"
    for ordinal in interrupted:
        for target in request.targets:
            claim = cluster.claim_of(target.name, request.statefulset, ordinal)
            if claim is not None and claim.labels.get(labels.MIGRATION) == cluster.migration.name:
                # On the way back old and new have changed places: what looks like half a copy is what the user wants to return to.
                yield f"claim {claim.name} was exchanged already, and its replica is begun once more: a rollback"


def _interrupted(cluster: Cluster, request: Request, statefulset: StatefulSet) -> tuple[int, ...]:
    """Ordinals of which something is held or made, also of replicas that the set has no more."""
    found = {ordinal for ordinal, pod in cluster.pods.items() if pod.held}
    for target in request.targets:
        for ordinal in {*statefulset.ordinals, *_numbered(cluster, target)}:
            traces = _traces(cluster, request, target, ordinal)
            if traces.temporary is not None or traces.new is not None:
                found.add(ordinal)
    return tuple(sorted(found, reverse=True))


def _numbered(cluster: Cluster, target: Target) -> Iterator[int]:
    for one in (*cluster.claims.values(), *cluster.volumes.values()):
        number = one.labels.get(labels.REPLICA, "")
        if (one.labels.get(labels.MIGRATION), one.labels.get(labels.VOLUME)) == (cluster.migration.name, target.name) and number.isdigit():
            yield int(number)


def _traces(cluster: Cluster, request: Request, target: Target, ordinal: int) -> _Traces:
    original = names.claim(target.name, request.statefulset, ordinal)
    made_for = names.temporary_claim(target.name, request.statefulset, ordinal)
    temporary = cluster.claims.get(made_for)
    if temporary is not None and temporary.labels.get(labels.MIGRATION) != cluster.migration.name:
        temporary = None
    if temporary is not None:
        return _Traces(temporary, _volume_of(cluster, temporary))
    left = [volume for volume in cluster.volumes.values()
            if (volume.labels.get(labels.MIGRATION), volume.labels.get(labels.ROLE)) == (cluster.migration.name, labels.ROLE_NEW)
            and (volume.reserved_for(cluster.namespace, original)
                 or (volume.claim_ref.get("namespace"), volume.claim_ref.get("name")) == (cluster.namespace, made_for))]
    return _Traces(None, left[0] if left else None)


def _volume_of(cluster: Cluster, claim: Claim) -> Volume | None:
    """Only when it says the same: a claim may name any volume of the cluster."""
    volume = cluster.volume_of(claim)
    return volume if volume is not None and volume.claim_ref.get("uid") == claim.uid else None


def _marks(cluster: Cluster, request: Request) -> set[str]:
    """UIDs of the migrations whose marks the temporary claims bear."""
    return {claim.annotations.get(labels.MIGRATION_UID, "") for claim in cluster.claims.values()
            if claim.labels.get(labels.MIGRATION) == cluster.migration.name
            and claim.name in {names.temporary_claim(target.name, request.statefulset, ordinal)
                               for target in request.targets for ordinal in _numbered(cluster, target)}}


def _from_marks(cluster: Cluster, request: Request) -> Record:
    """One that is about to be undone: the replica that was begun, on the claims that it has."""
    assert cluster.statefulset is not None
    record = Record(phase=labels.SYNCING, set_uid=cluster.statefulset.uid, mark=next(iter(_marks(cluster, request)), ""),
                    stopping={"reason": labels.CANCELLED, "message": _PUT_BACK}, message=_PUT_BACK)
    for ordinal in _interrupted(cluster, request, cluster.statefulset):
        for target in request.targets:
            record = record.with_volume(ordinal, target.name, **_entry(cluster, request, target, ordinal))
        record = replace(record.with_replica(ordinal, step="copying"), current_replica=ordinal)
    return record


def _entry(cluster: Cluster, request: Request, target: Target, ordinal: int) -> Object:
    claim, traces = cluster.claim_of(target.name, request.statefulset, ordinal), _traces(cluster, request, target, ordinal)
    known: Object = {"phase": "Provisioned"}
    old = _volume_of(cluster, claim) if claim is not None else None
    if claim is not None and old is not None:
        known.update(old_claim=claim.name, old_claim_uid=claim.uid, old_pv=old.name, old_pv_uid=old.uid, old_size=human(claim.capacity),
                     saved_claim=json.dumps(manifests.saved_claim(claim)))
    if traces.temporary is not None:
        known.update(new_claim=traces.temporary.name, new_claim_uid=traces.temporary.uid)
    elif traces.new is not None:
        # Its claim is gone, and with it the UID; by any that no claim has the volume counts as released, and can be given up.
        known.update(new_claim=names.temporary_claim(target.name, request.statefulset, ordinal), new_claim_uid=traces.new.uid)
    if traces.new is not None:
        known.update(new_pv=traces.new.name, new_pv_uid=traces.new.uid, new_size=human(traces.new.capacity))
    return known
