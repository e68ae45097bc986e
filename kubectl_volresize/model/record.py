"""The record: the status of a VolumeResize as frozen values, written before every intent. It holds what an observer cannot see afterwards (which UIDs
were ours, what the set looked like, which copy was verified); whatever can be seen in the cluster is looked at again and not believed from here."""
from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from . import labels

Object = dict[str, Any]
ACCEPTED, FINISHED, DECLINED, FAILED = "accepted", "done", "refused", "failed"  # last_request["outcome"]
_T = TypeVar("_T")


def _as(json_name: str, default: Any) -> Any:
    if isinstance(default, (dict, tuple)):
        return field(default_factory=lambda: type(default)(), metadata={"json": json_name})
    return field(default=default, metadata={"json": json_name})


def _to_json(value: Any) -> Object:
    """Fields by their JSON names; empty ones are left out."""
    return {spec.metadata["json"]: getattr(value, spec.name) for spec in fields(value) if getattr(value, spec.name) not in ("", None, {}, ())}


def _from_json(kind: type[_T], raw: Object) -> _T:
    known = {spec.metadata["json"]: spec.name for spec in fields(kind)}  # type: ignore[arg-type]
    return kind(**{known[key]: value for key, value in raw.items() if key in known})


@dataclass(frozen=True)
class VolumeRecord:
    """One volume of one replica. `passes` are the mover's figures: [{pass, kind, read_bytes, written_bytes, seconds}]; sizes are quantities.

    `verified_at` RFC 3339: the old volume holds the data of this moment. `forward`: on the way back, where old and new have changed places, the entry
    as it was, as JSON. `copied`: {bytes, totalBytes, files, bytesPerSecond, secondsLeft} of the
    pass at work. `cleaned`: the volume that was kept is gone, by the user's wish.
    """

    volume: str = _as("volumeName", "")
    replica: int = _as("replica", -1)
    phase: str = _as("phase", "Pending")
    old_claim: str = _as("oldPVCName", "")
    old_claim_uid: str = _as("oldPVCUID", "")
    old_pv: str = _as("oldPVName", "")
    old_pv_uid: str = _as("oldPVUID", "")
    old_size: str = _as("oldSize", "")
    new_claim: str = _as("newPVCName", "")
    new_claim_uid: str = _as("newPVCUID", "")
    new_pv: str = _as("newPVName", "")
    new_pv_uid: str = _as("newPVUID", "")
    new_size: str = _as("newSize", "")
    saved_claim: str = _as("savedClaim", "")
    final: str = _as("final", "")
    verified: str = _as("verified", "")
    verified_at: str = _as("verifiedAt", "")
    forward: str = _as("forward", "")
    cleaned: bool | None = _as("cleaned", None)
    measured: Object = _as("measured", {})
    passes: list[Object] | None = _as("passes", None)
    bytes: int | None = _as("bytes", None)
    files: int | None = _as("files", None)
    progress: str = _as("progress", "")
    copied: Object = _as("copied", {})
    message: str = _as("message", "")

    @property
    def migrated(self) -> bool:
        """Its claim was exchanged, whether or not the replica is Ready on it."""
        return self.phase in ("Swapped", "Done")


@dataclass(frozen=True)
class ReplicaRecord:
    """One replica. `intent` = {step, uids, at}: what the runner was about to do; `held_at` and `thawed_at` RFC 3339, when its stop began and when its
    StatefulSet was created again; `fresh_pod`: UID of the first pod on the exchanged claims, "-" when nobody can say which that was."""

    ordinal: int = _as("ordinal", -1)
    pod_uid: str = _as("podUID", "")
    step: str = _as("step", "")
    intent: Object = _as("intent", {})
    held_at: str = _as("heldAt", "")
    thawed_at: str = _as("thawedAt", "")
    fresh_pod: str = _as("freshPod", "")
    not_ready_seconds: int | None = _as("notReadySeconds", None)


