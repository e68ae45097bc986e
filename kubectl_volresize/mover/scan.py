"""What stands in a tree: a walk by directory descriptors that never follows a link. Nothing here writes, and no file content is read."""
from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from typing import Callable, Iterable, Iterator, Mapping, Sequence

from ..plan.fit import BLOCK, SMALL_BLOCK, TreeCounts
from . import layout, pages, workers
from .failures import VANISHED_ERRORS, InputOutput, SourceChanged, of_os_error, shown
from .pages import Entries, Stat

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LOST_AND_FOUND = "lost+found"
# The label comes from the pod's mount; xfs shows whoever has CAP_SYS_ADMIN each ACL a second time under its old name (fs/xfs/xfs_xattr.c).
IGNORED_XATTRS = frozenset({"security.selinux", "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"})
# An ext4 inode of 256 bytes keeps about this much of names and values; more goes to a block of its own.
_XATTRS_IN_INODE = 88
_DIRECTORIES_PER_TASK = 16
# From this size on a file is a task of its own, and so much of smaller ones makes a task; bytes.
BIG = 32 << 20

Place = tuple[str, str]
# Extended attributes by name, of those that have any.
Attributes = dict[str, dict[str, bytes]]
# One page of one directory: its path and the number of the page.
Unit = tuple[str, int]


@dataclass
class Counts:
    """What was met, each inode once; sizes in bytes, `as_written` without holes and rounded up to blocks (of 4 KiB, of 1 KiB, of xfs), `allocated` as
    it is on disk."""

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    others: int = 0
    hard_links: int = 0
    apparent: int = 0
    as_written: int = 0
    as_written_1k: int = 0
    as_written_xfs: int = 0
    allocated: int = 0
    directory_bytes: int = 0
    directory_bytes_1k: int = 0
    directory_bytes_xfs: int = 0

    def add(self, entry: Stat) -> None:
        self.allocated += entry.blocks * 512
        kind = entry.kind
        if kind == stat.S_IFREG:
            self.files += 1
            self.apparent += entry.size
            self.as_written += _as_written(entry, BLOCK)
            self.as_written_1k += _as_written(entry, SMALL_BLOCK)
            self.as_written_xfs += _as_written(entry, BLOCK)
        elif kind == stat.S_IFDIR:
            self.directories += 1
        elif kind == stat.S_IFLNK:
            self.symlinks += 1
            self.as_written += layout.ext4_link(entry.size, BLOCK)
            self.as_written_1k += layout.ext4_link(entry.size, SMALL_BLOCK)
            self.as_written_xfs += layout.xfs_link(entry.size)
        else:
            self.others += 1

    def add_directory(self, names: Sequence[str]) -> None:
        """The blocks of one directory; that it is one is counted where its name stands."""
        lengths = [len(os.fsencode(name)) for name in names]
        self.directory_bytes += layout.ext4_directory(lengths, BLOCK)
        self.directory_bytes_1k += layout.ext4_directory(lengths, SMALL_BLOCK)
        self.directory_bytes_xfs += layout.xfs_directory(lengths)

    def merge(self, other: Counts) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def inodes(self) -> int:
        """The root directory included."""
        return self.files + self.directories + 1 + self.symlinks + self.others

    def as_tree_counts(self, xattr_blocks: int) -> TreeCounts:
        return TreeCounts(files=self.files, directories=self.directories + 1, symlinks=self.symlinks, others=self.others,
                          hard_links=self.hard_links, bytes=self.apparent, allocated=self.as_written, directory_bytes=self.directory_bytes,
                          inodes=self.inodes, xattr_blocks=xattr_blocks, bytes_on_1k=self.as_written_1k + self.directory_bytes_1k,
                          bytes_on_xfs=self.as_written_xfs + self.directory_bytes_xfs)


