"""Metadata of one entry: owner, extended attributes (ACLs and capabilities among them), mode with special bits, times; compared first, and set
only where different, so that a second pass changes nothing. What the destination refuses is returned, not raised: the report names it."""
from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Mapping, NamedTuple, Protocol

from . import kernel, scan
from .failures import NO_SPACE_ERRORS, NoSpace, shown
from .pages import Stat

_SECOND = 10**9
_ROOM = 64
# include/uapi/linux/fs.h: secure deletion, undeletion, compression, synchronous, no dump, no atime, no tail merging, synchronous directory, top
# directory, DAX. Not project inheritance: the quotas are the provisioner's, and the destination has its own.
_SETTABLE_FLAGS = 0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x8000 | 0x10000 | 0x20000 | 0x2000000
_UNSETTABLE_FLAGS = {0x10: "immutable", 0x20: "append-only", 0x40000000: "case-insensitive"}
_OF_INTEREST = _SETTABLE_FLAGS | sum(_UNSETTABLE_FLAGS)
REFUSALS = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EINVAL, errno.E2BIG, errno.ERANGE, errno.ENODATA, errno.EROFS, errno.EOVERFLOW,
            errno.ENAMETOOLONG)


class NotKept(NamedTuple):
    """Something that the destination cannot hold or may not be given: what kind, on which path, and the kernel's word for it."""

    kind: str
    path: str
    reason: str


