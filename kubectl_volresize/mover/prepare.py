"""Names, types and nothing more: removes from the destination what does not belong, makes directories, links and special files, and takes shared
inodes apart, so that all later steps find either the right kind of entry or none. All deletions happen here; all calls are relative to open
directories."""
from __future__ import annotations

import os
import stat
from typing import Callable

from . import scan
from .failures import NO_SPACE_ERRORS, VANISHED_ERRORS, InputOutput, MoverFailure, NoSpace, NotReproducible, of_os_error, shown
from .finish import REFUSALS, NotKept
from .scan import Entries, Place, Stat, Tree

_PRIVATE = 0o700


class Preparation:
    """The destination after prepare: `entries` as found (what was kept), and what could not be made."""

    def __init__(self) -> None:
        self.entries: dict[str, Entries] = {}
        self.not_kept: list[NotKept] = []
        self.vanished: list[str] = []
        self.removed = 0


def prepare(source: int, dest: int, tree: Tree, tick: Callable[[], None]) -> Preparation:
    """Bring the names below `dest` to those of `tree`. Raises NoSpace, InputOutput, NotReproducible."""
    done = Preparation()
    device = os.fstat(dest).st_dev
    followers = tree.followers
    for path, wanted in tree.directories.items():
        source_directory = dest_directory = -1
        try:
            source_directory = scan.open_directory(source, path)
            dest_directory = scan.open_directory(dest, path)
            _prepare_directory(source_directory, dest_directory, device, path, wanted, followers, done)
        except OSError as error:
            # The destination's side cannot vanish: we made it a moment ago.
            if source_directory < 0 and error.errno in VANISHED_ERRORS:
                done.vanished.append(path)
                done.entries[path] = {}
                continue
            raise of_os_error(error, path, "cannot prepare the directory") from error
        finally:
            for descriptor in (source_directory, dest_directory):
                if descriptor >= 0:
                    os.close(descriptor)
        tick()
    for path, name in _unshare(dest, tree, done):
        entry = tree.directories[path][name]
        if not entry.is_file and (path, name) not in followers:
            _make_again(source, dest, path, name, entry, done)
    return done


def _make_again(source: int, dest: int, path: str, name: str, entry: Stat, done: Preparation) -> None:
    dest_directory = scan.open_directory(dest, path)
    try:
        source_directory = scan.open_directory(source, path)
        try:
            _make(source_directory, dest_directory, path, name, entry, done)
        finally:
            os.close(source_directory)
    except FileNotFoundError:
        done.vanished.append(scan.join(path, name))
    finally:
        os.close(dest_directory)


def _prepare_directory(source: int, dest: int, device: int, path: str, wanted: Entries, followers: set[Place], done: Preparation) -> None:
    kept: Entries = {}
    for name, present in scan.entries_of(dest, device, path).items():
        if _belongs(source, dest, path, name, present, wanted.get(name)):
            kept[name] = present
        elif not (path == "" and _is_fresh_lost_and_found(dest, name, present, wanted)):
            remove(dest, name, scan.join(path, name))
            done.removed += 1
    for name, entry in wanted.items():
        if name not in kept and not entry.is_file and (path, name) not in followers:
            _make(source, dest, path, name, entry, done)
    done.entries[path] = kept


def _belongs(source: int, dest: int, path: str, name: str, present: Stat, wanted: Stat | None) -> bool:
    if wanted is None or present.kind != wanted.kind:
        return False
    if stat.S_ISLNK(wanted.mode):
        return _target(source, name) == _target(dest, name)
    return wanted.is_file or wanted.is_directory or present.rdev == wanted.rdev


def _target(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _is_fresh_lost_and_found(dest: int, name: str, present: Stat, wanted: Entries) -> bool:
    """The directory that mkfs made; the source may be of a kind of file system that has none."""
    return name == scan.LOST_AND_FOUND and name not in wanted and present.is_directory and is_empty(dest, name)


def is_empty(directory: int, name: str) -> bool:
    inner = os.open(name, scan.DIRECTORY, dir_fd=directory)
    try:
        return not os.listdir(inner)
    finally:
        os.close(inner)


def remove(directory: int, name: str, path: str) -> None:
    """Delete an entry, a directory with all that it holds. Raises NotReproducible when the file system refuses, InputOutput."""
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=directory)
            return
        _remove_directory(directory, name)
    except OSError as error:
        if error.errno in REFUSALS:
            raise NotReproducible(f"cannot remove {shown(path)} from the destination: {error.strerror}") from error
        raise of_os_error(error, path, "cannot remove from the destination") from error


