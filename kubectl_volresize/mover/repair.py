"""The metadata of all entries that were not finished by their copier: what rclone wrote, directories, links, special files. After the content, since
writing moves times and clears special bits."""
from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Callable

from . import bulk, finish, scan
from .bulk import Scene, Task
from .failures import REPLACED_ERRORS, VANISHED_ERRORS, of_os_error
from .finish import NotKept
from .prepare import ALIKE, BY_RCLONE, METADATA, Piece

_UNFINISHED = (ALIKE, METADATA, BY_RCLONE)


@dataclass
class Finished:
    """What a worker answers: entries handled, and what the destination refused."""

    entries: int = 0
    lost: list[NotKept] = field(default_factory=list)


def tasks(scene: Scene) -> list[Task]:
    """Pieces in which something is to be finished."""
    codes = scene.prepared.codes

    def has_work(piece: Piece) -> bool:
        found = codes[piece.unit]
        return any(found.count(code, piece.start, piece.stop) for code in _UNFINISHED)

    return bulk.tasks(scene.prepared, has_work, ())


def repairer(scene: Scene, todo: list[Task]) -> Callable[[int], Finished]:
    """The function that a worker runs on the number of each task."""

    def repair(number: int) -> Finished:
        done = Finished()
        for piece in todo[number].pieces:
            _repair_piece(scene, piece, done)
        return done

    return repair


def _repair_piece(scene: Scene, piece: Piece, done: Finished) -> None:
    codes, path = scene.prepared.codes[piece.unit], piece.unit[0]
    source = dest = -1
    try:
        source = scan.open_directory(scene.source, path)
        dest = scan.open_directory(scene.dest, path)
        names = list(scene.tree.unpack(piece.unit))[piece.start:piece.stop]
        todo = {name: code for name, code in zip(names, codes[piece.start:piece.stop]) if code in _UNFINISHED}
        done.entries += len(todo)
        equal = _equal(source, dest, [name for name, code in todo.items() if code == ALIKE])
        for name in (name for name in todo if name not in equal):
            done.lost += _repair_entry(source, dest, path, name)
    except OSError as error:
        if source >= 0 or error.errno not in VANISHED_ERRORS:
            raise of_os_error(error, path, "cannot finish the directory") from error
    finally:
        for descriptor in (source, dest):
            if descriptor >= 0:
                os.close(descriptor)


def _equal(source: int, dest: int, alike: list[str]) -> set[str]:
    """Those whose attributes are equal too."""
    wanted, present = scan.xattrs_in(source, alike), scan.xattrs_in(dest, alike)
    return {name for name in alike if wanted.get(name) == present.get(name)}


def _repair_entry(source: int, dest: int, path: str, name: str) -> list[NotKept]:
    full = scan.join(path, name)
    try:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        xattrs = scan.xattrs_of(scan.by_name(source, name))
        target = finish.Named(dest, name)
        kind = stat.S_IFMT(status.st_mode)
        if stat.S_IFMT(target.status().st_mode) != kind:
            return []
        lost = _repair_flags(source, dest, name, full) if kind in (stat.S_IFREG, stat.S_IFDIR) else []
        return lost + finish.apply(target, full, status, xattrs)
    except OSError as error:
        # On either side: the source's entry vanished, or was never copied since it had vanished. Verification names what is missing.
        if error.errno in VANISHED_ERRORS + REPLACED_ERRORS:
            return []
        raise of_os_error(error, full, "cannot finish") from error


def _repair_flags(source: int, dest: int, name: str, full: str) -> list[NotKept]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    original = os.open(name, flags, dir_fd=source)
    try:
        copy = os.open(name, flags, dir_fd=dest)
        try:
            return finish.apply_flags(original, copy, full)
        finally:
            os.close(copy)
    finally:
        os.close(original)


def repair_root(scene: Scene) -> list[NotKept]:
    """The metadata of the top directory itself."""
    lost = finish.apply_flags(scene.source, scene.dest, "")
    return lost + finish.apply(finish.Opened(scene.dest), "", os.fstat(scene.source), scan.xattrs_of(scene.source))
