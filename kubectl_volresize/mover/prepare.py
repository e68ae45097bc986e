"""Names, types and nothing more: removes from the destination what does not belong, makes directories, links and special files, takes shared inodes
apart, and says of each entry what is to be done with it, so that all later steps find either the right kind of entry or none. All deletions happen
here; all calls are relative to open directories."""
from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import groupby
from typing import Callable, Collection, Iterable, Mapping, NamedTuple

from . import pages, rclone, scan, workers
from .failures import NO_SPACE_ERRORS, VANISHED_ERRORS, InputOutput, NoSpace, NotReproducible, of_os_error, shown
from .finish import REFUSALS, NotKept, differences, kind_in_words
from .pages import Entries, Stat
from .proof import Knowledge, Known
from .removal import is_empty, remove
from .scan import BIG, Place, Tree, Unit

_PRIVATE = 0o700
_ENTRIES_PER_TASK = 2048

# What is to be done with an entry. PROVEN: nothing. ALIKE: lstat shows no difference, content is taken as equal, attributes may differ. METADATA: no
# content to copy. NEW, OVER: to be copied, onto nothing or onto what is there, with
# its page. ALONE: the same, as a task of its own. BY_RCLONE: its content by rclone.
PROVEN, ALIKE, METADATA, NEW, OVER, ALONE, BY_RCLONE = range(7)

IsSame = Callable[[Stat, Stat], bool]


class Piece(NamedTuple):
    """Entries of one page, from index `start` to before `stop`: a unit of work. `bytes`: of content to be copied in it, big files aside."""

    unit: Unit
    start: int
    stop: int
    bytes: int


@dataclass
class Preparation:
    """The destination after prepare. `codes`: what to do with each entry of a page, in its order; `pieces`: all pages in pieces of bearable size;
    `linked`: the inode of each name that shares one in the source and stands in the destination; `big`: the sizes of all big files; `alone`: which of
    them are to be copied by workers, and whether something stands there; `files`, `bytes`: to be copied."""

    codes: dict[Unit, bytearray] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    linked: dict[Place, int] = field(default_factory=dict)
    big: dict[Place, int] = field(default_factory=dict)
    alone: dict[Place, bool] = field(default_factory=dict)
    by_rclone: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    not_kept: list[NotKept] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)

    def add(self, other: Preparation) -> None:
        """What was prepared of other directories."""
        self.codes.update(other.codes)
        self.linked.update(other.linked)
        self.big.update(other.big)
        self.alone.update(other.alone)
        self.pieces += other.pieces
        self.by_rclone += other.by_rclone
        self.not_kept += other.not_kept
        self.vanished += other.vanished
        self.files += other.files
        self.bytes += other.bytes


def prepare(source: int, dest: int, tree: Tree, knowledge: Knowledge, is_same: IsSame, takes_rclone: bool, tick: Callable[[], None]) -> Preparation:
    """Bring the names below `dest` to those of `tree`. Raises NoSpace, InputOutput, NotReproducible.

    `is_same(original, copy)`: whether content is taken as equal without being read.
    """
    sides = _Sides(source, dest, os.fstat(dest).st_dev, tree, knowledge, is_same, takes_rclone)
    whole = _Part()

    def work(paths: list[str]) -> _Part:
        preparer = _Preparer(sides, _Part(), whole.made)
        for path in paths:
            preparer.directory(path)
        return preparer.part

    # The directories of one level are made while those of the level above are prepared.
    for _, level in groupby(tree.pages, _depth):
        parts = workers.in_order(_tasks(tree, level), work, tick)
        whole.made.clear()
        for part in parts:
            whole.add(part)
    _Preparer(sides, whole, whole.made).unshare()
    return whole.done


def _depth(path: str) -> int:
    return path.count("/") + 1 if path else 0


