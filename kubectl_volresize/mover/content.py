"""Content of one regular file: reading it in blocks of 128 KiB with a 128-bit digest each, and writing what differs. Owners, modes and names
belong to metadata.py."""
from __future__ import annotations

import errno
import hashlib
import os
from typing import Callable, Iterator

from . import kernel

BLOCK = 128 << 10
CHUNK = 8 * BLOCK
DIGEST = 16


def _choose() -> Callable[[bytes | memoryview], bytes]:
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


def digests(data: bytes | memoryview) -> bytes:
    """Digests of the blocks of `data`, joined; the last block may be short."""
    if len(data) <= BLOCK:
        return digest(data) if data else b""
    view = memoryview(data)
    return b"".join(digest(view[start:start + BLOCK]) for start in range(0, len(view), BLOCK))


def digests_of_hole(length: int) -> bytes:
    whole, rest = divmod(length, BLOCK)
    return _ZERO * whole + (digest(bytes(rest)) if rest else b"")


def chunks(descriptor: int, size: int, sparse: bool) -> Iterator[tuple[int, int, bytes | None]]:
    """(offset, length, data) over the first `size` bytes; data is None for a hole. Offsets are multiples of BLOCK. Raises Torn."""
    offset = 0
    while offset < size:
        end = min(offset + CHUNK, size)
        if sparse:
            data_at = _seek(descriptor, offset, os.SEEK_DATA, size) // BLOCK * BLOCK
            if data_at > offset:
                end = size if data_at >= size else data_at
                yield offset, end - offset, None
                offset = end
                continue
            hole_at = _seek(descriptor, _seek(descriptor, offset, os.SEEK_DATA, size), os.SEEK_HOLE, size)
            end = min(end, -(-hole_at // BLOCK) * BLOCK)
        yield offset, end - offset, read_exactly(descriptor, offset, end - offset)
        offset = end


def _seek(descriptor: int, offset: int, whence: int, size: int) -> int:
    if offset >= size:
        return size
    try:
        return min(os.lseek(descriptor, offset, whence), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        raise


def segments(descriptor: int, offset: int, length: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of the data inside a range that may hold holes."""
    end = offset + length
    while (start := _seek(descriptor, offset, os.SEEK_DATA, end)) < end:
        stop = _seek(descriptor, start, os.SEEK_HOLE, end)
        yield start, stop - start
        offset = stop


def read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise Torn()
        data += more
    return data


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)


def wait_for_writers(descriptor: int) -> None:
    """Let a write(2) that is under way end before we read: SEEK_DATA takes the inode's lock (ext4, xfs), which a writer holds for the whole call."""
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.EINVAL):
            raise


def read_digests(descriptor: int, size: int, sparse: bool, pause: Callable[[int], None]) -> tuple[bytes, int]:
    """Digests of the blocks of an open file, and the bytes read for it. `pause` is told of every read. Raises Torn, OSError."""
    found, read = bytearray(), 0
    for _, length, data in chunks(descriptor, size, sparse):
        if data is None:
            found += digests_of_hole(length)
            continue
        found += digests(data)
        read += length
        pause(length)
    return bytes(found), read


class Copy:
    """One copy under way, from descriptor to descriptor; afterwards `blocks`, `rewritten` (numbers of blocks), `read` and `written` (bytes)."""

    def __init__(self, source: int, dest: int, size: int, pause: Callable[[int], None]) -> None:
        self._source, self._dest, self._size, self._pause = source, dest, size, pause
        self.blocks, self.rewritten = bytearray(), list[int]()
        self.read = self.written = 0

    def whole(self, sparse: bool) -> None:
        """Into an empty file."""
        for offset, length, data in chunks(self._source, self._size, sparse):
            self._note(data, length)
            if data is None:
                continue
            if sparse:
                self._write_segments(data, offset)
            else:
                self._write(data, offset)
        if sparse:
            os.ftruncate(self._dest, self._size)

    def against_table(self, table: bytes, sparse: bool) -> None:
        """Into a copy whose block digests are known: only what differs is written."""
        for offset, length, data in chunks(self._source, self._size, sparse):
            start = len(self.blocks)
            self._note(data, length)
            fresh = memoryview(self.blocks)[start:]
            if data is None:
                self._punch(offset, length, bytes(fresh) == table[start:start + len(fresh)])
            elif bytes(fresh) != table[start:start + len(fresh)]:
                for position in range(0, len(fresh), DIGEST):
                    if fresh[position:position + DIGEST] != table[start + position:start + position + DIGEST]:
                        self._rewrite(data, offset, position // DIGEST * BLOCK)
            fresh.release()
        self._cut()

    def against_content(self) -> None:
        """Into a file of unknown content without holes: it is read too, and only what differs is written."""
        for offset, length, data in chunks(self._source, self._size, False):
            self._note(data, length)
            assert data is not None
            present = os.pread(self._dest, length, offset)
            self.read += len(present)
            self._pause(len(present))
            if present != data:
                self._write(data, offset)
        self._cut()

    def _cut(self) -> None:
        # Not when it has the size already: truncate moves times even then.
        if os.fstat(self._dest).st_size != self._size:
            os.ftruncate(self._dest, self._size)

    def _note(self, data: bytes | None, length: int) -> None:
        if data is None:
            self.blocks += digests_of_hole(length)
            return
        self.blocks += digests(data)
        self.read += length
        self._pause(length)

    def _rewrite(self, data: bytes, chunk_offset: int, inside: int) -> None:
        self._write(memoryview(data)[inside:inside + BLOCK], chunk_offset + inside)
        self.rewritten.append((chunk_offset + inside) // BLOCK)

    def _write(self, data: bytes | memoryview, offset: int) -> None:
        write_all(self._dest, data, offset)
        self.written += len(data)

    def _write_segments(self, data: bytes, offset: int) -> None:
        for start, length in segments(self._source, offset, len(data)):
            self._write(memoryview(data)[start - offset:start - offset + length], start)

    def _punch(self, offset: int, length: int, known: bool) -> None:
        try:
            kernel.punch_hole(self._dest, offset, length)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            if not known:
                for start in range(offset, offset + length, CHUNK):
                    self._write(bytes(min(CHUNK, offset + length - start)), start)
        if not known:
            self.rewritten.extend(range(offset // BLOCK, -(-(offset + length) // BLOCK)))
