"""A record that was lost: its VolumeResize was deleted by force while no runner lived, and `resume` has created another of the same name. What was in
it stands on the Lease, copied there before each step was carried out. So it is as if the last runner had died just before it wrote a step down, and
from there every runner can go on.

The copy is an annotation, which more people may write than a record. It is believed only where the cluster bears it out: it is of this very request,
and each volume that it names is one of this namespace, by UID. Only the cluster's admins and we can change that of a volume.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import UsageError
from ..model import labels
from ..model.asked import Asked
from ..model.cluster import Cluster
from ..model.kept import Kept
from ..model.record import DECLINED, Record
from ..model.request import Request, from_spec
from .request_steps import answered
from .steps import NORMAL, WARNING, Step, ended


@dataclass(frozen=True)
class WriteAgain(Step):
    """The record as it was, with the UID that our marks on other objects bear. The request stays unanswered: what it means for this record is
    another question."""

    record: Record
    event = (NORMAL, "RecordWrittenAgain")

    def recorded(self, record: Record, now: str) -> Record:
        return self.record

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


def from_copy(cluster: Cluster, request: Request, asked: Asked) -> Step:
    """The record as its copy has it, or why that is not to be believed."""
    if cluster.kept is None:
        return RefuseToRebuild(asked, (f"no copy of it is on the lease of StatefulSet {request.statefulset}",))
    against = tuple(_against(cluster, request, cluster.kept))
    return RefuseToRebuild(asked, against) if against else WriteAgain(cluster.kept.record)


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
