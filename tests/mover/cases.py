"""What an exact copy must keep, one small builder a case: the rows of docs/exactness.md, and a tree for the tests of the mover. Cases of a second
copy stand in cases_of_change.py. Links of a case stay inside its tree."""
from __future__ import annotations

import os
import random
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from torture import CAPABILITY, acl, bind_socket, chain, write

SECOND = 10**9
LONG_LINKS, EXT4_FLAGS = "links of 4000 bytes", "the inode flags of ext4"
# Files of this size are given to rclone by the mover (rclone.LARGE is 8 MiB).
LARGE = 9 << 20
HIGHEST_ID = 2**32 - 2
# Within what both ext4 and xfs with bigtime can hold.
TIMES = {"1901": -(2**31) * SECOND + 40000 * SECOND + 1, "1969": -86400 * SECOND + 5, "epoch": 0, "one": 1, "now": 1700000000123456789,
         "2038": 2**31 * SECOND + 2, "2106": 2**32 * SECOND + 3, "2200": 7258118400 * SECOND + 999999999}

Pollute = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Case:
    """`make` fills an empty directory; `change` alters it after a first copy; `pollute` spoils that copy, and is given a directory outside of it too.
    `needs`: what not every file system can hold; `stays`: directories that only the destination has, and keeps; `with_top`: it is about the
    top directory itself, which some programs leave out of every case."""

    words: str
    make: Callable[[Path], None]
    change: Callable[[Path], None] | None = None
    pollute: Pollute | None = None
    needs: frozenset[str] = frozenset()
    stays: tuple[str, ...] = ()
    with_top: bool = False

    @property
    def slug(self) -> str:
        return self.make.__name__


def noise(size: int, seed: int = 0) -> bytes:
    """The same bytes for the same size and seed."""
    return random.Random(seed * 1000003 + size).randbytes(size)


def named(top: Path, name: bytes) -> Path:
    return top / os.fsdecode(name)


def content(top: Path) -> None:
    for size in (0, 1, 4095, 4096, 4097, 131071, 131072, 131073, 1 << 20, LARGE, LARGE + 1):
        (top / f"{size}").write_bytes(noise(size))


def empty_directories(top: Path) -> None:
    (top / "a" / "b" / "c").mkdir(parents=True)
    (top / "d").mkdir()


def modes_of_files(top: Path) -> None:
    for mode in range(0o10000):
        path = top / f"{mode:04o}"
        path.touch()
        os.chmod(path, mode)


def modes_of_large_files(top: Path) -> None:
    for mode in (0o0000, 0o4755, 0o2711, 0o1644, 0o7777):
        write(os.fsencode(top / f"{mode:04o}"), noise(LARGE), mode, 1000, 1000)


def modes_of_directories(top: Path) -> None:
    for mode in [special << 9 | rest for special in range(8) for rest in (0o000, 0o111, 0o500, 0o755, 0o770, 0o777)]:
        path = top / f"{mode:04o}"
        path.mkdir()
        (path / "inside").write_text("i")
        os.chown(path, 1000, 2000)
        os.chmod(path, mode)


def owners(top: Path) -> None:
    for uid, gid in ((0, 0), (1, 2), (65534, 65534), (2**31 - 1, 2**31), (HIGHEST_ID, HIGHEST_ID)):
        for kind in ("file", "directory", "fifo"):
            path = top / f"{kind}-{uid}"
            make_entry(path, kind)
            os.chown(path, uid, gid)
            os.chmod(path, 0o6750)


def times(top: Path) -> None:
    for name, moment in TIMES.items():
        for kind in ("file", "directory", "fifo"):
            path = top / f"{kind}-{name}"
            make_entry(path, kind)
            os.utime(path, ns=(moment, moment))


def top_itself(top: Path) -> None:
    os.setxattr(top, "user.top", b"itself")
    os.chown(top, 999, 998)
    os.chmod(top, 0o3771)
    os.utime(top, ns=(5, TIMES["1969"]))


