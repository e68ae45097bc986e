"""The steps of a rollback: a migrated replica returns to the volumes that it had before, through the same hold, freeze and exchange."""
from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from ..model import labels
from ..model.record import FINISHED, Record, VolumeRecord, volume_from_json, volume_to_json
from .replica_steps import HOLDING
from .steps import NORMAL, Step, ended

ROLLED_BACK = "rolled-back"  # ReplicaRecord.step of a replica that stands on its old volumes again


@dataclass(frozen=True)
class BeginRollback(Step):
    """Old and new change places in the record, so that the exchange can be the same: what is in use now is the old volume, to be kept; what was kept
    is the new one. `volumes`: the claim in use now, by volume name, as fields of VolumeRecord."""

    replica: int
    volumes: tuple[tuple[str, Any], ...]
    event = (NORMAL, "ReplicaRollbackStarted")

    def recorded(self, record: Record, now: str) -> Record:
        for name, known in self.volumes:
            entry = record.volume(self.replica, name)
            record = _put(record, replace(entry if entry.forward else turned(entry), **known))
        record = record.with_replica(self.replica, step=HOLDING, pod_uid="", held_at="", intent={})
        return replace(record, phase=labels.SYNCING, current_replica=self.replica, current_volume=",".join(name for name, _ in self.volumes),
                       message=str(self))

    def __str__(self) -> str:
        return f"begin to put replica {self.replica} back on its old volumes"


@dataclass(frozen=True)
class GiveUpNewerData(Step):
    """The pod is shut down; the old volume is what the replica shall have. `word` says of which stop: without it nothing is exchanged."""

    replica: int
    volumes: tuple[str, ...]
    word: str

    def recorded(self, record: Record, now: str) -> Record:
        for name in self.volumes:
            record = record.with_volume(self.replica, name, phase="Verified", verified=self.word)
        return record

    def __str__(self) -> str:
        return f"replica {self.replica} is shut down; its old volumes take the place of the new ones"


@dataclass(frozen=True)
class ReplicaRolledBack(Step):
    """Ready on the old volumes; the small ones are kept until the user cleans up."""

    replica: int
    volumes: tuple[str, ...]
    not_ready_seconds: int
    event = (NORMAL, "ReplicaRolledBack")

    def recorded(self, record: Record, now: str) -> Record:
        for name in self.volumes:
            back = replace(forward_again(record.volume(self.replica, name)), phase="RolledBack", old_claim_uid="", final="", verified="", measured={})
            record = _put(record, back)
        record = record.with_replica(self.replica, step=ROLLED_BACK, intent={}, not_ready_seconds=self.not_ready_seconds)
        return replace(record, message=str(self), current_replica=None, current_volume="")

    def __str__(self) -> str:
        return f"replica {self.replica} is Ready on its old volumes after {self.not_ready_seconds} s; the newer ones are kept"


@dataclass(frozen=True)
class LeaveReplica(Step):
    """A rollback that was stopped before the exchange: the replica stays on the volumes that it has."""

    replica: int
    volumes: tuple[str, ...]
    event = (NORMAL, "ReplicaLeft")

    def recorded(self, record: Record, now: str) -> Record:
        for name in self.volumes:
            record = _put(record, forward_again(record.volume(self.replica, name)))
        record = record.with_replica(self.replica, step="done", intent={}, pod_uid="", held_at="")
        return replace(record, current_replica=None, current_volume="")

    def __str__(self) -> str:
        return f"replica {self.replica} stays on the volumes that it has"


@dataclass(frozen=True)
class EndRollback(Step):
    """All that were to go back are back. `phase`: RolledBack when no replica is left on a new volume, else the one from before."""

    phase: str
    reason: str
    message: str
    event = (NORMAL, "RollbackCompleted")

    def recorded(self, record: Record, now: str) -> Record:
        over = replace(ended(record, self.phase, self.reason, self.message, now), rollback={}, stopping={})
        # It did what was asked, also when the migration as a whole stays a failed one.
        asked = {**record.open_request, "outcome": FINISHED, "message": self.message} if record.open_request else record.last_request
        return replace(over, last_request=asked)

    def __str__(self) -> str:
        return self.message


def turned(entry: VolumeRecord) -> VolumeRecord:
    """The entry with old and new in each other's place."""
    return VolumeRecord(volume=entry.volume, replica=entry.replica, phase="Waiting", old_claim=entry.old_claim, old_pv=entry.new_pv,
                        old_pv_uid=entry.new_pv_uid, old_size=entry.new_size, new_pv=entry.old_pv, new_pv_uid=entry.old_pv_uid,
                        new_size=entry.old_size, bytes=entry.bytes, files=entry.files, forward=json.dumps(volume_to_json(entry)))


def forward_again(entry: VolumeRecord) -> VolumeRecord:
    """What `turned` was made from; the entry itself when it is not turned."""
    return volume_from_json(json.loads(entry.forward)) if entry.forward else entry


def _put(record: Record, entry: VolumeRecord) -> Record:
    others = [other for other in record.volumes if (other.replica, other.volume) != (entry.replica, entry.volume)]
    return replace(record, volumes=tuple(sorted((*others, entry), key=lambda one: (-one.replica, one.volume))))
