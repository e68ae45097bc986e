"""What can be done: one small value per step, which can say itself in a sentence and knows what the record must hold before it is carried out.

`plan`, the log, the Event and the status message print the same sentence. The executor of each step lives in runner/execute.py. Steps that undo
stand in undo_steps.py.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..model import labels
from ..model.cluster import Object
from ..model.quantity import human
from ..model.record import Record
from .preflight import Finding

NORMAL, WARNING = "Normal", "Warning"


class Step:
    """Something to do. `event` = (type, reason) when users should see it on the VolumeResize; `purpose` is the class's word in logs."""

    event: ClassVar[tuple[str, str] | None] = None

    def recorded(self, record: Record, now: str) -> Record:
        """The record as it must stand before this step is carried out; `now` in RFC 3339."""
        return record


@dataclass(frozen=True)
class Wait:
    """Nothing to do until the cluster changes. `kind` names the row in waits.LIMITS, `grace` seconds are added to its limit; `poll` seconds;
    `meanwhile` is done again and again while the wait lasts, `fallback` when its time is up."""

    kind: str
    reason: str
    poll: float = 1.0
    replica: int | None = None
    progress: tuple[tuple[str, str], ...] = ()
    meanwhile: Step | None = None
    fallback: Step | None = None
    grace: float = 0.0

    def recorded(self, record: Record) -> Record:
        """The record with what is waited for, and how far each volume's copy is (`progress`: volume and a word)."""
        for volume, word in self.progress:
            if self.replica is not None:
                record = record.with_volume(self.replica, volume, progress=word, phase="Waiting" if word == "100%" else "Copying")
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
    """`manifest_json`: the StatefulSet as it is now, for a human who has to put things right."""

    replicas: int
    manifest_json: str
    event = (NORMAL, "ValidationPassed")

    def recorded(self, record: Record, now: str) -> Record:
        accepted = replace(record, phase=labels.SYNCING, message=str(self), progress=f"0/{self.replicas}", saved_set=self.manifest_json)
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
    role: str
    original: str

    def __str__(self) -> str:
        return f"keep {self.role} volume {self.pv} (reclaim policy Retain)"


# -- one replica


@dataclass(frozen=True)
class BeginReplica(Step):
    """Remember what the replica stands on before anything of it is touched. `volumes`: fields of VolumeRecord by volume name."""

    replica: int
    volumes: tuple[tuple[str, Object], ...]
    event = (NORMAL, "ReplicaStarted")

    def recorded(self, record: Record, now: str) -> Record:
        for name, known in self.volumes:
            record = record.with_volume(self.replica, name, **known)
        record = record.with_replica(self.replica, step="copying")
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
        return record.with_replica(self.replica, step="holding", pod_uid=self.uid, held_at=now, intent=intent)

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
    replica: int
    volume: str
    word: str
    passes: tuple[Object, ...]

    def recorded(self, record: Record, now: str) -> Record:
        return record.with_volume(self.replica, self.volume, phase="Verified", verified=self.word, passes=list(self.passes), progress="100%")

    def __str__(self) -> str:
        return f"volume {self.volume}: the copy was verified equal after the stop"


@dataclass(frozen=True)
class BeginSwap(Step):
    """All UIDs that the swap will touch, written down before the first of them goes."""

    replica: int
    uids: tuple[str, ...]

    def recorded(self, record: Record, now: str) -> Record:
        swapping = record.with_replica(self.replica, step="swapping", intent={"step": "swap", "uids": list(self.uids), "at": now})
        return replace(swapping, phase=labels.REPLACING, message=str(self))

    def __str__(self) -> str:
        return f"replace the claims of replica {self.replica}"


@dataclass(frozen=True)
class RemovePod(Step):
    """A mover or a measurer that has done its work, or whose work is given up. `grace` in seconds, None for the pod's own."""

    pod: str
    uid: str
    grace: int | None = None

    def __str__(self) -> str:
        return f"remove pod {self.pod}"


@dataclass(frozen=True)
class DeleteTemporaryClaim(Step):
    replica: int
    volume: str
    claim: str
    uid: str

    def __str__(self) -> str:
        return f"delete temporary claim {self.claim}"


@dataclass(frozen=True)
class Reserve(Step):
    """claimRef = namespace and name of the original claim, without a UID: only a claim of that name can bind."""

    replica: int
    volume: str
    pv: str
    uid: str
    claim: str

    def __str__(self) -> str:
        return f"reserve volume {self.pv} for claim {self.claim}"


@dataclass(frozen=True)
class Freeze(Step):
    """Our finalizer and an orphan deletion: the set stays, terminating, and its controller creates nothing. `manifest_json` as just read;
    `successor` is what will be created from it, rehearsed before anything goes."""

    replica: int
    manifest_json: str
    uid: str
    resource_version: str
    successor: Object
    event = (NORMAL, "StatefulSetFrozen")

    def recorded(self, record: Record, now: str) -> Record:
        frozen = record.with_replica(self.replica, intent={"step": "swap", "uids": [self.uid], "at": now})
        return replace(frozen, saved_set=self.manifest_json)

    def __str__(self) -> str:
        return "freeze the StatefulSet"


