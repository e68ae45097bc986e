"""When content read from a live source may be believed later: the fence, and what is remembered of each entry. See facts/copying.md section 7 in
short: ctime cannot be set by anyone, but a second mmap write to a page that is already dirty moves no timestamp; after a syncfs it does."""
from __future__ import annotations

import time
from dataclasses import dataclass

from . import kernel
from .scan import Stat

_CLOCK_STEP = 0.5


@dataclass(frozen=True)
class Fence:
    """A moment before which all of the source was written to disk. `carries`: proofs of this file system type may be carried over at all."""

    realtime_ns: int
    clock_offset: float
    settle_ns: int
    carries: bool

    def settled(self, entry: Stat) -> bool:
        """True when every write after the fence must move this ctime, and no write of before is still on its way.

        The margin covers coarse timestamps, and large writes (their ctime is set when they begin).
        """
        return self.carries and entry.ctime < self.realtime_ns - self.settle_ns

    def still_holds(self) -> bool:
        """False when the clock was set back since: a new write could then carry an old ctime."""
        return _clock_offset() > self.clock_offset - _CLOCK_STEP


def raise_fence(source: int, settle_seconds: float) -> Fence:
    """Flush the source (works through a read-only mount) and note the time of before. Raises OSError."""
    realtime, offset = time.time_ns(), _clock_offset()
    carries = kernel.file_system_type(source) in (kernel.EXT4_MAGIC, kernel.XFS_MAGIC)
    if carries:
        kernel.syncfs(source)
    return Fence(realtime, offset, int(settle_seconds * 10**9), carries)


def no_fence() -> Fence:
    """For the pass after which there is no other: nothing that it reads is carried anywhere."""
    return Fence(time.time_ns(), _clock_offset(), 0, False)


def _clock_offset() -> float:
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one name. `dest`: identity of the copy at which `blocks`, the digests of its content, were read back from disk.
    `source`: identity of the original that was proven equal to it, None when it was not; `settled`: that proof outlives the pass."""

    dest: bytes
    blocks: bytes = b""
    source: bytes | None = None
    settled: bool = False

    def proves(self, source: Stat, dest: Stat) -> bool:
        return self.settled and self.source == source.identity and self.dest == dest.identity


Knowledge = dict[str, dict[str, Known]]


def known_of(knowledge: Knowledge, directory: str, name: str) -> Known | None:
    entries = knowledge.get(directory)
    return entries.get(name) if entries else None
