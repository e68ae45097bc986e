"""Nobody thinks of everything: random trees, copied onto what other random steps left in the destination, changed at random and copied again, are
equal each time for an independent eye. What once went wrong stays here as an example."""
from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

import checker
import pytest
from cases import HIGHEST_ID, TIMES, make_entry, noise, sparse
from cases_of_change import KINDS, overwrite
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torture import CAPABILITY, acl

from kubectl_volresize.mover.passes import Move, Options
from kubectl_volresize.mover.report import Reporter

pytestmark = pytest.mark.root
MakeVolume = Callable[..., Path]

# Few names, so that steps meet: a directory of the one tree has the name of a file of the other.
NAMES = ("a", "b", "é", "x.partial")
# Around the blocks of the file systems and of the mover (128 KiB).
SIZES = (0, 1, 4095, 4096, 131072, 131073, 400000)
MODES = (0o000, 0o644, 0o755, 0o1777, 0o2755, 0o4711, 0o7777)
OWNERS = (0, 1, 65534, HIGHEST_ID)
XATTRS = ("user.a", "user.b", "trusted.a", "security.capability", "system.posix_acl_access", "system.posix_acl_default")
# What a step that makes no sense is answered with: then it is none.
NO_STEP = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ELOOP, errno.ENODATA,
           errno.ENOTSUP, errno.ENOTEMPTY, errno.ENXIO, errno.EXDEV)


@dataclass(frozen=True)
class Step:
    """One thing that somebody does to a tree; what `number` means depends on it."""

    what: str
    path: str
    other: str
    number: int

    def take(self, top: Path) -> None:
        path = top / self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            STEPS[self.what](path, top / self.other, self.number)
        except OSError as error:
            if error.errno not in NO_STEP:
                raise


def _is_file(path: Path) -> bool:
    return os.path.lexists(path) and stat.S_ISREG(path.lstat().st_mode)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _write(path: Path, other: Path, number: int) -> None:
    # Not into a FIFO: that would wait for a reader.
    if not _is_file(path):
        _remove(path)
    path.write_bytes(noise(SIZES[number % len(SIZES)], number % 3))


def _patch(path: Path, other: Path, number: int) -> None:
    if _is_file(path):
        overwrite(path, number * 5000 % 400000, noise(5000))


def _cut(path: Path, other: Path, number: int) -> None:
    if _is_file(path):
        os.truncate(path, SIZES[number % len(SIZES)])


def _sparse(path: Path, other: Path, number: int) -> None:
    _remove(path)
    sparse(path, 600000 + number, (number % 7 * 65536, (noise if number % 2 else bytes)(70000)))


def _punch(path: Path, other: Path, number: int) -> None:
    if _is_file(path):
        subprocess.run(["fallocate", "--punch-hole", "--offset", str(number % 5 * 50000), "--length", "90000", str(path)], check=True)


def _reserve(path: Path, other: Path, number: int) -> None:
    if _is_file(path):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), number % 5 * 50000, 90000)


def _make(path: Path, other: Path, number: int) -> None:
    _remove(path)
    make_entry(path, KINDS[number % len(KINDS)])


def _point(path: Path, other: Path, number: int) -> None:
    # To a sibling: nothing leads out of the tree.
    _remove(path)
    path.symlink_to(other.name)


def _flag(path: Path, other: Path, number: int) -> None:
    if _is_file(path) or path.is_dir() and not path.is_symlink():
        subprocess.run(["chattr", "-d" if number & 1 else "+d", "-A" if number & 2 else "+A", str(path)], check=True)


def _chmod(path: Path, other: Path, number: int) -> None:
    os.chmod(path, MODES[number % len(MODES)])


def _set_xattr(path: Path, other: Path, number: int) -> None:
    name = XATTRS[number % len(XATTRS)]
    value = CAPABILITY if name.startswith("security") else acl(number) if name.startswith("system") else b"%d" % number
    os.setxattr(path, name, value, follow_symlinks=False)


STEPS: dict[str, Callable[[Path, Path, int], object]] = {
    "write": _write, "patch": _patch, "cut": _cut, "sparse": _sparse, "punch": _punch, "reserve": _reserve, "make": _make, "point": _point,
    "flag": _flag, "chmod": _chmod, "set xattr": _set_xattr,
    "remove": lambda path, other, number: _remove(path),
    "rename": lambda path, other, number: path.rename(other),
    "link": lambda path, other, number: os.link(other, path, follow_symlinks=False),
    "chown": lambda path, other, number: os.chown(path, OWNERS[number % 4], OWNERS[number // 4 % 4], follow_symlinks=False),
    "utime": lambda path, other, number: os.utime(path, ns=(0, list(TIMES.values())[number % len(TIMES)] + number // 10), follow_symlinks=False),
    "remove xattr": lambda path, other, number: os.removexattr(path, XATTRS[number % len(XATTRS)], follow_symlinks=False),
}
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
WALKS = st.lists(st.builds(Step, st.sampled_from(sorted(STEPS)), PATHS, PATHS, st.integers(0, 100)), min_size=10, max_size=50)
# The last block of such a file belongs to it in part only: what is punched must be all of the block.
HOLE_AT_THE_END = [Step("write", "a", "", 0), Step("cut", "a", "", 1)]


def _copy(source: Path, dest: Path) -> None:
    move = Move(Options(str(source), str(dest)), Reporter(None, speaks=False))
    try:
        move.run()
    finally:
        os.close(move.source)
        os.close(move.dest)
    checker.assert_equal(source, dest)


def _take(steps: Sequence[Step], top: Path) -> None:
    for step in steps:
        step.take(top)


@pytest.mark.parametrize(("source_kind", "dest_kind"), [("ext4", "xfs"), ("xfs", "ext4")])
def test_random_trees_are_copied_exactly_onto_whatever_is_there(source_kind: str, dest_kind: str, make_volume: MakeVolume) -> None:
    volumes = [make_volume(name, 320, kind=kind) for name, kind in (("from", source_kind), ("to", dest_kind))]
    source, dest = (volume / "top" for volume in volumes)

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
    @given(first=WALKS, there=WALKS, then=WALKS, spoilt=WALKS)
    @example(first=HOLE_AT_THE_END, there=[Step("write", "a", "", 3)], then=[], spoilt=[Step("write", "a", "", 6)])
    def check(first: list[Step], there: list[Step], then: list[Step], spoilt: list[Step]) -> None:
        for top in (source, dest):
            shutil.rmtree(top, ignore_errors=True)
            top.mkdir()
        _take(first, source)
        _take(there, dest)
        _copy(source, dest)
        _take(then, source)
        _take(spoilt, dest)
        _copy(source, dest)

    check()
