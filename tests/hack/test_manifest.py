"""The judge of migrations must be able to condemn: everything that a copy or a restart can get wrong shows in hack/manifest.py's answer."""
from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

MANIFEST = Path(__file__).resolve().parents[2] / "hack" / "manifest.py"


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, MANIFEST, *arguments], capture_output=True, text=True)


def _digest(tree: Path, *arguments: str) -> str:
    done = _run(tree, "--digest", *arguments)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["digest"])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A file with two names, one with a hole, a symlink, a name that is no UTF-8."""
    top = tmp_path / "tree"
    (top / "folder").mkdir(parents=True)
    (top / "file").write_text("content")
    os.link(top / "file", top / "folder" / "second name")
    with (top / "sparse").open("wb") as sparse:
        sparse.seek(1 << 20)
        sparse.write(b"end")
    (top / "symlink").symlink_to("file")
    Path(os.fsdecode(os.fsencode(top) + b"/\xff")).write_text("x")
    return top


def _keep_times(path: Path, change: Callable[[], object]) -> None:
    """The worst copy is the one whose times still look right."""
    before = os.lstat(path)
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)


def _part_the_links(tree: Path) -> None:
    (tree / "folder" / "second name").unlink()
    (tree / "folder" / "second name").write_text("content")
    times = os.lstat(tree / "file")
    os.utime(tree / "folder" / "second name", ns=(times.st_atime_ns, times.st_mtime_ns))


def _point_elsewhere(tree: Path) -> None:
    times = os.lstat(tree / "symlink")
    (tree / "symlink").unlink()
    (tree / "symlink").symlink_to("fil3")
    os.utime(tree / "symlink", ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "one byte": lambda tree: _keep_times(tree / "file", lambda: (tree / "file").write_text("c0ntent")),
    "a mode": lambda tree: (tree / "file").chmod(0o600),
    "a nanosecond": lambda tree: os.utime(tree / "file", ns=(0, os.lstat(tree / "file").st_mtime_ns + 1)),
    "a file that is gone": lambda tree: _keep_times(tree, (tree / "sparse").unlink),
    "a file too many": lambda tree: _keep_times(tree / "folder", (tree / "folder" / "new").touch),
    "a target": lambda tree: _keep_times(tree, lambda: _point_elsewhere(tree)),
    "a parted hard link": lambda tree: _keep_times(tree / "folder", lambda: _part_the_links(tree)),
    "the root directory": lambda tree: tree.chmod(0o700),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_difference_is_seen(tree: Path, damage: str) -> None:
    before = _digest(tree)
    DAMAGE[damage](tree)
    assert _digest(tree) != before


def test_reading_changes_nothing_and_is_repeatable(tree: Path) -> None:
    assert _digest(tree) == _digest(tree)


def test_what_is_excluded_may_change(tree: Path) -> None:
    before = _digest(tree, "--exclude", "file", "--exclude", "folder")
    _keep_times(tree / "folder", lambda: (tree / "folder" / "second name").unlink())
    (tree / "file").write_text("another")
    assert _digest(tree, "--exclude", "file", "--exclude", "folder") == before


def test_a_filled_hole_shows_in_the_allocated_bytes(tree: Path) -> None:
    def allocated() -> int:
        return int(json.loads(_run(tree, "--digest").stdout)["allocated"])

    before = allocated()
    content = (tree / "sparse").read_bytes()
    (tree / "sparse").unlink()
    (tree / "sparse").write_bytes(content)
    with (tree / "sparse").open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, len(content))
    assert allocated() >= before + (1 << 19)


def test_names_survive_any_byte(tree: Path) -> None:
    paths = [json.loads(line)["path"] for line in _run(tree).stdout.splitlines()]
    assert b"\xff" in map(os.fsencode, paths)


def test_an_unreadable_tree_is_an_error_that_names_it(tmp_path: Path) -> None:
    done = _run(tmp_path / "nowhere")
    assert done.returncode == 1 and "nowhere" in done.stderr and "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------------------------------------ journals

def _journal(file: Path, pod: str = "test-sts-0", lines: int = 5) -> list[str]:
    """Written as the application's shell writes it, one line in 0.1 s, with a pause of 2 s after the third."""
    text, previous = [], pod
    for number in range(1, lines + 1):
        uptime = f"{100 + number / 10 + (2 if number > 3 else 0):.2f}"
        previous = hashlib.sha256(f"{previous} {number} {uptime}".encode()).hexdigest()
        text.append(f"{number} {uptime} {previous}")
    file.write_text("".join(f"{line}\n" for line in text))
    return text


def test_a_whole_journal_tells_its_length_and_the_longest_pause(tmp_path: Path) -> None:
    lines = _journal(tmp_path / "journal")
    done = _run("--journal", tmp_path / "journal", "--of", "test-sts-0", "--at", "3")
    assert json.loads(done.stdout) == {"lines": 5, "sum": lines[4].split()[2], "sum_at": lines[2].split()[2], "longest_pause": 2.1}


DISASTERS: dict[str, Callable[[list[str]], str]] = {
    "a lost line": lambda lines: "\n".join(lines[:2] + lines[3:]) + "\n",
    "a lost beginning": lambda lines: "\n".join(lines[1:]) + "\n",
    "a torn line": lambda lines: "\n".join(lines)[:-10],
    "a torn line in the middle": lambda lines: "\n".join([*lines[:2], lines[2][:20], *lines[3:]]) + "\n",
    "a line twice": lambda lines: "\n".join([*lines, lines[-1]]) + "\n",
    "a changed time": lambda lines: "\n".join([lines[0].replace("100.10", "100.11"), *lines[1:]]) + "\n",
    "zeros after a crash": lambda lines: "\n".join(lines) + "\n" + "\0" * 512 + "\n",
}


@pytest.mark.parametrize("disaster", DISASTERS)
def test_a_broken_journal_is_refused(tmp_path: Path, disaster: str) -> None:
    file = tmp_path / "journal"
    file.write_text(DISASTERS[disaster](_journal(file)))
    done = _run("--journal", file, "--of", "test-sts-0")
    assert done.returncode == 1 and str(file) in done.stderr and "Traceback" not in done.stderr


def test_the_journal_of_another_replica_is_refused(tmp_path: Path) -> None:
    _journal(tmp_path / "journal", pod="test-sts-1")
    done = _run("--journal", tmp_path / "journal", "--of", "test-sts-0")
    assert done.returncode == 1 and "line 1 does not follow" in done.stderr


def test_a_journal_that_went_back_in_time_is_refused(tmp_path: Path) -> None:
    _journal(tmp_path / "journal", lines=4)
    done = _run("--journal", tmp_path / "journal", "--of", "test-sts-0", "--at", "5")
    assert done.returncode == 1 and "line 5 was there before and is gone" in done.stderr
