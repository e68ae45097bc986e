"""What names and targets take on a fresh ext4 or xfs: pure arithmetic on their lengths. Files are scan.py's, the sum is plan/fit.py's.

Source: fs/ext4/namei.c and fs/xfs/libxfs/xfs_dir2*.c of the kernel; measured in tests/mover/test_fit_is_right.py.
"""
from __future__ import annotations

import math
from statistics import NormalDist
from typing import Sequence

_CHECKSUM, _OWN_NAMES = 12, 24
_INDEX_HEAD, _INDEX_ENTRY = 40, 8
_XFS_BLOCK, _XFS_HEAD, _XFS_IN_INODE = 4096, 64, 336
_LONGEST_EXT4_LINK_IN_INODE = 59
# How far from the mean a sixteenth of all is, in standard deviations.
_SPREAD = [NormalDist().inv_cdf((number + 0.5) / 16) for number in range(16)]


def ext4_directory(lengths: Sequence[int], block: int) -> int:
    """Bytes of a directory with names of these lengths on an ext4 with blocks of `block` bytes."""
    entries = sum(8 + _up(length, 4) for length in lengths)
    if _OWN_NAMES + entries <= block - _CHECKSUM:
        return block
    leaves = _leaves(len(lengths), (block - _CHECKSUM) * len(lengths) // entries)
    index = 1.0
    if leaves > (block - _INDEX_HEAD) // _INDEX_ENTRY:
        index += _leaves(int(leaves), block // _INDEX_ENTRY)
    return int((leaves + index) * block)


def xfs_directory(lengths: Sequence[int]) -> int:
    """Bytes beside its inode of a directory with names of these lengths on an xfs with inodes of 512 bytes and directories of 4 KiB blocks."""
    if 10 + sum(length + 8 for length in lengths) <= _XFS_IN_INODE:
        return 0
    entries = sum(_up(length + 12, 8) for length in lengths)
    if _XFS_HEAD + 40 + entries + 8 * (len(lengths) + 2) <= _XFS_BLOCK:
        return _XFS_BLOCK
    room = _XFS_BLOCK - _XFS_HEAD
    data = math.ceil(len(lengths) / (room * len(lengths) // entries))
    if len(lengths) <= room // 8:
        return (data + 1) * _XFS_BLOCK
    return int((data + _leaves(len(lengths), room // 8) + 2) * _XFS_BLOCK)


def ext4_link(length: int, block: int) -> int:
    """Bytes beside its inode of a symbolic link whose target has this length."""
    return block if length > _LONGEST_EXT4_LINK_IN_INODE else 0


def xfs_link(length: int) -> int:
    """The same on xfs."""
    return _XFS_BLOCK if length > _XFS_IN_INODE else 0


def _leaves(entries: int, capacity: int) -> float:
    """How many leaves hold so many entries when they come in random order (of their hashes) and a full leaf is split in two halves.

    Leaves of one size would all split at the same time, and be half full after; the longer it goes on the less they are of one size, until they are
    full to ln 2 on average. A split of few entries is not quite in the middle.
    """
    if entries <= capacity:
        return 1.0
    generations = math.log2(entries / capacity)
    spread = math.sqrt(generations / capacity)
    emptiness = [2 ** (math.ceil(one) - one) for one in (generations + spread * deviation for deviation in _SPREAD)]
    return entries / capacity * sum(emptiness) / len(emptiness) * (1 + 1 / (5 * capacity))


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