def _tasks(tree: Tree, paths: Iterable[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    weight = 0
    for path in paths:
        if weight >= _ENTRIES_PER_TASK:
            found.append([])
            weight = 0
        found[-1].append(path)
        weight += tree.names_in(path) + 1
    return found


def nothing_to_prepare(tree: Tree) -> Preparation:
    """For a comparison that changes nothing."""
    done = Preparation()
    for unit, _ in tree.units():
        entries = tree.unpack(unit)
        done.big.update({(unit[0], name): entry.size for name, entry in entries.items() if tree.is_big((unit[0], name), entry)})
        done.pieces += _pieces(unit, bytearray([NEW] * len(entries)), entries)
    return done


@dataclass(frozen=True)
class _Shared:
    """A name of the destination whose inode has other names."""

    place: Place
    original: int
    unit: Unit


@dataclass(frozen=True)
class _Sides:
    """What a preparer goes by; see `prepare`."""

    source: int
    dest: int
    device: int
    tree: Tree
    knowledge: Knowledge
    is_same: IsSame
    takes_rclone: bool


@dataclass
class _Part:
    """Some directories after prepare. `shared`: by inode of the destination; `made`: directories that were made, and are empty."""

    done: Preparation = field(default_factory=Preparation)
    shared: dict[int, list[_Shared]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def add(self, other: _Part) -> None:
        self.done.add(other.done)
        self.made |= other.made
        for inode, names in other.shared.items():
            self.shared.setdefault(inode, []).extend(names)


class _Preparer:
    """`fresh`: directories that were made a moment ago."""

    def __init__(self, sides: _Sides, part: _Part, fresh: Collection[str]) -> None:
        self.sides, self.tree, self.part, self.done = sides, sides.tree, part, part.done
        self.fresh = fresh

    def directory(self, path: str) -> None:
        pair = _Pair(self.sides.source, path, -1)
        try:
            pair.dest = scan.open_directory(self.sides.dest, path)
            names = [] if path in self.fresh else os.listdir(pair.dest)
            for number, group in enumerate(pages.by_page(names, len(self.tree.pages[path]))):
                self._page(pair, (path, number), scan.entries_of(pair.dest, group, self.sides.device, path))
        except OSError as error:
            # The destination's side cannot vanish: we made it a moment ago.
            raise of_os_error(error, path, "cannot prepare the directory") from error
        finally:
            pair.close()

    def _page(self, pair: _Pair, unit: Unit, present: Entries) -> None:
        wanted = self.tree.unpack(unit)
        known = self.sides.knowledge.page(unit) if present else {}
        kept: Entries = {}
        for name, there in present.items():
            if _belongs(pair, name, there, wanted.get(name)):
                kept[name] = there
            elif not (pair.path == "" and _is_fresh_lost_and_found(pair.dest, name, there, wanted)):
                remove(pair.dest, name, scan.join(pair.path, name))
        codes = self.done.codes[unit] = bytearray(self._code(pair, name, entry, kept.get(name), known) for name, entry in wanted.items())
        self.done.pieces += _pieces(unit, codes, wanted)
        for name, there in kept.items():
            if there.has_other_names:
                self.part.shared.setdefault(there.ino, []).append(_Shared((pair.path, name), wanted[name].ino, unit))

    def _code(self, pair: _Pair, name: str, entry: Stat, there: Stat | None, known: Mapping[str, Known]) -> int:
        place = (pair.path, name)
        if there is not None and entry.has_other_names:
            self.done.linked[place] = there.ino
        follows = entry.has_other_names and place in self.tree.followers
        if self.tree.is_big(place, entry):
            self.done.big[place] = entry.size
        if there is None:
            if entry.is_file and not follows:
                return self._to_copy(pair, name, entry, False)
            if not follows:
                self._make(pair, name, entry)
            return METADATA
        # A directory's own times move when something is made or removed in it.
        if not entry.is_directory and self._is_proven(place, entry, there, known):
            return PROVEN
        is_same = not entry.is_file or self.sides.is_same(entry, there)
        if is_same and not entry.is_directory and not differences(entry, there):
            return ALIKE
        if is_same or follows:
            return METADATA
        return self._to_copy(pair, name, entry, True)

    def _is_proven(self, place: Place, entry: Stat, there: Stat, known: Mapping[str, Known]) -> bool:
        one = self.sides.knowledge.of_big(place) if place in self.done.big else known.get(place[1])
        return one is not None and one.proves(entry, there)

    def _to_copy(self, pair: _Pair, name: str, entry: Stat, onto: bool) -> int:
        self.done.files += 1
        self.done.bytes += entry.size
        place = (pair.path, name)
        if self.sides.takes_rclone and not onto and entry.size >= rclone.LARGE and rclone.suits(pair.source, name, scan.join(*place), entry):
            self.done.by_rclone.append(scan.join(*place))
            return BY_RCLONE
        if place in self.done.big:
            self.done.alone[place] = onto
            return ALONE
        return OVER if onto else NEW

    def _make(self, pair: _Pair, name: str, entry: Stat) -> None:
        path = scan.join(pair.path, name)
        try:
            if entry.is_directory:
                os.mkdir(name, _PRIVATE, dir_fd=pair.dest)
                self.part.made.add(path)
            elif entry.is_link:
                target = _target(pair.source, name)
                if target is None:
                    self.done.vanished.append(path)
                    return
                os.symlink(target, name, dir_fd=pair.dest)
            else:
                os.mknod(name, entry.kind | 0o600, entry.rdev, dir_fd=pair.dest)
        except OSError as error:
            self.done.not_kept.append(_unmade(error, path, entry))

    def unshare(self) -> None:
        """Remove names whose sharing of an inode differs from the source's, also with names outside the tree: writing to them would change those."""
        copy_of: dict[int, int] = {}
        for inode, names in self.part.shared.items():
            originals = {one.original for one in names}
            if len(originals) > 1 or self._links(names[0].place) != len(names) or copy_of.setdefault(min(originals), inode) != inode:
                for one in names:
                    self._start_afresh(one.place)
        for places in self.tree.links.values():
            # Kept is what shares the inode of the first name, which carries the content; link() makes the others.
            first = self.done.linked.get(places[0])
            for place in places:
                if place in self.done.linked and self.done.linked[place] != first:
                    self._start_afresh(place)

    def _links(self, place: Place) -> int:
        directory = scan.open_directory(self.sides.dest, place[0])
        try:
            return os.stat(place[1], dir_fd=directory, follow_symlinks=False).st_nlink
        finally:
            os.close(directory)

    def _start_afresh(self, place: Place) -> None:
        path, name = place
        unit = (path, pages.page_of(name, len(self.tree.pages[path])))
        entries = self.tree.unpack(unit)
        entry, index = entries[name], list(entries).index(name)
        pair = _Pair(self.sides.source, path, scan.open_directory(self.sides.dest, path))
        try:
            remove(pair.dest, name, scan.join(path, name))
            self.done.linked.pop(place, None)
            self.done.alone.pop(place, None)
            if self.done.codes[unit][index] in (OVER, ALONE):
                self.done.files -= 1
                self.done.bytes -= entry.size
            self.done.codes[unit][index] = self._code(pair, name, entry, None, {})
        finally:
            pair.close()


def take_over(dest: int, tree: Tree, done: Preparation) -> None:
    """rclone failed: what it did not bring to an end is for the workers. Raises OSError."""
    for path in done.by_rclone:
        folder, _, name = path.rpartition("/")
        unit = (folder, pages.page_of(name, len(tree.pages[folder])))
        entries = tree.unpack(unit)
        there = _stat_of(dest, folder, name)
        # It sets the time last.
        if there is None or (there.size, there.mtime) != (entries[name].size, entries[name].mtime):
            code = OVER if there else NEW
            if (folder, name) in done.big:
                done.alone[folder, name], code = there is not None, ALONE
            done.codes[unit][list(entries).index(name)] = code


def _stat_of(dest: int, folder: str, name: str) -> Stat | None:
    directory = scan.open_directory(dest, folder)
    try:
        return pages.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
    except FileNotFoundError:
        return None
    finally:
        os.close(directory)


def _pieces(unit: Unit, codes: bytearray, entries: Entries) -> list[Piece]:
    """At least one, since a directory without entries is verified too."""
    found = []
    start = weight = 0
    for index, entry in enumerate(entries.values()):
        if codes[index] in (NEW, OVER, BY_RCLONE) and entry.size < BIG:
            weight += entry.size
            if weight >= BIG:
                found.append(Piece(unit, start, index + 1, weight))
                start, weight = index + 1, 0
    if start < len(entries) or not found:
        found.append(Piece(unit, start, len(entries), weight))
    return found


class _Pair:
    """A directory of both sides; the source's is opened only when something in it must be read, and -1 when it vanished."""

    def __init__(self, root: int, path: str, dest: int) -> None:
        self.path, self.dest = path, dest
        self._root, self._source = root, -1
        self._tried = False

    @property
    def source(self) -> int:
        if not self._tried:
            self._tried = True
            try:
                self._source = scan.open_directory(self._root, self.path)
            except OSError as error:
                if error.errno not in VANISHED_ERRORS:
                    raise of_os_error(error, self.path, "cannot open the directory") from error
        return self._source

    def close(self) -> None:
        for descriptor in (self._source, self.dest):
            if descriptor >= 0:
                os.close(descriptor)


def _belongs(pair: _Pair, name: str, present: Stat, wanted: Stat | None) -> bool:
    if wanted is None or present.kind != wanted.kind:
        return False
    if wanted.is_link:
        return _target(pair.source, name) == _target(pair.dest, name)
    return wanted.is_file or wanted.is_directory or present.rdev == wanted.rdev


def _target(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _is_fresh_lost_and_found(dest: int, name: str, present: Stat, wanted: Entries) -> bool:
    """The directory that mkfs made; the source may be of a kind of file system that has none."""
    return name == scan.LOST_AND_FOUND and name not in wanted and present.is_directory and is_empty(dest, name)


def _unmade(error: OSError, path: str, entry: Stat) -> NotKept:
    if error.errno in NO_SPACE_ERRORS:
        raise NoSpace(f"cannot make {shown(path)}: {error.strerror}") from error
    if error.errno not in REFUSALS:
        raise InputOutput(f"cannot make {shown(path)}: {error.strerror}") from error
    if entry.is_directory:
        raise NotReproducible(f"cannot make the directory {shown(path)}: {error.strerror}") from error
    return NotKept(kind_in_words(entry.kind), path, error.strerror or str(error))
