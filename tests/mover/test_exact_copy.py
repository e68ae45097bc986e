"""The promise of the mover: the copy is exact, whatever the source holds and whatever stood in the destination before."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import checker
import pytest
import torture
from mover_process import Mover

pytestmark = pytest.mark.root
Copy = Callable[..., Mover]


@pytest.fixture
def pair(make_volume: Callable[..., Path]) -> tuple[Path, Path]:
    source, dest = make_volume("source", 256), make_volume("dest", 200)
    torture.fill(source)
    return source, dest


def test_everything_that_other_tools_lose_is_kept(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    run = copy(source, dest)
    assert run.last["event"] == "verified", run.last
    checker.assert_equal(source, dest)
    _assert_holes_are_kept(source, dest)


def test_a_second_run_writes_nothing(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    copy(source, dest)
    before = checker.ctimes(dest)
    again = copy(source, dest)
    assert again.process.returncode == 0, again.last
    after = checker.ctimes(dest)
    checker.close()
    assert [path for path, ctime in before.items() if after[path] != ctime] == []
    checker.assert_equal(source, dest)


def test_what_changed_in_every_direction_is_found_by_a_second_run(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    copy(source, dest)
    _mutate(source)
    _pollute(dest)
    run = copy(source, dest)
    assert run.process.returncode == 0, run.last
    checker.assert_equal(source, dest)
    _assert_holes_are_kept(source, dest)


def test_a_link_in_the_destination_is_replaced_and_its_target_untouched(make_volume: Callable[..., Path], copy: Copy, tmp_path: Path) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    canary = tmp_path / "canary"
    canary.mkdir(0o700)
    (canary / "file").write_text("canary")
    (canary / "other").write_text("keep me")
    before = checker.picture(canary)
    (source / "directory").mkdir(0o777)
    (source / "directory" / "file").write_text("new content")
    (source / "file").write_text("plain")
    (source / "large").write_bytes(os.urandom(9 << 20))
    (source / "fifo-named").mkdir()
    (dest / "directory").symlink_to(canary)
    (dest / "file").symlink_to(canary / "file")
    (dest / "large").symlink_to(canary / "large")
    (dest / "surplus").symlink_to(canary)
    os.mkfifo(dest / "fifo-named")
    run = copy(source, dest)
    assert run.process.returncode == 0, run.last
    assert checker.picture(canary) == before
    checker.assert_equal(source, dest)


def test_a_destination_file_linked_from_outside_is_not_written_through(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, volume = make_volume("source"), make_volume("dest")
    dest, outside = volume / "inner", volume / "outside"
    dest.mkdir()
    outside.write_text("mine")
    os.link(outside, dest / "file")
    (source / "file").write_text("theirs")
    assert copy(source, dest).process.returncode == 0
    assert outside.read_text() == "mine"
    assert (dest / "file").read_text() == "theirs"


@pytest.mark.parametrize("large", [True, False])
def test_sigterm_in_the_middle_of_the_copy_stops_all_writing_and_says_so(large: bool, make_volume: Callable[..., Path], start_mover: Copy) -> None:
    source, dest = make_volume("source", 128), make_volume("dest", 128)
    for number in range(1 if large else 12):
        (source / f"file{number}").write_bytes(os.urandom(60 << 20 if large else 5 << 20))
    mover = start_mover(source, dest, "--bwlimit", "5Mi")
    deadline = time.monotonic() + 30
    while not list(dest.glob("file*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    mover.process.send_signal(signal.SIGTERM)
    assert mover.end() == 143
    assert (mover.last["event"], mover.last["code"]) == ("failed", 143)
    before = checker.picture(dest)
    checker.close()
    time.sleep(0.5)
    after = checker.picture(dest)
    checker.close()
    assert after == before


@pytest.mark.parametrize("moment", ["bulk", "verify"])
def test_killed_in_the_middle_and_started_again_ends_equal(moment: str, make_volume: Callable[..., Path], start_mover: Copy, copy: Copy) -> None:
    source, dest = make_volume("source", 256), make_volume("dest", 200)
    torture.fill(source)
    for number in range(20):
        (source / f"more-{number}").write_bytes(os.urandom(3 << 20))
    mover = start_mover(source, dest, *(["--bwlimit", "20Mi"] if moment == "bulk" else []))
    deadline = time.monotonic() + 60
    wanted = 2 if moment == "bulk" else 24
    while len(list(dest.glob("*"))) < wanted and mover.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    mover.kill()
    run = copy(source, dest)
    assert run.process.returncode == 0, run.last
    checker.assert_equal(source, dest)


def test_nothing_writes_on_after_the_mover_was_killed(make_volume: Callable[..., Path], start_mover: Copy) -> None:
    source, dest = make_volume("source", 200), make_volume("dest", 200)
    (source / "large").write_bytes(os.urandom(60 << 20))
    (source / "small").write_bytes(os.urandom(2 << 20))
    mover = start_mover(source, dest, "--bwlimit", "5Mi")
    deadline = time.monotonic() + 30
    while not (dest / "large").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    mover.kill()
    time.sleep(0.3)
    before = checker.picture(dest)
    checker.close()
    time.sleep(1.2)
    assert checker.picture(dest) == before
    checker.close()


def test_the_destinations_own_empty_lost_and_found_stays(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "lost+found").rmdir()
    (source / "a").write_text("a")
    run = copy(source, dest)
    assert run.process.returncode == 0, run.last
    assert (dest / "lost+found").is_dir()
    assert copy(source, dest).process.returncode == 0


def test_a_tree_deeper_than_a_path_can_be_is_removed_from_the_destination(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest", 200)
    torture.fill(dest)
    (source / "only").write_text("this")
    assert copy(source, dest).process.returncode == 0
    checker.assert_equal(source, dest)


def _assert_holes_are_kept(source: Path, dest: Path) -> None:
    left, right = checker.allocated(source), checker.allocated(dest)
    checker.close()
    # A few blocks are the file system's own (attributes, extents).
    wrong = {path: (left[path], right[path]) for path in left if abs(left[path] - right[path]) > 16384}
    assert not wrong


def _mutate(source: Path) -> None:
    files, links, holes, attributes = (source / name for name in ("files", "links", "holes", "attributes"))
    large = files / "large"
    status = large.stat()
    with large.open("r+b") as file:
        file.seek(5 << 20)
        file.write(b"same size, same mtime, other content")
    os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.chmod(files / "mode-644" if (files / "mode-644").exists() else files / "mode-666", 0o4600)
    os.chown(files / "size-1", 77, 78)
    os.utime(files / "size-4096", ns=(1, 1700000000123456790))
    os.truncate(files / "size-1048577", 5000)
    with (files / "size-4095").open("ab") as file:
        file.write(b"grown" * 50000)
    (files / "size-0").unlink()
    (files / "size-0").mkdir()
    (files / "future").unlink()
    (files / "future").symlink_to("large")
    for path in (links / "two", links / "large2"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    os.link(links / "canary" / "file", links / "newly linked")
    os.link(files / "size-131072", links / "newly linked 2")
    (links / "directory").unlink()
    (links / "directory").mkdir()
    (links / "directory" / "x").write_text("x")
    (links / "relative").unlink()
    (links / "relative").symlink_to("canary/filE")
    os.chown(links / "dangling", 5, 5, follow_symlinks=False)
    subprocess.run(["fallocate", "-p", "-o", "0", "-l", "8388608", str(files / "large zeros")], check=True)
    with (holes / "all").open("r+b") as file:
        file.seek(100 << 20)
        file.write(b"no hole any more")
    os.removexattr(attributes / "user", "user.K")
    os.setxattr(attributes / "user", "user.k", b"changed")
    os.removexattr(attributes / "acl", "system.posix_acl_access")
    os.removexattr(attributes / "inheriting", "system.posix_acl_default")
    os.setxattr(attributes / "big", "system.posix_acl_access", torture.acl(99))
    (source / "specials" / "fifo2").unlink()
    (source / "specials" / "fifo2").write_text("no fifo")
    os.chmod(source / "directories" / "777", 0o701)
    os.chmod(source, 0o711)


def _pollute(dest: Path) -> None:
    (dest / "files" / "mode-777").write_bytes(b"MODE 777")
    (dest / "names" / "surplus").mkdir()
    (dest / "names" / "surplus" / "deep").mkdir()
    (dest / "names" / "surplus" / "deep" / "file").write_text("x")
    os.mkfifo(dest / "names" / "fifo")
    (dest / "links" / "one").unlink()
    (dest / "links" / "one").write_text("not shared")
    os.link(dest / "files" / "size-1", dest / "files" / "wrongly linked")
    (dest / "files" / "size-4096").unlink()
    os.link(dest / "files" / "size-131073", dest / "files" / "size-4096")
    (dest / "links" / "up").unlink()
    os.link(dest / "links" / "odd", dest / "links" / "up", follow_symlinks=False)
    os.setxattr(dest / "files" / "size-1", "user.surplus", b"x")
    os.setxattr(dest / "files", "system.posix_acl_default", torture.acl(5))
    with (dest / "holes" / "middle").open("r+b") as file:
        file.write(bytes(4 << 20))
