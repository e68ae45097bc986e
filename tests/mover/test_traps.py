"""Traps that an attack on the mover found, each with what must come of it."""
from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any, Callable

import checker
import pytest
from mover_process import Mover

from kubectl_volresize.mover import content, scan, verify
from kubectl_volresize.mover.failures import SourceChanged
from kubectl_volresize.mover.passes import WARM, Move, Options
from kubectl_volresize.mover.report import Reporter

pytestmark = pytest.mark.root
Copy = Callable[..., Mover]
MakeVolume = Callable[..., Path]
MIB = 1 << 20


@pytest.fixture
def pair(make_volume: MakeVolume) -> tuple[Path, Path]:
    volume = make_volume("volume", 300, "-b", "4096")
    for name in ("source", "dest"):
        (volume / name).mkdir()
    return volume / "source", volume / "dest"


def equal_tops(source: Path, dest: Path) -> None:
    for top in (source, dest):
        os.utime(top, ns=(0, 0))


# -- what is written and was not hashed is read back


def test_a_hole_that_is_filled_from_a_source_that_changed_meanwhile_is_read_back(pair: tuple[Path, Path]) -> None:
    source, dest = (os.open(top / "file", os.O_RDWR | os.O_CREAT) for top in pair)
    try:
        os.pwrite(source, bytes(content.BLOCK) + b"x" * content.BLOCK, 0)
        os.pwrite(dest, b"x" * content.BLOCK, content.BLOCK)
        table = content.digests(bytes(content.BLOCK) + b"x" * content.BLOCK)
        copy = content.Copy(source, dest, 2 * content.BLOCK, lambda length: os.pwrite(source, b"late", 0), content.digests)
        copy.against_table(table)
        assert 0 in copy.rewritten or os.pread(dest, 4, 0) == bytes(4)
        assert os.pread(dest, 4, 0) == b"late"
    finally:
        os.close(source)
        os.close(dest)


def test_a_block_of_which_a_part_is_punched_is_read_back(pair: tuple[Path, Path]) -> None:
    source, dest = (os.open(top / "file", os.O_RDWR | os.O_CREAT) for top in pair)
    try:
        half = content.BLOCK // 2
        os.pwrite(dest, b"x" * content.BLOCK, 0)
        os.pwrite(source, b"x" * half, half)
        copy = content.Copy(source, dest, content.BLOCK, lambda length: None, content.digests)
        copy.against_table(content.digests(bytes(half) + b"x" * half))
        assert copy.rewritten == [0] and os.pread(dest, content.BLOCK, 0) == bytes(half) + b"x" * half
    finally:
        os.close(source)
        os.close(dest)


# -- holes that lstat does not show


def _behind_the_end(file: Path) -> None:
    file.write_bytes(os.urandom(16 * MIB))
    for arguments in (("-n", "-o", "16M", "-l", "8M"), ("-p", "-o", "8M", "-l", "4M")):
        subprocess.run(["fallocate", *arguments, str(file)], check=True)


def _beside_an_attribute(file: Path) -> None:
    file.write_bytes(os.urandom(12288))
    os.setxattr(file, "user.large", b"v" * 900)
    subprocess.run(["fallocate", "-p", "-o", "4096", "-l", "4096", str(file)], check=True)


def _between_many_extents(file: Path) -> None:
    file.write_bytes(os.urandom(16 * MIB))
    for number in range(1, 9):
        subprocess.run(["fallocate", "-p", "-o", str(number << 20), "-l", "4096", str(file)], check=True)
    # Filled again behind the end until lstat shows no hole.
    subprocess.run(["fallocate", "-n", "-o", "16M", "-l", "64K", str(file)], check=True)


