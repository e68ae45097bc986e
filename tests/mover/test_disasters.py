"""Disasters by name while the copy is under way: the destination runs full, originals shrink, vanish or become something else, rclone is killed,
somebody puts links into the destination. Each ends at once, with its exit code and in words; no copy is called equal that is not."""
from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable

import checker
import pytest
from mover_process import Mover, when

from kubectl_volresize.mover import content
from kubectl_volresize.mover.failures import NoSpace
from kubectl_volresize.mover.passes import Move, Options
from kubectl_volresize.mover.report import Reporter

pytestmark = pytest.mark.root
Copy = Callable[..., Mover]
MIB = 1 << 20
# Below and above the size from which rclone copies.
BY_WORKER, BY_RCLONE = 6 * MIB, 12 * MIB


def _number_of_processes(mover: Mover) -> int:
    return len(Path(f"/proc/{mover.process.pid}/task/{mover.process.pid}/children").read_text().split())


def _has_begun(path: Path) -> Callable[[], bool]:
    return lambda: path.exists() and path.stat().st_size > 0


@pytest.fixture
def room(make_volume: Callable[..., Path]) -> tuple[Path, Path, Path]:
    """A source, a destination, and a place beside the destination on its file system, of which the mover knows nothing."""
    source, volume = make_volume("source", 128), make_volume("volume", 128, "-N", "600")
    (volume / "dest").mkdir()
    return source, volume / "dest", volume / "beside"


@pytest.mark.parametrize("size", [BY_WORKER, BY_RCLONE])
def test_bytes_that_another_takes_during_the_copy_stop_it_at_once_and_are_said_to_be_missing(size: int, room: tuple[Path, Path, Path],
                                                                                             start_mover: Copy) -> None:
    source, dest, beside = room
    for number in range(5):
        (source / f"file{number}").write_bytes(os.urandom(size))
    mover = start_mover(source, dest, "--bwlimit", "10Mi")
    when(lambda: list(dest.glob("file*")), mover)
    subprocess.run(["fallocate", "-l", "1G", str(beside)], check=False, capture_output=True)
    assert mover.end() == 20, mover.last
    assert (mover.last["event"], mover.last["code"]) == ("failed", 20)
    assert "No space left" in mover.last["message"] and "too little" in mover.last["message"], mover.last["message"]
    needed, missing = _said(mover, " are needed"), _said(mover, " too little")
    assert 5 * size <= needed <= 5.2 * size
    assert 0 < missing <= needed


def _said(mover: Mover, words: str) -> float:
    """The number of bytes before these words of the message."""
    number = mover.last["message"].split(words)[0].rsplit(" ", 1)[-1]
    return float(number.rstrip("KMGi")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(number[-2], 1)


def test_inodes_that_another_takes_during_the_copy_stop_it_at_once_and_are_said_to_be_missing(room: tuple[Path, Path, Path],
                                                                                              start_mover: Copy) -> None:
    source, dest, beside = room
    for folder in range(6):
        (source / f"{folder}").mkdir()
        for number in range(50):
            (source / f"{folder}" / f"{number}").write_bytes(os.urandom(50_000))
    beside.mkdir()
    mover = start_mover(source, dest, "--bwlimit", "2Mi")
    when(lambda: (dest / "5").exists(), mover)
    with pytest.raises(OSError, match="No space left"):
        for number in range(1000):
            (beside / str(number)).touch()
    assert mover.end() == 20, mover.last
    assert " too few" in mover.last["message"]


@pytest.mark.parametrize("fails_with, words", [(errno.ENOSPC, "No space left"), (errno.EDQUOT, "Disk quota exceeded")])
def test_a_limit_that_no_number_tells_is_named_with_what_is_not_copied_yet(fails_with: int, words: str, make_volume: Callable[..., Path],
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    for number in range(20):
        (source / f"file{number:02}").write_bytes(os.urandom(MIB))

    def limited(descriptor: int, data: bytes, offset: int) -> None:
        if len(os.listdir(dest)) > 10:
            raise OSError(fails_with, os.strerror(fails_with))
        assert os.pwrite(descriptor, data, offset) == len(data)

    monkeypatch.setattr(content, "write_all", limited)
    failure = _failure(source, dest, NoSpace)
    assert words in failure.message and "not copied yet" in failure.message, failure.message


def test_a_quota_met_by_an_attribute_is_no_attribute_that_cannot_be_kept(make_volume: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "file").touch()
    os.setxattr(source / "file", "user.large", bytes(500))

    def limited(path: object, name: str, value: bytes, flags: int = 0, *, follow_symlinks: bool = True) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "setxattr", limited)
    assert "Disk quota exceeded for the extended attribute user.large of file" in _failure(source, dest, NoSpace).message


def test_a_quota_met_by_rclone_is_exit_20(make_volume: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "large").write_bytes(os.urandom(BY_RCLONE))
    fake = tmp_path / "bin" / "rclone"
    fake.parent.mkdir()
    fake.write_text("""#!/bin/sh
if [ "$1" = version ]; then echo rclone v1.99.0; exit; fi
echo '{"level":"error","object":"large","msg":"Failed to copy: write /dest/large: disk quota exceeded"}' >&2
exit 1
""")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    message = _failure(source, dest, NoSpace).message
    assert "large" in message and "disk quota exceeded" in message and "is there a quota?; about 12Mi" in message, message


def _failure(source: Path, dest: Path, kind: type[Any], **options: Any) -> Any:
    move = Move(Options(str(source), str(dest), **options), Reporter(None))
    try:
        with pytest.raises(kind) as caught:
            move.run()
    finally:
        os.close(move.source)
        os.close(move.dest)
    return caught.value


def _become(path: Path, make: Callable[[], Any]) -> None:
    path.unlink()
    make()


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(os.urandom(path.stat().st_size))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)


