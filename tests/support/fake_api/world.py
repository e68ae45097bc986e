"""What is behind the API: the disks with the data, the processes that write to them, and the faults that a test asks for."""
from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from kubectl_volresize.model.quantity import parse_bytes
from kubectl_volresize.mover.report import PassFigures
from kubectl_volresize.plan.fit import TreeCounts

from .rest import Rest
from .store import Clock, Object, Store

Place = tuple[str, str]  # namespace and name of a claim or a pod


@dataclass(frozen=True)
class LostVolume:
    """A disk that is gone with what was on it."""

    name: str
    claim: Place
    data: tuple[str, ...]


@dataclass(frozen=True)
class EmptyClaim:
    """A claim that the StatefulSet controller made, since it found none of that name."""

    namespace: str
    name: str
    uid: str
    storage: str


@dataclass
class Process:
    """The containers of one pod on their node. `mounts`: PV name by volume name of the pod, as it was when they started, `claims` likewise."""

    pod: Place
    uid: str
    role: str
    mounts: dict[str, str]
    claims: dict[str, Place]
    said: Object = field(default_factory=dict)
    passes: list[PassFigures] = field(default_factory=list)
    stage: str = "started"

    @property
    def writable(self) -> dict[str, str]:
        """The mounts that it writes to: a mover's source and all of a measurer's are read-only."""
        return {volume: name for volume, name in self.mounts.items() if not self.role or volume == "dest"}


@dataclass
class Faults:
    """What shall go wrong. `stopped`: names of controllers that are down; `unready`: pods of the application that never become Ready;
    `unschedulable`: pods that fit no node, with the scheduler's words; `fails`: mover pods (by name) that end with (exit code, message);
    `never_done`: movers that never finish their pass; `lingers`: pods whose processes live on for so many seconds after they were deleted, whatever
    grace they were given (as measured after a forced deletion); `overlooked`: UIDs of dependents that the garbage collector has not seen when it
    orphans; `sluggish_binder`: it loses its race on a claim and looks again only when the claim changes or after 15 s (always with mode RANDOM)."""

    stopped: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)
    unschedulable: dict[str, str] = field(default_factory=dict)
    fails: dict[str, tuple[int, str]] = field(default_factory=dict)
    never_done: set[str] = field(default_factory=set)
    lingers: dict[str, float] = field(default_factory=dict)
    overlooked: set[str] = field(default_factory=set)
    sluggish_binder: bool = False


class World:
    """Everything that controllers and kubelets act on."""

    def __init__(self, seed: int) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        self.rest = Rest(self.store)
        self.random = random.Random(seed)
        self.faults = Faults()
        self.disks: dict[str, list[str]] = {}           # tokens by PV name
        self.written: dict[Place, list[str]] = {}       # every token that the application ever wrote, by claim
        self.written_on: dict[str, str] = {}            # the PV on which each of these tokens was left
        self.sizes: dict[str, TreeCounts] = {}          # what a measurer finds on a PV, where a test says so
        self.processes: dict[str, Process] = {}         # by pod UID
        self.logs: dict[str, list[str]] = {}            # by pod UID
        self.lost: list[LostVolume] = []
        self.empty_claims: list[EmptyClaim] = []
        self.shared: list[tuple[str, str, str]] = []    # PV, and the two pods that wrote to it at once
        self.granularity = 1                            # bytes; the provisioner rounds sizes up to it, as cloud providers do
        self._tokens = 0

    def applications_write(self) -> None:
        """Every running container of an application leaves something new on each of its volumes."""
        for process in self.processes.values():
            for volume, name in process.writable.items():
                if process.role:
                    continue
                self._tokens += 1
                token = f"{process.pod[1]}#{self._tokens}"
                self.note_writer(process, name)
                self.disks[name].append(token)
                self.written.setdefault(process.claims[volume], []).append(token)
                self.written_on[token] = name

    def note_writer(self, process: Process, volume: str) -> None:
        """`process` writes to the PV now: remember whoever else may do so at the same time."""
        for other in self.processes.values():
            if other is not process and volume in other.writable.values():
                self.shared.append((volume, process.pod[1], other.pod[1]))

    def round_up(self, request: str) -> str:
        """The capacity that a provider gives for a request."""
        wanted = parse_bytes(request)
        return request if wanted % self.granularity == 0 else str(-(-wanted // self.granularity) * self.granularity)

    def say(self, process: Process, event: Object) -> None:
        """One JSON line on the process's stdout."""
        stamped = {"event": event["event"], "at": self.clock.now.timestamp(), **event}
        self.logs.setdefault(process.uid, []).append(json.dumps(stamped))
        process.said = stamped

    def claims_of_pod(self, pod: Object) -> dict[str, Object | None]:
        """The claim (None when it is absent) by volume name."""
        namespace = pod["metadata"]["namespace"]
        return {volume: self.store.find("persistentvolumeclaims", namespace, name) for volume, name in claim_names(pod).items()}

    def volume_of(self, claim: Object) -> Object | None:
        """The PV that the claim is bound to, when both say so."""
        volume = self.store.find("persistentvolumes", "", claim["spec"].get("volumeName", ""))
        if volume is None or claim.get("status", {}).get("phase") != "Bound":
            return None
        return volume if volume["spec"].get("claimRef", {}).get("uid") == claim["metadata"]["uid"] else None

    def node_ready(self, name: str) -> bool:
        node = self.store.find("nodes", "", name)
        return node is not None and any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


def claim_names(pod: Object) -> dict[str, str]:
    """Claim name by volume name of the pod."""
    return {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"].get("volumes") or []
            if volume.get("persistentVolumeClaim")}


def terminating(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def condition(obj: Object, kind: str) -> Object:
    """The condition of this type, {} when there is none."""
    found: list[Object] = [one for one in obj.get("status", {}).get("conditions") or [] if one["type"] == kind]
    return found[0] if found else {}


def set_condition(status: Object, kind: str, value: str, now: str, **more: Any) -> None:
    """As controllers do: lastTransitionTime moves only when the status does."""
    old = next((one for one in status.get("conditions") or [] if one["type"] == kind), None)
    since = old["lastTransitionTime"] if old and old["status"] == value else now
    kept = [one for one in status.get("conditions") or [] if one["type"] != kind]
    status["conditions"] = [*kept, {"type": kind, "status": value, "lastTransitionTime": since, **more}]


def pod_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True"