@dataclass(frozen=True)
class StripReference(Step):
    """What the garbage collector left: an ownerReference to the frozen set, for which it would delete the object later."""

    kind: str
    name: str
    uid: str
    owner_uid: str

    def __str__(self) -> str:
        return f"take the owner reference to the frozen StatefulSet off {self.kind} {self.name}"


@dataclass(frozen=True)
class StripOrphanFinalizer(Step):
    uid: str
    resource_version: str
    remaining: tuple[str, ...]

    def __str__(self) -> str:
        return "take the garbage collector's finalizer off the frozen StatefulSet"


@dataclass(frozen=True)
class Release(Step):
    """Take the hold off. When that is allowed stands in invariants.py."""

    replica: int
    pod: str
    uid: str
    remaining: tuple[str, ...]
    resource_version: str

    def __str__(self) -> str:
        return f"release pod {self.pod}"


@dataclass(frozen=True)
class DeleteClaim(Step):
    replica: int
    volume: str
    claim: str
    uid: str

    def __str__(self) -> str:
        return f"delete claim {self.claim} (its volume is kept)"


@dataclass(frozen=True)
class CreateClaim(Step):
    replica: int
    volume: str
    claim: Object

    def __str__(self) -> str:
        return f"create claim {self.claim['metadata']['name']} on volume {self.claim['spec']['volumeName']}"


@dataclass(frozen=True)
class Nudge(Step):
    """Any change of a Pending claim makes the binder look again; left alone it may look only after 15 s (measured)."""

    claim: str
    uid: str

    def __str__(self) -> str:
        return f"nudge claim {self.claim}"


@dataclass(frozen=True)
class Thaw(Step):
    """Take our finalizer off the frozen set, which makes it go, and create the new one at once.

    `manifest_json` as just read, since edits still land on a frozen set.
    """

    replica: int
    manifest_json: str
    uid: str
    resource_version: str
    successor: Object
    event = (NORMAL, "StatefulSetRecreated")

    def recorded(self, record: Record, now: str) -> Record:
        return replace(record.with_replica(self.replica, step="thawing"), saved_set=self.manifest_json)

    def __str__(self) -> str:
        return "recreate the StatefulSet with the new sizes"


@dataclass(frozen=True)
class Recreate(Step):
    """The set is absent: only the second half of Thaw is left to do."""

    successor: Object

    def __str__(self) -> str:
        return "create the StatefulSet again"


@dataclass(frozen=True)
class AdoptSet(Step):
    """The recreated set bears our mark: give its fields back to their managers and remember its UID."""

    uid: str
    managed_fields: tuple[Object, ...]

    def recorded(self, record: Record, now: str) -> Record:
        return replace(record, set_uid=self.uid)

    def __str__(self) -> str:
        return "restore the field managers of the recreated StatefulSet"


@dataclass(frozen=True)
class RememberSwapped(Step):
    replica: int
    volumes: tuple[str, ...]

    def recorded(self, record: Record, now: str) -> Record:
        for name in self.volumes:
            record = record.with_volume(self.replica, name, phase="Swapped")
        record = record.with_replica(self.replica, step="starting", intent={})
        return replace(record, phase=labels.SYNCING, message=f"replica {self.replica} starts on its new volumes")

    def __str__(self) -> str:
        return f"replica {self.replica} stands on its new volumes"


@dataclass(frozen=True)
class ReplicaDone(Step):
    replica: int
    volumes: tuple[str, ...]
    not_ready_seconds: int
    progress: str
    event = (NORMAL, "ReplicaCompleted")

    def recorded(self, record: Record, now: str) -> Record:
        for name in self.volumes:
            record = record.with_volume(self.replica, name, phase="Done")
        record = record.with_replica(self.replica, step="done", not_ready_seconds=self.not_ready_seconds)
        return replace(record, message=str(self), progress=self.progress)

    def __str__(self) -> str:
        return f"replica {self.replica} is Ready on its new volumes after {self.not_ready_seconds} s"


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
    """Our finalizer off the VolumeResize."""

    remaining: tuple[str, ...]
    resource_version: str

    def __str__(self) -> str:
        return "let go of the VolumeResize"


@dataclass(frozen=True)
class Stop(Step):
    """Undo the current replica and end as Failed with this reason (Resumable or Refused)."""

    reason: str
    message: str
    event = (WARNING, "MigrationStopped")

    def recorded(self, record: Record, now: str) -> Record:
        return record if record.stopping else replace(record, stopping={"reason": self.reason, "message": self.message}, message=self.message)

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
    closed = replace(record, phase=phase, message=message, completion_time=now, current_replica=None, current_volume="")
    closed = closed.with_condition(labels.READY, ready, reason, message, now, 0)
    return closed.with_condition(labels.PROGRESSING, "False", reason, message, now, 0)
