"""What a copying program keeps of a case, judged by the independent eye: one measurement, the same for the mover and for the programs that
docs/exactness.md sets beside it."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import checker
from cases import Case

OURS = "the mover"
KEPT = "kept"
# Not before 1.68.2: as root it follows links and changes what they point to (CVE-2024-52522). Its list of options is the best for exactness.
_RCLONE = ("sync", "--links", "--metadata", "--create-empty-src-dirs", "--local-encoding", "Raw", "--no-unicode-normalization", "--inplace",
           "--config", "/dev/null")
_SECONDS = 60
_PROGRAMS = Path(sys.executable).parent


def command(tool: str, source: Path, dest: Path) -> list[str]:
    """How a person would use it to make one directory as much like the other as it can."""
    return {
        OURS: [sys.executable, "-m", "kubectl_volresize.mover", str(source), str(dest), "--no-progress"],
        "rsync": ["rsync", "-aHAXS", "--numeric-ids", "--delete", f"{source}/", f"{dest}/"],
        "rclone": [shutil.which("rclone", path=str(_PROGRAMS)) or "rclone", *_RCLONE, str(source), str(dest)],
        "cp": ["cp", "-a", "--sparse=auto", f"{source}/.", f"{dest}/"],
        "tar": ["bash", "-c", 'set -o pipefail; tar -C "$0" --xattrs --xattrs-include="*" --acls -S -cf - . | '
                'tar -C "$1" --xattrs --xattrs-include="*" --acls --numeric-owner -xpf -', str(source), str(dest)],
    }[tool]


TOOLS = (OURS, "rsync", "rclone", "cp", "tar")


@dataclass(frozen=True)
class _Trial:
    """One case with its own directories on both volumes, and one on the destination's that is none of the program's business."""

    case: Case
    tool: str
    source: Path
    dest: Path
    outside: Path

    def make(self) -> None:
        for directory in (self.source, self.dest, self.outside):
            directory.mkdir(parents=True)
        self.case.make(self.source)

    def copy_first(self) -> None:
        if self.case.change is not None or self.case.pollute is not None:
            _run(self.tool, self.source, self.dest)

    def disturb(self) -> None:
        if self.case.change is not None:
            self.case.change(self.source)
        if self.case.pollute is not None:
            self.case.pollute(self.dest, self.outside)

    def verdict(self) -> str:
        before = checker.untouched(self.outside)
        code = _run(self.tool, self.source, self.dest)
        lost = checker.differing_fields(self.source, self.dest, with_top=self.case.with_top)
        if checker.untouched(self.outside) != before:
            lost.append("written outside")
        lost += [f"{name} removed" for name in self.case.stays if not (self.dest / name).is_dir()]
        if not lost:
            return KEPT if code == 0 else f"kept, exit code {code}"
        return f"{'never ends, lost' if code is None else 'lost' if code else 'lost silently'}: {', '.join(lost)}"


def measure(cases: Sequence[Case], tool: str, source: Path, dest: Path, pause: float = 0) -> dict[str, str]:
    """The verdict on each case by its words: `kept`, or what was lost, and whether the program said so by its exit code or never ended.

    `pause`: seconds before each copy, since some programs compare times by whole seconds, and nobody's files are that young.
    """
    trials = [_Trial(case, tool, source / case.slug, dest / case.slug, dest / "outside" / case.slug) for case in cases]
    for step in (_Trial.make, _Trial.copy_first, _Trial.disturb):
        for trial in trials:
            step(trial)
        time.sleep(pause)
    return {trial.case.words: trial.verdict() for trial in trials}


def _run(tool: str, source: Path, dest: Path) -> int | None:
    """The exit code; None when it had to be killed."""
    # Where pip puts rclone, which the mover needs for large files.
    environment = os.environ | {"PATH": os.pathsep.join([str(_PROGRAMS), os.environ["PATH"]])}
    process = subprocess.Popen(command(tool, source, dest), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                               start_new_session=True, env=environment)
    try:
        return process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None
