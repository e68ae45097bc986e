"""The runner's log for people: one line a record; on a terminal, progress overwrites itself.

`03:14:07  replica 1  hold and evict pod test-sts-1`. Lines that are no records (a traceback) are passed through unchanged.
"""
from __future__ import annotations

import json
import shutil
from datetime import datetime
from typing import Any, TextIO

from ...model.record import from_status
from .. import result
from ..words import instant
from .objects import compact
from .tables import message_of

PROGRESS = "Progress"
_QUIET_SECONDS = 10.0
_CLEAR = "\r\x1b[K"


def parse(line: str) -> dict[str, Any] | None:
    """The record in a line of the log, None when the line is something else."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("at"), str) and "message" in record else None


def sentence(record: dict[str, Any]) -> str:
    """One record as a line, in local time."""
    try:
        time = datetime.fromtimestamp(instant(record["at"])).strftime("%H:%M:%S")
    except ValueError:
        time = record["at"]
    level = record.get("level", "info")
    where = "" if record.get("replica") is None else f"replica {record['replica']}"
    volume = f"{record['volume']}: " if record.get("volume") and record.get("operation") == PROGRESS else ""
    return f"{time}  {where:<9}  {'' if level == 'info' else level + ': '}{volume}{record['message']}"


class LogPrinter:
    """Prints what comes while a log is followed. `raw`: the records as they are, one JSON object a line; `viewed`: how far it is stands in a view."""

    def __init__(self, out: TextIO, err: TextIO, raw: bool = False, viewed: bool = False) -> None:
        self._out, self._err, self._raw, self._viewed = out, err, raw, viewed
        self._overwrite = out.isatty() and not raw
        self._standing = False
        self._said = ""
        self._shown_at: dict[tuple[Any, Any], float] = {}

    def show(self, item: result.Item) -> None:
        if isinstance(item, result.LogLine):
            self._line(item.text)
        elif isinstance(item, result.Notice):
            self._say(item.text)
        elif isinstance(item, result.Seen):
            self._seen(item.migration)
        else:
            self._say(f"error: {item.message}" if item.exit_code else item.message)
            for line in item.advice:
                self._say(line)

    def _seen(self, migration: result.Object) -> None:
        if self._raw:
            self._write(compact(migration))
            return
        record = from_status(migration.get("status") or {})
        where = f"{record.phase} {record.progress}".strip()
        message = message_of(record, coming=True)
        if not self._viewed and message and f"{where}{message}" != self._said:
            self._said = f"{where}{message}"
            self._write(f"{where:<15}  {message}")

    def close(self) -> None:
        """Leaves the cursor at the start of an empty line."""
        if self._standing:
            self._out.write("\n")
            self._standing = False
        self._out.flush()

    def _line(self, text: str) -> None:
        record = None if self._raw else parse(text)
        if self._raw and parse(text) is None:
            # A traceback, or a word of the kubelet: who reads the records must not stumble over it.
            self._write(json.dumps({"level": "unknown", "message": text}))
        elif record is None:
            self._write(text)
        elif record.get("operation") != PROGRESS:
            self._write(sentence(record))
        elif self._viewed:
            # The view shows it.
            return
        elif self._overwrite:
            # Cut, since a line that wraps cannot be overwritten.
            self._out.write(_CLEAR + sentence(record)[:shutil.get_terminal_size().columns - 1])
            self._out.flush()
            self._standing = True
        elif self._due(record):
            self._write(sentence(record))

    def _due(self, record: dict[str, Any]) -> bool:
        """At most one a volume in 10 s of the log's own time: a file or a CI log is not a screen."""
        key = (record.get("replica"), record.get("volume"))
        try:
            at = instant(record["at"])
        except ValueError:
            return True
        if key in self._shown_at and at - self._shown_at[key] < _QUIET_SECONDS:
            return False
        self._shown_at[key] = at
        return True

    def _write(self, line: str) -> None:
        self._out.write((_CLEAR if self._standing else "") + line + "\n")
        self._standing = False
        self._out.flush()

    def _say(self, line: str) -> None:
        self.close()
        self._err.write(line + "\n")
        self._err.flush()
