"""What the mover says: JSON lines on stdout, the full report in a file, the last event in the termination message. The only place that writes
any of them; it decides nothing."""
from __future__ import annotations

import json
import os
import sys
import time
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
    """One pass: bytes read on both sides (rclone's too), bytes written, files copied. `changed_bytes`: after a warm pass the bytes of files that no
    proof covers, which is what the next pass must read; of any other pass the bytes of files that it had to look at."""

    number: int
    kind: str
    read_bytes: int = 0
    written_bytes: int = 0
    copied_files: int = 0
    seconds: float = 0.0
    changed_bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        raw = asdict(self)
        return {"pass": raw.pop("number"), **raw, "seconds": round(self.seconds, 3)}


@dataclass
class Report:
    """All that is known at the end; `final` is the whole content of the file that asked for the final pass."""

    passes: list[PassFigures] = field(default_factory=list)
    tree: TreeCounts = TreeCounts()
    entries: int = 0
    hashed_bytes: int = 0
    carried_bytes: int = 0
    not_kept: dict[str, list[NotKept]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    final: str | None = None

    def note(self, text: str) -> None:
        if text and len(self.notes) < _NOTES_AT_ALL:
            self.notes.append(text)

    def lose(self, lost: list[NotKept]) -> None:
        for item in lost:
            self.not_kept.setdefault(item.kind, []).append(item)

    def as_dict(self, notes: int) -> dict[str, Any]:
        return {"passes": [figures.as_dict() for figures in self.passes], "tree": self.tree.as_dict(),
                "verified": {"entries": self.entries, "hashed_bytes": self.hashed_bytes, "carried_bytes": self.carried_bytes},
                "not_kept": [{"kind": kind, "count": len(items), "example": shown(items[0].path), "reason": items[0].reason}
                             for kind, items in self.not_kept.items()],
                "differences": self.differences[:notes], "notes": self.notes[:notes], "final": self.final}


class Reporter:
    """The voice of one mover."""

    def __init__(self, report_file: str | None, termination_log: str = TERMINATION_LOG) -> None:
        self.report = Report()
        self._file, self._termination_log = report_file, termination_log
        self._last_progress = 0.0

    def due(self) -> bool:
        """Whether another progress line may be written: at most one a second."""
        return time.monotonic() - self._last_progress >= 1.0

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
