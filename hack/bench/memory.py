"""The memory of a process and its children, sampled while it runs: proportional set size, so that pages shared by forked workers count once."""
from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

_EVERY = 0.25


def peak(command: list[str]) -> tuple[int, int]:
    """Runs the command to its end; returns its exit code and the peak in bytes. rclone's own memory is left out."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    highest = 0
    done = threading.Event()

    def sample() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, sum(_pss(pid) for pid in _family(process.pid)))
            time.sleep(_EVERY)

    sampler = threading.Thread(target=sample)
    sampler.start()
    code = process.wait()
    done.set()
    sampler.join()
    return code, highest


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if Path(f"/proc/{pid}/comm").read_text().strip() == "rclone":
            return []
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(member for child in children for member in _family(int(child)))]


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return 0
