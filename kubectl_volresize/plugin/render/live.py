"""A migration on a terminal while it goes on: all its replicas and volumes below, what is printed meanwhile above."""
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ...errors import VolresizeError
from ...model.quantity import human
from ...model.record import Record, VolumeRecord, from_status
from .. import result
from ..words import instant, span
from .tables import message_of, phase_of, stop

_LOOK_SECONDS = 1.0
# What fits 80 columns; sizes and names are in `status`.
HEADER = ("REPLICA", "VOLUME", "PHASE", "COPIED", "FILES", "RATE", "LEFT", "STOP")


def rows(record: Record, now: float) -> list[tuple[str, ...]]:
    """One for each volume of each replica, in the order in which they are migrated."""
    wanted = sorted(record.volumes, key=lambda entry: (-entry.replica, entry.volume))
    return [(str(entry.replica), entry.volume, entry.phase, *_copied(entry), stop(record, entry.replica, now))
            for entry in wanted]


def _copied(entry: VolumeRecord) -> tuple[str, str, str, str]:
    """How much of how much, files, speed, time left; of a copy that is not at work what was counted."""
    figures = entry.copied
    if entry.phase != "Copying" or not figures.get("totalBytes"):
        counted = human(entry.bytes) if entry.bytes is not None else ""
        return f"{entry.progress} of {counted}" if entry.progress and counted else counted, str(entry.files or ""), "", ""
    rate, left = figures.get("bytesPerSecond"), figures.get("secondsLeft")
    return (f"{entry.progress} of {human(figures['totalBytes'])}", str(figures.get("files") or ""), f"{human(rate)}/s" if rate else "",
            f"~{span(left)}" if left is not None else "")


def title(migration: result.Object, record: Record, now: float) -> str:
    """The whole in one line."""
    begun = f", {span(now - instant(record.start_time))}" if record.start_time and not record.completion_time else ""
    progress = f", {record.progress} replicas" if record.progress else ""
    return f"{migration['metadata']['name']}: {phase_of(record)}{progress}{begun}"


class LiveView:
    """While the `with` block runs. `look` is asked once a second, in a thread; what it finds last stays on the screen at the end."""

    def __init__(self, look: Callable[[], result.Object | None]) -> None:
        # 60 ms, for who looks at a terminal only.
        from rich.console import Console
        from rich.live import Live

        self._look, self._trouble = look, ""
        self._seen: result.Object | None = None
        self._over = threading.Event()
        self._live = Live(console=Console(highlight=False), get_renderable=self._view, refresh_per_second=4, redirect_stdout=True,
                          redirect_stderr=sys.stderr.isatty())
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._over.set()
        # Not for ever: an API server that does not answer must not keep ^C waiting.
        try:
            self._thread.join(0.2 if kind else 3 * _LOOK_SECONDS)
        finally:
            self._live.__exit__(kind, error, traceback)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS if self._seen or self._trouble else 0.0):
            self._ask()
        self._ask()

    def _ask(self) -> None:
        try:
            self._seen, self._trouble = self._look() or self._seen, ""
        except VolresizeError as error:
            self._trouble = error.message

    def _view(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        if self._seen is None:
            return Text(self._trouble or "...")
        record, now = from_status(self._seen.get("status") or {}), time.time()
        table = Table(*HEADER, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for row in rows(record, now):
            table.add_row(*(Text(cell) for cell in row))
        said = Text(message_of(record, coming=True), overflow="ellipsis", no_wrap=True)
        lines: list[Any] = [Text(""), Text(title(self._seen, record, now), style="bold"), said]
        return Group(*lines, *([table] if record.volumes else []), *([Text(self._trouble)] if self._trouble else []))
