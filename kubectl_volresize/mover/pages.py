"""Entries of directories in little memory: packed and compressed in pages of some hundred entries, unpacked one page at a time. A million files
take some 40 MB so, and would take 700 as objects. The order of a page's entries is fixed, so that later steps can speak of them by index."""
from __future__ import annotations

import marshal
import os
import stat
import struct
import zlib
from typing import Iterable, NamedTuple

_PAGE_ENTRIES = 512
_HEADER = struct.Struct("<II")
# In place of the length of the names: a page with a number that does not fit its column.
_AS_IT_IS = 0xFFFFFFFF
_IDENTITY = struct.Struct("<Qqqq")


class Stat(NamedTuple):
    """The part of lstat that matters; times in ns, blocks of 512 bytes."""

    mode: int
    ino: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    blocks: int
    mtime: int
    ctime: int

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def has_other_names(self) -> bool:
        return self.nlink > 1 and not stat.S_ISDIR(self.mode)

    @property
    def is_sparse(self) -> bool:
        return self.blocks * 512 < self.size

    @property
    def identity(self) -> bytes:
        """Equal identities of the same name mean: nobody touched data or metadata in between (but see Fence in proof.py for mmap)."""
        return _identity(self.ino, self.ctime, self.mtime, self.size)


_COLUMNS = "IQIIIQqqqq"

Entries = dict[str, Stat]


def of(found: os.stat_result) -> Stat:
    return Stat(found.st_mode, found.st_ino, found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, found.st_size, found.st_blocks,
                found.st_mtime_ns, found.st_ctime_ns)


def identity(found: os.stat_result) -> bytes:
    """Stat.identity of what lstat answered."""
    return _identity(found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size)


def _identity(*numbers: int) -> bytes:
    try:
        return _IDENTITY.pack(*numbers)
    except struct.error:
        # After April 2262 nanoseconds do not fit 64 bits; ext4 goes on to 2446.
        return repr(numbers).encode()


def pages_for(entries: int) -> int:
    """How many pages a directory of so many entries is kept in: a power of two."""
    number = 1
    while number * _PAGE_ENTRIES < entries:
        number *= 2
    return number


def page_of(name: str, pages: int) -> int:
    """The page of a name; the same in every listing that is kept in as many pages."""
    return zlib.crc32(os.fsencode(name)) & (pages - 1) if pages > 1 else 0


def by_page(names: Iterable[str], pages: int) -> list[list[str]]:
    """Names of one directory, page by page."""
    if pages == 1:
        return [list(names)]
    found: list[list[str]] = [[] for _ in range(pages)]
    for name in names:
        found[page_of(name, pages)].append(name)
    return found


def pack(entries: Entries) -> bytes:
    names = os.fsencode("\0".join(entries))
    number = len(entries)
    try:
        columns = b"".join(struct.pack(f"<{number}{code}", *column) for code, column in zip(_COLUMNS, zip(*entries.values())))
    except struct.error:
        return _HEADER.pack(number, _AS_IT_IS) + marshal.dumps([(name, tuple(entry)) for name, entry in entries.items()])
    return _HEADER.pack(number, len(names)) + zlib.compress(names + columns, 1)


def count(page: bytes) -> int:
    """The number of entries of a packed page."""
    return int(_HEADER.unpack_from(page)[0])


def unpack(page: bytes) -> Entries:
    """The entries of a page, in the order in which they were packed."""
    number, length = _HEADER.unpack_from(page)
    if not number:
        return {}
    if length == _AS_IT_IS:
        return {name: Stat(*entry) for name, entry in marshal.loads(page[_HEADER.size:])}
    raw = zlib.decompress(page[_HEADER.size:])
    columns, offset = [], length
    for code in _COLUMNS:
        columns.append(struct.unpack_from(f"<{number}{code}", raw, offset))
        offset += number * struct.calcsize(f"<{code}")
    return dict(zip(os.fsdecode(raw[:length]).split("\0"), map(Stat._make, zip(*columns))))
