"""The eye by which the tests judge a copy sees each single flaw, and calls it by its name: one that sees nothing would find every copy exact."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import checker
import pytest
from cases import noise, sparse
from cases_of_change import overwrite
from torture import CAPABILITY, acl

pytestmark = pytest.mark.root


@pytest.fixture
def twins(make_volume: Callable[..., Path]) -> tuple[Path, Path]:
    """Two equal trees on one file system."""
    left = make_volume("volume", 64, "-b", "4096") / "left"
    (left / "directory").mkdir(parents=True)
    (left / "directory" / "inside").write_text("i")
    (left / "file").write_bytes(noise(300000))
    os.setxattr(left / "file", "user.x", b"value")
    (left / "capable").touch()
    os.setxattr(left / "capable", "security.capability", CAPABILITY)
    os.setxattr(left / "directory", "system.posix_acl_default", acl(5))
    (left / "one").write_text("shared")
    os.link(left / "one", left / "two")
    (left / "link").symlink_to("target")
    os.mknod(left / "device", 0o020600, os.makedev(1, 3))
    sparse(left / "sparse", 1 << 20, (0, noise(65536)))
    (left / "zeros").write_bytes(bytes(1 << 20))
    right = left.parent / "right"
    subprocess.run(["cp", "-a", "--sparse=auto", str(left), str(right)], check=True)
    assert checker.differing_fields(left, right, with_top=True) == []
    return left, right


def _timed(path: Path, change: Callable[[], object]) -> None:
    """A change that leaves the mtime as it was."""
    status = path.lstat()
    change()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _one_bit(top: Path) -> None:
    data = (top / "file").read_bytes()
    overwrite(top / "file", 200000, bytes([data[200000] ^ 1]))


def _break_link(top: Path) -> None:
    def change() -> None:
        (top / "two").unlink()
        shutil.copy2(top / "one", top / "two")

    _timed(top, change)


def _retarget(top: Path) -> None:
    def change() -> None:
        (top / "link").unlink()
        (top / "link").symlink_to("tarGet")

    _timed(top, lambda: _timed(top / "link", change))


def _another_device(top: Path) -> None:
    def change() -> None:
        (top / "device").unlink()
        os.mknod(top / "device", 0o020600, os.makedev(1, 5))

    _timed(top, lambda: _timed(top / "device", change))


def _punch(top: Path) -> None:
    command = ["fallocate", "--punch-hole", "--offset", "8192", "--length", "4096", str(top / "zeros")]
    _timed(top / "zeros", lambda: subprocess.run(command, check=True))


FLAWS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "one bit of content": (_one_bit, ["content"]),
    "one byte more": (lambda top: _timed(top / "one", lambda: (top / "one").write_text("shared!")), ["size", "content"]),
    "one mode bit": (lambda top: os.chmod(top / "file", (top / "file").stat().st_mode ^ 0o2000), ["mode"]),
    "the mode of the top": (lambda top: os.chmod(top, 0o701), ["mode"]),
    "owner": (lambda top: os.chown(top / "link", 1, -1, follow_symlinks=False), ["owner"]),
    "group": (lambda top: os.chown(top / "directory", -1, 1), ["group"]),
    "one nanosecond": (lambda top: os.utime(top / "link", ns=(0, (top / "link").lstat().st_mtime_ns + 1), follow_symlinks=False), ["mtime"]),
    "one byte of an xattr": (lambda top: os.setxattr(top / "file", "user.x", b"valuf"), ["xattrs"]),
    "an xattr more": (lambda top: os.setxattr(top / "device", "trusted.x", b""), ["xattrs"]),
    "a file capability less": (lambda top: os.removexattr(top / "capable", "security.capability"), ["xattrs"]),
    "another default ACL": (lambda top: os.setxattr(top / "directory", "system.posix_acl_default", acl(6)), ["xattrs"]),
    "an inode flag": (lambda top: subprocess.run(["chattr", "+d", str(top / "file")], check=True), ["inode flags"]),
    "a hard link broken": (_break_link, ["hard links"]),
    "another target": (_retarget, ["content"]),
    "another device": (_another_device, ["device"]),
    "a hole filled": (lambda top: overwrite(top / "sparse", 500000, bytes(1)), ["holes"]),
    "zeros punched": (_punch, ["holes"]),
    "a name less": (lambda top: _timed(top / "directory", (top / "directory" / "inside").unlink), ["missing"]),
    "a name more": (lambda top: _timed(top / "directory", (top / "directory" / "more").touch), ["surplus"]),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_the_eye_sees(flaw: str, twins: tuple[Path, Path]) -> None:
    left, right = twins
    plant, expected = FLAWS[flaw]
    plant(right)
    assert checker.differing_fields(left, right, with_top=True) == expected
    with pytest.raises(AssertionError):
        checker.assert_equal(left, right)
