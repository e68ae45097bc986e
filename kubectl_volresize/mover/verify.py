"""Is the copy equal: every name, all metadata, all content, each side read anew unless a proof of an earlier pass still holds. It trusts nothing
that the copying steps say they did, except digests of source bytes that were taken while the file provably stood still. Nothing here writes."""
from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Callable, Iterable

from . import content, finish, scan
from .bulk import Copied, Scene, open_source
from .failures import REPLACED_ERRORS, VANISHED_ERRORS, of_os_error
from .finish import NotKept
from .prepare import is_empty
from .proof import Known, known_of
from .scan import Place, Stat

_ENTRIES_PER_TASK = 512
_BYTES_PER_TASK = 64 << 20

Ledger = dict[str, dict[str, Copied]]
# One side of a hard link, as (inode, number of names): source and destination.
LinkPair = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Part:
    """Names of one directory to verify; `listing`: also that both sides hold no other names."""

    path: str
    names: tuple[str, ...]
    listing: bool


@dataclass
class Found:
    """What verification saw. `different`: (path, what); `changed`: paths of the source that moved since the pass scanned them."""

    entries: int = 0
    hashed: int = 0
    carried: int = 0
    read: int = 0
    known: list[tuple[str, str, Known]] = field(default_factory=list)
    different: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    not_kept: list[NotKept] = field(default_factory=list)
    links: list[tuple[Place, LinkPair]] = field(default_factory=list)

    def add(self, other: Found) -> None:
        self.entries += other.entries
        self.hashed += other.hashed
        self.carried += other.carried
        self.read += other.read
        for mine, more in ((self.known, other.known), (self.different, other.different), (self.changed, other.changed),
                           (self.not_kept, other.not_kept), (self.links, other.links)):
            mine.extend(more)  # type: ignore[arg-type]


def tasks(scene: Scene) -> list[list[Part]]:
    """The whole tree in tasks of about equal work; large files that are not proven come first and alone."""
    alone: list[list[Part]] = []
    together: list[list[Part]] = []
    batch: list[Part] = []
    weight = 0
    for path, entries in scene.tree.directories.items():
        big = {name for name, entry in entries.items() if entry.is_file and entry.size >= _BYTES_PER_TASK}
        alone += [[Part(path, (name,), False)] for name in big]
        names = [name for name in entries if name not in big]
        for start in range(0, len(names) or 1, _ENTRIES_PER_TASK):
            batch.append(Part(path, tuple(names[start:start + _ENTRIES_PER_TASK]), start == 0))
            weight += len(batch[-1].names) + 1
            if weight >= _ENTRIES_PER_TASK:
                together.append(batch)
                batch, weight = [], 0
    alone.sort(key=lambda parts: -scene.tree.directories[parts[0].path][parts[0].names[0]].size)
    return alone + together + ([batch] if batch else [])


def verifier(scene: Scene, ledger: Ledger) -> Callable[[list[Part]], Found]:
    """The function that a worker runs on each task."""
    followers = scene.tree.followers

    def verify(parts: list[Part]) -> Found:
        found = Found()
        for part in parts:
            _Directory(scene, ledger, followers, found, part).verify()
        return found

    return verify


def verify_root(scene: Scene) -> Found:
    """The metadata of the two top directories."""
    found = Found(entries=1)
    source, dest = scan.of(os.fstat(scene.source)), scan.of(os.fstat(scene.dest))
    if source.identity != scene.tree.root.identity:
        found.changed.append("")
    what = finish.difference(source, dest) or finish.xattr_difference(scan.xattrs_of(scene.source), scan.xattrs_of(scene.dest))
    if what:
        found.different.append(("", what))
    return found


