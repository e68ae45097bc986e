"""Where a pass stands: turns counters into the progress events, once a second. It counts, report.py speaks."""
from __future__ import annotations

import time

from .meter import Meter
from .report import PassFigures, Reporter


class Progress:
    """The progress of one pass through its phases."""

    def __init__(self, reporter: Reporter, meter: Meter, figures: PassFigures, previous: PassFigures | None) -> None:
        self._reporter, self._meter, self._figures = reporter, meter, figures
        self._changed = {"changed_bytes_last_pass": previous.changed_bytes if previous else None,
                         "changed_files_last_pass": previous.changed_files if previous else None}
        self.bulk_bytes = 0
        self._phase = ""
        self.begin("scan")

    def begin(self, phase: str, total_bytes: int = 0, total_files: int = 0) -> None:
        self.end()
        self._phase, self._total_bytes, self._total_files = phase, total_bytes, total_files
        if phase == "bulk":
            self.bulk_bytes = total_bytes
        self._metered, self._started = self._meter.total(), time.monotonic()
        self.files = self.bytes = 0

    def end(self) -> None:
        """Of the phase that is under way: note its seconds."""
        if self._phase:
            self._figures.phases[self._phase] = self._figures.phases.get(self._phase, 0.0) + time.monotonic() - self._started

    def tick(self) -> None:
        """Say where we stand, when the last word is a second old. `bytes` and `files` are this phase's."""
        if not self._reporter.due():
            return
        moved = self.bytes + self._meter.total() - self._metered
        rate = moved / max(time.monotonic() - self._started, 0.001)
        left = max(self._total_bytes - moved, 0)
        self._reporter.progress(**{"pass": self._figures.number}, kind=self._figures.kind, phase=self._phase, bytes=moved,
                                total_bytes=self._total_bytes, files=self.files, total_files=self._total_files, rate=int(rate),
                                eta=int(left / rate) if rate else None, **self._changed)
