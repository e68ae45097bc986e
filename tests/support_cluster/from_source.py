"""Programs of others, compiled from their source by a script of hack/, and run as processes beside the cluster."""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 20


_NOT_YET = 3


def compiled(script: str, slow: bool = False) -> Path:
    """The folder that hack/SCRIPT says. Without a Go compiler the tests that need it are left out, and say so; a build that fails is a failure. What
    is `slow` to build is not built in passing: `make test-chaos` does, once for all runs on a machine."""
    done = subprocess.run([_ROOT / "hack" / script], capture_output=True, text=True, env=os.environ | ({"VOLRESIZE_COMPILE": "no"} if slow else {}))
    if done.returncode == _NOT_YET:
        pytest.skip(f"{done.stderr.strip()}: hack/{script} does that, or `make test-chaos`, which runs this too")
    if done.returncode != 0:
        (pytest.fail if shutil.which("go") else pytest.skip)(done.stderr.strip())
    return Path(done.stdout.splitlines()[-1])


def free_port() -> int:
    """Of the loopback interface. Somebody else may take it before it is used; who listens then says so, and ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str | Path], log: Path, folder: Path | None = None,
            environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which is ended with the block; all that it says goes to `log`."""
    with log.open("wb") as opened, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=opened, stderr=subprocess.STDOUT, cwd=folder,
                                                    env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
