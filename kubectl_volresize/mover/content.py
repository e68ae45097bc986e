"""Content of one regular file: reading it in blocks of 128 KiB with a 128-bit digest each, and writing what differs. Owners, modes and names
belong to metadata.py."""
from __future__ import annotations

import bisect
import errno
import hashlib
import os
from typing import Callable, Iterator

from . import kernel

BLOCK = 128 << 10
CHUNK = 8 * BLOCK
DIGEST = 16


Bytes = bytes | memoryview


def _choose() -> Callable[[Bytes], bytes]:
    """SHA-256 (cut to 128 bits) where the processor has instructions for it, three times slower than BLAKE2b where not."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        words = set(info.read(8192).split())
    if words & {"sha_ni", "sha2"}:
        return lambda data: hashlib.sha256(data).digest()[:DIGEST]
    return lambda data: hashlib.blake2b(data, digest_size=DIGEST).digest()


digest = _choose()
_ZERO = digest(bytes(BLOCK))


class Torn(Exception):
    """The file shrank while it was read."""


def digests(data: Bytes) -> bytes:
    """Digests of the blocks of `data`, joined; the last block may be short."""
    if len(data) <= BLOCK:
        return digest(data) if data else b""
    view = memoryview(data)
    return b"".join(digest(view[start:start + BLOCK]) for start in range(0, len(view), BLOCK))


def no_digests(data: Bytes) -> bytes:
    """Where nobody will compare them."""
    return b""


def is_whole(descriptor: int, size: int) -> bool:
    """Whether there is no hole in the first `size` bytes. What lstat counts cannot tell: blocks behind the end, of attributes or of the extent tree
    make up for it. Raises OSError."""
    return _seek(descriptor, 0, os.SEEK_HOLE, size) == size


def digests_of_hole(length: int) -> bytes:
    whole, rest = divmod(length, BLOCK)
    return _ZERO * whole + (digest(bytes(rest)) if rest else b"")


Ranges = list[tuple[int, int]]


def allocated(descriptor: int, size: int) -> Ranges | None:
    """(start, end) of what is no hole in the first `size` bytes, in order; None when nothing is one. Raises OSError.

    Blocks that are reserved and not yet written (fallocate) are no hole: a database counts on them. Where the file system does not tell, they are.
    """
    if size == 0:
        wait_for_writers(descriptor)
        return None
    if is_whole(descriptor, size):
        return None
    try:
        found = _joined(kernel.extents(descriptor, size), 1, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
            raise
        found = list(_data(descriptor, size))
    return None if found == [(0, size)] else found


def coarse(ranges: Ranges | None, size: int, grain: int) -> Ranges:
    """What `allocated` found, rounded outward to multiples of `grain`, for a comparison with another file system."""
    return _joined(ranges if ranges is not None else [(0, size)] if size else [], grain, size)


def _joined(ranges: Ranges, grain: int, size: int) -> Ranges:
    found: Ranges = []
    for start, end in ranges:
        first, last = start // grain * grain, min(-(-end // grain) * grain, size)
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        elif first < last:
            found.append((first, last))
    return found


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while (start := _seek(descriptor, end, os.SEEK_DATA, size)) < size:
        end = _seek(descriptor, start, os.SEEK_HOLE, size)
        yield start, end


def _seek(descriptor: int, offset: int, whence: int, size: int) -> int:
    if offset >= size:
        return size
    try:
        return min(os.lseek(descriptor, offset, whence), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        if error.errno == errno.EINVAL:
            # A file system that knows no holes.
            return offset if whence == os.SEEK_DATA else size
        raise


def chunks(descriptor: int, size: int, ranges: Ranges | None) -> Iterator[tuple[int, int, bytes | None]]:
    """(offset, length, data) over the first `size` bytes; data is None for a hole. Offsets are multiples of BLOCK. Raises Torn."""
    offset = 0
    for start, end in [(0, size)] if ranges is None else _joined(ranges, BLOCK, size):
        if start > offset:
            yield offset, start - offset, None
        for offset in range(start, end, CHUNK):
            length = min(CHUNK, end - offset)
            yield offset, length, read_exactly(descriptor, offset, length)
        offset = end
    if offset < size:
        yield offset, size - offset, None


def within(ranges: Ranges, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of `ranges` between two offsets."""
    for first, last in ranges[max(bisect.bisect_right(ranges, (start, end)) - 1, 0):]:
        if first >= end:
            return
        if last > start:
            yield max(first, start), min(last, end)


def read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise Torn()
        data += more
    return data


def write_all(descriptor: int, data: Bytes, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)


def wait_for_writers(descriptor: int) -> None:
    """Let a write(2) that is under way end before we read: SEEK_DATA and SEEK_HOLE take the inode's lock (ext4, xfs), which a writer holds for the
    whole call."""
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.EINVAL):
            raise


def read_digests(descriptor: int, size: int, pause: Callable[[int], None]) -> tuple[bytes, int]:
    """Digests of the blocks of an open file, and the bytes read for it. `pause` is told of every read. Raises Torn, OSError."""
    found, read = bytearray(), 0
    for _, length, data in chunks(descriptor, size, allocated(descriptor, size)):
        if data is None:
            found += digests_of_hole(length)
            continue
        found += digests(data)
        read += length
        pause(length)
    return bytes(found), read


def copy_small(source: int, dest: int, size: int) -> bytes | None:
    """A file of one block without holes, into an empty one; returns its content, or None when it is no such file. Raises Torn, OSError."""
    # Asking for holes waits for a write that is under way, see wait_for_writers.
    if not 0 < size <= BLOCK or not is_whole(source, size):
        return None
    data = read_exactly(source, 0, size)
    write_all(dest, data, 0)
    return data


