"""Bytes moved by all worker processes, for progress, and the brake for --bwlimit. Counts that must be exact travel with the results instead."""
from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from typing import Callable

from . import workers

_SLOTS = 256
_TIME_AT = 8 * _SLOTS
# How far ahead of the clock idle time may be made up for, in seconds.
_BURST = 0.05


class Meter:
    """Counters in memory that is shared with the forked workers, one for each, and the moment from which the next byte may be moved."""

    def __init__(self) -> None:
        # A file without a name and not anonymous memory: workers need something to lock.
        self._file = os.memfd_create("meter")
        os.ftruncate(self._file, _TIME_AT + 8)
        self._memory = mmap.mmap(self._file, _TIME_AT + 8)

    def total(self) -> int:
        """Bytes since the start, by all workers."""
        return sum(struct.unpack_from(f"<{_SLOTS}q", self._memory))

    def add(self, length: int) -> None:
        place = 8 * workers.slot()
        before = struct.unpack_from("<q", self._memory, place)[0]
        struct.pack_into("<q", self._memory, place, before + length)

    def pause(self, rate: int) -> Callable[[int], None]:
        """A function to call with each number of bytes moved: it counts, and sleeps so that all workers together keep to `rate` bytes/s (0: no
        limit)."""
        if not rate:
            return self.add

        def slow_down(length: int) -> None:
            self.add(length)
            time.sleep(max(0.0, self._book(length / rate) - time.monotonic()))

        return slow_down

    def _book(self, seconds: float) -> float:
        """Take a share of the time of all; returns when it is over."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            start = max(struct.unpack_from("<d", self._memory, _TIME_AT)[0], time.monotonic() - _BURST)
            struct.pack_into("<d", self._memory, _TIME_AT, start + seconds)
            return float(start + seconds)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
