"""python3 -m kubectl_volresize.runner.supervisor ARGUMENTS: PID 1 of the runner's container. It starts the runner and starts it again at once when it
dies: a Job's own back-off is 10 s and doubling, and the StatefulSet may be absent meanwhile. What the migration is about it does not know."""
from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from ..errors import JOB_DONE, JOB_FENCED, JOB_NEEDS_HUMAN, JOB_REFUSED, JOB_TERMINATED
from .log import Log

# Exit codes by which a runner says that this pod is not to go on.
_LAST_WORDS = (JOB_DONE, JOB_REFUSED, JOB_NEEDS_HUMAN, JOB_FENCED, JOB_TERMINATED)
# Seconds before each restart of a runner that dies young again and again. A single death is an accident, and costs no time. After all of them the
# pod is at fault, or the code: the Job counts that and says it, and its next pod may come to a node that reaches the API server.
PAUSES = (0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 5.0)
# Seconds of a life that is no longer young: starting takes some on a busy node, giving up on an API server that refuses connections 6 more, and a
# step that kills the runner is reached again at once.
SETTLED = 30.0
_ASKED_TO_END = {signal.SIGTERM, signal.SIGINT}
_AWAITED = {*_ASKED_TO_END, signal.SIGCHLD}


def supervise(command: Sequence[str], log: Log, pauses: Sequence[float] = PAUSES, settled: float = SETTLED) -> int:
    """Until the command is not to be started again; returns its last exit code, 128 + n after signal n. `pauses` and `settled` in seconds. Blocks
    SIGTERM, SIGINT and SIGCHLD in the calling thread: each is waited for, so that none is lost between two lives of the command."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    died_young = 0
    while True:
        born = time.monotonic()
        # The same identity as the one before, which is fenced by nothing: it was waited for, hence is dead.
        code, asked = _outcome(os.posix_spawn(command[0], list(command), os.environ, setsigmask=()))
        if asked or code in _LAST_WORDS:
            return code
        died_young = died_young + 1 if time.monotonic() - born < settled else 1
        if died_young > len(pauses):
            log.error("Restart", f"the runner ended with exit code {code}, {died_young} times in a row soon after its start: its pod is given up")
            return code
        log.warning("Restart", f"the runner ended with exit code {code}: it is started again")
        if signal.sigtimedwait(_ASKED_TO_END, pauses[died_young - 1]) is not None:
            return JOB_TERMINATED


def _outcome(child: int) -> tuple[int, bool]:
    """Its exit code, and whether it was asked to end."""
    asked = False
    while True:
        if signal.sigwait(_AWAITED) == signal.SIGCHLD:
            code = _buried().get(child)
            if code is not None:
                return code, asked
        else:
            asked = True
            # Also for SIGINT: the runner ends its exchange first on SIGTERM only.
            os.kill(child, signal.SIGTERM)


def _buried() -> dict[int, int]:
    """Exit codes by process id of all that have ended; PID 1 inherits those whose parents are gone."""
    codes: dict[int, int] = {}
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return codes
        if process == 0:
            return codes
        code = os.waitstatus_to_exitcode(status)
        codes[process] = code if code >= 0 else 128 - code


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(supervise([sys.executable, "-m", "kubectl_volresize.runner", *sys.argv[1:]], Log(_now)))
