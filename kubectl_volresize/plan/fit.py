"""Does a tree fit a file system: pure arithmetic on counts. Shared by the runner, which asks before a claim is made, and by the mover, which asks
before its first byte; neither the counting (mover/measure.py) nor statvfs belongs here."""
from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Mapping

from ..model.quantity import human

BLOCK = 4096
SMALL_BLOCK = 1024
# What is larger is no unit of allocation but of transfer: network file systems call up to 4 MiB their block.
_LARGEST_BLOCK = 65536
_GROUP_DESCRIPTOR = 64
_INODE = 256
_RESERVED_INODES = 11
_SMALLEST_GROUP = 52
# Blocks of a new journal by blocks of the file system: e2fsprogs lib/ext2fs/mkjournal.c, ext2fs_default_journal_size.
_JOURNALS = ((2048, 0), (32768, 1024), (256 * 1024, 4096), (512 * 1024, 8192), (4096 * 1024, 16384), (8192 * 1024, 32768),
             (16384 * 1024, 65536), (32768 * 1024, 131072))
_LARGEST_JOURNAL = 262144
XFS_INODE = 512
# xfs answers ENOSPC some hundred KiB before its last block: each change reserves the most that it could need.
_XFS_SLACK = 1 << 20


@dataclass(frozen=True)
class TreeCounts:
    """What a tree holds. `bytes`: as applications see it, each inode once; `allocated`: as it will be written, each inode once, holes as nothing,
    rounded up to 4 KiB; `directory_bytes`: directories as a fresh ext4 packs them; `hard_links`: names beyond the first of an inode;
    `inodes`: all that the copy needs; `xattr_blocks`: for attributes that do not fit into inodes; `bytes_on_1k`, `bytes_on_xfs`: what is written and
    directories, on an ext4 with blocks of 1 KiB and on xfs, 0 when nobody counted."""

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    others: int = 0
    hard_links: int = 0
    bytes: int = 0
    allocated: int = 0
    directory_bytes: int = 0
    inodes: int = 0
    xattr_blocks: int = 0
    bytes_on_1k: int = 0
    bytes_on_xfs: int = 0

    def as_dict(self) -> dict[str, int]:
        """The JSON form in the events `measured`, `verified` and `failed`."""
        return asdict(self)

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> TreeCounts:
        """Back from JSON; unknown keys of a newer mover are ignored."""
        return TreeCounts(**{field.name: int(raw.get(field.name, 0)) for field in fields(TreeCounts)})


@dataclass(frozen=True)
class FsGeometry:
    """What a file system offers to a writer that is not privileged to the reserve: bytes, inodes, and its block size in bytes."""

    bytes: int
    inodes: int
    block: int = BLOCK
    is_xfs: bool = False


@dataclass(frozen=True)
class Usage:
    """Bytes and inodes that a tree will occupy."""

    bytes: int
    inodes: int


@dataclass(frozen=True)
class Verdict:
    """The answer with its numbers (bytes and inodes; needed includes the head room) and a sentence for people."""

    fits: bool
    needed_bytes: int
    available_bytes: int
    needed_inodes: int
    available_inodes: int
    sentence: str


