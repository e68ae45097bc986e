"""Content of files from source to destination: cold large plain files by rclone, all others by our own workers, which hash as they read. Names,
links and special files are made before (prepare.py) and what rclone does not keep is repaired after (finish.py)."""
from __future__ import annotations

import marshal
import os
import stat
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, NamedTuple

from . import content, finish, pages, scan
from .failures import NO_SPACE_ERRORS, REPLACED_ERRORS, VANISHED_ERRORS, NoSpace, of_os_error, shown
from .finish import NotKept
from .meter import Meter
from .pages import Entries, Stat
from .prepare import NEW, OVER, Piece, Preparation
from .proof import Fence, Knowledge, Known
from .scan import BIG, Place, Tree, Unit

_TASK_FILES = 256
_NOTHING = Known()


@dataclass(frozen=True)
class Scene:
    """All that the workers of one pass look at; they inherit it when they are forked. `accepted`: see finish.LOSSES; `reads`: content is
    compared, and not only size and mtime."""

    source: int
    dest: int
    tree: Tree
    prepared: Preparation
    knowledge: Knowledge
    fence: Fence
    meter: Meter
    accepted: frozenset[str] = frozenset()
    reads: bool = True


class Copied(NamedTuple):
    """What copying one file gave. `source`: identity of the original while it was read, b"" when it moved meanwhile; `dest`: of the finished copy;
    `rewritten`: numbers of the blocks that were written, None when all must be read back; `written`: whether anything was."""

    source: bytes = b""
    dest: bytes = b""
    blocks: bytes = b""
    rewritten: tuple[int, ...] | None = None
    written: bool = True


@dataclass
class Task:
    """Pieces of pages, or one big file."""

    pieces: list[Piece] = field(default_factory=list)
    alone: Place | None = None
    bytes: int = 0


@dataclass
class Batch:
    """What a worker answers to a task. `ledgers`: for each piece its Copied, None for what it did not copy, as `pack_ledger` has it."""

    task: int
    ledgers: list[bytes] = field(default_factory=list)
    alone: Copied | None = None
    files: int = 0
    read: int = 0
    written: int = 0
    not_kept: list[NotKept] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Ledger:
    """What was copied in this pass, in little memory."""

    def __init__(self) -> None:
        self.big: dict[Place, Copied] = {}
        self._pieces: dict[Unit, list[tuple[int, bytes]]] = {}

    def take(self, task: Task, batch: Batch) -> None:
        if task.alone is not None:
            if batch.alone is not None:
                self.big[task.alone] = batch.alone
            return
        for piece, packed in zip(task.pieces, batch.ledgers):
            self._pieces.setdefault(piece.unit, []).append((piece.start, packed))

    def of(self, piece: Piece, entries: Entries) -> dict[str, Copied]:
        """What was copied of a piece, by name; `entries`: those of its page."""
        found: dict[str, Copied] = {}
        for start, packed in self._pieces.get(piece.unit, ()):
            if start == piece.start:
                listed = list(entries.items())[piece.start:piece.stop]
                found.update((name, _unpacked(row, entry)) for (name, entry), row in zip(listed, marshal.loads(packed)) if row is not None)
        return found


def _packed(copied: Copied, entry: Stat) -> object:
    """Of almost every file only the digests, since it was written whole, and is as it was scanned."""
    source: object = True if copied.source == entry.identity else copied.source
    if source is True and copied.rewritten is None and copied.written:
        return copied.blocks
    return source, copied.dest, copied.blocks, copied.rewritten, copied.written


def _unpacked(row: Any, entry: Stat) -> Copied:
    if isinstance(row, bytes):
        return Copied(entry.identity, b"", row)
    source, *more = row
    return Copied(entry.identity if source is True else source, *more)


