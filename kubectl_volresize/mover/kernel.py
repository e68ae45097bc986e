"""The calls that Python's os module lacks: syncfs, the type of a file system, punching holes. Nothing else."""
from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_KEEP_SIZE_AND_PUNCH = 0x01 | 0x02
_STATFS_BYTES = 256
EXT4_MAGIC = 0xEF53
XFS_MAGIC = 0x58465342


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


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
