"""Is the copy equal: every name, all metadata, all content, each side read anew unless a proof of an earlier pass still holds. It trusts nothing
that the copying steps say they did, except digests of source bytes that were taken while the file provably stood still. Nothing here writes."""
from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from typing import Callable, Iterable, Iterator, Mapping, Sequence

from . import bulk, content, finish, pages, proof, scan
from .bulk import Copied, Ledger, Scene, Task
from .failures import REPLACED_ERRORS, VANISHED_ERRORS, of_os_error
from .finish import NotKept
from .pages import Stat
from .prepare import Piece
from .proof import Known
from .removal import is_empty
from .scan import Place, Tree

# One name of a hard-linked inode: source inode, destination inode, number of names of the latter, proof that outlives the pass (b"": none).
LinkSeen = tuple[Place, int, int, int, bytes]
_NOTHING = Known()
_MODULUS = 2**128


@dataclass
class Found:
    """What verification saw. `different`: (path, what); `changed`: paths of the source that moved since the pass scanned them; `unproven`: files of
    which no proof outlives the pass; `pieces`: what is known now of their names; `rows`: the sum of all rows, see _row."""

    entries: int = 0
    hashed: int = 0
    carried: int = 0
    read: int = 0
    unproven_files: int = 0
    unproven_bytes: int = 0
    rows: int = 0
    different: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    not_kept: list[NotKept] = field(default_factory=list)
    links: list[LinkSeen] = field(default_factory=list)
    pieces: list[tuple[Piece, bytes]] = field(default_factory=list)
    big: dict[Place, Known] = field(default_factory=dict)

    def add(self, other: Found) -> None:
        """Everything but the pieces, which are too many to keep."""
        for name in ("entries", "hashed", "carried", "read", "unproven_files", "unproven_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rows = (self.rows + other.rows) % _MODULUS
        for mine, more in ((self.different, other.different), (self.changed, other.changed), (self.not_kept, other.not_kept),
                           (self.links, other.links)):
            mine.extend(more)  # type: ignore[arg-type]
        self.big.update(other.big)

    @property
    def digest(self) -> str:
        """Of the whole tree, whatever the order in which it was walked."""
        return f"{self.rows:032x}"


def tasks(scene: Scene) -> list[Task]:
    """The whole tree in tasks of about equal work."""
    return bulk.tasks(scene.prepared, lambda piece: True, scene.prepared.big)


def verifier(scene: Scene, ledger: Ledger, todo: list[Task], pause: Callable[[int], None]) -> Callable[[int], Found]:
    """The function that a worker runs on the number of each task."""
    kind = _Contents if scene.reads else _Metadata

    def verify(number: int) -> Found:
        found, task = Found(), todo[number]
        if task.alone is not None:
            kind(scene, ledger, found, task.alone[0], pause).alone(task.alone[1])
        for piece in task.pieces:
            kind(scene, ledger, found, piece.unit[0], pause).piece(piece)
        return found

    return verify


def verify_root(scene: Scene) -> Found:
    """The metadata of the two top directories."""
    found = Found(entries=1)
    source, dest = pages.of(os.fstat(scene.source)), pages.of(os.fstat(scene.dest))
    if source.identity != scene.tree.root.identity:
        found.changed.append("")
    xattrs = scan.xattrs_of(scene.dest)
    words = finish.differences(source, dest) + finish.xattr_differences(scan.xattrs_of(scene.source), xattrs)
    words.append(finish.flags_difference(scene.source, scene.dest))
    found.different += [("", what) for what in words if what and finish.loss_of(what) not in scene.accepted][:1]
    found.rows = int.from_bytes(_row("", dest, "", xattrs, b""), "big")
    return found


class _Metadata:
    """Verification of some names of one directory: everything but content."""

    def __init__(self, scene: Scene, ledger: Ledger, found: Found, path: str, pause: Callable[[int], None]) -> None:
        self.scene, self.ledger, self.found, self.path, self.pause = scene, ledger, found, path, pause
        self.source = self.dest = -1
        self.learned: dict[str, Known] = {}
        self.proven: set[str] = set()
        self.xattrs: tuple[scan.Attributes, scan.Attributes] = ({}, {})
        self.copied: Mapping[str, Copied] = {}
        self.known: Mapping[str, Known] = {}

    def piece(self, piece: Piece) -> None:
        entries = self.scene.tree.unpack(piece.unit)
        self.copied = self.ledger.of(piece, entries)
        self.known = self.scene.knowledge.page(piece.unit)
        chosen = [(name, entry) for name, entry in list(entries.items())[piece.start:piece.stop]
                  if not self.scene.tree.is_big((self.path, name), entry)]
        self._verify(chosen, listing=piece.start == 0 and piece.unit[1] == 0)
        if self.scene.fence.another_pass:
            self.found.pieces.append((piece, proof.pack(self.learned)))

    def alone(self, name: str) -> None:
        place = (self.path, name)
        if place in self.ledger.big:
            self.copied = {name: self.ledger.big[place]}
        self.known = {name: self.scene.knowledge.of_big(place)}
        self._verify([(name, self.scene.tree.find(place))], listing=False)
        self.found.big.update({(self.path, name): known for name, known in self.learned.items()})

    def _verify(self, chosen: Sequence[tuple[str, Stat]], listing: bool) -> None:
        try:
            self.source = scan.open_directory(self.scene.source, self.path)
            self.dest = scan.open_directory(self.scene.dest, self.path)
            if listing:
                self._compare_listings()
            sources, dests = (scan.stats_of(directory, [name for name, _ in chosen]) for directory in (self.source, self.dest))
            self.proven = {name for name, source in sources.items() if name in dests and self._known(name).proves(source, dests[name])}
            unproven = [name for name in sources if name in dests and name not in self.proven]
            # After the stats: a proof must not bind attributes of before to an identity of after.
            self.xattrs = scan.xattrs_in(self.source, unproven), scan.xattrs_in(self.dest, unproven)
            for name, expected in chosen:
                self._verify_entry(name, expected, sources.get(name), dests.get(name))
        except OSError as error:
            if error.errno not in VANISHED_ERRORS:
                raise of_os_error(error, self.path, "cannot verify the directory") from error
            if self.source < 0:
                self.found.changed.append(self.path)
            else:
                self.found.different.append((self.path, "missing or not a directory"))
        finally:
            for descriptor in (self.source, self.dest):
                if descriptor >= 0:
                    os.close(descriptor)

    def _compare_listings(self) -> None:
        """That there are no other names. Names are many: as long as there are as many as expected, and each of those is there, nobody lists them."""
        number = self.scene.tree.names_in(self.path)
        if _entries_in(self.source) != number:
            self.found.changed += [self._full(name) for name in self._expected_names() ^ set(os.listdir(self.source))]
        # What may be missing leaves room for what must not be there.
        if _entries_in(self.dest) == number and not self.scene.accepted:
            return
        for name in set(os.listdir(self.dest)) - self._expected_names():
            if self.path == "" and name == scan.LOST_AND_FOUND and _is_empty_directory(self.dest, name):
                continue
            self.found.different.append((self._full(name), "entry that the source does not have"))

    def _expected_names(self) -> set[str]:
        return {name for number in range(len(self.scene.tree.pages[self.path])) for name in self.scene.tree.unpack((self.path, number))}

    def _full(self, name: str) -> str:
        return scan.join(self.path, name)

    def _known(self, name: str) -> Known:
        return self.known.get(name, _NOTHING)

    def _verify_entry(self, name: str, expected: Stat, source: Stat | None, dest: Stat | None) -> None:
        # Almost every entry of a final pass: the short way.
        if (name in self.proven and source is not None and source == expected and dest is not None
                and not source.has_other_names and not dest.has_other_names):
            self._carry(name, source, self._known(name))
            return
        full, follows = self._full(name), self._is_follower(name, expected)
        if source is None or source.identity != expected.identity:
            self.found.changed.append(full)
        if source is not None and dest is None and finish.loss_of(finish.kind_in_words(expected.kind)) not in self.scene.accepted:
            self.found.different.append((full, "missing"))
        if source is not None and dest is not None:
            self._verify_pair(name, full, expected, source, dest)
        learned = self.learned.get(name, _NOTHING)
        if expected.is_file and not follows and not (learned.pair and source is not None and source.identity == expected.identity):
            self.found.unproven_files += 1
            self.found.unproven_bytes += expected.size

    def _verify_pair(self, name: str, full: str, expected: Stat, source: Stat, dest: Stat) -> None:
        known = self._known(name)
        if name in self.proven:
            self._carry(name, source, known)
        else:
            self.found.entries += 1
            self._compare_guarded(name, full, expected, source, dest, known)
        if expected.has_other_names or source.has_other_names or dest.has_other_names:
            proven = self.learned.get(name, _NOTHING).pair
            self.found.links.append(((self.path, name), source.ino, dest.ino, dest.nlink, source.identity if proven else b""))

    def _carry(self, name: str, source: Stat, known: Known) -> None:
        """Equal by a proof of an earlier pass."""
        self.found.entries += 1
        self.found.carried += source.size if source.is_file and not self._is_follower(name, source) else 0
        self.learned[name] = known
        self.found.rows += int.from_bytes(known.row, "big")

    def _is_follower(self, name: str, expected: Stat) -> bool:
        return expected.has_other_names and (self.path, name) in self.scene.tree.followers

    def _compare_guarded(self, name: str, full: str, expected: Stat, source: Stat, dest: Stat, known: Known) -> None:
        try:
            self._compare(name, full, expected, source, dest, known)
        except content.Torn:
            self.found.changed.append(full)
        except OSError as error:
            # Gone, or replaced, between our lstat and the opening: what was a link is none any more (EINVAL), what was a file a FIFO (ESPIPE).
            if error.errno not in VANISHED_ERRORS + REPLACED_ERRORS + (errno.EINVAL, errno.ESPIPE):
                raise of_os_error(error, full, "cannot verify") from error
            self.found.changed.append(full)

    def _compare(self, name: str, full: str, expected: Stat, source: Stat, dest: Stat, known: Known) -> None:
        words = finish.differences(source, dest)
        if "mtime" in words and finish.is_coarse(source, dest) and source.identity == expected.identity:
            self.found.not_kept.append(NotKept("mtime", full, "the destination's file system does not keep such times"))
        target, blocks = "", b""
        if source.is_link and dest.is_link:
            target = os.readlink(name, dir_fd=self.dest)
            words += ["target"] if os.readlink(name, dir_fd=self.source) != target else []
        xattrs = self.xattrs[1].get(name, {})
        words += finish.xattr_differences(self.xattrs[0].get(name, {}), xattrs)
        if source.is_directory and dest.is_directory:
            with self._both(name) as opened:
                words.append(finish.flags_difference(*opened))
        follows = self._is_follower(name, expected)
        if dest.is_file and source.is_file and not follows:
            blocks, different = self._compare_content(name, full, source, dest, known)
            words += different
        what = next((word for word in words if word and finish.loss_of(word) not in self.scene.accepted), "")
        if what:
            self.found.different.append((full, what))
        # A further name of a hard-linked inode leaves its content to the first; one that was exchanged meanwhile has nobody to vouch for it.
        if what or (follows and source.identity != expected.identity):
            self.learned[name] = Known.of_copy(dest, blocks)
            return
        row = b"" if follows or not self.scene.reads else _row(self._names_of(name, expected), dest, target, xattrs, blocks)
        self.found.rows += int.from_bytes(row, "big")
        fence = self.scene.fence
        if fence.another_pass:
            self.learned[name] = Known.of(source, dest, blocks, row, fence.settled(source))

    def _names_of(self, name: str, expected: Stat) -> str:
        if not expected.has_other_names:
            return self._full(name)
        return "\0".join(sorted(scan.join(*place) for place in self.scene.tree.links.get(expected.ino, [(self.path, name)])))

    @contextlib.contextmanager
    def _both(self, name: str) -> Iterator[tuple[int, int]]:
        """The original and the copy, open."""
        source = scan.open_source(self.source, name)
        try:
            dest = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.dest)
            try:
                yield source, dest
            finally:
                os.close(dest)
        finally:
            os.close(source)

    def _compare_content(self, name: str, full: str, source: Stat, dest: Stat, known: Known) -> tuple[bytes, list[str]]:
        """Digests of the copy's blocks, and in what it differs."""
        if not source.is_sparse or dest.is_sparse:
            return b"", []
        with self._both(name) as (original, copy):
            return b"", [_holes(original, copy, source.size)]