# What befalls a file of the source between its listing and the end of its copy.
FATES: dict[str, Callable[[Path], Any]] = {
    "shrinks": lambda path: os.truncate(path, 100_000),
    "is emptied": lambda path: os.truncate(path, 0),
    "grows": lambda path: os.truncate(path, 2 * path.stat().st_size),
    "is written to": lambda path: os.pwrite(os.open(path, os.O_WRONLY | os.O_CLOEXEC), b"new", path.stat().st_size - 10),
    "is replaced by a file of equal size and time": _replace,
    "vanishes": lambda path: path.unlink(),
    "becomes a directory": lambda path: _become(path, path.mkdir),
    "becomes a link": lambda path: _become(path, lambda: path.symlink_to("calm")),
    "becomes a FIFO": lambda path: _become(path, lambda: os.mkfifo(path)),
}


@pytest.mark.parametrize("size", [BY_WORKER, BY_RCLONE], ids=["by a worker", "by rclone"])
@pytest.mark.parametrize("fate", FATES)
def test_a_file_that_changes_while_it_is_copied_is_named(fate: str, size: int, make_volume: Callable[..., Path], start_mover: Copy,
                                                         copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "hot").write_bytes(os.urandom(size))
    (source / "calm").write_bytes(os.urandom(10_000))
    mover = start_mover(source, dest, "--bwlimit", "6Mi")
    when(_has_begun(dest / "hot"), mover)
    FATES[fate](source / "hot")
    assert mover.end() == 23, mover.last
    assert "the source changed" in mover.last["message"] and "hot" in mover.last["message"]
    again = copy(source, dest)
    assert again.process.returncode == 0, again.last
    checker.assert_equal(source, dest)


def test_a_directory_that_vanishes_while_it_is_copied_is_named(make_volume: Callable[..., Path], start_mover: Copy, copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "folder" / "inner").mkdir(parents=True)
    for number in range(40):
        (source / "folder" / "inner" / f"{number}").write_bytes(os.urandom(200_000))
    mover = start_mover(source, dest, "--bwlimit", "4Mi")
    when(lambda: list((dest / "folder" / "inner").glob("*")), mover)
    (source / "folder" / "inner").rename(source / "moved")
    assert mover.end() == 23, mover.last
    assert any("folder/inner" in note for note in mover.report["notes"])
    assert copy(source, dest).process.returncode == 0
    checker.assert_equal(source, dest)


def _kill_rclone(mover: Mover) -> None:
    def children() -> list[int]:
        pids = Path(f"/proc/{mover.process.pid}/task/{mover.process.pid}/children").read_text().split()
        return [int(pid) for pid in pids if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2] == [b"copy"]]

    when(children, mover)
    os.kill(children()[0], signal.SIGKILL)