def _remove_directory(parent: int, name: str) -> None:
    """Depth first with a stack of open directories: a tree may be deeper than the interpreter's stack."""
    stack = [(parent, name, os.open(name, scan.DIRECTORY, dir_fd=parent))]
    try:
        while stack:
            above, own_name, current = stack[-1]
            deeper = ""
            for entry in os.listdir(current):
                if stat.S_ISDIR(os.stat(entry, dir_fd=current, follow_symlinks=False).st_mode):
                    deeper = entry
                    break
                os.unlink(entry, dir_fd=current)
            if deeper:
                stack.append((current, deeper, os.open(deeper, scan.DIRECTORY, dir_fd=current)))
                continue
            os.close(current)
            stack.pop()
            os.rmdir(own_name, dir_fd=above)
    finally:
        for _, _, descriptor in stack:
            os.close(descriptor)


def _make(source: int, dest: int, path: str, name: str, entry: Stat, done: Preparation) -> None:
    try:
        if entry.is_directory:
            os.mkdir(name, _PRIVATE, dir_fd=dest)
        elif stat.S_ISLNK(entry.mode):
            target = _target(source, name)
            if target is None:
                done.vanished.append(scan.join(path, name))
                return
            os.symlink(target, name, dir_fd=dest)
        else:
            os.mknod(name, entry.kind | 0o600, entry.rdev, dir_fd=dest)
    except OSError as error:
        done.not_kept.append(_unmade(error, scan.join(path, name), entry))


def _unmade(error: OSError, path: str, entry: Stat) -> NotKept:
    if error.errno in NO_SPACE_ERRORS:
        raise NoSpace(f"cannot make {shown(path)}: {error.strerror}") from error
    if error.errno not in REFUSALS:
        raise InputOutput(f"cannot make {shown(path)}: {error.strerror}") from error
    if entry.is_directory:
        raise NotReproducible(f"cannot make the directory {shown(path)}: {error.strerror}") from error
    kinds = {stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return NotKept(kinds.get(entry.kind, "entry"), path, error.strerror or str(error))


def _unshare(dest: int, tree: Tree, done: Preparation) -> list[Place]:
    """Remove names whose sharing of an inode differs from the source's, also with names outside the tree: writing to them would change those."""
    shared: dict[int, list[Place]] = {}
    for path, kept in done.entries.items():
        for name, present in kept.items():
            if present.nlink > 1 and not present.is_directory:
                shared.setdefault(present.ino, []).append((path, name))
    removed: list[Place] = []
    copy_of: dict[int, int] = {}
    for inode, places in shared.items():
        originals = {tree.directories[path][name].ino for path, name in places}
        if len(originals) > 1 or _links(dest, places[0]) != len(places) or copy_of.setdefault(min(originals), inode) != inode:
            removed += places
            _forget(dest, places, done)
    for places in tree.links.values():
        removed += _start_group_afresh(dest, places, done)
    return removed


def _start_group_afresh(dest: int, places: list[Place], done: Preparation) -> list[Place]:
    """Of a group of hard links, keep what shares the inode of the first name, which carries the content; link() makes the others."""
    present = {place: done.entries[place[0]][place[1]].ino for place in places if place[1] in done.entries.get(place[0], {})}
    strays = [place for place, inode in present.items() if inode != present.get(places[0])]
    _forget(dest, strays, done)
    return strays


def _links(dest: int, place: Place) -> int:
    directory = scan.open_directory(dest, place[0])
    try:
        return os.stat(place[1], dir_fd=directory, follow_symlinks=False).st_nlink
    finally:
        os.close(directory)


def _forget(dest: int, places: list[Place], done: Preparation) -> None:
    for path, name in places:
        directory = scan.open_directory(dest, path)
        try:
            remove(directory, name, scan.join(path, name))
        finally:
            os.close(directory)
        del done.entries[path][name]
        done.removed += 1


def link(dest: int, tree: Tree, done: Preparation) -> int:
    """Give each hard-linked inode its other names; returns how many were made. Raises NoSpace, InputOutput, NotReproducible."""
    made = 0
    for places in tree.links.values():
        missing = [(path, name) for path, name in places[1:] if name not in done.entries.get(path, {})]
        if missing:
            made += _link_names(dest, places[0], missing)
    return made


def _link_names(dest: int, first: Place, missing: list[Place]) -> int:
    origin = scan.open_directory(dest, first[0])
    try:
        for path, name in missing:
            directory = scan.open_directory(dest, path)
            try:
                os.link(first[1], name, src_dir_fd=origin, dst_dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                # The first name vanished from a live source before it was copied; verification will miss the others.
                return 0
            except OSError as error:
                raise _unlinkable(error, scan.join(path, name)) from error
            finally:
                os.close(directory)
    finally:
        os.close(origin)
    return len(missing)


def _unlinkable(error: OSError, path: str) -> MoverFailure:
    if error.errno in REFUSALS:
        return NotReproducible(f"cannot make the hard link {shown(path)}: {error.strerror}")
    return of_os_error(error, path, "cannot make the hard link")
