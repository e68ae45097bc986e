"""The promise: whether the data fits is answered before the first byte, and rightly in both directions, for *this* destination. The truth is found by
copying: a tree is copied into an empty file system to see what it takes, then that much room and 3 % more is left, and then 3 % less."""
from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from kubectl_volresize.mover import measure
from kubectl_volresize.mover.failures import NoSpace
from kubectl_volresize.mover.passes import Move, Options
from kubectl_volresize.mover.report import Reporter
from kubectl_volresize.plan.fit import FsGeometry, TreeCounts, project_usage

pytestmark = pytest.mark.root
MIB = 1 << 20


def _few_large(top: Path) -> None:
    for number in range(3):
        (top / str(number)).write_bytes(os.urandom(9 * MIB + number))


def _many_small(top: Path) -> None:
    for number in range(3000):
        (top / f"{number}").write_bytes(os.urandom(1 + number * 37 % 6000))


def _tiny(top: Path) -> None:
    for number in range(4000):
        (top / f"{number}").write_bytes(b"t" * (number % 900 + 1))


def _hard_links(top: Path) -> None:
    for number in range(40):
        (top / f"{number}").write_bytes(os.urandom(50_000))
        (top / f"d{number}").mkdir()
        for link in range(400):
            # Other names in each directory: the same ones would split all of them at the same places, and one chance would count forty times.
            os.link(top / f"{number}", top / f"d{number}" / f"a name of some length {number * 400 + link}")


def _sparse(top: Path) -> None:
    for number in range(6):
        with (top / str(number)).open("wb") as file:
            file.truncate(40 * MIB)
            for piece in range(400):
                os.pwrite(file.fileno(), os.urandom(8192), piece * 98304)


def _directories(top: Path) -> None:
    for number in range(45):
        for inner in range(45):
            (top / f"{number}" / f"{inner}").mkdir(parents=True)


def _large_xattrs(top: Path) -> None:
    for number in range(1200):
        (top / str(number)).touch()
        os.setxattr(top / str(number), "user.large", os.urandom(700))


def _long_names(top: Path) -> None:
    for folder in range(5):
        (top / str(folder)).mkdir()
        for number in range(1500):
            (top / str(folder) / f"{folder * 1500 + number:05}{'n' * 240}").touch()


def _long_links(top: Path) -> None:
    for number in range(2000):
        (top / f"{number}").symlink_to(f"{number}/" + "l" * (number % 900))


SHAPES = {"few large files": _few_large, "many small files": _many_small, "many tiny files": _tiny, "many hard links": _hard_links,
          "files with holes": _sparse, "many directories": _directories, "large attributes": _large_xattrs, "long names": _long_names,
          "symbolic links": _long_links}
# What each destination is made of: kind, MiB, options of mkfs.
DESTINATIONS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "ext4 -m0": ("ext4", 600, ()),
    "ext4 -m5": ("ext4", 600, ("-m5",)),
    "ext4 -m0, blocks of 1 KiB": ("ext4", 256, ()),
    "xfs": ("xfs", 320, ()),
}


@dataclass
class Room:
    """A destination, and a ballast beside it on the same file system."""

    volume: Path

    @property
    def dest(self) -> Path:
        return self.volume / "dest"

    def empty(self) -> None:
        subprocess.run(["rm", "-rf", str(self.dest)], check=True)
        (self.volume / "ballast").unlink(missing_ok=True)
        self.dest.mkdir()
        # xfs frees what was removed some time later, unless it is unmounted.
        subprocess.run(["umount", str(self.volume)], check=True)
        subprocess.run(["mount", "-o", "loop", str(self.volume.with_suffix(".img")), str(self.volume)], check=True)

    def leave(self, room: int) -> int:
        """Let the ballast take all but so many bytes; returns how many are left indeed."""
        self.empty()
        with (self.volume / "ballast").open("wb") as ballast:
            length, step = 0, self.available - room
            # xfs does not give so much at once.
            while step >= 4096:
                try:
                    os.posix_fallocate(ballast.fileno(), length, step)
                    length += step
                    step = self.available - room
                except OSError:
                    step //= 2
        self.sync()
        return self.available

    @property
    def available(self) -> int:
        status = os.statvfs(self.volume)
        return status.f_bavail * status.f_frsize

    def sync(self) -> None:
        subprocess.run(["sync", "--file-system", str(self.volume)], check=True)


