"""The calls that Python's os module lacks: syncfs, the type of a file system, punching holes, inode flags; the table of
mounts; and flock as we need it. Nothing else."""
from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_KEEP_SIZE_AND_PUNCH = 0x01 | 0x02
_STATFS_BYTES = 256
EXT4_MAGIC = 0xEF53
XFS_MAGIC = 0x58465342
CAP_SYS_ADMIN = 21
# The numbers of a system call: asm/unistd.h.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "ppc64le": 273, "s390x": 282, "riscv64": 30}
_FIEMAP, _LAST_EXTENT, _EXTENTS_AT_ONCE = 0xC020660B, 0x1, 256
# Offsets in the file and on the disk, length, two reserved words, flags.
_EXTENT = struct.Struct("<QQQQQI12x")
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602


def syncfs(descriptor: int) -> None:
    """Write everything of the descriptor's file system to disk, and learn of write errors since it was opened (Linux 5.8). Raises OSError."""
    _check(_libc.syncfs(descriptor))


def file_system_type(descriptor: int) -> int:
    """The magic number of statfs(2). Raises OSError."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    _check(_libc.fstatfs(descriptor, buffer))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def mounts_below(path: str) -> list[str]:
    """Where something is mounted inside a directory, whatever its device: bind mounts too. Source: proc_pid_mountinfo(5)."""
    top = os.path.realpath(path).rstrip("/") + "/"
    with open("/proc/self/mountinfo", "rb") as file:
        points = [re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), line.split()[4]) for line in file]
    return sorted({os.fsdecode(point) for point in points if os.fsdecode(point).startswith(top)})


def lock(descriptor: int) -> bool:
    """Whether this process and its children have it for themselves now; also where the file system knows no locks. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # EBADF: NFS takes such a lock on a descriptor that is open for writing only, which a directory's never is.
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF):
            raise
    return True


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Turn a range into a hole, keeping the size. Raises OSError (EOPNOTSUPP where the file system cannot)."""
    _check(_libc.fallocate(descriptor, _KEEP_SIZE_AND_PUNCH, offset, length))


def extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    """(start, end) of what is allocated to the first `size` bytes of a file, written or not. Raises OSError (EOPNOTSUPP where the file system cannot
    say). Source: Documentation/filesystems/fiemap.rst."""
    found: list[tuple[int, int]] = []
    start = 0
    while start < size:
        request = bytearray(struct.pack("<QQIIII", start, size - start, 0, 0, _EXTENTS_AT_ONCE, 0) + bytes(_EXTENTS_AT_ONCE * _EXTENT.size))
        fcntl.ioctl(descriptor, _FIEMAP, request)
        number = struct.unpack_from("<I", request, 20)[0]
        if not number:
            break
        for index in range(number):
            logical, _, length, _, _, flags = _EXTENT.unpack_from(request, 32 + index * _EXTENT.size)
            found.append((logical, min(logical + length, size)))
        start = logical + length
        if flags & _LAST_EXTENT:
            break
    return found


def inode_flags(descriptor: int) -> int:
    """The flags that chattr(1) sets and lsattr(1) shows; 0 where the file system has none. Raises OSError."""
    try:
        answer: bytes = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            return 0
        raise
    return int(struct.unpack("<q", answer)[0]) & 0xFFFFFFFF


def set_inode_flags(descriptor: int, flags: int) -> None:
    """Raises OSError."""
    fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("<q", flags))


def has_capability(number: int) -> bool:
    """Whether this process may use a capability of capabilities(7), by its number in linux/capability.h."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> number & 1)


def set_io_priority(kind: int, level: int) -> None:
    """ioprio_set(2) for this process, and those that it forks: `kind` 2 best effort with `level` 0 (first) to 7, 3 idle. Raises OSError."""
    _check(_libc.syscall(_IOPRIO_SET[os.uname().machine], 1, 0, kind << 13 | level))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