class _Contents(_Metadata):
    """Verification of everything."""

    def _compare_content(self, name: str, full: str, source: Stat, dest: Stat, known: Known) -> tuple[bytes, list[str]]:
        copied = self.copied.get(name)
        there = self._dest_digests(name, dest, known, copied)
        if source.size != dest.size:
            return there, []
        here = self._source_digests(name, source, known, copied)
        if here is None:
            self.found.changed.append(full)
            return there, ["content"]
        self.found.hashed += source.size
        if here != there:
            return there, ["content"]
        with self._both(name) as (original, copy):
            return there, [finish.flags_difference(original, copy), _holes(original, copy, source.size)]

    def _dest_digests(self, name: str, dest: Stat, known: Known, copied: Copied | None) -> bytes:
        if (copied is None or not copied.written) and known.knows_copy(dest):
            return known.blocks
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.dest)
        try:
            # What is read back must come from the disk and not from the memory that we just filled; works on pages already written.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            if copied is not None and copied.rewritten is not None and copied.dest == dest.identity:
                return self._read_back(descriptor, dest.size, copied.blocks, copied.rewritten)
            digests, read = content.read_digests(descriptor, dest.size, self.pause)
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
            self.pause(length)
            actual[number * content.DIGEST:(number + 1) * content.DIGEST] = content.digest(data)
        return bytes(actual)

    def _source_digests(self, name: str, source: Stat, known: Known, copied: Copied | None) -> bytes | None:
        """None when the original does not stand still."""
        if copied is not None and copied.source == source.identity:
            return copied.blocks
        if known.knows_original(source):
            return known.blocks
        descriptor = scan.open_source(self.source, name)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content.wait_for_writers(descriptor)
            if pages.of(os.fstat(descriptor)).identity != source.identity:
                return None
            digests, read = content.read_digests(descriptor, source.size, self.pause)
            self.found.read += read
            return digests if pages.of(os.fstat(descriptor)).identity == source.identity else None
        finally:
            os.close(descriptor)


