"""What happened to a StatefulSet and its pods, and when, as a bystander sees it: kubectl watches, this process stamps each event as it arrives.

Nothing of the package takes part, so that it cannot measure itself. Times are monotonic seconds of this machine; both ends of a span travel the same
way, so a span is right to some milliseconds.
"""
from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any, Iterable

Object = dict[str, Any]
FREEZE = "storage.maurice.fr/volresize-freeze"


@dataclass(frozen=True)
class Seen:
    """One event of a watch: when, ADDED | MODIFIED | DELETED, and the object as it was then."""

    at: float
    type: str
    object: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def terminating(self) -> bool:
        return "deletionTimestamp" in self.object["metadata"]


@dataclass(frozen=True)
class Span:
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def overlaps(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Swap:
    """A StatefulSet that gave way to another of its name. `frozen`: from its end's beginning until the other was there, when nobody healed its pods;
    `absent`: the part of it in which there was no such object."""

    frozen: Span
    absent: Span
    by_freeze: bool


class Watch:
    """`kubectl get ARGUMENTS --watch` in the background, from now until `stop`."""

    def __init__(self, *arguments: str) -> None:
        self._command = ["kubectl", "get", *arguments, "--watch", "--output-watch-events", "--output", "json"]
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._events: list[Seen] = []
        self._unread = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at = time.monotonic()
            try:
                event = json.loads(line)
            except ValueError as error:
                self._unread = f"{error} in {line[:200]!r}"
                return
            self._events.append(Seen(at, event["type"], event["object"]))

    def stop(self) -> list[Seen]:
        """Every event. Raises RuntimeError when the watch ended by itself or said what we cannot read: then something may have gone unseen."""
        ended = self._process.poll() is not None
        self._process.terminate()
        self._reader.join()
        assert self._process.stderr is not None
        said = self._process.stderr.read().strip()
        self._process.wait()
        if ended or self._unread:
            raise RuntimeError(f"{' '.join(self._command)} ended too early: {self._unread or said}")
        return list(self._events)


def swaps(events: Iterable[Seen]) -> list[Swap]:
    """Every time that the one set which is watched went and came back."""
    found: list[Swap] = []
    frozen_at: float | None = None
    gone_at: float | None = None
    by_freeze = False
    for seen in events:
        if seen.type == "DELETED":
            gone_at = seen.at
            frozen_at = seen.at if frozen_at is None else frozen_at
        elif seen.terminating and frozen_at is None:
            frozen_at, by_freeze = seen.at, FREEZE in seen.object["metadata"].get("finalizers", ())
        elif seen.type == "ADDED" and frozen_at is not None and gone_at is not None:
            found.append(Swap(Span(frozen_at, seen.at), Span(gone_at, seen.at), by_freeze))
            frozen_at, gone_at, by_freeze = None, None, False
    return found


def _ready(seen: Seen) -> bool:
    conditions = seen.object.get("status", {}).get("conditions", ())
    return seen.type != "DELETED" and any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def not_ready(events: Iterable[Seen], pod: str) -> list[Span]:
    """When a pod that had been Ready was not, whichever object bore its name. One that is not Ready at the end has a span without end."""
    found: list[Span] = []
    was_ready, since = False, 0.0
    for seen in events:
        if seen.name != pod:
            continue
        ready = _ready(seen)
        if was_ready and not ready:
            since = seen.at
        elif ready and not was_ready and since:
            found.append(Span(since, seen.at))
            since = 0.0
        was_ready = ready
    return found + ([Span(since, float("inf"))] if since else [])


def lives(events: Iterable[Seen], pod: str) -> list[str]:
    """The UIDs that bore this name, in order."""
    return list(dict.fromkeys(seen.uid for seen in events if seen.name == pod))


def restarts(events: Iterable[Seen], pod: str) -> int:
    """How often a container of this name's pods was started again."""
    counts = {(seen.uid, status["name"]): int(status["restartCount"]) for seen in events if seen.name == pod
              for status in seen.object.get("status", {}).get("containerStatuses", ())}
    return sum(counts.values())
