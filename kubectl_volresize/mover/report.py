"""What the mover says: JSON lines on stdout, the full report in a file, the last event in the termination message. The only place that writes
any of them; it decides nothing."""
from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from ..plan.fit import TreeCounts
from .failures import MoverFailure, RcloneFailed, shown
from .finish import NotKept

TERMINATION_LOG = "/dev/termination-log"
_TERMINATION_BYTES = 4096
_NOTES_IN_EVENTS = 10
_NOTES_AT_ALL = 10000
_LONGEST_TEXT = 500


@dataclass
class PassFigures:
    """One pass: bytes read on both sides (rclone's too), bytes written, files copied, seconds by phase. `changed_bytes`, `changed_files`: after a
    warm pass the files that no proof covers, which is what the next pass must read; of any other pass the files that it had to look at."""

    number: int
    kind: str
    read_bytes: int = 0
    written_bytes: int = 0
    copied_files: int = 0
    seconds: float = 0.0
    changed_bytes: int = 0
    changed_files: int = 0
    phases: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        raw = asdict(self)
        return {"pass": raw.pop("number"), **raw, "seconds": round(self.seconds, 3),
                "phases": {name: round(seconds, 3) for name, seconds in self.phases.items()}}


@dataclass
class Lost:
    """What of one kind the destination did not take: the first, and how many in each pass."""

    first: NotKept
    in_pass: Counter[int] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return max(self.in_pass.values())


@dataclass
class Report:
    """All that is known at the end; `final` is the whole content of the file that asked for the final pass, `digest` that of the verified copy."""

    passes: list[PassFigures] = field(default_factory=list)
    tree: TreeCounts = TreeCounts()
    entries: int = 0
    hashed_bytes: int = 0
    carried_bytes: int = 0
    level: str = "content"
    digest: str = ""
    not_kept: dict[str, Lost] = field(default_factory=dict)
    not_looked_for: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    final: str | None = None

    def note(self, text: str) -> None:
        if text and len(self.notes) < _NOTES_AT_ALL:
            self.notes.append(text)

    def lose(self, lost: list[NotKept]) -> None:
        for item in lost:
            self.not_kept.setdefault(item.kind, Lost(item)).in_pass[len(self.passes)] += 1

    def as_dict(self, notes: int) -> dict[str, Any]:
        return {"passes": [figures.as_dict() for figures in self.passes], "tree": self.tree.as_dict(),
                "verified": {"entries": self.entries, "hashed_bytes": self.hashed_bytes, "carried_bytes": self.carried_bytes,
                             "level": self.level, "digest": self.digest},
                "not_kept": [{"kind": kind, "count": lost.count, "example": shown(lost.first.path), "reason": lost.first.reason}
                             for kind, lost in self.not_kept.items()],
                "not_looked_for": self.not_looked_for,
                "differences": self.differences[:notes], "notes": self.notes[:notes], "final": self.final}


class Reporter:
    """The voice of one mover."""

    def __init__(self, report_file: str | None, termination_log: str = TERMINATION_LOG, speaks: bool = True) -> None:
        self.report = Report()
        self._speaks = speaks
        self._file, self._termination_log = report_file, termination_log
        self._last_progress = 0.0

    def due(self) -> bool:
        """Whether another progress line may be written: at most one a second."""
        return self._speaks and time.monotonic() - self._last_progress >= 1.0

    def progress(self, **figures: Any) -> None:
        self._last_progress = time.monotonic()
        self._emit({"event": "progress", **figures})

    def waiting(self, number: int) -> None:
        self._emit({"event": "waiting", "pass": number, "report": self.report.as_dict(_NOTES_IN_EVENTS)})

    def measured(self, counts: TreeCounts) -> None:
        self._finish({"event": "measured", "counts": counts.as_dict()})

    def verified(self) -> None:
        self._finish({"event": "verified", "final": self.report.final, "report": self.report.as_dict(_NOTES_IN_EVENTS)})

    def failed(self, failure: MoverFailure) -> None:
        event: dict[str, Any] = {"event": "failed", "code": failure.code, "message": failure.message, "final": self.report.final}
        if isinstance(failure, RcloneFailed):
            event["rclone_exit"] = failure.rclone_exit
        self._finish({**event, "report": self.report.as_dict(_NOTES_IN_EVENTS)})

    def _finish(self, event: dict[str, Any]) -> None:
        stamped = self._emit(event)
        if self._file:
            with open(self._file, "w", encoding="utf-8") as file:
                json.dump({**stamped, "report": self.report.as_dict(_NOTES_AT_ALL)} if "report" in stamped else stamped, file, indent=1)
        if os.path.isfile(self._termination_log) and os.access(self._termination_log, os.W_OK):
            with open(self._termination_log, "w", encoding="ascii") as file:
                file.write(shortened(stamped))

    def _emit(self, event: dict[str, Any]) -> dict[str, Any]:
        stamped = {"event": event["event"], "at": round(time.time(), 3), **event}
        sys.stdout.write(json.dumps(stamped, ensure_ascii=True) + "\n")
        sys.stdout.flush()
        return stamped


def shortened(event: dict[str, Any]) -> str:
    """The event as ASCII JSON of at most 4096 bytes (the kubelet cuts what is longer, and cut JSON is no JSON); the least important goes first."""
    short = json.loads(json.dumps(event))
    report = short.get("report", {})
    for drop in ("notes", "differences", "tree", "not_kept"):
        if len(json.dumps(short)) <= _TERMINATION_BYTES:
            break
        report.pop(drop, None)
    for key in ("message", "final"):
        if isinstance(short.get(key), str) and len(json.dumps(short)) > _TERMINATION_BYTES:
            short[key] = short[key][:_LONGEST_TEXT]
    if len(json.dumps(short)) > _TERMINATION_BYTES:
        report["passes"] = report.get("passes", [])[-1:]
        report.pop("final", None)
    return json.dumps(short)
