"""A tree of everything that copying tools lose: kinds, names, modes, owners, times, links, holes, attributes. Its links stay inside it."""
from __future__ import annotations

import os
import socket
import stat
import struct
import subprocess
from pathlib import Path

ODD_NAMES = (b"new\nline", b"tab\t", b"cr\r", b"back\\slash", b"trailing ", b" leading", b"dot.", b"not utf-8 \xff\xfe", b"\xe2\x80\x9b quoted",
             b"n" * 255, b"#comment", b"-dash", b"quote'\"`$(x)", "nfc-é".encode(), "nfd-é".encode(), b"x.rclonelink", b"x.partial", b"*?[a]{b}")
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def acl(tag_user: int) -> bytes:
    """A POSIX ACL as the kernel keeps it: the usual three, one more user, a mask. Source: linux/posix_acl_xattr.h."""
    entries = [(0x01, 7, 0xFFFFFFFF), (0x02, 5, tag_user), (0x04, 4, 0xFFFFFFFF), (0x10, 5, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def fill(top: Path) -> None:
    """Make the tree below an empty directory."""
    base = os.fsencode(top)
    _files(base)
    _names(base)
    _links(base)
    _specials(base)
    _holes(base)
    _attributes(base)
    _deep(top)
    _directories(base)


def write(path: bytes, data: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0, mtime_ns: int | None = None) -> None:
    with open(path, "wb") as file:
        file.write(data)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def bind_socket(path: Path) -> None:
    """A socket at any path: its name in an address is limited to some hundred bytes."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def _files(base: bytes) -> None:
    os.mkdir(base + b"/files")
    for mode in (0o000, 0o400, 0o666, 0o777, 0o4755, 0o2755, 0o6711, 0o1644):
        write(base + b"/files/mode-%o" % mode, b"mode %o" % mode, mode, uid=1000, gid=3000000000)
    for size in (0, 1, 4095, 4096, 131071, 131072, 131073, 1 << 20, (1 << 20) + 1):
        write(base + b"/files/size-%d" % size, os.urandom(size), mtime_ns=1700000000123456789)
    write(base + b"/files/large", os.urandom(9 << 20), 0o640, 26, 26, 1600000000000000001)
    write(base + b"/files/large zeros", bytes(9 << 20), 0o640, 26, 26, -86400 * 10**9 + 5)
    write(base + b"/files/future", b"2200", mtime_ns=7258118400 * 10**9 + 999999999)


def _names(base: bytes) -> None:
    os.mkdir(base + b"/names")
    for name in ODD_NAMES:
        write(base + b"/names/" + name, name)
        os.mkdir(base + b"/names/" + (b"d" + name)[:255])
    write(base + b"/names/large\xff", os.urandom(9 << 20))
    write(base + b"/names/" + b"dnew\nline/large", os.urandom(9 << 20))
    # Names that a list of files or a pattern could misread.
    for name in (b"d*?[a]{b}/back\\slash.", b"dtrailing /; #comment", b"ddot./- {{a,b}}.rclonelink"):
        write(base + b"/names/" + name, os.urandom(8 << 20))


def _links(base: bytes) -> None:
    os.mkdir(base + b"/links")
    os.mkdir(base + b"/links/canary", 0o700)
    write(base + b"/links/canary/file", b"canary", 0o600)
    for name, target in ((b"relative", b"canary/file"), (b"directory", b"canary"), (b"dangling", b"nowhere"), (b"odd", b"new\nline\xff"),
                         (b"long", b"x" * 1000), (b"up", b"../links/canary")):
        os.symlink(target, base + b"/links/" + name)
        os.chown(base + b"/links/" + name, 1001, 1002, follow_symlinks=False)
        os.utime(base + b"/links/" + name, ns=(10**18, 10**18 + 7), follow_symlinks=False)
    write(base + b"/links/one", b"shared", 0o4711, 5, 6, 10**18 + 1)
    for name in (b"two", b"canary/three", b"\xffour"):
        os.link(base + b"/links/one", base + b"/links/" + name)
    write(base + b"/links/empty", b"")
    os.link(base + b"/links/empty", base + b"/links/empty2")
    os.link(base + b"/links/dangling", base + b"/links/dangling2", follow_symlinks=False)
    write(base + b"/links/large", os.urandom(9 << 20))
    os.link(base + b"/links/large", base + b"/links/large2")


def _specials(base: bytes) -> None:
    os.mkdir(base + b"/specials")
    for name, kind, device in ((b"fifo", stat.S_IFIFO, 0), (b"char", stat.S_IFCHR, os.makedev(1, 3)), (b"block", stat.S_IFBLK, os.makedev(7, 200)),
                               (b"whiteout", stat.S_IFCHR, 0)):
        path = base + b"/specials/" + name
        os.mknod(path, kind | 0o600, device)
        os.chown(path, 12, 34)
        os.chmod(path, 0o6640)
        os.utime(path, ns=(10**18, 10**18 + 99))
    os.link(base + b"/specials/fifo", base + b"/specials/fifo2")
    bind_socket(Path(os.fsdecode(base)) / "specials" / "socket")


def _holes(base: bytes) -> None:
    os.mkdir(base + b"/holes")
    for name, size, pieces in ((b"all", 256 << 20, ()), (b"middle", 20 << 20, ((0, 5000), (19 << 20, 70000))), (b"ends", 3 << 20, ((1 << 20, 4096),)),
                               (b"odd end", (1 << 20) + 77, ((0, 1),)), (b"inside a block", 131072, ((8192, 10),))):
        with open(base + b"/holes/" + name, "wb") as file:
            file.truncate(size)
            for offset, length in pieces:
                file.seek(offset)
                file.write(os.urandom(length))
    with open(base + b"/holes/allocated", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 << 20)


def _attributes(base: bytes) -> None:
    os.mkdir(base + b"/attributes")
    path = base + b"/attributes/"
    write(path + b"user", b"u", 0o444, 7, 7)
    for name, value in (("user.K", b"upper"), ("user.k", b"lower"), ("user.mtime", b"no"), ("user.empty", b""), ("user.bin", bytes(range(256))),
                        ("trusted.t", b"root only")):
        os.setxattr(path + b"user", name, value)
    os.setxattr(path + b"user", b"user.\xff", b"odd key")
    write(path + b"big", b"b")
    os.setxattr(path + b"big", "user.big", os.urandom(900))
    write(path + b"capable", b"c", 0o755, 1000, 1000)
    os.setxattr(path + b"capable", "security.capability", CAPABILITY)
    write(path + b"acl", b"a", 0o640, 1000, 1000)
    os.setxattr(path + b"acl", "system.posix_acl_access", acl(1234))
    os.mkdir(path + b"inheriting")
    os.setxattr(path + b"inheriting", "system.posix_acl_default", acl(4321))
    write(path + b"inheriting/child", b"inherits", 0o600)
    os.mkdir(path + b"inheriting/inner")
    write(path + b"inheriting/not", b"n", 0o600)
    os.removexattr(path + b"inheriting/not", "system.posix_acl_access")
    os.chmod(path + b"inheriting/not", 0o604)
    os.setxattr(path + b"inheriting", "user.d", b"directory")
    write(path + b"flags", b"f")
    write(path + b"large flags", os.urandom(9 << 20))
    os.mkdir(path + b"flagged")
    subprocess.run(["chattr", "+dAS", path + b"flags", path + b"large flags"], check=True)
    subprocess.run(["chattr", "+dD", path + b"flagged"], check=True)
    os.symlink(b"user", path + b"link")
    os.setxattr(path + b"link", "trusted.l", b"on a link", follow_symlinks=False)


def chain(top: Path) -> int:
    """Directories in each other, longer than PATH_MAX; returns the last one, open."""
    current = os.open(top, os.O_RDONLY)
    for level in range(22):
        name = f"{level:03}" + "d" * 200
        os.mkdir(name, dir_fd=current)
        following = os.open(name, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = following
    return current


def _deep(top: Path) -> None:
    current = chain(top)
    with open(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=current), "wb") as file:
        file.write(b"deep")
    with open(os.open("large", os.O_CREAT | os.O_WRONLY, dir_fd=current), "wb") as file:
        file.write(os.urandom(9 << 20))
    os.close(current)


def _directories(base: bytes) -> None:
    os.mkdir(base + b"/directories")
    for number, mode in enumerate((0o000, 0o500, 0o777, 0o1777, 0o2775, 0o4755, 0o7777)):
        path = base + b"/directories/%o" % mode
        os.mkdir(path)
        write(path + b"/inside", b"i")
        os.chown(path, 1000 + number, 2000)
        os.chmod(path, mode)
        os.utime(path, ns=(1, 10**18 + number))
    os.setxattr(base, "user.root", b"the top itself")
    os.chown(base, 999, 998)
    os.chmod(base, 0o2770)
    os.utime(base, ns=(5, 1500000000000000003))
