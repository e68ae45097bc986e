"""The metadata of all entries that were not finished by their copier: what rclone wrote, directories, links, special files. After the content, since
writing moves times and clears special bits."""
from __future__ import annotations

import os
from typing import Callable

from . import finish, scan
from .bulk import Scene
from .failures import REPLACED_ERRORS, VANISHED_ERRORS, of_os_error
from .finish import NotKept
from .proof import known_of
from .verify import Ledger

_TASK_ENTRIES = 512

Task = list[tuple[str, tuple[str, ...]]]


def tasks(scene: Scene, ledger: Ledger) -> list[Task]:
    """Names by directory, in tasks of about equal size."""
    found: list[Task] = []
    task: Task = []
    weight = 0
    for path in scene.tree.directories:
        names = _unfinished(scene, ledger, path)
        for start in range(0, len(names), _TASK_ENTRIES):
            task.append((path, tuple(names[start:start + _TASK_ENTRIES])))
            weight += len(task[-1][1])
            if weight >= _TASK_ENTRIES:
                found.append(task)
                task, weight = [], 0
    return found + ([task] if task else [])


def _unfinished(scene: Scene, ledger: Ledger, path: str) -> list[str]:
    copied = ledger.get(path, {})
    present = scene.prepared.entries.get(path, {})
    names = []
    for name, entry in scene.tree.directories[path].items():
        if name in copied:
            continue
        known = known_of(scene.knowledge, path, name)
        # A directory's own times moved when something was made or removed in it, after prepare looked at it.
        if entry.is_directory or known is None or name not in present or not known.proves(entry, present[name]):
            names.append(name)
    return names


def repairer(scene: Scene) -> Callable[[Task], list[NotKept]]:
    """The function that a worker runs on each task; returns what the destination refused."""

    def repair(task: Task) -> list[NotKept]:
        lost: list[NotKept] = []
        for path, names in task:
            source = dest = -1
            try:
                source = scan.open_directory(scene.source, path)
                dest = scan.open_directory(scene.dest, path)
                for name in names:
                    lost += _repair_entry(source, dest, path, name)
            except OSError as error:
                if source >= 0 or error.errno not in VANISHED_ERRORS:
                    raise of_os_error(error, path, "cannot finish the directory") from error
            finally:
                for descriptor in (source, dest):
                    if descriptor >= 0:
                        os.close(descriptor)
        return lost

    return repair


def _repair_entry(source: int, dest: int, path: str, name: str) -> list[NotKept]:
    full = scan.join(path, name)
    try:
        want = scan.of(os.stat(name, dir_fd=source, follow_symlinks=False))
        xattrs = scan.xattrs_of(scan.by_name(source, name))
        target = finish.Named(dest, name)
        if target.status().kind != want.kind:
            return []
        lost = _repair_flags(source, dest, name, full) if want.is_directory or want.is_file else []
        return lost + finish.apply(target, full, want, xattrs)
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
    want = scan.of(os.fstat(scene.source))
    lost = finish.apply_flags(scene.source, scene.dest, "")
    return lost + finish.apply(finish.Opened(scene.dest), "", want, scan.xattrs_of(scene.source))
