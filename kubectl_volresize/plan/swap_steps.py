"""The steps of the exchange: from a verified copy to a replica that is Ready on its new volumes."""
from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ..model import labels
from ..model.objects import Object, Pod
from ..model.record import Record
from .steps import NORMAL, Step

_FRESH_FOR = 3  # seconds
FREEZE = "freeze"  # ReplicaRecord.intent["step"] from the moment that the set may be gone by our doing


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
class DeleteTemporaryClaim(Step):
    replica: int
    volume: str
    claim: str
    uid: str

    def __str__(self) -> str:
        return f"delete temporary claim {self.claim}"


@dataclass(frozen=True)
class Reserve(Step):
    """claimRef = namespace and name of the original claim, without a UID: only a claim of that name can bind.

    By resourceVersion: of a runner that slept until that claim was bound it would take the volume away (the claim is Lost then, for good).
    """

    replica: int
    volume: str
    pv: str
    uid: str
    resource_version: str
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
        frozen = record.with_replica(self.replica, intent={"step": FREEZE, "uids": [self.uid], "at": now})
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

    @classmethod
    def of(cls, replica: int, pod: Pod) -> Release:
        """Of a held pod as it was just read."""
        return cls(replica, pod.name, pod.uid, pod.finalizers_without(labels.HOLD_FINALIZER), pod.resource_version)

    def __str__(self) -> str:
        return f"release pod {self.pod}"


@dataclass(frozen=True)
class DeleteClaim(Step):
    """`saved` as just read: labels and annotations that somebody gave the claim while it was copied go over to its successor."""

    replica: int
    volume: str
    claim: str
    uid: str
    saved: str

    def recorded(self, record: Record, now: str) -> Record:
        return record.with_volume(self.replica, self.volume, saved_claim=self.saved)

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
        return replace(record.with_replica(self.replica, step="thawing", thawed_at=now, fresh_pod=""), saved_set=self.manifest_json)

    def __str__(self) -> str:
        return "recreate the StatefulSet"


@dataclass(frozen=True)
class Recreate(Step):
    """The set is absent: only the second half of Thaw is left to do."""

    replica: int
    successor: Object

    def recorded(self, record: Record, now: str) -> Record:
        return record.with_replica(self.replica, step="thawing", thawed_at=now, fresh_pod="")

    def __str__(self) -> str:
        return "create the StatefulSet again"


@dataclass(frozen=True)
class AdoptSet(Step):
    """The recreated set bears our mark: give its fields back to their managers, and mark it as given back."""

    uid: str
    managed_fields: tuple[Object, ...]

    def __str__(self) -> str:
        return "restore the field managers of the recreated StatefulSet"


@dataclass(frozen=True)
class RememberSet(Step):
    uid: str

    def recorded(self, record: Record, now: str) -> Record:
        return replace(record, set_uid=self.uid)

    def __str__(self) -> str:
        return "remember the recreated StatefulSet"


@dataclass(frozen=True)
class RememberFreshPod(Step):
    """The first pod on the exchanged claims, before any of its containers has run: as long as it is this one and none has, nothing was written there.

    Only when it is seen so soon after the thaw that no other pod can have come, run and gone in between.
    """

    replica: int
    pod_uid: str

    def recorded(self, record: Record, now: str) -> Record:
        late = seconds_between(record.replica(self.replica).thawed_at, now) > _FRESH_FOR
        return record.with_replica(self.replica, fresh_pod="-" if late else self.pod_uid)

    def __str__(self) -> str:
        return f"replica {self.replica} gets its pod"


@dataclass(frozen=True)
class RememberSwapped(Step):
    replica: int
    volumes: tuple[str, ...]

    def recorded(self, record: Record, now: str) -> Record:
        for name in self.volumes:
            record = record.with_volume(self.replica, name, phase="Swapped")
        record = record.with_replica(self.replica, step="starting", intent={})
        return replace(record, phase=labels.SYNCING, message=str(self))

    def __str__(self) -> str:
        return f"the claims of replica {self.replica} are exchanged; it starts"


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


def seconds_between(start: str, end: str) -> int:
    """Of two RFC 3339 times; 0 when one is missing, and never below 0: the kubelet's clock may give the end, ours the start."""
    if not start or not end:
        return 0
    begin_at, end_at = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start, end))
    return max(0, round((end_at - begin_at).total_seconds()))
