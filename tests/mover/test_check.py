"""The promise of --check: whatever differs between two trees, be it one bit, is found and named, alone; equal trees are said to be equal; and nothing
is changed by looking."""
from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any, Callable

import checker
import pytest
import torture
from mover_process import Mover

pytestmark = pytest.mark.root
Copy = Callable[..., Mover]
Pair = tuple[Path, Path]
NS = 1_500_000_000_123_456_789


def _tree(top: Path) -> None:
    (top / "file").write_bytes(os.urandom(400_000))
    os.setxattr(top / "file", "user.key", b"value")
    os.setxattr(top / "file", "system.posix_acl_access", torture.acl(77))
    (top / "sparse").write_bytes(os.urandom(65536) + bytes(65536) + os.urandom(65536))
    subprocess.run(["fallocate", "-p", "-o", "65536", "-l", "65536", str(top / "sparse")], check=True)
    (top / "zeros").write_bytes(os.urandom(4096) + bytes(65536) + os.urandom(4096))
    (top / "directory").mkdir()
    (top / "directory" / "inside").write_text("inside")
    os.setxattr(top / "directory", "system.posix_acl_default", torture.acl(78))
    (top / "link").symlink_to("file")
    os.mknod(top / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mkfifo(top / "fifo")
    for name in ("one", "alone"):
        (top / name).write_text("shared or not")
    os.link(top / "one", top / "two")
    for name in os.listdir(top):
        os.utime(top / name, ns=(NS, NS), follow_symlinks=False)
    subprocess.run(["chattr", "+d", str(top / "file"), str(top / "directory")], check=True)


@pytest.fixture
def pair(make_volume: Callable[..., Path]) -> Pair:
    volume = make_volume("volume")
    source, dest = volume / "source", volume / "dest"
    source.mkdir()
    dest.mkdir()
    _tree(source)
    return source, dest


def _flip(value: bytes, bit: int) -> bytes:
    return value[:bit // 8] + bytes([value[bit // 8] ^ 1 << bit % 8]) + value[bit // 8 + 1:]


def _flip_bit(file: Path) -> None:
    content, bit = file.read_bytes(), 8 * 262_144 + 3
    with file.open("r+b") as opened:
        opened.write(_flip(content, bit))


def _flip_xattr(path: Path, name: str, bit: int) -> None:
    os.setxattr(path, name, _flip(os.getxattr(path, name), bit))


def _again(path: Path, make: Callable[[], Any]) -> None:
    path.unlink()
    make()


def _link_once_more(dest: Path) -> None:
    (dest / "alone").unlink()
    os.link(dest / "one", dest / "alone")


def _punch(file: Path) -> None:
    subprocess.run(["fallocate", "-p", "-o", "4096", "-l", "65536", str(file)], check=True)


def _chattr(change: str) -> Callable[[Path], Any]:
    return lambda dest: subprocess.run(["chattr", change, str(dest / "file")], check=True)


# What is done to the copy, and what --check calls it.
FLAWS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "one bit": (lambda dest: _flip_bit(dest / "file"), ["content of file"]),
    "one byte more": (lambda dest: os.truncate(dest / "file", 400_001), ["size of file"]),
    "one mode bit": (lambda dest: os.chmod(dest / "directory" / "inside", 0o645), ["mode of directory/inside"]),
    "setuid": (lambda dest: os.chmod(dest / "one", 0o4644), ["mode of one", "mode of two"]),
    "one xattr byte": (lambda dest: os.setxattr(dest / "file", "user.key", b"valuf"), ["xattr user.key of file"]),
    "an xattr less": (lambda dest: os.removexattr(dest / "file", "user.key"), ["xattr user.key of file"]),
    "an xattr more": (lambda dest: os.setxattr(dest / "alone", "user.more", b""), ["xattr user.more of alone"]),
    "ACL": (lambda dest: _flip_xattr(dest / "file", "system.posix_acl_access", 112), ["xattr system.posix_acl_access of file"]),
    "default ACL": (lambda dest: _flip_xattr(dest / "directory", "system.posix_acl_default", 128), ["xattr system.posix_acl_default of directory"]),
    "one nanosecond": (lambda dest: os.utime(dest / "file", ns=(NS, NS + 1)), ["mtime of file"]),
    "one nanosecond of a link": (lambda dest: os.utime(dest / "link", ns=(NS, NS - 1), follow_symlinks=False), ["mtime of link"]),
    "owner": (lambda dest: os.chown(dest / "fifo", 1, -1), ["owner of fifo"]),
    "group of a link": (lambda dest: os.chown(dest / "link", -1, 1, follow_symlinks=False), ["owner of link"]),
    "a hard link broken": (lambda dest: _again(dest / "two", lambda: (dest / "two").write_text("shared or not")),
                           ["hard links of one", "hard links of two"]),
    "a hard link too many": (_link_once_more, ["hard links of alone", "hard links of one", "hard links of two"]),
    "a name outside the tree": (lambda dest: os.link(dest / "alone", dest.parent / "outside"), ["hard links of alone"]),
    "a hole filled": (lambda dest: (dest / "sparse").write_bytes((dest / "sparse").read_bytes()), ["holes of sparse"]),
    "a hole punched": (lambda dest: _punch(dest / "zeros"), ["holes of zeros"]),
    "inode flag": (_chattr("-d"), ["inode flags of file"]),
    "another inode flag": (_chattr("+A"), ["inode flags of file"]),
    "symlink target": (lambda dest: _again(dest / "link", lambda: (dest / "link").symlink_to("File")), ["target of link"]),
    "device number": (lambda dest: _again(dest / "device", lambda: os.mknod(dest / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))),
                      ["device number of device"]),
    "type": (lambda dest: _again(dest / "fifo", lambda: os.mknod(dest / "fifo", stat.S_IFSOCK | 0o600)), ["type of fifo"]),
    "an extra entry": (lambda dest: (dest / "directory" / "extra").mkdir(), ["entry that the source does not have of directory/extra"]),
    "an extra odd name": (lambda dest: os.mkfifo(os.fsencode(dest) + b"/\xff\n"), ["entry that the source does not have of \\xff\\n"]),
    "a missing entry": (lambda dest: (dest / "directory" / "inside").unlink(), ["missing of directory/inside"]),
    "a missing name of two": (lambda dest: (dest / "two").unlink(), ["missing of two"]),
    "the top's mode": (lambda dest: os.chmod(dest, 0o750), ["mode of ."]),
    "the top's xattr": (lambda dest: os.setxattr(dest, "user.top", b"t"), ["xattr user.top of ."]),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_one_flaw_in_the_copy_is_found_and_named_and_nothing_else(flaw: str, pair: Pair, copy: Copy) -> None:
    source, dest = pair
    assert copy(source, dest).process.returncode == 0
    names = FLAWS[flaw][1]
    _plant(flaw, dest)
    run = copy("--check", source, dest)
    assert (run.process.returncode, run.last["event"], run.last["code"]) == (22, "failed", 22)
    assert sorted(run.report["differences"]) == names
    assert run.report["differences"][0] in run.last["message"]


def _plant(flaw: str, top: Path) -> None:
    """And put back the times that it moved: the flaw is to be found by itself."""
    times = {path: path.lstat().st_mtime_ns for path in (top, *top.rglob("*"))}
    FLAWS[flaw][0](top)
    for path, mtime in sorted(times.items(), reverse=True):
        if os.path.lexists(path) and "nanosecond" not in flaw:
            os.utime(path, ns=(mtime, mtime), follow_symlinks=False)


def test_equal_trees_are_equal_with_the_digest_of_the_copy(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source", 256), make_volume("dest", 200)
    torture.fill(source)
    copied = copy(source, dest)
    assert copied.process.returncode == 0, copied.last
    digest = copied.report["verified"]["digest"]
    checked = copy("--check", source, dest)
    assert (checked.process.returncode, checked.last["event"]) == (0, "verified")
    assert (checked.report["verified"]["digest"], checked.report["verified"]["level"]) == (digest, "content")
    assert checked.report["verified"]["hashed_bytes"] == _content_bytes(source)
    assert checked.report["differences"] == []
    assert copy("--check", dest, source).report["verified"]["digest"] == digest


def _content_bytes(top: Path) -> int:
    """Of each inode once."""
    sizes: dict[int, int] = {}
    for _, _, files, descriptor in os.fwalk(top):
        found = [os.stat(name, dir_fd=descriptor, follow_symlinks=False) for name in files]
        sizes.update((status.st_ino, status.st_size) for status in found if stat.S_ISREG(status.st_mode))
    return sum(sizes.values())


@pytest.mark.parametrize("flaw", ["one bit", "one xattr byte", "one nanosecond", "owner", "symlink target", "device number", "a hard link broken"])
def test_the_digest_of_a_tree_changes_with(flaw: str, pair: Pair, copy: Copy) -> None:
    source, dest = pair
    before = copy(source, dest).report["verified"]["digest"]
    _plant(flaw, source)
    after = copy(source, dest)
    assert after.process.returncode == 0, after.last
    assert after.report["verified"]["digest"] != before


def test_checking_changes_nothing(pair: Pair, copy: Copy) -> None:
    source, dest = pair
    assert copy(source, dest).process.returncode == 0
    for flaw in ("one bit", "an extra entry", "a hole filled", "a missing name of two"):
        FLAWS[flaw][0](dest)
    before = [(checker.ctimes(top), checker.picture(top)) for top in pair]
    checker.close()
    assert copy("--check", source, dest).process.returncode == 22
    after = [(checker.ctimes(top), checker.picture(top)) for top in pair]
    checker.close()
    assert after == before


def test_read_only_trees_can_be_checked(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    _tree(source)
    assert copy(source, dest).process.returncode == 0
    for top in (source, dest):
        subprocess.run(["mount", "-o", "remount,ro", str(top)], check=True)
    assert copy("--check", source, dest).process.returncode == 0
