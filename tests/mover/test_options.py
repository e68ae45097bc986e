"""Each option of the mover does what its help says: the kinds of pass, the levels of proof, what may be lost, and the ways to be gentle."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import checker
import pytest
from mover_process import Mover, when

pytestmark = pytest.mark.root
Copy = Callable[..., Mover]
MIB = 1 << 20
NOBODY = 65534
# Somebody who may read everything, and change nothing that is not his own.
_READER = "-all,+dac_read_search"
AS_READER = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--inh-caps", _READER, "--ambient-caps", _READER,
             "--bounding-set", _READER]


@pytest.fixture
def pair(make_volume: Callable[..., Path]) -> tuple[Path, Path]:
    return make_volume("source", 128), make_volume("dest", 128)


def _kinds(run: Mover) -> list[str]:
    return [one["kind"] for one in run.report["passes"]]


def test_a_warm_pass_of_a_live_source_notes_what_moved_and_a_final_one_ends_equal(pair: tuple[Path, Path], start_mover: Copy, copy: Copy) -> None:
    source, dest = pair
    for name in ("grows", "is replaced", "shrinks", "stays", "vanishes"):
        (source / name).write_bytes(os.urandom(3 * MIB))
    mover = start_mover(source, dest, "--pass", "warm", "--bwlimit", "8Mi")
    when(lambda: list(dest.glob("*s")), mover)
    with (source / "grows").open("ab") as file:
        file.write(b"more")
    os.truncate(source / "shrinks", 5)
    (source / "vanishes").unlink()
    (source / "new").write_text("of equal name")
    (source / "new").rename(source / "is replaced")
    assert mover.end() == 23
    notes = " ".join(mover.report["notes"])
    assert all(name in notes for name in ("grows", "is replaced", "shrinks", "vanishes")) and "stays" not in notes, notes
    assert "run the final pass when nobody writes" in mover.last["message"]
    final = copy(source, dest, "--pass", "final")
    assert (final.process.returncode, _kinds(final)) == (0, ["full"])
    checker.assert_equal(source, dest)


def test_a_warm_pass_of_a_quiet_source_is_a_copy(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    (source / "file").write_bytes(os.urandom(MIB))
    run = copy(source, dest, "--pass", "warm")
    assert (run.process.returncode, _kinds(run)) == (0, ["warm"])
    checker.assert_equal(source, dest)


@pytest.mark.parametrize("moment", ["after the warm pass", "during the warm pass"])
def test_on_a_signal_the_final_pass_follows_and_reads_only_what_changed(moment: str, pair: tuple[Path, Path], start_mover: Copy) -> None:
    source, dest = pair
    for number in range(40):
        (source / f"{number}").write_bytes(os.urandom(200_000))
    (source / "large").write_bytes(os.urandom(12 * MIB))
    # Until all of it is older than the margin of --settle.
    time.sleep(1.3)
    mover = start_mover(source, dest, "--passes", "3", "--settle", "1", "--bwlimit", "20Mi")
    if moment == "after the warm pass":
        mover.wait_for("waiting")
        (source / "7").write_bytes(os.urandom(1000))
    else:
        when(lambda: (dest / "large").exists(), mover)
    mover.process.send_signal(signal.SIGUSR1)
    assert mover.end() == 0, mover.last
    warm, final = mover.report["passes"][0], mover.report["passes"][-1]
    assert (_kinds(mover), mover.last["final"]) == (["warm", "final"], "signal")
    assert warm["read_bytes"] >= 2 * (40 * 200_000 + 12 * MIB)
    assert final["read_bytes"] <= 3000
    assert mover.report["verified"]["carried_bytes"] >= 39 * 200_000 + 12 * MIB
    checker.assert_equal(source, dest)


def test_verification_of_metadata_reads_no_content_and_says_so(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    for name, size in (("small", 1000), ("large", 12 * MIB), ("huge", 33 * MIB)):
        (source / name).write_bytes(os.urandom(size))
    first = copy(source, dest, "--verify", "metadata")
    assert (first.process.returncode, first.report["verified"]["level"]) == (0, "metadata")
    assert first.report["passes"][0]["read_bytes"] == sum(path.stat().st_size for path in source.glob("*e")) + 1000, "of the source, once"
    checker.assert_equal(source, dest)
    again = copy(source, dest, "--verify", "metadata")
    assert again.process.returncode == 0
    assert [again.report["passes"][0][count] for count in ("read_bytes", "written_bytes", "copied_files")] == [0, 0, 0]
    assert again.report["verified"]["hashed_bytes"] == 0
    _change_unseen(dest / "small")
    assert copy("--check", source, dest, "--verify", "metadata").process.returncode == 0
    assert copy("--check", source, dest).report["differences"] == ["content of small"]
    os.chmod(dest / "small", 0o601)
    assert copy("--check", source, dest, "--verify", "metadata").report["differences"] == ["mode of small"]


def _change_unseen(path: Path) -> None:
    before = path.stat()
    path.write_bytes(os.urandom(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def foreign(make_volume: Callable[..., Path], tmp_path: Path, start_mover: Copy) -> tuple[Path, Path]:
    """A source of root's, and a destination of somebody who may read it."""
    source, volume = make_volume("source"), make_volume("volume")
    for number in range(3):
        (source / f"file{number}").write_text("root's")
    (source / "link").symlink_to("file0")
    os.mkfifo(source / "fifo")
    os.mknod(source / "device", 0o020600, os.makedev(1, 3))
    (source / "lost+found").rmdir()
    os.setxattr(source / "file1", "trusted.t", b"t")
    (volume / "dest").mkdir()
    os.chown(volume / "dest", NOBODY, NOBODY)
    os.chown(tmp_path / "mover", NOBODY, NOBODY)
    return source, volume / "dest"


