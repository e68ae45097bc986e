"""The calls that Python's os module lacks: syncfs, the type of a file system, punching holes, inode flags. Nothing else."""
from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_KEEP_SIZE_AND_PUNCH = 0x01 | 0x02
_STATFS_BYTES = 256
EXT4_MAGIC = 0xEF53
XFS_MAGIC = 0x58465342
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602


def syncfs(descriptor: int) -> None:
    """Write everything of the descriptor's file system to disk, and learn of write errors since it was opened (Linux 5.8). Raises OSError."""
    _check(_libc.syncfs(descriptor))


def file_system_type(descriptor: int) -> int:
    """The magic number of statfs(2). Raises OSError."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    _check(_libc.fstatfs(descriptor, buffer))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Turn a range into a hole, keeping the size. Raises OSError (EOPNOTSUPP where the file system cannot)."""
    _check(_libc.fallocate(descriptor, _KEEP_SIZE_AND_PUNCH, offset, length))


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


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
