"""The mover in a process of its own, as in its pod, and what it said."""
from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable


class Mover:
    """A run of the mover in a process of its own, as in its pod."""

    def __init__(self, folder: Path, number: int, command: list[str], environment: dict[str, str]) -> None:
        self.report_file = folder / f"report-{number}.json"
        self.out_file = folder / f"out-{number}.jsonl"
        self._out = self.out_file.open("wb")
        self.process = subprocess.Popen([*command, "--report", str(self.report_file)], stdout=self._out, stderr=subprocess.STDOUT,
                                        env=environment)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out_file.read_text().splitlines() if line.endswith("}")]

    def wait_for(self, event: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [entry for entry in self.events() if entry["event"] == event]
            if found:
                return found[-1]
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no event {event}: {self.out_file.read_text()}")

    def end(self) -> int:
        """Wait for the exit code."""
        try:
            return self.process.wait(timeout=120)
        finally:
            self._out.close()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.report_file.read_text())["report"]
        return report

    @property
    def last(self) -> dict[str, Any]:
        return self.events()[-1]


def when(true: Callable[[], object], mover: Mover) -> None:
    """Wait for a moment of the run."""
    deadline = time.monotonic() + 60
    while not true():
        assert mover.process.poll() is None, mover.out_file.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)
