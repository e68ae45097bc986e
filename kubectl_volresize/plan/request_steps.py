"""The steps that answer a user's request: each is only a change of the record; what follows from it is decided at the next look."""
from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import labels
from ..model.asked import Asked
from ..model.objects import Object
from ..model.record import ACCEPTED, Record
from .steps import NORMAL, Step


@dataclass(frozen=True)
class Answer(Step):
    """`outcome` as in record.py; nothing else changes."""

    asked: Asked
    outcome: str
    message: str
    event = (NORMAL, "RequestAnswered")

    def recorded(self, record: Record, now: str) -> Record:
        return answered(record, self.asked, self.outcome, self.message)

    def __str__(self) -> str:
        return f"{self.asked.verb or 'request'}: {self.outcome}: {self.message}"


@dataclass(frozen=True)
class TakeCancel(Step):
    """Undo the current replica and end; `now`: without waiting until a replica that was exchanged is Ready."""

    asked: Asked
    current: int | None
    now: bool
    event = (NORMAL, "MigrationCancelled")

    def recorded(self, record: Record, now: str) -> Record:
        if record.last_request.get("id") == self.asked.id:
            return record
        stopping: Object = {"reason": labels.CANCELLED, "message": "cancelled; what was not migrated yet is as it was", "now": self.now}
        reopened = _reopened(record, self.asked, self.current, str(self), now) if record.terminal else record
        return replace(answered(reopened, self.asked, ACCEPTED, str(self)), stopping=stopping, message=str(self))

    def __str__(self) -> str:
        return "stop at the next safe point"


@dataclass(frozen=True)
class TakeResume(Step):
    """Go on where a failed or cancelled migration ended. `current`: the replica whose exchange is unfinished; without one everything is checked
    and measured again. `set_uid`: the StatefulSet that is gone on with."""

    asked: Asked
    current: int | None
    set_uid: str
    event = (NORMAL, "MigrationResumed")

    def recorded(self, record: Record, now: str) -> Record:
        if record.last_request.get("id") == self.asked.id:
            return record
        reopened = _reopened(record, self.asked, self.current, str(self), now)
        if self.current is None and not record.rollback:
            fresh = tuple(replace(entry, measured={}) for entry in reopened.volumes)
            reopened = replace(reopened, phase=labels.VALIDATING, volumes=fresh)
        return replace(reopened, set_uid=self.set_uid)

    def __str__(self) -> str:
        return "go on with the migration"


@dataclass(frozen=True)
class TakeRollback(Step):
    """These replicas go back to the volumes that they had before. `discard`: also when the application has written since."""

    asked: Asked
    replicas: tuple[int, ...]
    discard: bool
    set_uid: str
    event = (NORMAL, "RollbackStarted")

    def recorded(self, record: Record, now: str) -> Record:
        if record.last_request.get("id") == self.asked.id:
            return record
        reopened = _reopened(record, self.asked, None, str(self), now)
        wanted: Object = {"replicas": list(self.replicas), "discard": self.discard, "phase": record.phase, "reason": record.reason}
        return replace(reopened, rollback=wanted, set_uid=self.set_uid)

    def __str__(self) -> str:
        return f"put replica {', '.join(map(str, self.replicas))} back on the old volumes"


def answered(record: Record, asked: Asked, outcome: str, message: str) -> Record:
    return replace(record, last_request={"id": asked.id, "verb": asked.verb, "args": asked.args, "outcome": outcome, "message": message[:1000]})


def _reopened(record: Record, asked: Asked, current: int | None, message: str, now: str) -> Record:
    """Out of a terminal phase again. The set's retention policy was given back, unless all was left as it was; what it is now is its owner's."""
    volumes = ",".join(entry.volume for entry in record.of_replica(current)) if current is not None else ""
    opened = replace(answered(record, asked, ACCEPTED, message), phase=labels.SYNCING, completion_time="", stopping={}, message=message,
                     current_replica=current, current_volume=volumes, start_time=record.start_time or now,
                     retention=record.retention if record.reason == "NeedsHuman" else {})
    opened = opened.with_condition(labels.READY, "False", "InProgress", message, now, 0)
    return opened.with_condition(labels.PROGRESSING, "True", "Syncing", message, now, 0)