def _as_written(entry: Stat, block: int) -> int:
    whole = -(-entry.size // block) * block
    return min(whole, entry.blocks * 512) if entry.is_sparse else whole


@dataclass
class Listing:
    """One directory: its entries in pages, the paths of the directories in it, the entries whose inodes have other names (the only ones that
    `counts` leaves out); `vanished`: it was gone."""

    path: str
    pages: list[bytes] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    shared: Entries = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    vanished: bool = False


@dataclass
class Tree:
    """Directories by path ("" is the root, parents before children), each with its entries in pages; names as str with surrogateescape.

    `links`: the names of each inode that has more than one, directories aside, in the order of the walk; also those with one name in this tree.
    The first name of each stands for the inode: it carries the content, the others follow.
    """

    root: Stat
    pages: dict[str, list[bytes]] = field(default_factory=dict)
    links: dict[int, list[Place]] = field(default_factory=dict)
    vanished: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    @cached_property
    def followers(self) -> set[Place]:
        """All names of hard-linked inodes but the first of each. For a complete tree."""
        return {place for places in self.links.values() for place in places[1:]}

    def is_big(self, place: Place, entry: Stat) -> bool:
        """A file that is handled alone, by the name that carries its content."""
        return entry.size >= BIG and entry.is_file and not (entry.has_other_names and place in self.followers)

    def names_in(self, path: str) -> int:
        """How many names a directory holds."""
        return sum(map(pages.count, self.pages[path]))

    @property
    def shapes(self) -> dict[str, int]:
        """How many pages each directory has."""
        return {path: len(listed) for path, listed in self.pages.items()}

    def units(self) -> Iterator[tuple[Unit, int]]:
        """All pages, with their numbers of entries."""
        for path, listed in self.pages.items():
            for number, page in enumerate(listed):
                yield (path, number), pages.count(page)

    def unpack(self, unit: Unit) -> Entries:
        return pages.unpack(self.pages[unit[0]][unit[1]])

    def find(self, place: Place) -> Stat:
        """One entry. Unpacks its page: not for every name of a large tree. Raises KeyError."""
        listed = self.pages[place[0]]
        return pages.unpack(listed[pages.page_of(place[1], len(listed))])[place[1]]

    def moved(self, root: int, paths: Sequence[str]) -> list[str]:
        """Which of these are not what they were, or no longer there. Raises OSError."""
        return [path for path in paths if not self._is_unmoved(root, path)]

    def _is_unmoved(self, root: int, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        try:
            directory = open_directory(root, folder)
            try:
                return pages.of(os.stat(name, dir_fd=directory, follow_symlinks=False)).identity == self.find((folder, name)).identity
            finally:
                os.close(directory)
        except OSError as error:
            if error.errno in VANISHED_ERRORS:
                return False
            raise

    def take(self, listing: Listing) -> None:
        if listing.vanished:
            self.vanished.append(listing.path)
            return
        self.pages[listing.path] = listing.pages
        self.counts.merge(listing.counts)
        for name, entry in listing.shared.items():
            places = self.links.setdefault(entry.ino, [])
            places.append((listing.path, name))
            if len(places) == 1:
                self.counts.add(entry)
            else:
                self.counts.hard_links += 1


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


def open_source(directory: int, name: str) -> int:
    """A regular file may have been replaced by a FIFO meanwhile: O_NONBLOCK, so that opening it does not wait for a writer."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(name, flags, dir_fd=directory)


def entries_of(directory: int, names: Sequence[str], device: int, path: str) -> Entries:
    """These entries of an open directory. A name that vanished since it was listed is left out. Raises InputOutput for a mount inside."""
    found: Entries = {}
    for name in names:
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if status.st_dev != device:
            raise InputOutput(f"another file system is mounted on {shown(join(path, name))}: it would not be copied")
        found[name] = pages.of(status)
    return found


def walk(root: int, tick: Callable[[], None], shapes: Mapping[str, int] | None = None) -> Tree:
    """The whole tree below an open directory; what vanishes during the walk is listed in `vanished`. Raises InputOutput.

    `shapes`: in how many pages an earlier walk kept each directory: as many now, so that what is known of its names stands on the same page.
    """
    status = os.fstat(root)
    tree = Tree(pages.of(status))
    level = [""]

    def read(paths: list[str]) -> list[Listing]:
        return [_read(root, path, status.st_dev, (shapes or {}).get(path, 0)) for path in paths]

    while level:
        # In their order: the first name of an inode must not depend on chance.
        found = workers.in_order(_tasks(level), read, tick)
        level = []
        for listings in found:
            for listing in listings:
                tree.take(listing)
                level += listing.directories
    return tree


def _tasks(paths: list[str]) -> list[list[str]]:
    return [paths[start:start + _DIRECTORIES_PER_TASK] for start in range(0, len(paths), _DIRECTORIES_PER_TASK)]


def _read(root: int, path: str, device: int, shape: int) -> Listing:
    listing = Listing(path)
    try:
        directory = open_directory(root, path)
    except OSError as error:
        if error.errno in VANISHED_ERRORS:
            listing.vanished = True
            return listing
        raise of_os_error(error, path, "cannot open the directory") from error
    try:
        names = os.listdir(directory)
        for group in pages.by_page(names, shape or pages.pages_for(len(names))):
            _add_page(listing, entries_of(directory, group, device, path))
    except OSError as error:
        raise of_os_error(error, path, "cannot list the directory") from error
    finally:
        os.close(directory)
    listing.counts.add_directory(names)
    return listing


def _add_page(listing: Listing, entries: Entries) -> None:
    for name, entry in entries.items():
        if entry.has_other_names:
            listing.shared[name] = entry
            continue
        listing.counts.add(entry)
        if entry.is_directory:
            listing.directories.append(join(listing.path, name))
    listing.pages.append(pages.pack(entries))


def demand_complete(tree: Tree) -> None:
    """On a quiesced source nothing may vanish. Raises SourceChanged."""
    if tree.vanished:
        raise SourceChanged(f"{shown(tree.vanished[0])} vanished while the stopped source was read")


def xattrs_of(target: int | str) -> dict[str, bytes]:
    """Extended attributes (ACLs and file capabilities among them) of a descriptor or of the path of `by_name`; the ignored ones aside."""
    follow = isinstance(target, int)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise
    found = {}
    for name in names:
        if name in IGNORED_XATTRS:
            continue
        try:
            found[name] = os.getxattr(target, name, follow_symlinks=follow)
        except OSError as error:
            # Removed since it was listed.
            if error.errno != errno.ENODATA:
                raise
    return found


def stats_of(directory: int, names: Iterable[str]) -> Entries:
    """Of those names of an open directory that are there."""
    found = {}
    for name in names:
        try:
            found[name] = pages.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
        except FileNotFoundError:
            continue
    return found


def xattrs_in(directory: int, names: Iterable[str]) -> Attributes:
    """Of those names of an open directory that have any. Goes into the directory, which only a worker may do: these calls take no dir_fd, and
    /proc/self/fd is slow."""
    found = {}
    os.fchdir(directory)
    for name in names:
        try:
            xattrs = xattrs_of(name)
        except FileNotFoundError:
            continue
        if xattrs:
            found[name] = xattrs
    return found


def by_name(directory: int, name: str) -> str:
    """A path for the calls that take no dir_fd: through the open directory, so that nothing on the way can be exchanged."""
    return f"/proc/self/fd/{directory}/{name}"


def tasks(tree: Tree, entries: int = 512) -> list[list[Unit]]:
    """All pages, in lists of about so many entries: the tasks of the worker processes."""
    found: list[list[Unit]] = []
    task: list[Unit] = []
    weight = 0
    for unit, size in tree.units():
        task.append(unit)
        weight += size + 1
        if weight >= entries:
            found.append(task)
            task, weight = [], 0
    return found + ([task] if task else [])


def count_xattr_blocks(root: int, tree: Tree, units: Sequence[Unit]) -> int:
    """How many blocks the attributes of these pages need; hard-linked inodes may count twice, vanished ones do not."""
    return sum(_xattr_blocks_in(root, tree, unit) for unit in units)


def _xattr_blocks_in(root: int, tree: Tree, unit: Unit) -> int:
    try:
        directory = open_directory(root, unit[0])
    except OSError:
        return 0
    try:
        return sum(_xattr_blocks(directory, name) for name in tree.unpack(unit))
    finally:
        os.close(directory)


def _xattr_blocks(directory: int, name: str) -> int:
    try:
        xattrs = xattrs_of(by_name(directory, name))
    except OSError:
        return 0
    size = sum(16 + len(key) + (len(value) + 3) // 4 * 4 for key, value in xattrs.items())
    return -(-size // BLOCK) if size > _XATTRS_IN_INODE else 0
