"""What stands in a tree: a walk by directory descriptors that never follows a link, and the identity of an entry. Nothing here writes, and no file
content is read."""
from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Callable, Iterator, NamedTuple

from ..plan.fit import BLOCK, TreeCounts
from .failures import VANISHED_ERRORS, InputOutput, SourceChanged, of_os_error, shown

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LOST_AND_FOUND = "lost+found"
IGNORED_XATTRS = frozenset({"security.selinux"})
# An ext4 inode of 256 bytes keeps about this much of names and values; more goes to a block of its own.
_XATTRS_IN_INODE = 88
_LONGEST_FAST_SYMLINK = 59


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
    atime: int
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
    def is_sparse(self) -> bool:
        return self.blocks * 512 < self.size

    @property
    def identity(self) -> bytes:
        """Equal identities of the same name mean: nobody touched data or metadata in between (but see Fence in proof.py for mmap)."""
        return struct.pack("<Qqqq", self.ino, self.ctime, self.mtime, self.size)


def of(found: os.stat_result) -> Stat:
    return Stat(found.st_mode, found.st_ino, found.st_nlink, found.st_uid, found.st_gid, found.st_rdev, found.st_size, found.st_blocks,
                found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)


Entries = dict[str, Stat]
Place = tuple[str, str]


@dataclass
class Tree:
    """Directories by path ("" is the root, parents before children), each with its entries; names as str with surrogateescape."""

    root: Stat
    directories: dict[str, Entries] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)

    @cached_property
    def links(self) -> dict[int, list[Place]]:
        """Names of each inode that has more than one, directories aside, in the order of the walk; also those with one name in this tree.

        The first name of each stands for the inode: it carries the content, the others follow. For a complete tree.
        """
        found: dict[int, list[Place]] = {}
        for path, entries in self.directories.items():
            for name, entry in entries.items():
                if entry.nlink > 1 and not entry.is_directory:
                    found.setdefault(entry.ino, []).append((path, name))
        return found

    @cached_property
    def followers(self) -> set[Place]:
        """All names of hard-linked inodes but the first of each."""
        return {place for places in self.links.values() for place in places[1:]}


def join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def open_directory(root: int, path: str) -> int:
    """A descriptor of the directory `path` below `root`, one component at a time, so that no link is followed and no path is too long."""
    current = os.dup(root)
    try:
        for part in path.split("/") if path else ():
            following = os.open(part, DIRECTORY, dir_fd=current)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def entries_of(directory: int, device: int, path: str) -> Entries:
    """The entries of an open directory. A name that vanishes while it is listed is left out. Raises InputOutput for a mount inside."""
    found: Entries = {}
    with os.scandir(directory) as listing:
        for item in listing:
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_dev != device:
                raise InputOutput(f"another file system is mounted on {shown(join(path, item.name))}: it would not be copied")
            found[item.name] = of(status)
    return found


def walk(root: int, tick: Callable[[], None]) -> Tree:
    """The whole tree below an open directory; what vanishes during the walk is listed in `vanished`. Raises InputOutput."""
    status = os.fstat(root)
    tree = Tree(of(status))
    todo = [""]
    while todo:
        path = todo.pop()
        try:
            directory = open_directory(root, path)
        except OSError as error:
            if error.errno in VANISHED_ERRORS:
                tree.vanished.append(path)
                continue
            raise of_os_error(error, path, "cannot open the directory") from error
        try:
            entries = entries_of(directory, status.st_dev, path)
        except OSError as error:
            raise of_os_error(error, path, "cannot list the directory") from error
        finally:
            os.close(directory)
        tree.directories[path] = entries
        todo.extend(join(path, name) for name in entries if stat.S_ISDIR(entries[name].mode))
        tick()
    return tree


def demand_complete(tree: Tree) -> None:
    """On a quiesced source nothing may vanish. Raises SourceChanged."""
    if tree.vanished:
        raise SourceChanged(f"{shown(tree.vanished[0])} vanished while the stopped source was read")


def count(tree: Tree, xattr_blocks: int = 0) -> TreeCounts:
    """The counts of a tree, each inode once."""
    kinds = {stat.S_IFREG: 0, stat.S_IFDIR: 1, stat.S_IFLNK: 0}
    seen: set[int] = set()
    others = hard_links = apparent = allocated = 0
    directory_bytes = 0
    for entries in tree.directories.values():
        directory_bytes += _packed_size(entries)
        for entry in entries.values():
            if entry.nlink > 1 and not entry.is_directory:
                if entry.ino in seen:
                    hard_links += 1
                    continue
                seen.add(entry.ino)
            if entry.kind in kinds:
                kinds[entry.kind] += 1
            else:
                others += 1
            if entry.is_file:
                apparent += entry.size
                allocated += _as_written(entry)
            elif entry.kind == stat.S_IFLNK and entry.size > _LONGEST_FAST_SYMLINK:
                allocated += BLOCK
    files, directories, symlinks = kinds[stat.S_IFREG], kinds[stat.S_IFDIR], kinds[stat.S_IFLNK]
    return TreeCounts(files=files, directories=directories, symlinks=symlinks, others=others, hard_links=hard_links, bytes=apparent,
                      allocated=allocated, directory_bytes=directory_bytes, inodes=files + directories + symlinks + others,
                      xattr_blocks=xattr_blocks)


def _as_written(entry: Stat) -> int:
    whole = -(-entry.size // BLOCK) * BLOCK
    return min(whole, entry.blocks * 512) if entry.is_sparse else whole


def _packed_size(entries: Entries) -> int:
    """Bytes of a fresh ext4 directory: 8 bytes and the name an entry, rounded to 4; an indexed one is filled to two thirds or so."""
    used = 24 + sum(8 + (len(os.fsencode(name)) + 3) // 4 * 4 for name in entries)
    return BLOCK if used <= BLOCK - 64 else -(-(used * 7 // 4) // BLOCK) * BLOCK


def xattrs_of(target: int | str) -> dict[str, bytes]:
    """Extended attributes (ACLs and file capabilities among them) of a descriptor or of the path of `by_name`; the SELinux label aside."""
    follow = isinstance(target, int)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError as error:
        if error.errno == 95:
            return {}
        raise
    return {name: os.getxattr(target, name, follow_symlinks=follow) for name in names if name not in IGNORED_XATTRS}


def by_name(directory: int, name: str) -> str:
    """A path for the calls that take no dir_fd: through the open directory, so that nothing on the way can be exchanged."""
    return f"/proc/self/fd/{directory}/{name}"


def count_xattr_blocks(root: int, paths: list[str]) -> int:
    """How many inodes below these directories need a block for their attributes; hard-linked ones may count twice, vanished ones do not."""
    return sum(_xattr_blocks_in(root, path) for path in paths)


def _xattr_blocks_in(root: int, path: str) -> int:
    try:
        directory = open_directory(root, path)
    except OSError:
        return 0
    try:
        return sum(1 for name in os.listdir(directory) if _needs_block(directory, name))
    finally:
        os.close(directory)


def _needs_block(directory: int, name: str) -> bool:
    try:
        xattrs = xattrs_of(by_name(directory, name))
    except OSError:
        return False
    return sum(16 + len(key) + (len(value) + 3) // 4 * 4 for key, value in xattrs.items()) > _XATTRS_IN_INODE


def batches(tree: Tree, size: int = 512) -> Iterator[list[str]]:
    """Directories in lists of about `size` entries: the tasks of the worker processes."""
    batch: list[str] = []
    weight = 0
    for path, entries in tree.directories.items():
        batch.append(path)
        weight += len(entries) + 1
        if weight >= size:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch
