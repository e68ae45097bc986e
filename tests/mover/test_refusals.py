"""What the mover must not let pass: a copy that differs, a place too small, an original that cannot be kept; each with its exit code, in words."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Callable

import checker
import pytest
import torture
from mover_process import Mover

from kubectl_volresize.mover import passes
from kubectl_volresize.mover.failures import BadUsage, Different, MoverFailure, shown
from kubectl_volresize.mover.passes import Move, Options
from kubectl_volresize.mover.report import Reporter, shortened
from kubectl_volresize.plan.fit import FsGeometry, TreeCounts, project_usage

pytestmark = pytest.mark.root
Copy = Callable[..., Mover]


def _overwrite(dest: Path) -> None:
    status = (dest / "file").stat()
    with (dest / "file").open("r+b") as file:
        file.seek(200000)
        file.write(b"X")
    os.utime(dest / "file", ns=(status.st_atime_ns, status.st_mtime_ns))


def _break_link(dest: Path) -> None:
    status = (dest / "linked").stat()
    data = (dest / "linked").read_bytes()
    (dest / "linked").unlink()
    (dest / "linked").write_bytes(data)
    os.chmod(dest / "linked", status.st_mode)
    os.utime(dest / "linked", ns=(status.st_atime_ns, status.st_mtime_ns))


def _retarget(dest: Path) -> None:
    status = (dest / "link").lstat()
    (dest / "link").unlink()
    (dest / "link").symlink_to("FILE")
    os.utime(dest / "link", ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


PLANTED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "content": (_overwrite, "content of file"),
    "mode": (lambda dest: os.chmod(dest / "file", 0o601), "mode of file"),
    "special bit": (lambda dest: os.chmod(dest / "directory", 0o755), "mode of directory"),
    "owner": (lambda dest: os.chown(dest / "link", 5, 0, follow_symlinks=False), "owner of link"),
    "xattr": (lambda dest: os.setxattr(dest / "file", "user.x", b"1"), "xattr user.x of file"),
    "ACL": (lambda dest: os.setxattr(dest / "directory", "system.posix_acl_default", torture.acl(9)), "xattr system.posix_acl_default of directory"),
    "mtime": (lambda dest: os.utime(dest / "directory", ns=(0, 10**18 + 2)), "mtime of directory"),
    "mtime by one ns": (lambda dest: os.utime(dest / "file", ns=(0, 10**18 + 6)), "mtime of file"),
    "link broken": (_break_link, "hard links of"),
    "link target": (_retarget, "target of link"),
    "size": (lambda dest: os.truncate(dest / "file", 299999), "size of file"),
    "extra entry": (lambda dest: (dest / "directory" / "extra").touch(), "entry that the source does not have of directory/extra"),
    "missing entry": (lambda dest: (dest / "directory" / "inside").unlink(), "missing of directory/inside"),
    "type": (lambda dest: ((dest / "fifo").unlink(), os.mknod(dest / "fifo", 0o140600)), "type of fifo"),
    "the top's mode": (lambda dest: os.chmod(dest, 0o700), "mode of ."),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_verification_finds_a_planted(planted: str, make_volume: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "file").write_bytes(os.urandom(300000))
    os.utime(source / "file", ns=(0, 10**18 + 5))
    (source / "directory").mkdir()
    (source / "directory" / "inside").write_text("i")
    os.chmod(source / "directory", 0o2755)
    os.utime(source / "directory", ns=(0, 10**18 + 1))
    (source / "link").symlink_to("file")
    (source / "other").write_text("shared")
    os.link(source / "other", source / "linked")
    os.mkfifo(source / "fifo", 0o600)
    change, words = PLANTED[planted]
    # The last moment before the mover looks at its work.
    monkeypatch.setattr(passes.kernel, "syncfs", lambda descriptor: change(dest))
    move = Move(Options(str(source), str(dest)), Reporter(None))
    with pytest.raises(Different) as caught:
        move.run()
    os.close(move.source)
    os.close(move.dest)
    assert caught.value.code == 22
    assert any(line.startswith(words) for line in move.report.differences), move.report.differences


def test_too_small_is_said_with_numbers_before_the_first_byte(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source", 128), make_volume("dest", 64)
    (source / "large").write_bytes(os.urandom(70 << 20))
    run = copy(source, dest, "--head-room", "10")
    assert run.process.returncode == 20
    assert "77.2Mi (70.1Mi of data and 10 % head room) are needed" in run.last["message"]
    assert os.listdir(dest) == ["lost+found"]


def test_too_few_inodes_are_said_before_the_first_byte(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest", 64, "-N", "64")
    for number in range(100):
        (source / f"{number}").touch()
    run = copy(source, dest)
    assert run.process.returncode == 20
    assert "inodes are needed" in run.last["message"]


def test_what_a_killed_run_left_counts_as_room(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source", 64), make_volume("dest", 48)
    (source / "data").write_bytes(os.urandom(30 << 20))
    (dest / "partial").write_bytes(os.urandom(25 << 20))
    run = copy(source, dest)
    assert run.process.returncode == 0, run.last


def test_rclone_that_meets_a_full_disk_is_exit_20_too(make_volume: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, dest = make_volume("source", 128), make_volume("dest", 64)
    (source / "large").write_bytes(os.urandom(80 << 20))
    monkeypatch.setattr(passes.measure, "fit", lambda source, tree, *_: tree.counts.as_tree_counts(0))
    _assert_fails(source, dest, 20)
    (source / "large").unlink()
    for number in range(80):
        (source / f"small{number}").write_bytes(os.urandom(1 << 20))
    _assert_fails(source, dest, 20)


def _assert_fails(source: Path, dest: Path, code: int) -> MoverFailure:
    move = Move(Options(str(source), str(dest)), Reporter(None))
    with pytest.raises(MoverFailure) as caught:
        move.run()
    os.close(move.source)
    os.close(move.dest)
    assert caught.value.code == code, caught.value.message
    return caught.value


def test_what_the_destination_cannot_hold_is_named_before_the_stop(make_volume: Callable[..., Path], copy: Copy, tmp_path: Path) -> None:
    source, dest = make_volume("source"), make_volume("dest", 64, "-I", "128")
    (source / "file").write_text("x")
    os.utime(source / "file", ns=(0, 10**18 + 5))
    run = copy(source, dest, "--final-when", f"{tmp_path / 'never'}=final:")
    assert run.process.returncode == 21
    assert "mtime of file" in run.last["message"]
    assert run.last["report"]["not_kept"][0]["kind"] == "mtime"


def test_an_attribute_that_does_not_fit_is_named(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source", 600), make_volume("dest", 64)
    (source / "file").write_text("x")
    os.setxattr(source / "file", "user.big", bytes(3000))
    run = copy(source, dest)
    assert run.process.returncode == 21
    assert "user.big" in run.last["message"]


def test_a_link_target_too_long_for_small_blocks_is_named(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source", 600), make_volume("dest", 64)
    (source / "link").symlink_to("x" * 3000)
    run = copy(source, dest)
    assert run.process.returncode == 21
    assert "symbolic link" in run.last["message"]


def test_an_immutable_file_is_named_since_the_copy_could_not_be(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "file").write_text("x")
    subprocess.run(["chattr", "+i", str(source / "file")], check=True)
    run = copy(source, dest)
    assert run.process.returncode == 21
    assert "immutable of file" in run.last["message"]


def test_a_mount_inside_the_source_is_refused(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "inner").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(source / "inner")], check=True)
    try:
        run = copy(source, dest)
    finally:
        subprocess.run(["umount", str(source / "inner")], check=True)
    assert run.process.returncode == 24
    assert "inner" in run.last["message"]


def test_without_a_new_enough_rclone_a_large_file_is_refused(make_volume: Callable[..., Path], monkeypatch: pytest.MonkeyPatch,
                                                             tmp_path: Path) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "large").write_bytes(os.urandom(9 << 20))
    old = tmp_path / "bin" / "rclone"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\n/bin/echo rclone v1.60.1-DEV\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    assert "1.75 is needed" in _assert_fails(source, dest, BadUsage.code).message


def test_rclones_own_failure_is_passed_through(make_volume: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    (source / "large").write_bytes(os.urandom(9 << 20))
    fake = tmp_path / "bin" / "rclone"
    fake.parent.mkdir()
    fake.write_text("""#!/bin/sh
