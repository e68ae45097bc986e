"""The steps of one replica up to its verified copy: provision, copy, hold, last pass."""
from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import labels
from ..model.objects import Object
from ..model.record import Record
from .steps import NORMAL, Step

COPYING = "copying"  # ReplicaRecord.step from its begin until its stop
HOLDING = "holding"  # ReplicaRecord.step from the hold until its copies are verified


@dataclass(frozen=True)
class BeginReplica(Step):
    """Remember what the replica stands on before anything of it is touched. `volumes`: fields of VolumeRecord by volume name."""

    replica: int
    volumes: tuple[tuple[str, Object], ...]
    event = (NORMAL, "ReplicaStarted")

    def recorded(self, record: Record, now: str) -> Record:
        for name, known in self.volumes:
            record = record.with_volume(self.replica, name, **known)
        record = record.with_replica(self.replica, step=COPYING)
        return replace(record, phase=labels.SYNCING, current_replica=self.replica, current_volume=",".join(name for name, _ in self.volumes),
                       message=str(self))

    def __str__(self) -> str:
        return f"begin with replica {self.replica}"


@dataclass(frozen=True)
class CreateTarget(Step):
    """`values` of template claim."""

    replica: int
    volume: str
    values: Object

    def __str__(self) -> str:
        return f"create temporary claim {self.values['name']} of {self.values['size']}"


@dataclass(frozen=True)
class RememberTarget(Step):
    """The temporary claim is ours; or it is Bound, and this is the new volume."""

    replica: int
    volume: str
    known: Object
    phase: str

    def recorded(self, record: Record, now: str) -> Record:
        return record.with_volume(self.replica, self.volume, phase=self.phase, **self.known)

    def __str__(self) -> str:
        named = {key.replace("_", " "): value for key, value in self.known.items() if not key.endswith("uid")}
        return f"volume {self.volume}: " + ", ".join(f"{key} {value}" for key, value in named.items())


@dataclass(frozen=True)
class StartMover(Step):
    """`values` of template mover, but for the Lease that owns the pod."""

    replica: int
    volume: str
    values: Object

    def recorded(self, record: Record, now: str) -> Record:
        # The word of an earlier mover proves nothing about this one.
        return record.with_volume(self.replica, self.volume, phase="Copying", final="", verified="")

    def __str__(self) -> str:
        return f"start mover {self.values['name']}"


@dataclass(frozen=True)
class Hold(Step):
    """Stop the application's containers but keep its pod object, so that the StatefulSet controller starts no other. `successor`: the StatefulSet
    that will be created after the swap, rehearsed first."""

    replica: int
    pod: str
    uid: str
    successor: Object
    event = (NORMAL, "PodHeld")

    def recorded(self, record: Record, now: str) -> Record:
        intent: Object = {"step": "hold", "uids": [self.uid], "at": now}
        return record.with_replica(self.replica, step=HOLDING, pod_uid=self.uid, held_at=now, intent=intent)

    def __str__(self) -> str:
        return f"hold and evict pod {self.pod}"


@dataclass(frozen=True)
class TellMover(Step):
    """The application is shut down: let the waiting mover make its final pass. The word names the held pod and the mover."""

    replica: int
    volume: str
    pod: str
    uid: str
    word: str

    def recorded(self, record: Record, now: str) -> Record:
        return record.with_volume(self.replica, self.volume, final=self.word)

    def __str__(self) -> str:
        return f"final pass of mover {self.pod}"


@dataclass(frozen=True)
class RememberVerified(Step):
    """`lost`: what of the entries was not kept, in words; only a mover that is not root may lose anything."""

    replica: int
    volume: str
    word: str
    passes: tuple[Object, ...]
    lost: str = ""

    def recorded(self, record: Record, now: str) -> Record:
        verified = record.with_volume(self.replica, self.volume, phase="Verified", verified=self.word, verified_at=now, passes=list(self.passes),
                                      progress="100%")
        return verified.with_volume(self.replica, self.volume, message=f"not kept: {self.lost}") if self.lost else verified

    def __str__(self) -> str:
        return f"volume {self.volume}: the copy was verified equal after the stop" + (f"; not kept: {self.lost}" if self.lost else "")
