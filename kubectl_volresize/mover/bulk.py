"""Content of files from source to destination: cold large plain files by rclone, all others by our own workers, which hash as they read. Names,
links and special files are made before (prepare.py) and what rclone does not keep is repaired after (finish.py)."""
from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Callable

from . import content, finish, scan
from .failures import NO_SPACE_ERRORS, REPLACED_ERRORS, VANISHED_ERRORS, NoSpace, of_os_error, shown
from .finish import NotKept
from .meter import Meter
from .prepare import Preparation
from .proof import Fence, Knowledge, Known, known_of
from .scan import Place, Stat, Tree

LARGE_FOR_RCLONE = 8 << 20
_TASK_BYTES = 32 << 20
_TASK_FILES = 256
_LONGEST_PATH = 3000


@dataclass(frozen=True)
class Scene:
    """All that the workers of one pass look at; they inherit it when they are forked."""

    source: int
    dest: int
    tree: Tree
    prepared: Preparation
    knowledge: Knowledge
    fence: Fence
    meter: Meter
    rate: int = 0


@dataclass(slots=True)
class Copied:
    """What copying one file gave. `source`: identity of the original while it was read, None when it moved meanwhile; `dest`: of the finished copy;
    `rewritten`: numbers of the blocks that were written, None when all must be read back."""

    directory: str
    name: str
    source: bytes | None = None
    dest: bytes = b""
    blocks: bytes = b""
    rewritten: tuple[int, ...] | None = None
    read: int = 0
    written: int = 0
    not_kept: list[NotKept] = field(default_factory=list)
    note: str = ""


@dataclass
class Work:
    """What a pass has to copy: paths for rclone, and lists of names for the workers."""

    by_rclone: list[str] = field(default_factory=list)
    by_workers: list[list[Place]] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    rclone_bytes: int = 0


def divide(tree: Tree, prepared: Preparation, knowledge: Knowledge, with_rclone: bool) -> Work:
    """Which files are copied by whom. A file proven before and untouched since is in no list."""
    work = Work()
    followers = tree.followers
    small: list[Place] = []
    weight = 0
    for path, entries in tree.directories.items():
        present = prepared.entries.get(path, {})
        for name, entry in entries.items():
            if not entry.is_file or (path, name) in followers or _is_proven(knowledge, path, name, entry, present.get(name)):
                continue
            work.files += 1
            work.bytes += entry.size
            full = scan.join(path, name)
            if with_rclone and name not in present and is_for_rclone(full, entry):
                work.by_rclone.append(full)
                work.rclone_bytes += entry.size
            elif entry.size >= _TASK_BYTES:
                work.by_workers.append([(path, name)])
            else:
                small.append((path, name))
                weight += entry.size
                if weight >= _TASK_BYTES or len(small) >= _TASK_FILES:
                    work.by_workers.append(small)
                    small, weight = [], 0
    if small:
        work.by_workers.append(small)
    # A large file that comes last would be copied by one worker while the others have nothing to do.
    work.by_workers.sort(key=lambda places: -tree.directories[places[0][0]][places[0][1]].size if len(places) == 1 else 0)
    return work


def _is_proven(knowledge: Knowledge, path: str, name: str, source: Stat, dest: Stat | None) -> bool:
    known = known_of(knowledge, path, name)
    return known is not None and dest is not None and known.proves(source, dest)


def is_for_rclone(path: str, entry: Stat) -> bool:
    """A plain file: rclone fills holes, duplicates hard links, and its list of files cannot say every name."""
    return (entry.size >= LARGE_FOR_RCLONE and entry.nlink == 1 and not entry.is_sparse and len(path) < _LONGEST_PATH
            and path.isprintable() and path.isascii() and path == path.strip())


def copier(scene: Scene) -> Callable[[list[Place]], list[Copied]]:
    """The function that a worker runs on each task: copy these files, with their metadata."""

    def copy(places: list[Place]) -> list[Copied]:
        copied = []
        path, source, dest = "", -1, -1
        try:
            for directory, name in places:
                if source < 0 or directory != path:
                    _close(source, dest)
                    path, source, dest = directory, -1, -1
                    source, dest = _open_pair(scene, path)
                copied.append(_copy_guarded(scene, source, dest, path, name) if source >= 0
                              else Copied(path, name, note=f"{shown(path)} vanished"))
        finally:
            _close(source, dest)
        return copied

    return copy