def _holes(original: int, copy: int, size: int) -> str:
    # What lies between two file systems' block sizes says nothing.
    wanted, there = content.allocated(original, size), content.allocated(copy, size)
    if wanted == there:
        return ""
    grain = max(os.fstatvfs(original).f_bsize, os.fstatvfs(copy).f_bsize)
    return "" if content.coarse(wanted, size, grain) == content.coarse(there, size, grain) else "holes"


def _is_empty_directory(directory: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode) and is_empty(directory, name)


def _entries_in(directory: int) -> int:
    with os.scandir(directory) as listing:
        return sum(1 for _ in listing)


def _row(names: str, entry: Stat, target: str, xattrs: Mapping[str, bytes], blocks: bytes) -> bytes:
    """What an entry adds to the digest of the whole tree, 128 bits: its names, kind, owner, mode, size, mtime, target, attributes and content."""
    size = 0 if entry.is_directory else entry.size
    device = entry.rdev if stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode) else 0
    attributes = sorted(xattrs.items()) if xattrs else ""
    fixed = f"{entry.mode} {entry.uid} {entry.gid} {device} {size} {entry.mtime} {len(target)} {len(blocks)} {attributes} {target}\0{names}\0"
    return proof.mark(fixed.encode("utf-8", "surrogateescape") + blocks)


def link_differences(links: list[LinkSeen]) -> list[tuple[str, str]]:
    """Names that share an inode on one side and not on the other, or whose copy has names outside the tree."""
    names: dict[int, int] = {}
    to_dest: dict[int, int] = {}
    to_source: dict[int, int] = {}
    wrong = []
    for _, inode, *_ in links:
        names[inode] = names.get(inode, 0) + 1
    for place, source, dest, dest_names, _ in links:
        if to_dest.setdefault(source, dest) != dest or to_source.setdefault(dest, source) != source or dest_names != names[source]:
            wrong.append((scan.join(*place), "hard links"))
    return wrong


def unvouched(links: list[LinkSeen], tree: Tree) -> set[Place]:
    """Further names of hard-linked inodes whose first name, which stands for their content, has no proof of the same original."""
    proofs = {place: identity for place, *_, identity in links}
    return {place for places in tree.links.values() for place in places[1:]
            if not proofs.get(places[0]) or proofs.get(place) != proofs[places[0]]}