HIDDEN = {"behind the end": _behind_the_end, "beside an attribute": _beside_an_attribute, "between many extents": _between_many_extents}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_hole_that_other_blocks_make_up_for_is_kept_and_missed_when_it_is_filled(how: str, pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    HIDDEN[how](source / "file")
    os.sync()
    assert os.stat(source / "file").st_blocks * 512 >= os.stat(source / "file").st_size
    assert copy(source, dest).process.returncode == 0
    checker.assert_equal(source, dest)
    checker.close()
    data, times = (dest / "file").read_bytes(), os.stat(dest / "file")
    with (dest / "file").open("r+b") as file:
        file.write(data)
        os.fsync(file.fileno())
    os.utime(dest / "file", ns=(times.st_atime_ns, times.st_mtime_ns))
    checked = copy(source, dest, "--check")
    assert checked.process.returncode == 22 and "holes of file" in checked.last["message"]


def test_without_reading_a_filled_hole_is_found_once_and_not_for_ever(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    (source / "file").write_bytes(b"x" * 4096 + bytes(1 << 20) + b"x" * 4096)
    (dest / "file").write_bytes((source / "file").read_bytes())
    subprocess.run(["fallocate", "--dig-holes", str(source / "file")], check=True)
    for top in pair:
        os.utime(top / "file", ns=(0, 0))
    assert [copy(source, dest, "--verify", "metadata").process.returncode for _ in range(2)] == [0, 0]
    checker.assert_equal(source, dest)


# -- what is mounted inside the destination is not ours


@pytest.mark.parametrize("what", ["another file system", "the source itself"])
def test_a_mount_anywhere_inside_the_destination_is_refused_and_untouched(what: str, pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    (source / "file").write_text("precious")
    inside = dest / "surplus" / "with a space" / "mount"
    inside.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(inside)] if what == "another file system" else ["mount", "--bind", str(source), str(inside)],
                   check=True)
    try:
        (inside / "file").write_text("precious")
        run = copy(source, dest)
        assert run.process.returncode == 2 and "is mounted inside" in run.last["message"]
        assert (inside / "file").read_text() == (source / "file").read_text() == "precious"
    finally:
        subprocess.run(["umount", str(inside)], check=True)


def test_a_destination_that_is_the_sources_parent_by_another_path_is_refused(pair: tuple[Path, Path], copy: Copy, tmp_path: Path) -> None:
    source, _ = pair
    (source / "file").write_text("precious")
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", str(source.parent), str(other)], check=True)
    try:
        run = copy(source, other)
        assert run.process.returncode == 2 and "one holds the other" in run.last["message"]
        assert (source / "file").read_text() == "precious"
    finally:
        subprocess.run(["umount", str(other)], check=True)


# -- what may be missing is no room for what must not be there


def test_a_surplus_entry_is_found_beside_one_that_may_be_missing(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    os.mkfifo(source / "fifo")
    (dest / "junk").write_text("x")
    equal_tops(source, dest)
    checked = copy(source, dest, "--check", "--accept", "fifo")
    assert checked.process.returncode == 22 and "entry that the source does not have of junk" in checked.last["message"]


# -- a live source


def test_an_attribute_that_goes_between_the_list_and_its_value_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    for name in ("user.stays", "user.goes"):
        os.setxattr(file, name, b"x")
    present = os.getxattr

    def getxattr(target: Any, name: str, **options: Any) -> bytes:
        if name == "user.goes":
            raise OSError(errno.ENODATA, "No data available")
        return present(target, name, **options)

    monkeypatch.setattr(os, "getxattr", getxattr)
    assert scan.xattrs_of(str(file)) == {"user.stays": b"x"}


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ESPIPE])
def test_what_becomes_another_kind_while_it_is_verified_has_changed(number: int, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    source, dest = pair
    (source / "link").symlink_to("nowhere")
    monkeypatch.setattr(verify._Metadata, "_compare", compare)
    with pytest.raises(SourceChanged):
        Move(Options(str(source), str(dest), kind=WARM), Reporter(None, speaks=False)).run()


# -- times and numbers beyond the usual


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_times_after_2262_are_kept(kind: str, make_volume: MakeVolume, copy: Copy) -> None:
    source, dest = (make_volume(name, 512, kind=kind) for name in ("from", "to"))
    for name, seconds in (("late", 10**10), ("later", 15 * 10**9), ("usual", 10**9)):
        (source / name).write_text(name)
        os.utime(source / name, ns=(0, seconds * 10**9 + 123))
    run = copy(source, dest, "--passes", "1", "--settle", "0", "--final-when", f"{source / 'usual'}=usual")
    assert run.process.returncode == 0, run.last
    checker.assert_equal(source, dest)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
def test_a_time_to_settle_that_is_none_is_refused(value: str, pair: tuple[Path, Path], copy: Copy) -> None:
    assert copy(*pair, "--settle", value).process.returncode == 2


# -- twice is once too often


def test_a_big_file_that_is_begun_afresh_has_one_worker(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    size = 40 * MIB
    (source / "file").write_bytes(os.urandom(size))
    (dest / "file").write_bytes(b"x")
    os.link(dest / "file", dest.parent / "outside")
    run = copy(source, dest)
    assert run.process.returncode == 0, run.last
    # rclone reads it, and verification both sides.
    assert run.report["passes"][0]["read_bytes"] == 3 * size
    assert (dest.parent / "outside").read_bytes() == b"x"