if [ "$1" = version ]; then echo rclone v1.99.0; else echo '{"level":"error","msg":"broken"}' >&2; exit 7; fi
""")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    failure = _assert_fails(source, dest, 7)
    assert "broken" in failure.message


def test_measuring_foretells_what_the_copy_takes(make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source", 600), make_volume("dest", 600)
    torture.fill(source)
    many = source / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"a file of some name {number:08}").write_bytes(b"x" * (number % 9000))
    counts = TreeCounts.from_dict(copy("--measure", source).last["counts"])
    before = os.statvfs(dest)
    assert copy(source, dest).process.returncode == 0
    after = os.statvfs(dest)
    taken = (before.f_bfree - after.f_bfree) * before.f_frsize
    usage = project_usage(counts, FsGeometry(1 << 40, 1 << 40))
    assert taken <= usage.bytes <= taken * 1.1
    assert 0 <= usage.inodes - (before.f_ffree - after.f_ffree) <= 2


def test_the_termination_message_stays_json_within_its_limit() -> None:
    report = {"passes": [{"pass": number, "kind": "warm", "read_bytes": 1 << 60} for number in range(60)], "notes": ["ä" * 300] * 10,
              "tree": {}, "not_kept": [{"kind": "k" * 50}] * 40, "differences": ["d" * 400] * 10, "final": "f" * 3000}
    text = shortened({"event": "failed", "code": 22, "message": "m" * 3000, "final": "final:x", "report": report})
    assert len(text.encode()) <= 4096
    short = json.loads(text)
    assert (short["event"], short["code"], short["final"]) == ("failed", 22, "final:x")
    assert short["report"]["passes"][-1]["pass"] == 59


def test_the_last_event_reaches_the_termination_log(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    Reporter(None, str(log)).failed(Different("x differs"))
    assert json.loads(log.read_text())["code"] == 22


def test_odd_names_are_shown_in_plain_text() -> None:
    assert shown(os.fsdecode(b"a\xff\nb")) == "a\\xff\\nb"
    assert shown("é") == "é"


@pytest.mark.parametrize("arguments", [["--final-when", "x"], ["--bwlimit", "much"]])
def test_a_wrong_command_line_is_exit_2(arguments: list[str], copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert copy(tmp_path / "a", tmp_path / "b", *arguments).process.returncode == 2
    assert copy(tmp_path / "a", tmp_path / "a").process.returncode == 2
    assert copy(tmp_path / "a", tmp_path / "missing").process.returncode == 2


def test_with_the_six_capabilities_of_the_pod_and_a_read_only_source_all_is_kept(make_volume: Callable[..., Path], start_mover: Copy) -> None:
    source, dest = make_volume("source", 256), make_volume("dest", 200)
    torture.fill(source)
    # trusted.* needs SYS_ADMIN, which no baseline pod has; it is invisible without.
    os.removexattr(source / "attributes" / "user", "trusted.t")
    os.removexattr(source / "attributes" / "link", "trusted.l", follow_symlinks=False)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(source)], check=True)
    mover = start_mover(source, dest, prefix=["setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set",
                                              "-all,+chown,+dac_override,+fowner,+fsetid,+mknod,+setfcap"])
    assert mover.end() == 0, mover.last
    checker.assert_equal(source, dest)


def test_without_the_right_to_make_devices_the_copy_is_refused(make_volume: Callable[..., Path], start_mover: Copy) -> None:
    source, dest = make_volume("source"), make_volume("dest")
    os.mknod(source / "device", 0o020600, os.makedev(1, 3))
    mover = start_mover(source, dest, prefix=["setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set",
                                              "-all,+chown,+dac_override,+fowner,+fsetid,+setfcap"])
    assert mover.end() == 21
    assert "device of device" in mover.last["message"]
