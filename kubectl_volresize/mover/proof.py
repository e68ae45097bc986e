"""When content read from a live source may be believed later: the fence, and what is remembered of each entry, in little memory. In
short: ctime cannot be set by anyone, but a second mmap write to a page that is already dirty moves no timestamp; after a syncfs it does."""
from __future__ import annotations

import hashlib
import marshal
import os
import time
import zlib
from dataclasses import dataclass
from typing import Collection, Mapping, NamedTuple

from . import kernel
from .pages import Stat
from .scan import Place, Unit

_CLOCK_STEP = 0.5
_MARK = 16
_NO_MARK = bytes(_MARK)


@dataclass(frozen=True)
class Fence:
    """A moment before which all of the source was written to disk. `carries`: proofs of this file system type may be carried over at all;
    `another_pass`: there is one that something could be carried to."""

    realtime_ns: int
    clock_offset: float
    settle_ns: int
    carries: bool
    another_pass: bool = True

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
    return Fence(time.time_ns(), _clock_offset(), 0, False, False)


def _clock_offset() -> float:
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def mark(data: bytes) -> bytes:
    """128 bits that stand for one or more identities."""
    return hashlib.blake2b(data, digest_size=_MARK).digest()


class Known(NamedTuple):
    """What is known of one name; marks, each b"" when there is none.

    `pair`: of both identities that were proven equal, when that proof outlives the pass. `row`: what this entry adds to the digest of the whole.
    `blocks`: digests of the copy's content, read back from disk when its identity was `dest`; kept for files of more than one block.
    `source`: of the original that `blocks` were proven for, when that proof outlives the pass.
    """

    pair: bytes = b""
    row: bytes = b""
    dest: bytes = b""
    source: bytes = b""
    blocks: bytes = b""

    @staticmethod
    def of(source: Stat, dest: Stat, blocks: bytes, row: bytes, settled: bool) -> Known:
        """After a proof of equality; `settled` when it outlives the pass."""
        large = len(blocks) > _MARK
        return Known(mark(source.identity + dest.identity) if settled else b"", row, mark(dest.identity) if large else b"",
                     mark(source.identity) if large and settled else b"", blocks if large else b"")

    @staticmethod
    def of_copy(dest: Stat, blocks: bytes) -> Known:
        """Of a copy that was read back and is not, or not provably, equal."""
        return Known(dest=mark(dest.identity), blocks=blocks) if len(blocks) > _MARK else Known()

    def proves(self, source: Stat, dest: Stat) -> bool:
        return bool(self.pair) and self.pair == mark(source.identity + dest.identity)

    def knows_copy(self, dest: Stat) -> bool:
        return bool(self.blocks) and self.dest == mark(dest.identity)

    def knows_original(self, source: Stat) -> bool:
        return bool(self.source) and self.source == mark(source.identity)

    @property
    def unsettled(self) -> Known:
        return Known(dest=self.dest, blocks=self.blocks)


_NOTHING = Known()


def pack(known: Mapping[str, Known]) -> bytes:
    """A page of knowledge; what says nothing is left out."""
    kept = {name: one for name, one in known.items() if one.pair or one.blocks}
    names = zlib.compress(os.fsencode("\0".join(kept)), 1)
    pairs = b"".join(one.pair or _NO_MARK for one in kept.values())
    rows = b"".join(one.row or _NO_MARK for one in kept.values())
    large = {index: tuple(one[2:]) for index, one in enumerate(kept.values()) if one.blocks}
    return marshal.dumps((len(kept), names, pairs, rows, large))


def unpack(page: bytes) -> dict[str, Known]:
    number, names, pairs, rows, large = marshal.loads(page)
    if not number:
        return {}
    return {name: Known(_mark_at(pairs, index), _mark_at(rows, index), *large.get(index, ()))
            for index, name in enumerate(os.fsdecode(zlib.decompress(names)).split("\0"))}


def _mark_at(marks: bytes, index: int) -> bytes:
    found = marks[index * _MARK:(index + 1) * _MARK]
    return b"" if found == _NO_MARK else found


class Knowledge:
    """What the passes so far have proven, page by page as scan.Tree keeps its entries; `big`: of the files that are handled alone."""

    def __init__(self) -> None:
        self.big: dict[Place, Known] = {}
        self._pages: dict[str, list[bytes]] = {}
        self._revoked: set[Place] = set()
        self._believed = True

    def page(self, unit: Unit) -> Mapping[str, Known]:
        """By name; names of which nothing is known are missing."""
        listed = self._pages.get(unit[0])
        if not listed or not listed[unit[1]]:
            return {}
        return {name: self._as_believed((unit[0], name), known) for name, known in unpack(listed[unit[1]]).items()}

    def of_big(self, place: Place) -> Known:
        return self._as_believed(place, self.big.get(place, _NOTHING))

    def _as_believed(self, place: Place, known: Known) -> Known:
        return known if self._believed and place not in self._revoked else known.unsettled

    def disbelieve(self) -> None:
        """Nothing that was proven about originals holds any more; what is known of the copies does."""
        self._believed = False

    def learn(self, unit: Unit, pages: int, page: bytes) -> None:
        """In place of what was known of these names."""
        listed = self._pages.setdefault(unit[0], [b""] * pages)
        listed[unit[1]] = page

    def complete(self, paths: Collection[str], big: dict[Place, Known], revoked: set[Place]) -> None:
        """At the end of a pass: these directories there are, and no others; `revoked`: names whose proof does not hold."""
        for path in self._pages.keys() - paths:
            del self._pages[path]
        self.big, self._revoked = big, revoked