def names_of_one_byte(top: Path) -> None:
    for number in set(range(1, 256)) - {ord("."), ord("/")}:
        named(top, bytes([number])).write_bytes(bytes([number]))
        named(top, b"d" + bytes([number])).mkdir()


def names_that_mean_something(top: Path) -> None:
    for name in (b"x.rclonelink", b"x.partial", b"x.rclonelink.rclonelink", b"-rf", b"--delete", b"#x", b"~", b"*", b"**", b"?[a]{b}",
                 b"$(x)`x`", b"...", b" ", b"- x", b"+ x", b"; x", b".rsync-filter", b".~tmp~", b".x.AbCdEf",
                 b"x\\", b"\\n", b"\\#012", b"%2F", b"x:y", b"CON", b"con"):
        named(top, name).write_bytes(name)


def names_of_255_bytes(top: Path) -> None:
    for name in (b"n" * 255, b"\n" * 255, b"\xff" * 255, "é".encode() * 127 + b"x", b" " * 255, b"x" * 244 + b".rclonelink"):
        named(top, name).write_bytes(name)
    named(top, b"d" * 255).mkdir()


def names_that_look_alike(top: Path) -> None:
    for name in (b"e\xcc\x81", b"\xc3\xa9", b"E\xcc\x81", b"\xe2\x84\xab", b"\xc3\x85", b"A\xcc\x8a", b"\xef\xac\x81", b"fi", b"README", b"readme",
                 b"\xe2\x80\x9bx", b"\xe2\x80\x9bFF", b"\xff", b"\xef\xbc\x8f", b"\xe2\x90\x80", b"\xc2\xa0", b"x\xe2\x80\xae"):
        named(top, name).write_bytes(name)


def longer_than_a_path(top: Path) -> None:
    current = chain(top)
    for name, size in (("bottom", 4), ("large", LARGE)):
        with open(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=current), "wb") as file:
            file.write(noise(size))
    os.symlink("bottom", "link", dir_fd=current)
    os.close(current)


def symlinks(top: Path) -> None:
    (top / "canary").mkdir(0o700)
    (top / "canary" / "file").write_text("canary")
    for number, target in enumerate((b"canary", b"canary/file", b"nowhere", b"new\nline", b"not utf-8 \xff", b" ", b"itself", b"./", b"x" * 1000)):
        path = top / ("itself" if target == b"itself" else f"{number}")
        os.symlink(target, path)
        os.chown(path, 1000 + number, HIGHEST_ID, follow_symlinks=False)
        os.utime(path, ns=(7, TIMES["1969"] - number), follow_symlinks=False)


def symlink_of_4000_bytes(top: Path) -> None:
    os.symlink("x" * 4000, top / "long")


def hard_links(top: Path) -> None:
    (top / "directory").mkdir()
    for name, size in (("empty", 0), ("small", 1000), ("large", LARGE)):
        write(os.fsencode(top / name), noise(size), 0o4711, 5, 6)
        os.link(top / name, top / f"{name} too")
        os.link(top / name, top / "directory" / name)


def hard_links_of_others(top: Path) -> None:
    for kind in ("symlink", "fifo", "socket", "character", "block"):
        make_entry(top / kind, kind)
        os.link(top / kind, top / f"{kind} too", follow_symlinks=False)


