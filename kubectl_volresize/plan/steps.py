"""What can be done: one small value per step, which can say itself in a sentence and knows what the record must hold before it is carried out.

`plan`, the log, the Event and the status message print the same sentence. The executor of each step lives in runner/. Here: what every step is,
and the steps of the whole; those of a replica stand in replica_steps.py, swap_steps.py and undo_steps.py.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from ..model import labels
from ..model.objects import Object
from ..model.quantity import human
from ..model.record import FAILED, FINISHED, Record
from .findings import Finding

NORMAL, WARNING = "Normal", "Warning"
KEEP_CLAIMS: Object = {"whenDeleted": "Retain", "whenScaled": "Retain"}  # a persistentVolumeClaimRetentionPolicy
_KINDS = {"pod": "pod", "claim": "persistentvolumeclaim", "pv": "persistentvolume"}


class Step:
    """Something to do. `event` = (type, reason) when users should see it on the VolumeResize; `purpose` is the class's word in logs."""

    event: ClassVar[tuple[str, str] | None] = None

    @property
    def about(self) -> Object:
        """What a log line says of the step beside its sentence: object ("pod/x"), replica, volume; "" or None where it is about none."""
        named = [f"{kind}/{getattr(self, field)}" for field, kind in _KINDS.items() if isinstance(getattr(self, field, None), str)]
        volume = getattr(self, "volume", None)
        return {"object": named[0] if named else "", "replica": getattr(self, "replica", None), "volume": volume if isinstance(volume, str) else ""}

    def recorded(self, record: Record, now: str) -> Record:
        """The record as it must stand before this step is carried out; `now` in RFC 3339."""
        return record


class Progress(NamedTuple):
    """How far the copy of a volume is: a word, and figures as VolumeRecord.copied has them."""

    volume: str
    word: str
    copied: Object = {}


@dataclass(frozen=True)
class Wait:
    """Nothing to do until the cluster changes. `kind` names the row in waits.LIMITS, `grace` seconds are added to its limit; `poll` seconds;
    `meanwhile` is done again and again while the wait lasts, `fallback` when its time is up."""

    kind: str
    reason: str
    poll: float = 1.0
    replica: int | None = None
    progress: tuple[Progress, ...] = ()
    meanwhile: Step | None = None
    fallback: Step | None = None
    grace: float = 0.0

    def recorded(self, record: Record) -> Record:
        """The record with what is waited for, and how far each volume's copy is."""
        for volume, word, copied in self.progress:
            if self.replica is not None:
                record = record.with_volume(self.replica, volume, progress=word, copied=copied, phase="Waiting" if word == "100%" else "Copying")
        return replace(record, message=self.reason)

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Done:
    """Nothing is left to do."""

    message: str

    def __str__(self) -> str:
        return self.message


Decision = Step | Wait | Done


# -- the whole


@dataclass(frozen=True)
class TakeUp(Step):
    """Our finalizer on the VolumeResize, so that its deletion waits until everything is put back."""

    def __str__(self) -> str:
        return "take up the migration"


@dataclass(frozen=True)
class Begin(Step):
    set_uid: str
    event = (NORMAL, "MigrationStarted")

    def recorded(self, record: Record, now: str) -> Record:
        started = replace(record, phase=labels.VALIDATING, start_time=record.start_time or now, set_uid=self.set_uid, message=str(self))
        return started.with_condition(labels.PROGRESSING, "True", "Validating", str(self), now, 0).with_condition(
            labels.READY, "False", "InProgress", "the migration is in progress", now, 0)

    def __str__(self) -> str:
        return "check the request and measure the data"


@dataclass(frozen=True)
class StartMeasurer(Step):
    replica: int
    volume: str
    claim: str
    values: Object

    def __str__(self) -> str:
        return f"measure the data of claim {self.claim}"


@dataclass(frozen=True)
class RememberMeasured(Step):
    replica: int
    volume: str
    counts: Object

    def recorded(self, record: Record, now: str) -> Record:
        return record.with_volume(self.replica, self.volume, measured=self.counts, bytes=int(self.counts.get("bytes", 0)),
                                  files=int(self.counts.get("files", 0)))

    def __str__(self) -> str:
        return f"volume {self.volume}: {human(int(self.counts.get('bytes', 0)))} in {self.counts.get('inodes', 0)} inodes"


@dataclass(frozen=True)
class Accept(Step):
    """`manifest_json`: the StatefulSet as it is now, for a human who has to put things right; `templates`: what its volumeClaimTemplates ask for,
    {name: {size, storageClass}}; `progress`: replicas done and in all, of which the former are none but after a resume."""

    replicas: int
    manifest_json: str
    templates: Object
    progress: str
    event = (NORMAL, "ValidationPassed")

    def recorded(self, record: Record, now: str) -> Record:
        accepted = replace(record, phase=labels.SYNCING, message=str(self), progress=self.progress, saved_set=self.manifest_json,
                           templates=record.templates or self.templates)
        accepted = accepted.with_condition(labels.VALIDATED, "True", "Passed", str(self), now, 0)
        return accepted.with_condition(labels.PROGRESSING, "True", "Syncing", str(self), now, 0)

    def __str__(self) -> str:
        return f"validation passed: {self.replicas} replica(s) to migrate"


