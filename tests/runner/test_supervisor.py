"""PID 1 of the runner's container: the runner that dies is started again, the one that has ended is not, and whoever asks for the end gets it."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubectl_volresize.errors import JOB_DONE, JOB_FENCED, JOB_NEEDS_HUMAN, JOB_REFUSED, JOB_TERMINATED
from kubectl_volresize.runner.supervisor import PAUSES, SETTLED

_SECONDS = 60  # until a supervisor that does not end counts as one that never will
# In a process of its own, since it blocks signals; the one that inherits orphans, as PID 1 does (prctl(2): PR_SET_CHILD_SUBREAPER = 36).
_SUPERVISE = """
import ctypes, json, sys
from kubectl_volresize.runner.log import Log
from kubectl_volresize.runner.supervisor import supervise
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
command, pauses, settled = json.loads(sys.argv[1])
sys.exit(supervise(command, Log(lambda: "now"), pauses, settled))
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A supervisor of a shell script in the runner's place, which finds the number of its life in $life. Killed at the end if it has not ended."""
    started: list[subprocess.Popen[str]] = []

    def supervisor(script: str, pauses: Sequence[float] = PAUSES, settled: float = SETTLED) -> subprocess.Popen[str]:
        counted = f'echo >>"$LIVES"; life=$(wc -l <"$LIVES"); {script}'
        command = json.dumps([["/bin/sh", "-c", counted], list(pauses), settled])
        started.append(subprocess.Popen([sys.executable, "-c", _SUPERVISE, command], stdout=subprocess.PIPE, text=True, process_group=0,
                                        env=os.environ | {"LIVES": str(tmp_path / "lives")}))
        return started[-1]

    yield supervisor
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code, and the lines that were not read yet."""
    out, _ = process.communicate(timeout=_SECONDS)
    return process.returncode, out.splitlines()


def lives(tmp_path: Path) -> int:
    return (tmp_path / "lives").read_text().count("\n")


def read(line: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(line)
    return said


@pytest.mark.parametrize("death, code", [("kill -KILL $$", 137), ("kill -SEGV $$", 139), ("exit 1", 1)])
def test_a_runner_that_dies_is_started_again_and_the_log_says_so(start: Start, tmp_path: Path, death: str, code: int) -> None:
    assert PAUSES[0] == 0, "the StatefulSet may be absent meanwhile"
    outcome, lines = ended(start(f"[ $life -gt 1 ] || {death}"))
    assert outcome == JOB_DONE and lives(tmp_path) == 2
    (said,) = map(read, lines)
    assert (said["level"], said["operation"]) == ("warning", "Restart") and f"exit code {code}:" in said["message"]


@pytest.mark.parametrize("code", [JOB_DONE, JOB_REFUSED, JOB_NEEDS_HUMAN, JOB_FENCED, JOB_TERMINATED])
def test_a_runner_that_has_ended_is_not_started_again(start: Start, tmp_path: Path, code: int) -> None:
    assert ended(start(f"exit {code}")) == (code, [])
    assert lives(tmp_path) == 1


def test_one_that_dies_at_each_start_is_left_to_its_job(start: Start, tmp_path: Path) -> None:
    outcome, lines = ended(start("exit 7", pauses=(0, 0)))
    assert outcome == 7 and lives(tmp_path) == 3
    assert [read(line)["level"] for line in lines] == ["warning", "warning", "error"]


def test_deaths_after_a_long_life_are_not_counted(start: Start, tmp_path: Path) -> None:
    outcome, _ = ended(start("[ $life -gt 5 ] || exit 7", pauses=(0,), settled=0))
    assert outcome == JOB_DONE and lives(tmp_path) == 6


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_runner_that_is_asked_to_end_may_finish_what_it_does(start: Start, tmp_path: Path, asked: signal.Signals) -> None:
    process = start(f'trap end=1 TERM; echo at work; while [ -z "$end" ]; do sleep 0.05; done; echo finished; exit {JOB_TERMINATED}')
    assert process.stdout is not None and process.stdout.readline() == "at work\n"
    process.send_signal(asked)
    assert ended(process) == (JOB_TERMINATED, ["finished"])
    assert lives(tmp_path) == 1


def test_a_runner_that_was_asked_to_end_and_dies_is_not_started_again(start: Start, tmp_path: Path) -> None:
    process = start("trap 'kill -KILL $$' TERM; echo at work; while :; do sleep 0.05; done")
    assert process.stdout is not None and process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (137, [])
    assert lives(tmp_path) == 1


def test_between_two_lives_the_end_comes_when_it_is_asked_for(start: Start, tmp_path: Path) -> None:
    process = start("exit 7", pauses=(10 * _SECONDS,))
    assert process.stdout is not None and read(process.stdout.readline())["operation"] == "Restart"
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (JOB_TERMINATED, [])
    assert lives(tmp_path) == 1


def test_processes_whose_parents_are_gone_do_not_stay_as_zombies(start: Start) -> None:
    # The orphan's entry in /proc is there until somebody has waited for it; the script, which does not, goes on only then.
    orphan = "sh -c 'sleep 0.1 >/dev/null & echo $!'"
    assert ended(start(f"orphan=$({orphan}); while [ -e /proc/$orphan ]; do sleep 0.05; done; echo buried")) == (JOB_DONE, ["buried"])


def test_it_starts_the_runner_with_its_own_arguments() -> None:
    done = subprocess.run([sys.executable, "-m", "kubectl_volresize.runner.supervisor", "--help"], capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0 and "name of the VolumeResize" in done.stdout


def test_it_is_small_since_it_is_there_all_the_time() -> None:
    asked = "import sys, kubectl_volresize.runner.supervisor; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    assert not {"kubernetes", "requests", "yaml", "jinja2", "argparse", "subprocess", "threading"} & set(loaded)