class _Directory:
    """Verification of some names of one directory pair."""

    def __init__(self, scene: Scene, ledger: Ledger, followers: set[Place], found: Found, part: Part) -> None:
        self.scene, self.found, self.part, self.followers = scene, found, part, followers
        self.copied = ledger.get(part.path, {})
        self.expected = scene.tree.directories[part.path]
        self.source = self.dest = -1

    def verify(self) -> None:
        path = self.part.path
        try:
            self.source = scan.open_directory(self.scene.source, path)
            self.dest = scan.open_directory(self.scene.dest, path)
            if self.part.listing:
                self._compare_listings()
            for name in self.part.names:
                self._verify_entry(name)
        except OSError as error:
            if error.errno not in VANISHED_ERRORS:
                raise of_os_error(error, path, "cannot verify the directory") from error
            if self.source < 0:
                self.found.changed.append(path)
            else:
                self.found.different.append((path, "missing or not a directory"))
        finally:
            for descriptor in (self.source, self.dest):
                if descriptor >= 0:
                    os.close(descriptor)

    def _compare_listings(self) -> None:
        expected = self.expected.keys()
        self.found.changed += [self._full(name) for name in expected ^ set(os.listdir(self.source))]
        for name in set(os.listdir(self.dest)) - expected:
            if self.part.path == "" and name == scan.LOST_AND_FOUND and _is_empty_directory(self.dest, name):
                continue
            self.found.different.append((self._full(name), "entry that the source does not have"))

    def _full(self, name: str) -> str:
        return scan.join(self.part.path, name)

    def _verify_entry(self, name: str) -> None:
        full = self._full(name)
        try:
            source = scan.of(os.stat(name, dir_fd=self.source, follow_symlinks=False))
        except FileNotFoundError:
            self.found.changed.append(full)
            return
        try:
            dest = scan.of(os.stat(name, dir_fd=self.dest, follow_symlinks=False))
        except FileNotFoundError:
            self._note_missing(full, source, name)
            return
        self.found.entries += 1
        if source.identity != self.expected[name].identity:
            self.found.changed.append(full)
        if (source.nlink > 1 or dest.nlink > 1) and not source.is_directory:
            self.found.links.append(((self.part.path, name), ((source.ino, source.nlink), (dest.ino, dest.nlink))))
        known = known_of(self.scene.knowledge, self.part.path, name)
        if known is not None and known.proves(source, dest):
            self.found.carried += source.size if source.is_file and not self._is_follower(name) else 0
            return
        try:
            self._compare(name, full, source, dest, known)
        except content.Torn:
            self.found.changed.append(full)
        except OSError as error:
            # Gone, or replaced, between our lstat and the opening.
            if error.errno not in VANISHED_ERRORS + REPLACED_ERRORS:
                raise of_os_error(error, full, "cannot verify") from error
            self.found.changed.append(full)

    def _note_missing(self, full: str, source: Stat, name: str) -> None:
        if source.identity != self.expected[name].identity:
            self.found.changed.append(full)
        self.found.different.append((full, "missing"))

    def _is_follower(self, name: str) -> bool:
        return (self.part.path, name) in self.followers

    def _compare(self, name: str, full: str, source: Stat, dest: Stat, known: Known | None) -> None:
        what = finish.difference(source, dest)
        if what == "mtime" and finish.is_coarse(source, dest) and source.identity == self.expected[name].identity:
            self.found.not_kept.append(NotKept("mtime", full, "the destination's file system does not keep such times"))
        if not what and stat.S_ISLNK(source.mode) and os.readlink(name, dir_fd=self.source) != os.readlink(name, dir_fd=self.dest):
            what = "target"
        what = what or finish.xattr_difference(scan.xattrs_of(scan.by_name(self.source, name)), scan.xattrs_of(scan.by_name(self.dest, name)))
        blocks = b""
        if dest.is_file and source.is_file and not self._is_follower(name):
            blocks, equal = self._compare_content(name, full, source, dest, known)
            what = what or ("" if equal else "content")
        # A further name of a hard-linked inode leaves its content to the first; one that was exchanged meanwhile has nobody to vouch for it.
        vouched = not self._is_follower(name) or source.identity == self.expected[name].identity
        if what:
            self.found.different.append((full, what))
        if what or not vouched:
            self.found.known.append((self.part.path, name, Known(dest.identity, blocks)))
        else:
            self.found.known.append((self.part.path, name, Known(dest.identity, blocks, source.identity, self.scene.fence.settled(source))))

    def _compare_content(self, name: str, full: str, source: Stat, dest: Stat, known: Known | None) -> tuple[bytes, bool]:
        """Digests of the copy, and whether they are the original's."""
        copied = self.copied.get(name)
        there = self._dest_digests(name, dest, known, copied)
        if source.size != dest.size:
            return there, False
        here = self._source_digests(name, source, known, copied)
        if here is None:
            self.found.changed.append(full)
            return there, False
        self.found.hashed += source.size
        return there, here == there

    def _dest_digests(self, name: str, dest: Stat, known: Known | None, copied: Copied | None) -> bytes:
        if known is not None and known.dest == dest.identity and known.blocks and (copied is None or not copied.written):
            return known.blocks
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.dest)
        try:
            # What is read back must come from the disk and not from the memory that we just filled; works on pages already written.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            if copied is not None and copied.rewritten is not None and copied.dest == dest.identity:
                return self._read_back(descriptor, dest.size, copied.blocks, copied.rewritten)
            digests, read = content.read_digests(descriptor, dest.size, dest.is_sparse, self.scene.meter.add)
            self.found.read += read
            return digests
        finally:
            os.close(descriptor)

    def _read_back(self, descriptor: int, size: int, expected: bytes, blocks: Iterable[int]) -> bytes:
        """The digests of a copy of which only these blocks were written since it was last read back."""
        actual = bytearray(expected)
        for number in blocks:
            length = min(content.BLOCK, size - number * content.BLOCK)
            data = content.read_exactly(descriptor, number * content.BLOCK, length)
            self.found.read += length
            self.scene.meter.add(length)
            actual[number * content.DIGEST:(number + 1) * content.DIGEST] = content.digest(data)
        return bytes(actual)

    def _source_digests(self, name: str, source: Stat, known: Known | None, copied: Copied | None) -> bytes | None:
        """None when the original does not stand still."""
        if copied is not None and copied.source == source.identity:
            return copied.blocks
        if known is not None and known.settled and known.source == source.identity:
            return known.blocks
        descriptor = open_source(self.source, name)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content.wait_for_writers(descriptor)
            if scan.of(os.fstat(descriptor)).identity != source.identity:
                return None
            digests, read = content.read_digests(descriptor, source.size, source.is_sparse, self.scene.meter.add)
            self.found.read += read
            return digests if scan.of(os.fstat(descriptor)).identity == source.identity else None
        finally:
            os.close(descriptor)


def _is_empty_directory(directory: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode) and is_empty(directory, name)


def link_differences(links: list[tuple[Place, LinkPair]]) -> list[tuple[str, str]]:
    """Names that share an inode on one side and not on the other, or whose copy has names outside the tree."""
    names: dict[int, int] = {}
    to_dest: dict[int, int] = {}
    to_source: dict[int, int] = {}
    wrong = []
    for _, ((inode, _), _) in links:
        names[inode] = names.get(inode, 0) + 1
    for (path, name), ((source, _), (dest, dest_names)) in links:
        if to_dest.setdefault(source, dest) != dest or to_source.setdefault(dest, source) != source or dest_names != names[source]:
            wrong.append((scan.join(path, name), "hard links"))
    return wrong