def tasks(prepared: Preparation, has_work: Callable[[Piece], bool], alone: Iterable[Place]) -> list[Task]:
    """Work in tasks of about equal size: `alone` files (the largest first, or one worker would copy the last while the others have nothing to do),
    then pieces."""
    found = [Task(alone=place, bytes=prepared.big[place]) for place in alone]
    found.sort(key=lambda task: -task.bytes)
    together, task, weight = [], Task(), 0
    for piece in prepared.pieces:
        if not has_work(piece):
            continue
        task.pieces.append(piece)
        task.bytes += piece.bytes
        weight += piece.stop - piece.start + 1
        if task.bytes >= BIG or weight >= _TASK_FILES:
            together.append(task)
            task, weight = Task(), 0
    if task.pieces:
        together.append(task)
    together.sort(key=lambda task: -(task.bytes // BIG))
    return found + together


def copy_tasks(scene: Scene) -> list[Task]:
    """What a pass has to copy, rclone's part aside."""
    codes = scene.prepared.codes

    def has_work(piece: Piece) -> bool:
        found = codes[piece.unit]
        return bool(found.count(NEW, piece.start, piece.stop) or found.count(OVER, piece.start, piece.stop))

    return tasks(scene.prepared, has_work, scene.prepared.alone)


def copier(scene: Scene, todo: list[Task], pause: Callable[[int], None]) -> Callable[[int], Batch]:
    """The function that a worker runs on the number of each task: copy these files, with their metadata."""

    def copy(number: int) -> Batch:
        batch, task = Batch(number), todo[number]
        if task.alone is not None:
            _Copier(scene, task.alone[0], pause, batch).alone(task.alone[1])
        for piece in task.pieces:
            _Copier(scene, piece.unit[0], pause, batch).piece(piece)
        return batch

    return copy


class _Copier:
    """Copies files of one directory."""

    def __init__(self, scene: Scene, path: str, pause: Callable[[int], None], batch: Batch) -> None:
        self.scene, self.path, self.pause, self.batch = scene, path, pause, batch
        self.source = self.dest = -1
        self.inherited_xattrs: dict[str, bytes] | None = None
        self.inherited_flags = 0

    def alone(self, name: str) -> None:
        if self._open():
            place = (self.path, name)
            known = self.scene.knowledge.of_big(place) if self.scene.prepared.alone[place] else None
            self.batch.alone = self._copy(name, known)
        self._close()

    def piece(self, piece: Piece) -> None:
        entries = self.scene.tree.unpack(piece.unit)
        codes = self.scene.prepared.codes[piece.unit]
        known = self.scene.knowledge.page(piece.unit) if codes.count(OVER) else {}
        rows: list[object] = [None] * (piece.stop - piece.start)
        if self._open():
            for index, name in enumerate(list(entries)[piece.start:piece.stop]):
                code = codes[piece.start + index]
                if code in (NEW, OVER):
                    copied = self._copy(name, known.get(name, _NOTHING) if code == OVER else None)
                    rows[index] = _packed(copied, entries[name]) if copied is not None else None
        self._close()
        self.batch.ledgers.append(marshal.dumps(rows))

    def _open(self) -> bool:
        try:
            self.source = scan.open_directory(self.scene.source, self.path)
        except OSError as error:
            if error.errno in VANISHED_ERRORS:
                self.batch.notes.append(f"{shown(self.path)} vanished")
                return False
            raise of_os_error(error, self.path, "cannot open the directory") from error
        self.dest = scan.open_directory(self.scene.dest, self.path)
        # What a new file has before anybody gives it something: asked once a directory and not of each file.
        self.inherited_xattrs = None if scan.xattrs_of(self.dest) else {}
        self.inherited_flags = finish.inherited_flags(self.dest)
        return True

    def _close(self) -> None:
        for descriptor in (self.source, self.dest):
            if descriptor >= 0:
                os.close(descriptor)

    def _copy(self, name: str, known: Known | None) -> Copied | None:
        """None when the name vanished. `known`: of the copy so far; None when there is none."""
        full = scan.join(self.path, name)
        self.batch.files += 1
        try:
            source = scan.open_source(self.source, name)
        except OSError as error:
            if error.errno in VANISHED_ERRORS + REPLACED_ERRORS:
                self.batch.notes.append(f"{shown(full)} vanished")
                return None
            raise of_os_error(error, full, "cannot open") from error
        try:
            return self._copy_open(source, name, full, known)
        except OSError as error:
            if error.errno in NO_SPACE_ERRORS:
                raise NoSpace(f"{error.strerror} while copying {shown(full)} ({_room(self.scene.dest)})") from error
            raise of_os_error(error, full, "cannot copy") from error
        finally:
            os.close(source)

    def _copy_open(self, source: int, name: str, full: str, known: Known | None) -> Copied | None:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            self.batch.notes.append(f"{shown(full)} was replaced while the source was read")
            return None
        dest, table = self._open_dest(name, known)
        try:
            copied = self._fill_small(source, dest, status) if known is None else None
            if copied is None:
                copied = self._fill(source, dest, status, known, table)
            bare = known is None
            self.batch.not_kept += finish.apply_flags(source, dest, full, self.inherited_flags if bare else None)
            self.batch.not_kept += finish.apply(finish.Opened(dest), full, status, scan.xattrs_of(source), self.inherited_xattrs if bare else None)
            stable = pages.identity(os.fstat(source)) == copied.source
            if not stable:
                self.batch.notes.append(f"{shown(full)} changed while it was read")
            return copied._replace(source=copied.source if stable else b"", dest=pages.identity(os.fstat(dest)) if table else b"")
        except content.Torn:
            self.batch.notes.append(f"{shown(full)} shrank while it was read")
            return Copied()
        finally:
            os.close(dest)

    def _fill_small(self, source: int, dest: int, status: os.stat_result) -> Copied | None:
        """One read and one write; None when the file is not so small, or not so plain. Raises Torn."""
        data = content.copy_small(source, dest, status.st_size)
        if data is None:
            return None
        self.pause(len(data))
        self.batch.read += len(data)
        self.batch.written += len(data)
        return Copied(pages.identity(status), b"", content.digest(data) if self.scene.reads else b"")

    def _fill(self, source: int, dest: int, status: os.stat_result, known: Known | None, table: bytes) -> Copied:
        copy = content.Copy(source, dest, status.st_size, self.pause, content.digests if self.scene.reads or table else content.no_digests)
        try:
            if table:
                copy.against_table(table)
            elif known is not None and os.fstat(dest).st_size:
                copy.against_content()
            else:
                copy.whole()
        finally:
            self.batch.read += copy.read
            self.batch.written += copy.written
        return Copied(pages.identity(status), b"", bytes(copy.blocks), tuple(copy.rewritten) if table else None, bool(copy.written))

    def _open_dest(self, name: str, known: Known | None) -> tuple[int, bytes]:
        """The copy so far, with the digests of its content when they are known; an empty file when there is none."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        if known is None:
            return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self.dest), b""
        try:
            dest = os.open(name, flags | os.O_NONBLOCK, dir_fd=self.dest)
        except PermissionError:
            # Of a mover that is not root, a file that its owner may not write to; it gets its mode back with the rest of its metadata.
            finish.Named(self.dest, name).allow(0o600)
            dest = os.open(name, flags | os.O_NONBLOCK, dir_fd=self.dest)
        return dest, known.blocks if known.knows_copy(pages.of(os.fstat(dest))) else b""


def _room(dest: int) -> str:
    status = os.fstatvfs(dest)
    return f"{status.f_bavail * status.f_frsize} bytes and {status.f_favail} inodes left"