@dataclass
class Row:
    """One line of the table: bytes that the copy took, that the mover thought it needs, and what it did when there was 3 % more, and less."""

    shape: str
    taken: int
    needed: int
    with_more: str
    with_less: str

    def __str__(self) -> str:
        return f"{self.shape:18} {self.taken:>11} {self.needed:>11} {100 * self.needed / self.taken:6.1f} %   {self.with_more:9} {self.with_less}"


def _move(source: Path, dest: Path) -> Move:
    return Move(Options(str(source), str(dest)), Reporter(None, speaks=False))


def _verdict(source: Path, dest: Path) -> str:
    move = _move(source, dest)
    try:
        move.run()
        return "fits"
    except NoSpace as failure:
        return "refused" if not os.listdir(dest) else f"torn: {failure.message}"
    finally:
        os.close(move.source)
        os.close(move.dest)


def _taken(source: Path, room: Room, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Bytes that a copy takes of an empty file system, and what the estimate says of it."""
    room.empty()
    needed: list[int] = []

    def note(root: int, tree: Any, dest: int, head_room: int, tick: Callable[[], None]) -> TreeCounts:
        counts: TreeCounts = measure.counts(root, tree, tick)
        needed.append(project_usage(counts, measure.offered(dest, None)).bytes)
        return counts

    before = room.available
    with monkeypatch.context() as patched:
        patched.setattr(measure, "fit", note)
        assert _verdict(source, room.dest) == "fits"
    room.sync()
    return before - room.available, needed[0]


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_what_fits_is_copied_and_what_does_not_is_refused(destination: str, make_volume: Callable[..., Path],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    kind, mib, options = DESTINATIONS[destination]
    source, room = make_volume("source", 1024, "-N", "60000"), Room(make_volume("volume", mib, *options, kind=kind))
    rows = []
    for shape, fill in SHAPES.items():
        top = source / shape
        top.mkdir()
        fill(top)
        taken, needed = _taken(top, room, monkeypatch)
        verdicts, again = [], ""
        # What xfs keeps to the last (see plan/fit.py), and chunks of 64 inodes begun in each allocation group, weigh much beside so small a tree.
        slack = 5 * MIB // 4 if kind == "xfs" else 0
        for room_for in (taken * 100 // 97 + slack, taken * 100 // 103):
            left = room.leave(room_for)
            assert abs(left - room_for) < 0.005 * taken + 16384, "the ballast is as large as it should be"
            verdicts.append(_verdict(top, room.dest))
            again = again or _verdict(top, room.dest)
        rows.append(Row(shape, taken, needed, *verdicts))
        assert again == "fits", f"{shape}: what the first run copied is room for the second: {again}"
        subprocess.run(["rm", "-rf", str(top)], check=True)
    print(f"\n{destination}: taken, needed, ratio, with 3 % more, with 3 % less")
    print("\n".join(map(str, rows)))
    assert [(row.shape, row.with_more, row.with_less) for row in rows] == [(shape, "fits", "refused") for shape in SHAPES]


def test_the_block_of_a_network_file_system_is_no_unit_of_allocation() -> None:
    counts = TreeCounts(files=100_000, directories=1, allocated=100_000 * 4096, directory_bytes=4096, inodes=100_001)
    nfs, ceph, local = (project_usage(counts, FsGeometry(1 << 40, 0, block)).bytes for block in (1 << 20, 4 << 20, 4096))
    assert nfs == ceph == local