def sparse(path: Path, size: int, *pieces: tuple[int, bytes]) -> None:
    """A file with holes wherever no piece (offset, data) stands."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)


def holes(top: Path) -> None:
    sparse(top / "all", 256 << 20)
    sparse(top / "middle", 20 << 20, (0, noise(65536)), (19 << 20, noise(65536)))
    sparse(top / "both ends", 3 << 20, (1 << 20, noise(65536)))
    sparse(top / "odd end", (1 << 20) + 77, (0, noise(65536)))
    sparse(top / "many", 4 << 20, *((number << 17, noise(4096, number)) for number in range(0, 32, 2)))


def zeros_beside_holes(top: Path) -> None:
    zeros = bytes(65536)
    sparse(top / "zeros", 4 << 20, (0, zeros), (1 << 20, zeros), (3 << 20, noise(65536)))
    sparse(top / "zeros at the end", 4 << 20, ((4 << 20) - 65536, zeros))
    (top / "zeros only").write_bytes(bytes(1 << 20))
    (top / "large zeros").write_bytes(bytes(LARGE))


def reserved_room(top: Path) -> None:
    with (top / "reserved").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 << 20)
    sparse(top / "in part", 4 << 20, (0, noise(65536)))
    with (top / "in part").open("r+b") as file:
        os.posix_fallocate(file.fileno(), 1 << 20, 1 << 20)


def make_entry(path: Path, kind: str) -> None:
    """An entry of one of the seven kinds, or a directory that is not empty."""
    if kind == "file":
        path.write_bytes(b"content of " + os.fsencode(path.name))
    elif kind == "directory":
        path.mkdir()
    elif kind == "full":
        (path / "deeper" / "deepest").mkdir(parents=True)
        (path / "deeper" / "file").write_text("f")
    elif kind == "symlink":
        path.symlink_to("nowhere")
    elif kind == "socket":
        bind_socket(path)
    else:
        os.mknod(path, {"fifo": stat.S_IFIFO, "character": stat.S_IFCHR, "block": stat.S_IFBLK}[kind] | 0o640,
                 0 if kind == "fifo" else os.makedev(7, 1234))


def fifos_and_sockets(top: Path) -> None:
    for kind in ("fifo", "socket"):
        make_entry(top / kind, kind)
        os.chown(top / kind, 12, 34)
        os.chmod(top / kind, 0o6644)
        os.utime(top / kind, ns=(9, TIMES["2200"]))


def devices(top: Path) -> None:
    for name, kind, device in (("null", stat.S_IFCHR, os.makedev(1, 3)), ("loop", stat.S_IFBLK, os.makedev(7, 200)), ("whiteout", stat.S_IFCHR, 0),
                               ("large", stat.S_IFBLK, os.makedev(511, 2**18 - 1))):
        os.mknod(top / name, kind | 0o600, device)
        os.chown(top / name, 12, 34)
        os.chmod(top / name, 0o1640)
        os.utime(top / name, ns=(9, TIMES["1969"]))


def user_attributes(top: Path) -> None:
    write(os.fsencode(top / "file"), b"u", 0o444, 7, 7)
    for name, value in (("user.K", b"upper"), ("user.k", b"lower"), ("user.mtime", b"no"), ("user.mode", b"0"), ("user.empty", b""),
                        ("user.bytes", bytes(range(256))), (os.fsdecode(b"user.\xff\n"), b"odd key")):
        os.setxattr(top / "file", name, value)
    (top / "large").write_bytes(noise(LARGE))
    (top / "directory").mkdir()
    for name in ("large", "directory"):
        os.setxattr(top / name, "user." + "n" * 250, b"long key")
    os.chmod(top / "directory", 0o555)


def trusted_attributes(top: Path) -> None:
    for kind in ("file", "directory", "symlink", "fifo", "socket", "character"):
        make_entry(top / kind, kind)
        os.setxattr(top / kind, "trusted.x", b"root only", follow_symlinks=False)


def file_capabilities(top: Path) -> None:
    for name, size in (("small", 10), ("large", LARGE)):
        write(os.fsencode(top / name), noise(size), 0o755, 1000, 1000)
        os.setxattr(top / name, "security.capability", CAPABILITY)


def access_lists(top: Path) -> None:
    for kind in ("file", "directory", "fifo", "socket", "block"):
        make_entry(top / kind, kind)
        os.chown(top / kind, 1000, 1000)
        os.setxattr(top / kind, "system.posix_acl_access", acl(1234))


def default_access_lists(top: Path) -> None:
    (top / "directory").mkdir()
    os.setxattr(top / "directory", "system.posix_acl_default", acl(4321))
    (top / "directory" / "inherits").write_text("i")
    (top / "directory" / "inner").mkdir()
    (top / "directory" / "large").write_bytes(noise(LARGE))
    for kind in ("file", "fifo"):
        make_entry(top / "directory" / kind, kind)
        os.removexattr(top / "directory" / kind, "system.posix_acl_access")
        os.chmod(top / "directory" / kind, 0o604)


def inode_flags(top: Path) -> None:
    (top / "file").write_text("f")
    (top / "large").write_bytes(noise(LARGE))
    (top / "directory").mkdir()
    for name in ("file", "large", "directory"):
        subprocess.run(["chattr", "+dAS", str(top / name)], check=True)


def flags_of_ext4(top: Path) -> None:
    for kind, flags in (("file", "suctx"), ("directory", "suctxDT")):
        for flag in flags:
            make_entry(top / f"{kind} {flag}", kind)
            subprocess.run(["chattr", f"+{flag}", str(top / f"{kind} {flag}")], check=True)


def flags_not_inherited(top: Path) -> None:
    (top / "directory").mkdir()
    subprocess.run(["chattr", "+dA", str(top / "directory")], check=True)
    for kind in ("file", "full", "symlink", "fifo"):
        make_entry(top / "directory" / kind, kind)
    (top / "directory" / "large").write_bytes(noise(LARGE))
    for name in ("file", "full", "large"):
        subprocess.run(["chattr", "-R", "-dA", str(top / "directory" / name)], check=True)


FRESH = (
    Case("content of regular files, empty to 9 MiB", content),
    Case("empty directories", empty_directories),
    Case("modes 0000 to 7777 of files", modes_of_files),
    Case("modes of large files, setuid, setgid and sticky among them", modes_of_large_files),
    Case("modes of directories, setuid, setgid and sticky among them", modes_of_directories),
    Case("owners up to 2^32-2", owners),
    Case("mtime in ns, 1901 to 2200, of files, directories and FIFOs", times),
    Case("mode, owner, mtime and xattr of the top directory itself", top_itself, with_top=True),
    Case("names of every byte but `/` and NUL", names_of_one_byte),
    Case("names that mean something to tools: `*.rclonelink`, `*.partial`, `--delete`", names_that_mean_something),
    Case("names of 255 bytes", names_of_255_bytes),
    Case("names that look alike: NFC/NFD, case, full-width", names_that_look_alike),
    Case("a chain of directories longer than PATH_MAX", longer_than_a_path),
    Case("symlinks: dangling, with newlines, owner and mtime", symlinks),
    Case("a symlink of 4000 bytes", symlink_of_4000_bytes, needs=frozenset({LONG_LINKS})),
    Case("hard links of files", hard_links),
    Case("hard links of symlinks, FIFOs, sockets and devices", hard_links_of_others),
    Case("holes", holes),
    Case("zeros that are data stay data, beside holes too", zeros_beside_holes),
    Case("room that is reserved (fallocate) stays so", reserved_room),
    Case("FIFOs and sockets", fifos_and_sockets),
    Case("character and block devices, overlayfs whiteouts", devices),
    Case("user.* xattrs", user_attributes),
    Case("trusted.* xattrs", trusted_attributes),
    Case("security.capability", file_capabilities),
    Case("POSIX ACLs", access_lists),
    Case("default ACLs, and what lies below them without", default_access_lists),
    Case("inode flags of chattr(1): d, A, S", inode_flags),
    Case("inode flags that only ext4 has: s, u, c, t, x, D, T", flags_of_ext4, needs=frozenset({EXT4_FLAGS})),
    Case("a directory with inode flags, and what lies below it without", flags_not_inherited),
)