class Copy:
    """One copy under way, from descriptor to descriptor; afterwards `blocks`, `rewritten` (numbers of blocks), `read` and `written` (bytes)."""

    def __init__(self, source: int, dest: int, size: int, pause: Callable[[int], None], hashing: Callable[[Bytes], bytes]) -> None:
        self._source, self._dest, self._size, self._pause, self._hashing = source, dest, size, pause, hashing
        self.blocks, self.rewritten = bytearray(), list[int]()
        self.read = self.written = 0

    def whole(self) -> None:
        """Into an empty file."""
        # Asking for holes waits for a write that is under way, see wait_for_writers.
        ranges = allocated(self._source, self._size)
        if ranges is not None:
            # Before the writes: those that make a file longer are given more blocks than they need (xfs).
            os.ftruncate(self._dest, self._size)
        for offset, length, data_or_hole in chunks(self._source, self._size, ranges):
            self._note(data_or_hole, length)
            if data_or_hole is not None:
                self._write_parts(data_or_hole, offset, ranges)

    def against_table(self, table: bytes) -> None:
        """Into a copy whose block digests are known: only what differs is written."""
        ranges = allocated(self._source, self._size)
        for offset, length, data in chunks(self._source, self._size, ranges):
            start = len(self.blocks)
            self._note(data, length)
            for position in range(start, len(self.blocks), DIGEST):
                if self.blocks[position:position + DIGEST] != table[position:position + DIGEST]:
                    inside = (position - start) // DIGEST * BLOCK
                    self.rewritten.append((offset + inside) // BLOCK)
                    if data is not None:
                        self._write_parts(memoryview(data)[inside:inside + BLOCK], offset + inside, ranges)
        self._cut()
        # What these write is neither what was hashed above nor what the table says: all of it is read back.
        touched = {*self.rewritten, *self._punch_holes(ranges), *self._fill_holes(ranges)}
        self.rewritten = sorted(touched)

    def against_content(self) -> None:
        """Into a file of unknown content: it is read too, and only what differs is written."""
        ranges = allocated(self._source, self._size)
        self._cut()
        # Before the writes, which may need the room.
        self._punch_holes(ranges)
        for offset, length, data in chunks(self._source, self._size, ranges):
            self._note(data, length)
            if data is None:
                continue
            present = os.pread(self._dest, length, offset)
            self.read += len(present)
            self._pause(len(present))
            if present != data:
                self._write_parts(data, offset, ranges)
        self._fill_holes(ranges)

    def _cut(self) -> None:
        # Not when it has the size already: truncate moves times even then.
        if os.fstat(self._dest).st_size != self._size:
            os.ftruncate(self._dest, self._size)

    def _punch_holes(self, ranges: Ranges | None) -> set[int]:
        """Digests do not tell a hole from zeros: punch what is a hole in the source and not in the copy. Returns the numbers of the blocks that were
        zeroed in part."""
        present, touched = allocated(self._dest, self._size), set[int]()
        if ranges == present:
            return touched
        there = coarse(present, self._size, 1)
        for start, end in _gaps(coarse(ranges, self._size, 1), self._size):
            if any(self._can_go(first, last) for first, last in within(there, start, end)):
                self._punch(start, end - start)
                touched |= {start // BLOCK, (end - 1) // BLOCK}
        return touched

    def _can_go(self, start: int, end: int) -> bool:
        """Whether a range that is to be a hole holds a whole block, or something in the part of a block that it ends in."""
        block = os.fstatvfs(self._dest).f_bsize
        whole = -(-start // block) * block < (end if end == self._size else end // block * block)
        return whole or any(os.pread(self._dest, end - start, start))

    def _fill_holes(self, ranges: Ranges | None) -> set[int]:
        """Write what is a hole in the copy and not in the source, which may be other than zeros by now. Returns the numbers of the blocks."""
        present, touched = allocated(self._dest, self._size), set[int]()
        if ranges == present:
            return touched
        wanted = coarse(ranges, self._size, 1)
        for start, end in _gaps(coarse(present, self._size, 1), self._size):
            for first, last in within(wanted, start, end):
                for offset in range(first, last, CHUNK):
                    self._write(read_exactly(self._source, offset, min(CHUNK, last - offset)), offset)
                touched.update(range(first // BLOCK, (last - 1) // BLOCK + 1))
        return touched

    def _note(self, data: bytes | None, length: int) -> None:
        if data is None:
            self.blocks += digests_of_hole(length) if self._hashing is digests else b""
            return
        self.blocks += self._hashing(data)
        self.read += length
        self._pause(length)

    def _write(self, data: Bytes, offset: int) -> None:
        write_all(self._dest, data, offset)
        self.written += len(data)

    def _write_parts(self, data: Bytes, offset: int, ranges: Ranges | None) -> None:
        if ranges is None:
            self._write(data, offset)
            return
        for start, end in within(ranges, offset, offset + len(data)):
            self._write(memoryview(data)[start - offset:end - offset], start)

    def _punch(self, offset: int, length: int) -> None:
        # All of the last block, which ends behind the file's end: a part of a block would be filled with zeros and not given back (xfs).
        rest = -self._size % os.fstatvfs(self._dest).f_bsize if offset + length == self._size else 0
        try:
            kernel.punch_hole(self._dest, offset, length + rest)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            for start in range(offset, offset + length, CHUNK):
                self._write(bytes(min(CHUNK, offset + length - start)), start)


def _gaps(ranges: Ranges, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    for start, following in [*ranges, (size, size)]:
        if end < start:
            yield end, start
        end = following