def _open_pair(scene: Scene, path: str) -> tuple[int, int]:
    try:
        source = scan.open_directory(scene.source, path)
    except OSError as error:
        if error.errno in VANISHED_ERRORS:
            return -1, -1
        raise of_os_error(error, path, "cannot open the directory") from error
    return source, scan.open_directory(scene.dest, path)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)


def _copy_guarded(scene: Scene, source_directory: int, dest_directory: int, path: str, name: str) -> Copied:
    full = scan.join(path, name)
    try:
        source = open_source(source_directory, name)
    except OSError as error:
        if error.errno in VANISHED_ERRORS + REPLACED_ERRORS:
            return Copied(path, name, note=f"{shown(full)} vanished")
        raise of_os_error(error, full, "cannot open") from error
    try:
        return _copy_file(scene, source, dest_directory, path, name)
    except OSError as error:
        if error.errno in NO_SPACE_ERRORS:
            raise NoSpace(f"no space left while copying {shown(full)} ({_room(scene.dest)})") from error
        raise of_os_error(error, full, "cannot copy") from error
    finally:
        os.close(source)


def _room(dest: int) -> str:
    status = os.fstatvfs(dest)
    return f"{status.f_bavail * status.f_frsize} bytes and {status.f_favail} inodes left"


def open_source(directory: int, name: str) -> int:
    """A regular file may have been replaced by a FIFO meanwhile: O_NONBLOCK, so that opening it does not wait for a writer."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(name, flags, dir_fd=directory)


def _copy_file(scene: Scene, source: int, dest_directory: int, path: str, name: str) -> Copied:
    full = scan.join(path, name)
    if not stat.S_ISREG(os.fstat(source).st_mode):
        return Copied(path, name, note=f"{shown(full)} was replaced while the source was read")
    content.wait_for_writers(source)
    before = scan.of(os.fstat(source))
    dest, known = _open_dest(scene, dest_directory, path, name, before)
    copy = content.Copy(source, dest, before.size, scene.meter.pause(scene.rate))
    try:
        if known is not None and known.blocks:
            copy.against_table(known.blocks, before.is_sparse)
        elif os.fstat(dest).st_size:
            copy.against_content()
        else:
            copy.whole(before.is_sparse)
        lost = finish.apply_flags(source, dest, full)
        lost += finish.apply(finish.Opened(dest), full, before, scan.xattrs_of(source))
        after = scan.of(os.fstat(source))
        stable = after.identity == before.identity
        return Copied(path, name, source=before.identity if stable else None, dest=scan.of(os.fstat(dest)).identity, blocks=bytes(copy.blocks),
                      rewritten=tuple(copy.rewritten) if known is not None and known.blocks else None,
                      read=copy.read, written=copy.written, not_kept=lost, note="" if stable else f"{shown(full)} changed while it was read")
    except content.Torn:
        return Copied(path, name, read=copy.read, written=copy.written, note=f"{shown(full)} shrank while it was read")
    finally:
        os.close(dest)


def _open_dest(scene: Scene, directory: int, path: str, name: str, source: Stat) -> tuple[int, Known | None]:
    """The copy so far, with what is known of its content; an empty file when nothing there is of use."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    present = scene.prepared.entries.get(path, {}).get(name)
    if present is not None:
        dest = os.open(name, flags | os.O_NONBLOCK, dir_fd=directory)
        found = scan.of(os.fstat(dest))
        known = known_of(scene.knowledge, path, name)
        if known is not None and known.dest == found.identity:
            return dest, known
        if found.is_sparse or source.is_sparse:
            # Which zeros are holes in a file that somebody else began is not worth finding out. Not removed: other names may share the inode.
            os.ftruncate(dest, 0)
        return dest, None
    return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory), None
