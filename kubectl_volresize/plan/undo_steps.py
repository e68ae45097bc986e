"""The steps of the way back: the current replica stays on, or returns to, its old volumes, and what was made for it goes."""
from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import labels
from ..model.record import Object, Record, VolumeRecord
from .steps import NORMAL, WARNING, Step, ended

UNDONE = "undone"  # ReplicaRecord.step of a replica that stands where it stood


@dataclass(frozen=True)
class Unfreeze(Step):
    """Our finalizer off a StatefulSet that nobody has deleted yet."""

    uid: str
    resource_version: str
    remaining: tuple[str, ...]

    def __str__(self) -> str:
        return "take our finalizer off the StatefulSet"


@dataclass(frozen=True)
class GiveUpVolume(Step):
    """The new volume is not wanted any more: its class's reclaim policy again, so that its provisioner removes it with its temporary claim.

    `claim` and `claim_uid` are the temporary claim's: a volume that is only reserved (no UID) would stay for ever, whatever its policy
    (pkg/controller/volume/persistentvolume/pv_controller.go, syncVolume).
    """

    pv: str
    uid: str
    resource_version: str
    policy: str
    claim: str
    claim_uid: str

    def __str__(self) -> str:
        return f"give up the new volume {self.pv} (reclaim policy {self.policy})"


@dataclass(frozen=True)
class RemoveStray(Step):
    """A temporary claim that no replica needs: made by a runner that slept, and was followed by one that is done with the replica."""

    claim: str
    uid: str

    def __str__(self) -> str:
        return f"remove temporary claim {self.claim}, which no replica needs"


@dataclass(frozen=True)
class ForgetReplica(Step):
    """The replica stands where it stood: nothing that was recorded for its copy counts any more."""

    replica: int
    volumes: tuple[str, ...]
    event = (NORMAL, "ReplicaUndone")

    def recorded(self, record: Record, now: str) -> Record:
        for name in self.volumes:
            old = record.volume(self.replica, name)
            kept = VolumeRecord(volume=name, replica=self.replica, phase="RolledBack", old_claim=old.old_claim, old_pv=old.old_pv,
                                old_size=old.old_size, measured=old.measured, bytes=old.bytes, files=old.files)
            others = tuple(entry for entry in record.volumes if (entry.replica, entry.volume) != (self.replica, name))
            record = replace(record, volumes=tuple(sorted((*others, kept), key=lambda one: (-one.replica, one.volume))))
        record = record.with_replica(self.replica, step=UNDONE, intent={}, pod_uid="", held_at="")
        return replace(record, current_replica=None, current_volume="")

    def __str__(self) -> str:
        return f"replica {self.replica} runs on its old volumes; nothing of the attempt is left"


@dataclass(frozen=True)
class EndStopped(Step):
    """The current replica is put back; the migration ends as `phase` for `reason`."""

    phase: str
    reason: str
    message: str
    event = (WARNING, "MigrationEnded")

    def recorded(self, record: Record, now: str) -> Record:
        # A rollback that failed goes on with resume; one that was cancelled only with what is exchanged already.
        left = _only_turned(record) if self.phase == labels.CANCELLED else record.rollback
        return replace(ended(record, self.phase, self.reason, self.message, now), stopping={}, rollback=left)

    def __str__(self) -> str:
        return f"{self.phase}: {self.message}"


def _only_turned(record: Record) -> Object:
    """A replica on its old volumes that nobody waited for: its entries still have old and new in each other's place, and only a rollback can read
    them so."""
    turned = sorted({entry.replica for entry in record.volumes if entry.forward}, reverse=True)
    return {**record.rollback, "replicas": turned} if turned else {}


def phase_of(reason: str) -> str:
    return labels.CANCELLED if reason == labels.CANCELLED else labels.FAILED
