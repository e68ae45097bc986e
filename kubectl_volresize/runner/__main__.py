"""python3 -m kubectl_volresize.runner --namespace NS --name CR: the Job's container."""
from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ..errors import JOB_DONE, JOB_FENCED, JOB_TERMINATED, VolresizeError
from ..kube import paths
from ..kube.auth import in_cluster
from ..kube.client import Client
from .engine import Engine
from .events import Events
from .lease import Lease
from .log import Log
from .store import Fenced, Store
from .tools import Tools

_FAILED = 1
_KEEP_JOB_SECONDS = 7 * 24 * 3600
# The kubelet shows 4096 bytes of it (kubernetes.io, "Determine the Reason for Pod Failure"), and makes it for each container.
_TERMINATION_LOG, _LONGEST_LAST_WORDS = "/dev/termination-log", 4096


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now_micro() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run to the end of the migration; returns the exit code (DESIGN section 8)."""
    parser = argparse.ArgumentParser(prog="runner", description="Carry out one VolumeResize; started by the Job that kubectl volresize submits.")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--name", required=True, help="name of the VolumeResize")
    parsed = parser.parse_args(arguments)
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    log = Log(_now)
    try:
        return _run(in_cluster(), log, parsed.namespace, parsed.name, asked.is_set)
    except VolresizeError as error:
        log.error("Stopped", f"{error.message} {error.advice}".strip())
        _last_words(f"{error.message} {error.advice}".strip())
        return JOB_FENCED if isinstance(error, Fenced) else _FAILED


def _run(client: Client, log: Log, namespace: str, name: str, leaving: Callable[[], bool]) -> int:
    pod, job = os.environ.get("POD_NAME", "runner"), os.environ.get("JOB_NAME", "runner")
    store = Store(client, namespace, name, identity=pod)
    migration = store.read()
    if migration is None:
        log.info("Done", f"volumeresize/{name} does not exist (any more): nothing to do")
        return JOB_DONE
    statefulset = str(migration["spec"]["statefulSetName"])
    lease = Lease(client, namespace, statefulset, name, job, time.monotonic, _now_micro)
    tools = Tools(client, namespace, name, statefulset, lease, log, time.sleep, _now, store.read)
    code = Engine(store, tools, Events(client, log, pod), leaving=leaving).run()
    _last_words("asked to end; the next pod goes on from here" if code == JOB_TERMINATED else store.last_words)
    if code == JOB_DONE:
        _limit_life_of_job(client, log, namespace, job)
    return code


def _last_words(text: str) -> None:
    """What `kubectl describe pod` and the Job's status say of how it ended, also when the log is lost. Outside a pod nobody reads it."""
    if os.path.isfile(_TERMINATION_LOG) and os.access(_TERMINATION_LOG, os.W_OK):
        with open(_TERMINATION_LOG, "wb") as file:
            file.write(text.encode()[:_LONGEST_LAST_WORDS])


def _limit_life_of_job(client: Client, log: Log, namespace: str, job: str) -> None:
    """The log stays readable for a week, and nobody has to clean up."""
    try:
        client.merge_patch(paths.jobs(namespace, job), {"spec": {"ttlSecondsAfterFinished": _KEEP_JOB_SECONDS}})
    except VolresizeError as error:
        # The migration is done; a Job that fails now would say otherwise.
        log.warning("Job", f"job/{job} will not be removed by itself: {error.message}")


if __name__ == "__main__":
    sys.exit(main())
