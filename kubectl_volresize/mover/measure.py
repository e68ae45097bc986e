"""Counts a tree without reading content: for the runner, which asks before it makes a claim, and for the mover's own check before its first byte. The
arithmetic is plan/fit.py's."""
from __future__ import annotations

import os
from typing import Callable

from ..model.quantity import human
from ..plan.fit import FsGeometry, TreeCounts, fits, project_usage
from . import scan, workers
from .failures import BadUsage, NoSpace
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


def offered(dest: int, present: Tree) -> FsGeometry:
    """What the destination offers to a copy that replaces the entries already in it."""
    status = os.fstatvfs(dest)
    inodes = present.counts.inodes - 1
    return FsGeometry(status.f_bavail * status.f_frsize + present.counts.allocated, status.f_favail + inodes if status.f_files else 0, status.f_bsize)


def shortfall(dest: int, needed: TreeCounts) -> str:
    """What the data needs and what the whole file system of the destination has for it, in words."""
    status = os.fstatvfs(dest)
    block, offer = status.f_frsize, (status.f_blocks - status.f_bfree + status.f_bavail) * status.f_frsize
    usage = project_usage(needed, FsGeometry(offer, status.f_files, status.f_bsize))
    return (f"the data needs about {human(usage.bytes)} and {usage.inodes} inodes, the destination has {human(offer)} and {status.f_files} in all, "
            f"{human(status.f_bavail * block)} and {status.f_favail} of them free: {human(max(usage.bytes - offer, 0))} too little")


def fit(root: int, tree: Tree, geometry: FsGeometry, head_room_percent: int, tick: Callable[[], None]) -> TreeCounts:
    """The counts of the tree, which fits. Raises NoSpace with the numbers when it does not.

    Where it fits even if each inode needed a block for its attributes, nobody reads them: that costs a call an entry.
    """
    most = tree.counts.as_tree_counts(tree.counts.inodes)
    if fits(project_usage(most, geometry), geometry, head_room_percent).fits:
        return tree.counts.as_tree_counts(0)
    needed = counts(root, tree, tick)
    verdict = fits(project_usage(needed, geometry), geometry, head_room_percent)
    if not verdict.fits:
        raise NoSpace(f"the data does not fit the destination: {verdict.sentence}")
    return needed