class Target(Protocol):
    """An entry of the destination, open or by its name in an open directory."""

    def status(self) -> os.stat_result: ...
    def xattr_target(self) -> int | str: ...
    def own(self, uid: int, gid: int) -> None: ...
    def allow(self, mode: int) -> None: ...
    def touch(self, atime: int, mtime: int) -> None: ...
    def free_blocks(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Opened:
    descriptor: int

    def status(self) -> os.stat_result:
        return os.fstat(self.descriptor)

    def xattr_target(self) -> int | str:
        return self.descriptor

    def own(self, uid: int, gid: int) -> None:
        os.fchown(self.descriptor, uid, gid)

    def allow(self, mode: int) -> None:
        os.fchmod(self.descriptor, mode)

    def touch(self, atime: int, mtime: int) -> None:
        os.utime(self.descriptor, ns=(atime, mtime))

    def free_blocks(self) -> int:
        return os.fstatvfs(self.descriptor).f_bavail


@dataclass(frozen=True, slots=True)
class Named:
    directory: int
    name: str

    def status(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def xattr_target(self) -> int | str:
        return scan.by_name(self.directory, self.name)

    def own(self, uid: int, gid: int) -> None:
        os.chown(self.name, uid, gid, dir_fd=self.directory, follow_symlinks=False)

    def allow(self, mode: int) -> None:
        # chmod has no way to say "not through a link" (Linux < 6.6): an O_PATH descriptor of the entry itself says it.
        entry = os.open(self.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.directory)
        try:
            os.chmod(f"/proc/self/fd/{entry}", mode)
        finally:
            os.close(entry)

    def touch(self, atime: int, mtime: int) -> None:
        os.utime(self.name, ns=(atime, mtime), dir_fd=self.directory, follow_symlinks=False)

    def free_blocks(self) -> int:
        return os.fstatvfs(self.directory).f_bavail


def apply(target: Target, path: str, want: os.stat_result, xattrs: Mapping[str, bytes], present: Mapping[str, bytes] | None = None) -> list[NotKept]:
    """Make owner, xattrs, mode and times of the target those of the original; `present`: its xattrs, when they are known. Raises NoSpace, OSError.

    The order matters: chown clears special bits and security.capability, an ACL sets the group's bits of the mode, everything moves mtime.
    """
    lost: list[NotKept] = []
    have = target.status()
    owned = have.st_uid == want.st_uid and have.st_gid == want.st_gid
    if not owned:
        try:
            target.own(want.st_uid, want.st_gid)
        except OSError as error:
            lost.append(_refused(error, "owner", path))
    if xattrs or present is None or present:
        lost += _apply_xattrs(target, path, xattrs)
        owned = False
    if not stat.S_ISLNK(want.st_mode):
        # What was changed above may have changed the mode.
        have = have if owned else target.status()
        if stat.S_IMODE(have.st_mode) != stat.S_IMODE(want.st_mode):
            try:
                target.allow(stat.S_IMODE(want.st_mode))
            except OSError as error:
                lost.append(_refused(error, "mode", path))
    if have.st_mtime_ns != want.st_mtime_ns:
        try:
            target.touch(want.st_atime_ns, want.st_mtime_ns)
        except OSError as error:
            lost.append(_refused(error, "mtime", path))
    return lost


def apply_flags(source: int, dest: int, path: str, present: int | None = None) -> list[NotKept]:
    """Make the inode flags of two open entries equal, as far as chattr(1) has a say; `present`: the target's, when they are known. Raises OSError."""
    want = kernel.inode_flags(source)
    if not want & _OF_INTEREST and present == 0:
        return []
    lost = [NotKept(f"inode flag {name}", path, "needs a capability that the mover does not have")
            for flag, name in _UNSETTABLE_FLAGS.items() if want & flag]
    have = kernel.inode_flags(dest)
    if (have ^ want) & _SETTABLE_FLAGS:
        try:
            kernel.set_inode_flags(dest, have & ~_SETTABLE_FLAGS | want & _SETTABLE_FLAGS)
        except OSError as error:
            lost.append(_refused(error, "inode flags", path))
    return lost


def flags_difference(source: int, dest: int) -> str:
    """Whether the inode flags that can be kept differ between two open entries; empty when not. Raises OSError."""
    return "inode flags" if (kernel.inode_flags(source) ^ kernel.inode_flags(dest)) & _SETTABLE_FLAGS else ""


def inherited_flags(directory: int) -> int:
    """What a new entry of this open directory may get of its flags; 0 for nothing. Raises OSError."""
    return kernel.inode_flags(directory) & _OF_INTEREST


def _apply_xattrs(target: Target, path: str, want: Mapping[str, bytes]) -> list[NotKept]:
    where = target.xattr_target()
    follow = isinstance(where, int)
    have = scan.xattrs_of(where)
    lost = []
    for name in have.keys() - want.keys():
        try:
            os.removexattr(where, name, follow_symlinks=follow)
        except OSError as error:
            lost.append(_refused(error, f"removal of xattr {name}", path))
    for name, value in want.items():
        if have.get(name) == value:
            continue
        try:
            os.setxattr(where, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno == errno.EDQUOT or error.errno == errno.ENOSPC and target.free_blocks() < _ROOM:
                raise NoSpace(f"{error.strerror} for the extended attribute {name} of {shown(path)}") from error
            # ext4 says ENOSPC also for a value that can never fit beside the others.
            lost.append(NotKept(f"xattr {name}", path, error.strerror or str(error)) if error.errno in NO_SPACE_ERRORS
                        else _refused(error, f"xattr {name}", path))
    return lost


def _refused(error: OSError, kind: str, path: str) -> NotKept:
    if error.errno in REFUSALS:
        return NotKept(kind, path, error.strerror or str(error))
    raise error


def differences(source: Stat, dest: Stat) -> list[str]:
    """In what two entries differ, content, flags and xattrs aside. Of different types, only that."""
    if (source.mode, source.uid, source.gid, source.mtime) == (dest.mode, dest.uid, dest.gid, dest.mtime) and source.size == dest.size \
            and source.rdev == dest.rdev:
        return []
    if source.kind != dest.kind:
        return ["type"]
    special = not source.is_directory and not source.is_file
    found = {"device number": special and source.rdev != dest.rdev,
             "size": source.is_file and source.size != dest.size,
             "owner": (source.uid, source.gid) != (dest.uid, dest.gid),
             "mode": stat.S_IMODE(source.mode) != stat.S_IMODE(dest.mode),
             "mtime": source.mtime != dest.mtime}
    return [what for what, differs in found.items() if differs]


def is_coarse(source: Stat, dest: Stat) -> bool:
    """The destination keeps whole seconds only, or not this far from 1970: ext4 with inodes of 128 bytes, for one."""
    return dest.mtime == source.mtime // _SECOND * _SECOND or abs(source.mtime // _SECOND) >= 2**31


def xattr_differences(source: dict[str, bytes], dest: dict[str, bytes]) -> list[str]:
    """The extended attributes that are missing, surplus or different."""
    return [] if source == dest else [f"xattr {name}" for name in sorted(source.keys() | dest.keys()) if source.get(name) != dest.get(name)]


# What a destination may be unable to keep, as a user names it, by the first word of what we call it.
_LOSSES = {"owner": "owner", "mode": "mode", "mtime": "mtime", "xattr": "xattr", "removal": "xattr", "inode": "flags", "holes": "holes",
           "symbolic": "symlink", "FIFO": "fifo", "socket": "socket", "device": "device"}
LOSSES = tuple(sorted(set(_LOSSES.values())))
_OF_KIND = {stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


def loss_of(what: str) -> str:
    """The name under which a loss or difference can be accepted; empty when it cannot."""
    return _LOSSES.get(what.split()[0], "")


def kind_in_words(kind: int) -> str:
    """Of an entry that is made and not copied."""
    return _OF_KIND.get(kind, "entry")
