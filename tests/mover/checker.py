"""An independent eye on a tree: everything that an exact copy must have, as one plain dictionary. It shares no code with the mover."""
from __future__ import annotations

import array
import errno
import fcntl
import hashlib
import os
import stat
import struct
from pathlib import Path
from typing import Any

Picture = dict[bytes, tuple[Any, ...]]
_FIELDS = ("mode", "owner", "group", "device", "size", "mtime", "xattrs", "inode flags", "content", "hard links", "hard links", "holes")

# The largest block of the file systems in the tests: what is allocated is compared in units of it.
_GRAIN = 4096
# linux/fiemap.h: the request has 4 words of 64 bits, an extent 7 (where in the file, where on the disk, how long, 2 reserved, flags, reserved).
_FIEMAP, _HEAD, _EXTENT, _EXTENTS, _LAST = 0xC020660B, 4, 7, 512, 1
# On xfs the ACLs' other names; on no other file system anything.
_ALIASES = ("trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT", "security.selinux")


def picture(top: Path) -> Picture:
    """Each path with type, mode, owner, device, size, mtime, xattrs, flags, target or content, the names that share its inode, no holes."""
    seen: Picture = {}
    groups: dict[int, list[bytes]] = {}
    for _, path, status in _entries(top):
        if not stat.S_ISDIR(status.st_mode):
            groups.setdefault(status.st_ino, []).append(path)
    for directory, path, status in _entries(top):
        name = b"." if path == b"." else os.path.basename(path)
        group = () if stat.S_ISDIR(status.st_mode) else tuple(sorted(groups[status.st_ino]))
        links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
        seen[path] = (oct(status.st_mode), status.st_uid, status.st_gid, _device(status), _size(status), status.st_mtime_ns,
                      _xattrs(directory, name), _flags(directory, name, status), _content(directory, name, status), group, links,
                      _allocated(directory, name, status))
    return seen


def allocated(top: Path) -> dict[bytes, int]:
    """Bytes on disk of each regular file."""
    return {path: status.st_blocks * 512 for _, path, status in _entries(top) if stat.S_ISREG(status.st_mode)}


def ctimes(top: Path) -> dict[bytes, int]:
    """When the kernel last saw a write to data or metadata of each entry, in ns."""
    return {path: status.st_ctime_ns for _, path, status in _entries(top)}


def difference(left: Picture, right: Picture) -> list[str]:
    """In words, for the assertion's message; empty when equal. The destination's own empty lost+found is no difference."""
    words = [f"only left: {path!r}" for path in left.keys() - right.keys()]
    words += [f"only right: {path!r}" for path in right.keys() - left.keys() - {b"./lost+found"}]
    words += [f"{path!r}: {left[path]} / {right[path]}" for path in left.keys() & right.keys() if left[path] != right[path]]
    return words


def differing_fields(left: Path, right: Path, with_top: bool) -> list[str]:
    """In what two trees differ, each thing once; `with_top`: their top directories themselves count too."""
    try:
        mine, theirs = picture(left), picture(right)
    finally:
        close()
    if not with_top:
        del mine[b"."], theirs[b"."]
    found = ["missing"] if mine.keys() - theirs.keys() else []
    found += ["surplus"] if theirs.keys() - mine.keys() - {b"./lost+found"} else []
    for number, field in enumerate(_FIELDS):
        if field not in found and any(mine[path][number] != theirs[path][number] for path in mine.keys() & theirs.keys()):
            found.append(field)
    return found


def untouched(top: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything but the number of names: those that were given from a destination may go there."""
    pictured = picture(top)
    close()
    return {path: entry[:_FIELDS.index("hard links")] for path, entry in pictured.items()}


def _entries(top: Path) -> list[tuple[int, bytes, os.stat_result]]:
    found = []
    root = os.open(top, os.O_RDONLY)
    found.append((root, b".", os.fstat(root)))
    # fwalk, since paths may be longer than PATH_MAX; its descriptors are duplicated, since it closes them.
    for path, directories, files, descriptor in os.fwalk(b".", dir_fd=root):
        kept = os.dup(descriptor)
        found += [(kept, path + b"/" + name, os.stat(name, dir_fd=kept, follow_symlinks=False)) for name in directories + files]
        _opened.append(kept)
    _opened.append(root)
    return found


_opened: list[int] = []


def close() -> None:
    """Let go of the directories, so that the file systems can be unmounted."""
    while _opened:
        os.close(_opened.pop())


def assert_equal(left: Path, right: Path) -> None:
    """Fail with all differences between two trees."""
    try:
        words = difference(picture(left), picture(right))
    finally:
        close()
    assert not words, "\n".join(words[:20])


def _device(status: os.stat_result) -> int:
    return status.st_rdev if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode) else 0


def _size(status: os.stat_result) -> int:
    return 0 if stat.S_ISDIR(status.st_mode) else status.st_size


def _xattrs(directory: int, name: bytes) -> tuple[tuple[str, bytes], ...]:
    path = b"/proc/self/fd/%d/%s" % (directory, name)
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return tuple((key, os.getxattr(path, key, follow_symlinks=False)) for key in names if key not in _ALIASES)


def _flags(directory: int, name: bytes, status: os.stat_result) -> int:
    """What lsattr shows, as far as a user sets it: s, u, c, S, i, a, d, A, t, D, T, x."""
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return 0
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        return int(struct.unpack("<q", fcntl.ioctl(descriptor, 0x80086601, bytes(8)))[0]) & 0x20380FF
    finally:
        os.close(descriptor)


def _content(directory: int, name: bytes, status: os.stat_result) -> bytes:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(name, dir_fd=directory)
    if not stat.S_ISREG(status.st_mode):
        return b""
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory), "rb") as file:
        return hashlib.file_digest(file, "sha512").digest()


def _allocated(directory: int, name: bytes, status: os.stat_result) -> tuple[tuple[int, int], ...]:
    """(start, end) of what has blocks on the disk within the file's size, written or only reserved, rounded outward to whole units."""
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return ()
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        try:
            extents = _extents(descriptor)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
                raise
            extents = _data(descriptor, status.st_size)
    finally:
        os.close(descriptor)
    units = -(-status.st_size // _GRAIN)
    found: list[tuple[int, int]] = []
    for start, end in extents:
        first, last = start // _GRAIN, min(-(-end // _GRAIN), units)
        if first >= last:
            continue
        if found and first <= found[-1][1]:
            first = found.pop()[0]
        found.append((first, last))
    return tuple((first * _GRAIN, last * _GRAIN) for first, last in found)


def _extents(descriptor: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        request = array.array("Q", [found[-1][1] if found else 0, 2**63 - 1, 0, _EXTENTS] + [0] * (_EXTENTS * _EXTENT))
        fcntl.ioctl(descriptor, _FIEMAP, request)
        for place in range(_HEAD, _HEAD + (request[2] >> 32) * _EXTENT, _EXTENT):
            found.append((request[place], request[place] + request[place + 2]))
            if request[place + 5] & _LAST:
                return found
        if not request[2] >> 32:
            return found


def _data(descriptor: int, size: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while not found or found[-1][1] < size:
        try:
            start = os.lseek(descriptor, found[-1][1] if found else 0, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return found
        found.append((start, os.lseek(descriptor, start, os.SEEK_HOLE)))
    return found