@dataclass(frozen=True)
class Refuse(Step):
    """Nothing was touched; every reason at once."""

    findings: tuple[Finding, ...]
    event = (WARNING, "ValidationFailed")

    def recorded(self, record: Record, now: str) -> Record:
        return ended(record.with_condition(labels.VALIDATED, "False", "Refused", str(self), now, 0), labels.FAILED, "Refused", str(self), now)

    def __str__(self) -> str:
        return "refused, nothing was changed: " + "; ".join(str(finding) for finding in self.findings)


@dataclass(frozen=True)
class SuspendRetention(Step):
    """persistentVolumeClaimRetentionPolicy Retain/Retain: a scale-down or a deletion must not take claims with it while we work."""

    uid: str
    original: Object

    def recorded(self, record: Record, now: str) -> Record:
        return record if record.retention else replace(record, retention=self.original)

    def __str__(self) -> str:
        return "set the claim retention policy to Retain for the time of the migration"


@dataclass(frozen=True)
class KeepVolume(Step):
    """Reclaim policy Retain and our labels on a PV; its original policy is kept in an annotation."""

    replica: int
    volume: str
    pv: str
    uid: str
    resource_version: str
    role: str
    original: str

    def __str__(self) -> str:
        return f"keep {self.role} volume {self.pv} (reclaim policy Retain)"


@dataclass(frozen=True)
class RemovePod(Step):
    """A mover or a measurer that has done its work, or whose work is given up. `grace` in seconds, None for the pod's own."""

    pod: str
    uid: str
    grace: int | None = None

    def __str__(self) -> str:
        return f"remove pod {self.pod}"


# -- the end


@dataclass(frozen=True)
class RestoreRetention(Step):
    uid: str
    policy: Object

    def __str__(self) -> str:
        return f"restore the claim retention policy ({self.policy['whenDeleted']}/{self.policy['whenScaled']})"


@dataclass(frozen=True)
class RestorePolicy(Step):
    pv: str
    uid: str
    resource_version: str
    policy: str

    def __str__(self) -> str:
        return f"restore reclaim policy {self.policy} of volume {self.pv}"


@dataclass(frozen=True)
class Unmark(Step):
    """Our marker annotations off the StatefulSet."""

    uid: str

    def __str__(self) -> str:
        return "take our mark off the StatefulSet"


@dataclass(frozen=True)
class Complete(Step):
    message: str
    event = (NORMAL, "MigrationCompleted")

    def recorded(self, record: Record, now: str) -> Record:
        return ended(record, labels.COMPLETED, "Completed", self.message, now)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class LetGo(Step):
    """Our finalizer off the VolumeResize. `mark`: the UID in our marks, when the Lease is given back too."""

    remaining: tuple[str, ...]
    resource_version: str
    mark: str = ""

    def __str__(self) -> str:
        return "let go of the VolumeResize"


@dataclass(frozen=True)
class Stop(Step):
    """Undo the current replica and end as Failed with this reason (Resumable or Refused)."""

    reason: str
    message: str
    event = (WARNING, "MigrationStopped")

    def recorded(self, record: Record, now: str) -> Record:
        # "Refused" promises that nothing was touched.
        touched = any(entry.migrated for entry in record.volumes)
        reason = "Resumable" if touched and self.reason == "Refused" else self.reason
        return record if record.stopping else replace(record, stopping={"reason": reason, "message": self.message}, message=self.message)

    def __str__(self) -> str:
        return f"stop and put the current replica back: {self.message}"


@dataclass(frozen=True)
class AskHuman(Step):
    """Neither going on nor going back is known to be safe. Everything stays as it is."""

    message: str
    event = (WARNING, "NeedsHuman")

    def recorded(self, record: Record, now: str) -> Record:
        return ended(record, labels.FAILED, "NeedsHuman", self.message, now)

    def __str__(self) -> str:
        return f"a human is needed: {self.message}"


def ended(record: Record, phase: str, reason: str, message: str, now: str) -> Record:
    """The record at a terminal phase; Ready is True exactly in Completed."""
    ready = "True" if phase == labels.COMPLETED else "False"
    asked = record.last_request
    if record.open_request:
        asked = {**asked, "outcome": FAILED if phase == labels.FAILED else FINISHED, "message": message[:1000]}
    closed = replace(record, phase=phase, message=message, completion_time=now, current_replica=None, current_volume="", last_request=asked)
    closed = closed.with_condition(labels.READY, ready, reason, message, now, 0)
    return closed.with_condition(labels.PROGRESSING, "False", reason, message, now, 0)
