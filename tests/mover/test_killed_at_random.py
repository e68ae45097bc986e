"""The promise: killed at any moment and started again, the mover ends with an equal copy. VOLRESIZE_SEED repeats a run's choices."""
from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Callable

import checker
import pytest
from mover_process import Mover

pytestmark = pytest.mark.root
Start = Callable[..., Mover]
KILLS = 50
MODES: list[list[str]] = [[], ["--pass", "warm"], ["--verify", "metadata"]]
MIB = 1 << 20
FOLDERS = 12
# What a mover may end with when it, one of its workers, or its rclone was killed, or when it was through before. A child that is to become rclone
# looks like a worker at first.
ITSELF, WORKER, RCLONE = "the mover", "a worker", "rclone"
ENDS = {ITSELF: {-signal.SIGKILL, 0}, WORKER: {24, 128 + signal.SIGKILL, 0}, RCLONE: {128 + signal.SIGKILL, 0}}


def _fill(source: Path) -> None:
    """Some hundred small files, hard links, links, holes, and large files of the sizes that are copied in different ways."""
    for folder in range(FOLDERS):
        place = source / f"folder {folder}"
        place.mkdir()
        for number in range(30):
            (place / f"small {number}").write_bytes(os.urandom(number * number * 37))
            os.chown(place / f"small {number}", number, folder)
        os.link(place / "small 1", place / "small one")
        os.link(place / "small 2", source / f"small {folder}.2")
        (place / "link").symlink_to("small 3")
        os.setxattr(place / "small 4", "user.folder", str(folder).encode())
    for number in range(2):
        (source / f"large {number}").write_bytes(os.urandom(8 * MIB))
        (source / f"folder {number}" / "large").write_bytes(os.urandom(8 * MIB + number))
    (source / "huge").write_bytes(os.urandom(33 * MIB))
    (source / "middling").write_bytes(os.urandom(5 * MIB))
    with (source / "sparse").open("wb") as file:
        file.truncate(30 * MIB)
        file.seek(20 * MIB)
        file.write(os.urandom(MIB))


def _undo_some(dest: Path, chance: random.Random) -> None:
    """So that each run has something to do of every kind."""
    for path in sorted(dest.rglob("*")):
        if not path.is_dir() and chance.random() < 0.4:
            path.unlink()
        elif path.is_file() and not path.is_symlink() and chance.random() < 0.1:
            with path.open("r+b") as file:
                file.write(b"damaged")


def _children(pid: int) -> dict[int, str]:
    """Name of the program of each child."""
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child): Path(f"/proc/{child}/comm").read_text().strip() for child in pids}
    except (FileNotFoundError, ProcessLookupError):
        return {}


def _kill(victim: str, mover: Mover, latest: float, chance: random.Random) -> bool:
    """At a random moment at which the victim is there; False when the mover ended before."""
    time.sleep(chance.uniform(0, latest) if victim != RCLONE else 0)
    while mover.process.poll() is None:
        children = _children(mover.process.pid)
        pids = {ITSELF: [mover.process.pid], RCLONE: [pid for pid, name in children.items() if name == "rclone"],
                # The first may be the one that flushes, of whose death nobody needs to know.
                WORKER: sorted(pid for pid, name in children.items() if name != "rclone")[1:]}[victim]
        if pids:
            time.sleep(chance.uniform(0, 0.2) if victim == RCLONE else 0)
            return _send_kill(chance.choice(pids))
        time.sleep(0.002)
    return False


def _send_kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_killed_at_fifty_random_moments_and_started_again_it_ends_equal(make_volume: Callable[..., Path], start_mover: Start) -> None:
    seed = int(os.environ.get("VOLRESIZE_SEED") or random.randrange(1 << 32))
    print(f"VOLRESIZE_SEED={seed}")
    chance = random.Random(seed)
    source, dest = make_volume("source", 200), make_volume("dest", 180)
    _fill(source)
    original = checker.picture(source)
    started = time.monotonic()
    first = start_mover(source, dest)
    assert first.end() == 0, first.last
    length = time.monotonic() - started
    ends: Counter[tuple[str, int]] = Counter()
    while ends.total() < KILLS:
        _undo_some(dest, chance)
        mover = start_mover(source, dest, "--no-progress", *chance.choice(MODES))
        victim = chance.choice([ITSELF, WORKER, RCLONE])
        killed, code = _kill(victim, mover, length, chance), mover.end()
        assert code in ENDS[victim], (victim, code, mover.out_file.read_text())
        if code == 0:
            checker.assert_equal(source, dest)
        if killed:
            ends[victim, code] += 1
        else:
            length *= 0.9
    for end, times in sorted(ends.items()):
        print(f"{times:3} x killed: {end[0]}, exit code {end[1]}")
    last = start_mover(source, dest)
    assert last.end() == 0, last.last
    assert checker.picture(source) == original
    checker.assert_equal(source, dest)
