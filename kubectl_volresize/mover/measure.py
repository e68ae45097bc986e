"""Counts a tree without reading content: for the runner, which asks before it makes a claim, and for the mover's own check before its first byte. The
arithmetic is plan/fit.py's."""
from __future__ import annotations

import os
from typing import Callable

from ..model.quantity import human
from ..plan.fit import XFS_INODE, FsGeometry, TreeCounts, fits, project_usage
from . import kernel, scan, workers
from .failures import BadUsage, DoesNotFit
from .scan import Tree


def open_root(path: str, what: str) -> int:
    """A descriptor of a top directory. Raises BadUsage."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise BadUsage(f"{what} {path}: {error.strerror}") from error


def counts(root: int, tree: Tree, tick: Callable[[], None]) -> TreeCounts:
    """The counts of a scanned tree, attributes that need a block included."""
    blocks = sum(workers.run(scan.tasks(tree), lambda units: scan.count_xattr_blocks(root, tree, units), tick))
    return tree.counts.as_tree_counts(blocks)


def offered(dest: int, present: Tree | None) -> FsGeometry:
    """What the destination offers to a copy that replaces the entries already in it; None for a copy beside whatever is in it."""
    status, is_xfs = os.fstatvfs(dest), kernel.file_system_type(dest) == kernel.XFS_MAGIC
    inodes = present.counts.inodes - 1 if present else 0
    taken = present.counts.allocated + present.root.blocks * 512 + (inodes * XFS_INODE if is_xfs else 0) if present else 0
    return FsGeometry(status.f_bavail * status.f_frsize + taken, status.f_favail + inodes if status.f_files else 0, status.f_bsize, is_xfs)


def shortfall(dest: int, needed: TreeCounts, tick: Callable[[], None]) -> str:
    """What the data needs, what the destination has for it, and what is not copied yet, in words: for a copy that met the end of its room."""
    present = scan.walk(dest, tick)
    geometry = offered(dest, present)
    usage = project_usage(needed, geometry)
    verdict = fits(usage, geometry, 0)
    left = max(usage.bytes - present.counts.allocated, 0)
    hint = "" if not verdict.fits else ", which should do: is there a quota?"
    return f"{verdict.sentence}{hint}; about {human(left)} and {max(usage.inodes - present.counts.inodes, 0)} inodes are not copied yet"


def fit(root: int, tree: Tree, dest: int, head_room_percent: int, tick: Callable[[], None]) -> TreeCounts:
    """The counts of the tree, which fits. Raises DoesNotFit with the numbers when it does not.

    Where it fits beside what is there, even if each inode needed a block for its attributes, nobody looks closer: that costs a call an entry.
    """
    most, room = tree.counts.as_tree_counts(tree.counts.inodes), offered(dest, None)
    if fits(project_usage(most, room), room, head_room_percent).fits:
        return tree.counts.as_tree_counts(0)
    # Entries already in the destination make room: a copy that was killed half-way must not fail for its own bytes.
    room = offered(dest, scan.walk(dest, tick))
    needed = counts(root, tree, tick)
    verdict = fits(project_usage(needed, room), room, head_room_percent)
    if not verdict.fits:
        raise DoesNotFit(f"the data does not fit the destination: {verdict.sentence}")
    return needed