def test_a_killed_rclone_is_said_to_be_and_the_next_run_ends_equal(make_volume: Callable[..., Path], start_mover: Copy, copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "large").write_bytes(os.urandom(BY_RCLONE))
    mover = start_mover(source, dest, "--bwlimit", "4Mi")
    when(_has_begun(dest / "large"), mover)
    _kill_rclone(mover)
    assert mover.end() == 137, mover.last
    assert (mover.last["rclone_exit"], "killed by signal 9" in mover.last["message"]) == (137, True)
    assert copy(source, dest).process.returncode == 0
    checker.assert_equal(source, dest)


def test_in_a_warm_pass_a_killed_rclone_is_made_up_for(make_volume: Callable[..., Path], start_mover: Copy) -> None:
    source, dest = make_volume("source", 128), make_volume("dest", 128)
    for name, size in (("large", BY_RCLONE), ("larger", BY_RCLONE), ("huge", 33 * MIB)):
        (source / name).write_bytes(os.urandom(size))
    mover = start_mover(source, dest, "--pass", "warm", "--bwlimit", "16Mi")
    when(_has_begun(dest / "large"), mover)
    _kill_rclone(mover)
    assert mover.end() == 0, mover.last
    assert any("killed by signal 9" in note for note in mover.report["notes"])
    checker.assert_equal(source, dest)


@pytest.mark.parametrize("size", [50_000, BY_RCLONE], ids=["by a worker", "by rclone"])
def test_nothing_is_written_through_a_link_that_somebody_puts_into_the_destination_meanwhile(size: int, make_volume: Callable[..., Path],
                                                                                             start_mover: Copy, copy: Copy) -> None:
    source, volume = make_volume("source", 128), make_volume("volume", 128)
    dest, canary = volume / "dest", volume / "canary"
    dest.mkdir()
    canary.mkdir()
    (canary / "keep").write_text("keep")
    for folder in range(4):
        (source / f"folder{folder}").mkdir()
        for number in range(40 if size < MIB else 1):
            (source / f"folder{folder}" / f"{number}").write_bytes(os.urandom(size))
    before = checker.picture(canary)
    mover = start_mover(source, dest, "--bwlimit", "8Mi")
    when(lambda: (dest / "folder3").exists(), mover)
    quiet = threading.Event()
    attacker = threading.Thread(target=_exchange, args=(dest, canary, quiet))
    attacker.start()
    mover.end()
    quiet.set()
    attacker.join()
    assert checker.picture(canary) == before
    assert mover.process.returncode != 0, "with links in place of directories the copy is not equal"
    assert copy(source, dest).process.returncode == 0
    assert checker.picture(canary) == before
    checker.assert_equal(source, dest)


def _exchange(dest: Path, canary: Path, quiet: threading.Event) -> None:
    """Again and again each directory for a link to the canary; at the end the links stay."""
    while not quiet.is_set():
        for folder in range(4):
            place, aside = dest / f"folder{folder}", dest / f"aside{folder}"
            place.rename(aside)
            place.symlink_to(canary)
            time.sleep(0.003)
            if quiet.is_set():
                return
            place.unlink()
            aside.rename(place)


# -- another mover is at work already


def test_a_second_mover_waits_until_nothing_of_the_first_is_left_and_then_copies_exactly(tmp_path: Path, start_mover: Copy) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    source.mkdir()
    dest.mkdir()
    for number in range(300):
        (source / f"file{number}").write_bytes(os.urandom(100_000))
    first = start_mover(source, dest, "--bwlimit", "4Mi")
    when(lambda: list(dest.glob("file*")) and _number_of_processes(first) > 1, first)
    second = start_mover(source, dest)
    # A pod that was removed by force, whose process lives on: stopped, so that it holds what it holds.
    first.process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    assert second.process.poll() is None and second.events() == []
    first.kill()
    assert second.end() == 0, second.last
    checker.assert_equal(source, dest)


def test_a_mover_that_only_compares_is_in_nobodys_way(tmp_path: Path, start_mover: Copy) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    for top in (source, dest):
        top.mkdir()
        (top / "file").write_bytes(b"x" * 100)
        os.utime(top / "file", ns=(0, 0))
        os.utime(top, ns=(0, 0))
    waiting = start_mover(source, dest, "--passes", "1", "--settle", "0.1")
    waiting.wait_for("waiting")
    assert start_mover(source, dest, "--check").end() == 0
    assert start_mover("--measure", source).end() == 0
    waiting.process.send_signal(signal.SIGUSR1)
    assert waiting.end() == 0, waiting.last