@dataclass(frozen=True)
class Record:
    """The whole status. `saved_set`: the StatefulSet's manifest as a JSON string, exactly as read before it was deleted; `set_uid`: the set that we
    know; `stopping` = {reason, message, now}: undo the current replica and end with this; `rollback` = {replicas, discard, phase, reason}: these
    ordinals go back to their old volumes, and if others stay the whole ends in that phase again; `templates`: what volumeClaimTemplates asked
    for at first, {name: {size, storageClass}}; `last_request` = {id, verb, args, outcome, message}; `runner`: the runner's pod that wrote last;
    `mark`: the UID in our marks on other objects, see Migration."""

    phase: str = labels.PENDING
    conditions: tuple[Object, ...] = ()
    volumes: tuple[VolumeRecord, ...] = ()
    replicas: tuple[ReplicaRecord, ...] = ()
    current_replica: int | None = None
    current_volume: str = ""
    message: str = ""
    progress: str = ""
    start_time: str = ""
    completion_time: str = ""
    saved_set: str = ""
    set_uid: str = ""
    retention: Object = field(default_factory=dict)
    stopping: Object = field(default_factory=dict)
    rollback: Object = field(default_factory=dict)
    templates: Object = field(default_factory=dict)
    last_request: Object = field(default_factory=dict)
    runner: str = ""
    mark: str = ""

    def volume(self, ordinal: int, name: str) -> VolumeRecord:
        """The entry of one volume; a fresh one when nothing was recorded yet."""
        found = [entry for entry in self.volumes if (entry.replica, entry.volume) == (ordinal, name)]
        return found[0] if found else VolumeRecord(volume=name, replica=ordinal)

    def replica(self, ordinal: int) -> ReplicaRecord:
        found = [entry for entry in self.replicas if entry.ordinal == ordinal]
        return found[0] if found else ReplicaRecord(ordinal=ordinal)

    def of_replica(self, ordinal: int) -> tuple[VolumeRecord, ...]:
        return tuple(entry for entry in self.volumes if entry.replica == ordinal)

    def with_volume(self, ordinal: int, name: str, **changes: Any) -> Record:
        entry = replace(self.volume(ordinal, name), **changes)
        others = [other for other in self.volumes if (other.replica, other.volume) != (ordinal, name)]
        return replace(self, volumes=tuple(sorted([*others, entry], key=lambda one: (-one.replica, one.volume))))

    def with_replica(self, ordinal: int, **changes: Any) -> Record:
        entry = replace(self.replica(ordinal), **changes)
        others = [other for other in self.replicas if other.ordinal != ordinal]
        return replace(self, replicas=tuple(sorted([*others, entry], key=lambda one: -one.ordinal)))

    def with_condition(self, kind: str, status: str, reason: str, message: str, now: str, generation: int) -> Record:
        """A condition in the sense of the API conventions: lastTransitionTime moves only when the status does."""
        old = next((condition for condition in self.conditions if condition["type"] == kind), None)
        since = old["lastTransitionTime"] if old and old["status"] == status else now
        new = {"type": kind, "status": status, "reason": reason, "message": message[:1000], "lastTransitionTime": since,
               "observedGeneration": generation}
        kept = tuple(condition for condition in self.conditions if condition["type"] != kind)
        return replace(self, conditions=tuple(sorted((*kept, new), key=lambda condition: str(condition["type"]))))

    @property
    def terminal(self) -> bool:
        return self.phase in labels.TERMINAL

    @property
    def open_request(self) -> Object:
        """The request that was accepted and is still being carried out; {} when none is."""
        return self.last_request if self.last_request.get("outcome") == ACCEPTED else {}

    @property
    def reason(self) -> str:
        """Reason of the condition Ready: how it ended, in one word; "" before the first condition."""
        return next((str(condition["reason"]) for condition in self.conditions if condition["type"] == labels.READY), "")

    @property
    def saved(self) -> Object:
        """The saved StatefulSet. Raises ValueError when nothing was saved."""
        manifest: Object = json.loads(self.saved_set)
        return manifest

    def to_status(self) -> Object:
        """As it stands in the API; empty fields left out."""
        status: Object = {"phase": self.phase}
        plain = {"progress": self.progress, "conditions": list(self.conditions), "replicas": [_to_json(entry) for entry in self.replicas],
                 "volumeStatuses": [_to_json(entry) for entry in self.volumes], "currentVolume": self.current_volume, "message": self.message[:2000],
                 "startTime": self.start_time, "completionTime": self.completion_time,
                 "savedStatefulSet": self.saved_set, "statefulSetUID": self.set_uid,
                 "originalRetentionPolicy": self.retention, "stopping": self.stopping,
                 "rollback": self.rollback, "originalTemplates": self.templates, "lastRequest": self.last_request,
                 "runner": self.runner, "migrationUID": self.mark}
        status.update({key: value for key, value in plain.items() if value})
        if self.current_replica is not None:
            status["currentReplica"] = self.current_replica
        return status


def volume_to_json(entry: VolumeRecord) -> Object:
    """As it stands in status.volumeStatuses."""
    return _to_json(entry)


def volume_from_json(raw: Object) -> VolumeRecord:
    return _from_json(VolumeRecord, raw)


def from_status(status: Object) -> Record:
    """The record of a VolumeResize's status; fields that a newer version wrote are dropped by the schema and not by us."""
    return Record(
        phase=status.get("phase", labels.PENDING), conditions=tuple(status.get("conditions") or ()),
        volumes=tuple(_from_json(VolumeRecord, entry) for entry in status.get("volumeStatuses") or ()),
        replicas=tuple(_from_json(ReplicaRecord, entry) for entry in status.get("replicas") or ()),
        current_replica=status.get("currentReplica"), current_volume=status.get("currentVolume", ""), message=status.get("message", ""),
        progress=status.get("progress", ""),
        start_time=status.get("startTime", ""), completion_time=status.get("completionTime", ""), saved_set=status.get("savedStatefulSet", ""),
        set_uid=status.get("statefulSetUID", ""), retention=status.get("originalRetentionPolicy") or {}, stopping=status.get("stopping") or {},
        rollback=status.get("rollback") or {}, templates=status.get("originalTemplates") or {}, last_request=status.get("lastRequest") or {},
        runner=status.get("runner", ""), mark=status.get("migrationUID", ""))
