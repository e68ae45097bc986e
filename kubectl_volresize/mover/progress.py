"""Where a pass stands: turns counters into the progress events, once a second. It counts, report.py speaks."""
from __future__ import annotations

import time

from .meter import Meter
from .report import Reporter


class Progress:
    """The progress of one pass through its phases."""

    def __init__(self, reporter: Reporter, meter: Meter, number: int, kind: str, changed_last_pass: int | None) -> None:
        self._reporter, self._meter = reporter, meter
        self.bulk_bytes = 0
        self._number, self._kind, self._changed = number, kind, changed_last_pass
        self.begin("scan")

    def begin(self, phase: str, total_bytes: int = 0, total_files: int = 0) -> None:
        self._phase, self._total_bytes, self._total_files = phase, total_bytes, total_files
        if phase == "bulk":
            self.bulk_bytes = total_bytes
        self._metered, self._started = self._meter.total(), time.monotonic()
        self.files = self.bytes = 0

    def tick(self) -> None:
        """Say where we stand, when the last word is a second old. `bytes` and `files` are this phase's."""
        if not self._reporter.due():
            return
        moved = self.bytes + self._meter.total() - self._metered
        rate = moved / max(time.monotonic() - self._started, 0.001)
        left = max(self._total_bytes - moved, 0)
        self._reporter.progress(**{"pass": self._number}, kind=self._kind, phase=self._phase, bytes=moved, total_bytes=self._total_bytes,
                                files=self.files, total_files=self._total_files, rate=int(rate), eta=int(left / rate) if rate else None,
                                changed_bytes_last_pass=self._changed)