def _not_kept(run: Mover) -> dict[str, int]:
    return {one["kind"]: one["count"] for one in run.report["not_kept"]}


def test_what_an_unprivileged_user_cannot_keep_is_refused_with_kinds_and_counts(foreign: tuple[Path, Path], start_mover: Copy) -> None:
    run = start_mover(*foreign, prefix=AS_READER)
    assert run.end() == 21, run.last
    assert _not_kept(run) == {"owner": 6, "device": 1}
    assert "owner of 6" in run.last["message"] and "device of 1" in run.last["message"]
    assert run.report["not_looked_for"] == ["xattr trusted.*: invisible without CAP_SYS_ADMIN"]


@pytest.mark.parametrize("accepted, missing", [("owner", "device of 1"), ("device", "owner of 6"), ("owner,mode", "device of 1")])
def test_of_several_losses_each_must_be_accepted(accepted: str, missing: str, foreign: tuple[Path, Path], start_mover: Copy) -> None:
    run = start_mover(*foreign, "--accept", accepted, prefix=AS_READER)
    assert run.end() == 21, run.last
    assert missing in run.last["message"] and f"{accepted.split(',')[0]} of" not in run.last["message"]


def test_what_is_accepted_is_no_failure_and_is_reported(foreign: tuple[Path, Path], start_mover: Copy) -> None:
    source, dest = foreign
    run = start_mover(source, dest, "--accept", "owner,device", prefix=AS_READER)
    assert run.end() == 0, run.last
    assert _not_kept(run) == {"owner": 6, "device": 1}
    assert run.report["differences"] == []
    assert {path.name: path.lstat().st_uid for path in dest.iterdir()} == {name: NOBODY for name in ("file0", "file1", "file2", "link", "fifo")}
    check = start_mover("--check", source, dest, "--accept", "owner,device", prefix=AS_READER)
    assert check.end() == 0, check.last
    strict = start_mover("--check", source, dest, prefix=AS_READER)
    assert strict.end() == 22
    assert {"missing of device", "owner of file0", "owner of ."} <= set(strict.report["differences"])


def test_an_accepted_loss_accepts_no_other_difference(foreign: tuple[Path, Path], start_mover: Copy) -> None:
    source, dest = foreign
    assert start_mover(source, dest, "--accept", "owner,device", prefix=AS_READER).end() == 0
    _change_unseen(dest / "file2")
    check = start_mover("--check", source, dest, "--accept", "owner,device", prefix=AS_READER)
    assert (check.end(), check.report["differences"]) == (22, ["content of file2"])


@pytest.mark.parametrize("what", ["owners", "", "owner,,mode"])
def test_what_cannot_be_accepted_is_a_wrong_command_line(what: str, pair: tuple[Path, Path], copy: Copy) -> None:
    assert copy(*pair, "--accept", what).process.returncode == 2


# nice(1) adds to what one has.
OWN_NICE = os.getpriority(os.PRIO_PROCESS, 0)
LIMIT = 32 * MIB
TREES: dict[str, tuple[int, int]] = {"large files, by rclone": (4, 12 * MIB), "small files": (1600, 30_000), "one file, by rclone": (1, 48 * MIB),
                                     "one file, by a worker": (1, 48 * MIB)}


