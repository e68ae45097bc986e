"""One run of rclone over a list of large files: its command line, its JSON log, its exit. What it copies and what it gets wrong is known to
bulk.py and repair.py. Options and versions: facts of rclone's changelog; each option was tried on a tree of odd files."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Any, Callable

from . import content, scan, workers
from .failures import BadUsage, RcloneFailed
from .pages import Stat

OLDEST = (1, 75)
# Bytes; smaller ones are faster copied by workers.
LARGE = 8 << 20
_LONGEST_PATH = 3000
_NO_SPACE = ("no space left on device", "disk quota exceeded", "too big for remaining disk space")
_KEPT_MESSAGES = 20
_SIGNALLED = 128


@dataclass
class Outcome:
    """Exit code and bytes (read once, written once) of a run; what it complained about."""

    exit_code: int = 0
    bytes: int = 0
    files: int = 0
    no_space: bool = False
    messages: list[str] = field(default_factory=list)


def suits(directory: int, name: str, path: str, entry: Stat) -> bool:
    """A plain file: rclone fills holes, duplicates hard links, its list of files cannot say every name, and some mean something to it."""
    return (entry.size >= LARGE and entry.nlink == 1 and not entry.is_sparse and len(path) < _LONGEST_PATH
            and path.isprintable() and path.isascii() and path == path.strip() and not path.endswith(".rclonelink")
            and _is_whole(directory, name, entry.size))


def _is_whole(directory: int, name: str, size: int) -> bool:
    """False also when it is no such file any more."""
    try:
        descriptor = scan.open_source(directory, name)
    except OSError:
        return False
    try:
        return content.is_whole(descriptor, size)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def find() -> str:
    """The path of a usable rclone. Raises BadUsage with the reason, RcloneFailed.

    Not an older one: before 1.68.2 it follows links as root (CVE-2024-52522), before 1.75 it goes on writing when the disk is full.
    """
    path = shutil.which("rclone")
    if path is None:
        raise BadUsage(f"rclone >= {OLDEST[0]}.{OLDEST[1]} is needed for large files and is not on PATH")
    shown = subprocess.run([path, "version"], capture_output=True, text=True, check=False)
    if shown.returncode < 0:
        raise RcloneFailed(f"{path} was killed by signal {-shown.returncode} when asked for its version", _as_shells_say(shown.returncode))
    version = re.search(r"rclone v(\d+)\.(\d+)", shown.stdout)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise BadUsage(f"rclone >= {OLDEST[0]}.{OLDEST[1]} is needed for large files, {path} is {version[0] if version else 'of an unknown version'}")
    return path


def copy(program: str, source: str, dest: str, paths: list[str], rate: int, moved: Callable[[int, int], None]) -> Outcome:
    """Copy these paths (none may exist in `dest`). `source`, `dest`: absolute paths. `moved` is told bytes and files so far, about once a second.

    Its own check of sums is off: it compares what it read with what it meant to write; verify.py reads the disk. With --links it opens files of
    the destination by os.Root and cannot be led out of it by a link that somebody puts there meanwhile; without, it can (CVE-2026-54572).
    """
    with tempfile.NamedTemporaryFile(prefix="volresize-", suffix=".list") as listing:
        listing.write(b"".join(os.fsencode(path) + b"\n" for path in paths))
        listing.flush()
        command = [program, "copy", source, dest, "--files-from-raw", listing.name, "--no-traverse", "--inplace", "--ignore-checksum",
                   "--local-encoding", "Raw", "--no-unicode-normalization", "--local-case-sensitive", "--links", "--skip-specials",
                   "--transfers", "4", "--checkers", "8", "--retries", "1", "--local-fatal-if-no-space", "--use-json-log", "--stats", "1s",
                   "--log-level", "INFO", "--config", "/dev/null", *(["--bwlimit", f"{rate}B"] if rate else [])]
        # The environment could hold options of its own: RCLONE_DRY_RUN=true would "succeed".
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
                                   umask=0o077, preexec_fn=workers.die_with_parent)
        try:
            return _follow(process, moved)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _follow(process: subprocess.Popen[bytes], moved: Callable[[int, int], None]) -> Outcome:
    outcome = Outcome()
    assert process.stderr is not None
    for line in process.stderr:
        _note(outcome, line)
        moved(outcome.bytes, outcome.files)
    outcome.exit_code = _as_shells_say(process.wait())
    if outcome.exit_code > _SIGNALLED:
        outcome.messages.append(f"killed by signal {outcome.exit_code - _SIGNALLED}")
    return outcome


def _as_shells_say(returncode: int) -> int:
    """128 + n for a death by signal n: an exit code of ours cannot be negative."""
    return _SIGNALLED - returncode if returncode < 0 else returncode


def _note(outcome: Outcome, line: bytes) -> None:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        entry = {"level": "error", "msg": line.decode(errors="backslashreplace").strip()}
    stats = entry.get("stats")
    if stats:
        outcome.bytes, outcome.files = int(stats.get("bytes", 0)), int(stats.get("transfers", 0))
        return
    message = str(entry.get("msg", ""))
    outcome.no_space |= any(words in message.lower() for words in _NO_SPACE)
    if entry.get("level") in ("error", "critical", "fatal") and len(outcome.messages) < _KEPT_MESSAGES:
        outcome.messages.append(f"{entry['object']}: {message}" if entry.get("object") else message)
