"""Bytes moved by all worker processes, for progress, and the brake for --bwlimit. Counts that must be exact travel with the results instead."""
from __future__ import annotations

import mmap
import struct
import time
from typing import Callable

from . import workers

_SLOTS = 256


class Meter:
    """Counters in memory that is shared with the forked workers, one for each."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 * _SLOTS)

    def total(self) -> int:
        """Bytes since the start, by all workers."""
        return sum(struct.unpack(f"<{_SLOTS}q", self._memory[:]))

    def add(self, length: int) -> None:
        place = 8 * workers.slot()
        before = struct.unpack_from("<q", self._memory, place)[0]
        struct.pack_into("<q", self._memory, place, before + length)

    def pause(self, rate: int) -> Callable[[int], None]:
        """A function to call with each number of bytes read: it counts, and sleeps to keep to this worker's share of `rate` bytes/s (0: no limit)."""
        if not rate:
            return self.add
        share = max(1, rate // workers.WORKERS)
        started = time.monotonic()
        moved = 0

        def slow_down(length: int) -> None:
            nonlocal moved
            self.add(length)
            moved += length
            time.sleep(max(0.0, moved / share - (time.monotonic() - started)))

        return slow_down