@pytest.mark.parametrize("tree", TREES)
def test_no_phase_is_faster_than_the_limit(tree: str, pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    number, size = TREES[tree]
    for index in range(number):
        (source / f"{index}").write_bytes(os.urandom(size))
    if tree == "one file, by a worker":
        os.link(source / "0", source / "second name")
    run = copy(source, dest, "--bwlimit", "32Mi")
    assert run.process.returncode == 0, run.last
    phases = run.report["passes"][0]["phases"]
    rates = {"bulk": number * size / phases["bulk"], "verify": number * size / phases["verify"]}
    print(f"{tree}: " + ", ".join(f"{phase} {100 * rate / LIMIT:.1f} % of the limit" for phase, rate in rates.items()))
    assert max(rates.values()) <= 1.1 * LIMIT


def test_the_final_pass_knows_no_limit(pair: tuple[Path, Path], start_mover: Copy) -> None:
    source, dest = pair
    (source / "small").write_bytes(b"s")
    mover = start_mover(source, dest, "--passes", "1", "--bwlimit", "100Ki")
    mover.wait_for("waiting")
    # A hundred seconds at the limit of the warm passes.
    (source / "late").write_bytes(os.urandom(10 * MIB))
    mover.process.send_signal(signal.SIGUSR1)
    assert mover.end() == 0
    assert mover.report["passes"][-1]["written_bytes"] == 10 * MIB
    assert mover.report["passes"][-1]["seconds"] < 60


def test_all_processes_are_nice(pair: tuple[Path, Path], start_mover: Copy) -> None:
    source, dest = pair
    (source / "large").write_bytes(os.urandom(12 * MIB))
    for number in range(300):
        (source / f"{number}").write_bytes(os.urandom(30_000))
    mover = start_mover(source, dest, "--nice", "7", "--ionice", "idle", "--bwlimit", "10Mi")
    seen: dict[int, list[tuple[str, int, str]]] = {}
    while mover.process.poll() is None:
        for pid in [mover.process.pid, *_children(mover.process.pid)]:
            name, nice = _name_and_nice(pid)
            disk = subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
            if name and disk and mover.events():
                seen.setdefault(pid, []).append((name, nice, disk))
        time.sleep(0.05)
    assert mover.end() == 0
    # The last look at a process may be at one that is ending, which has given its priority for the disk back.
    found = {one for looks in seen.values() for one in looks[:-1]}
    assert {name for name, _, _ in found} >= {"rclone"} and len({name for name, _, _ in found}) >= 2, seen
    assert {(nice, disk) for _, nice, disk in found} == {(OWN_NICE + 7, "idle")}, seen


def test_a_level_of_the_disk_is_set(pair: tuple[Path, Path], start_mover: Copy) -> None:
    mover = start_mover(*pair, "--passes", "1", "--ionice", "6")
    mover.wait_for("waiting")
    said = subprocess.run(["ionice", "-p", str(mover.process.pid)], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "best-effort: prio 6"
    assert _name_and_nice(mover.process.pid)[1] == OWN_NICE


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _name_and_nice(pid: int) -> tuple[str, int]:
    try:
        before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        return before.partition("(")[2], int(after.split()[16])
    except (FileNotFoundError, ProcessLookupError):
        return "", 0


@pytest.mark.parametrize("arguments", [["--nice", "-3"], ["--nice", "x"], ["--ionice", "8"], ["--ionice", "realtime"], ["--pass", "hot"],
                                       ["--passes", "-1"], ["--verify", "nothing"], ["--pass", "warm", "--passes", "2"], ["--bwlimit", "-5"]])
def test_a_wrong_value_is_exit_2_and_copies_nothing(arguments: list[str], pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    (source / "file").touch()
    assert copy(source, dest, *arguments).process.returncode == 2
    assert not (dest / "file").exists()


def _progress(run: Mover) -> list[dict[str, Any]]:
    return [event for event in run.events() if event["event"] == "progress"]


def test_progress_is_at_most_a_line_a_second_with_what_the_last_pass_left(pair: tuple[Path, Path], start_mover: Copy) -> None:
    source, dest = pair
    for number in range(30):
        (source / f"{number}").write_bytes(os.urandom(300_000))
    mover = start_mover(source, dest, "--passes", "1", "--settle", "3600", "--bwlimit", "4Mi")
    mover.wait_for("waiting")
    time.sleep(1.1)
    mover.process.send_signal(signal.SIGUSR1)
    assert mover.end() == 0
    lines = _progress(mover)
    assert len(lines) >= 3
    assert all(later["at"] - earlier["at"] > 0.99 for earlier, later in zip(lines, lines[1:]))
    warm, final = ([line for line in lines if line["kind"] == kind] for kind in ("warm", "final"))
    assert {line["phase"] for line in warm} >= {"bulk", "verify"}
    assert {(line["changed_files_last_pass"], line["changed_bytes_last_pass"]) for line in warm} == {(None, None)}
    assert {(line["changed_files_last_pass"], line["changed_bytes_last_pass"]) for line in final} == {(30, 30 * 300_000)}
    bulk = [line for line in warm if line["phase"] == "bulk"]
    assert all(0 <= line["bytes"] <= line["total_bytes"] == 30 * 300_000 for line in bulk)
    assert all(0 <= line["files"] <= line["total_files"] == 30 for line in bulk)
    assert all(earlier["bytes"] < later["bytes"] for earlier, later in zip(bulk, bulk[1:]))


def test_without_progress_only_the_result_is_said(pair: tuple[Path, Path], copy: Copy) -> None:
    source, dest = pair
    (source / "file").write_bytes(os.urandom(4 * MIB))
    run = copy(source, dest, "--no-progress", "--bwlimit", "2Mi")
    assert [event["event"] for event in run.events()] == ["verified"]