def project_usage(tree: TreeCounts, target: FsGeometry) -> Usage:
    """Bytes and inodes that `tree` will occupy on a file system of geometry `target`.

    Holes count as nothing, a hard-linked inode once. Two thousandths are added for extent trees. xfs takes the room of inodes from that of the data,
    ext4 has it set aside. Source: ext4(5); measured in tests/mover/test_fit_is_right.py.
    """
    small = target.block == SMALL_BLOCK and tree.bytes_on_1k > 0
    block = SMALL_BLOCK if small else max(target.block, BLOCK) if target.block <= _LARGEST_BLOCK else BLOCK
    if target.is_xfs:
        data = (tree.bytes_on_xfs or tree.allocated + tree.directory_bytes) + tree.inodes * XFS_INODE + _XFS_SLACK
    else:
        data = tree.bytes_on_1k if small else tree.allocated + tree.directory_bytes
    rounding = max(block - BLOCK, 0) * (tree.files + tree.directories)
    return Usage(data + tree.xattr_blocks * block + rounding + tree.allocated // 512, tree.inodes)


def fits(usage: Usage, target: FsGeometry, head_room_percent: int) -> Verdict:
    """Whether `usage` and `head_room_percent` of it on top fit what `target` offers."""
    needed = usage.bytes + usage.bytes * head_room_percent // 100
    # A file system without a fixed number of inodes (btrfs, many network ones) reports none.
    inodes_fit = usage.inodes <= target.inodes or target.inodes == 0
    shortfalls = []
    if needed > target.bytes:
        room = f" ({human(usage.bytes)} of data and {head_room_percent} % head room)" if head_room_percent else ""
        shortfalls.append(f"{human(needed)}{room} are needed, {human(target.bytes)} are available: {human(needed - target.bytes)} too little")
    if not inodes_fit:
        shortfalls.append(f"{usage.inodes} inodes are needed, {target.inodes} are available: {usage.inodes - target.inodes} too few")
    sentence = "; ".join(shortfalls) or f"{human(needed)} of {human(target.bytes)} and {usage.inodes} of {target.inodes} inodes are needed"
    return Verdict(not shortfalls, needed, target.bytes, usage.inodes, target.inodes, sentence)


def ext4_of_size(volume_bytes: int, reserved_percent: int = 5) -> FsGeometry:
    """What a fresh ext4 on a device of `volume_bytes` offers, with the defaults of mkfs.ext4.

    Source: mke2fs.conf(5) (below 512 MiB the type `small`: 1 KiB blocks, an inode for each 4096 bytes; from 4 TiB `big`, from 16 TiB `huge`),
    e2fsprogs lib/ext2fs/initialize.c and the kernel's fs/ext4/super.c (statfs hides 2 %, at most 4096 blocks, kept for delayed
    allocation); compared with real file systems in tests/plan/test_fit.py. Kubernetes formats with `-m0`; the reserve of 5 % is a margin for
    drivers that do not.
    """
    block, ratio = _block_and_ratio(volume_bytes)
    blocks = volume_bytes // block
    if blocks < 64:
        return FsGeometry(0, 0, block)
    per_group, per_table = 8 * block, block // _INODE
    inodes = volume_bytes // ratio
    # A last group that could hold little more than its own tables is left out.
    rest, groups = blocks % per_group, _ceil(blocks, per_group)
    own = (_superblocks(groups) - _superblocks(groups - 1)) * _backup(blocks, groups, block)
    if groups > 1 and 0 < rest < own + _ceil(_inodes_per_group(inodes, groups, per_table, per_group), per_table) + _SMALLEST_GROUP:
        blocks, groups = blocks - rest, groups - 1
    inodes_per_group = _inodes_per_group(inodes, groups, per_table, per_group)
    tables = groups * (_ceil(inodes_per_group, per_table) + 2)
    overhead = tables + _superblocks(groups) * _backup(blocks, groups, block) + _journal(blocks)
    free = blocks - overhead - 16 - (blocks * reserved_percent) // 100 - min(blocks // 50, 4096)
    return FsGeometry(max(free, 0) * block, groups * inodes_per_group - _RESERVED_INODES, block)


def _inodes_per_group(inodes: int, groups: int, per_table: int, per_group: int) -> int:
    return min(_ceil(_ceil(inodes, groups), per_table) * per_table, per_group) // 8 * 8


def _block_and_ratio(volume_bytes: int) -> tuple[int, int]:
    if volume_bytes < 512 << 20:
        return 1024, 4096
    if volume_bytes < 4 << 40:
        return 4096, 16384
    return 4096, 32768 if volume_bytes < 16 << 40 else 65536


def _journal(blocks: int) -> int:
    return next((size for limit, size in _JOURNALS if blocks < limit), _LARGEST_JOURNAL)


def _backup(blocks: int, groups: int, block: int) -> int:
    """Blocks of a superblock with its descriptors, and those kept so that the file system can grow a thousandfold (feature resize_inode)."""
    descriptors = _ceil(groups * _GROUP_DESCRIPTOR, block)
    largest = min(blocks * 1024, 2**32 - 1)
    wanted = _ceil(_ceil(largest, 8 * block), block // _GROUP_DESCRIPTOR) - descriptors
    return 1 + descriptors + max(0, min(wanted, block // 4))


def _superblocks(groups: int) -> int:
    """How many groups hold a superblock and descriptors. Feature sparse_super: groups 0, 1 and the powers of 3, 5 and 7."""
    found = min(groups, 2)
    for base in (3, 5, 7):
        power = base
        while power < groups:
            found += 1
            power *= base
    return found


def _ceil(value: int, unit: int) -> int:
    return -(-value // unit)
