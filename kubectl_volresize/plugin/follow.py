"""Following a migration's log over broken connections and restarts of the runner, each line once, until the migration is over.

A line is known by the time that the kubelet gave it: after a break we ask for everything since the second of the last line and skip what we had.
Counting lines from the start would fail once the kubelet rotates the log.
"""
from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..errors import ApiError, NotFound, Unreachable, VolresizeError
from ..kube import paths
from ..model.objects import Pod, View
from .asking import pending_request
from .job import at_work, job_end, queued, restart_command, runner_jobs, runner_pods, waiting_for
from .outcome import outcome
from .place import Place
from .result import Item, LogLine, Notice, Object, Outcome
from .words import migration_resource

CONTAINER = "runner"
# A connection without a byte for so long may be dead without our knowing (a laptop that slept); asking again costs little.
_SILENCE_SECONDS = 60.0
_POLL_SECONDS = 1.0
_OUTAGE_SECONDS = 5.0
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?")


class TimedOut(VolresizeError):
    """{name} is not over after {seconds} s; it goes on in the cluster"""

    exit_code = 124
    hint = "follow it again: {command}"


@dataclass
class _Position:
    """How far a pod's log was read: the stamp of the last line, and how many lines with this very stamp. `late`: it is not read from its start."""

    stamp: tuple[int, int] = (0, 0)
    count: int = 0
    late: bool = False

    def since(self, elapsed: float) -> dict[str, str]:
        """The API takes whole seconds. Before the first line those since we began: an age, since our clock is not the node's."""
        if self.count:
            return {"sinceTime": datetime.fromtimestamp(self.stamp[0], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {"sinceSeconds": str(int(elapsed) + 2)} if self.late else {}


@dataclass(frozen=True)
class Deadline:
    """`seconds` None: no end. `clock` gives monotonic seconds."""

    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    begun: float = field(default=0.0)

    @classmethod
    def after(cls, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> Deadline:
        return cls(seconds, clock, clock())

    @property
    def left(self) -> float | None:
        return None if self.seconds is None else self.begun + self.seconds - self.clock()

    @property
    def passed(self) -> bool:
        return self.left is not None and self.left <= 0

    @property
    def elapsed(self) -> float:
        """Seconds since it was begun."""
        return self.clock() - self.begun


Judge = Callable[[Place, str, Object | None, list[View]], Outcome | None]


@dataclass(frozen=True)
class Since:
    """Where to begin: pods (by UID) whose log is `old`, and those that are `present`, of whose log only what comes from now on counts."""

    old: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()


def tail(place: Place, name: str) -> Iterator[Item]:
    """What the logs of the runner's pods hold now."""
    reader = _Reader(place, Deadline())
    for pod in runner_pods(place, name):
        yield from reader.read(pod, follow=False)


def ended(place: Place, name: str, migration: Object | None, jobs: list[View]) -> Outcome | None:
    """How the migration ended; None while it is not over."""
    over = outcome(place, migration) if migration is not None else None
    # One that is over may have a Job that a queue keeps from ending. Nothing of it is still to come, unless somebody has asked for more.
    asked = migration is not None and pending_request(migration) is not None
    if at_work(jobs) and (over is None or asked or not queued(jobs[-1])):
        return None
    end = job_end(jobs[-1]) if jobs else None
    if migration is None:
        return Outcome(0, f"{migration_resource(name)} is gone: it was deleted, and what was not migrated yet is as it was")
    if over is not None:
        return over
    again = f"Start another: {restart_command(place, name)}"
    if end is None:
        return Outcome(5, f"{migration_resource(name)} is not over, but no Job works on it", (again,))
    why = ": ".join(part for part in (end.get("reason", ""), end.get("message", "")) if part)
    return Outcome(5, f"job.batch/{jobs[-1].name} ended before the migration did ({why})", (again,))


def follow(place: Place, name: str, deadline: Deadline, pause: Callable[[float], None] = time.sleep, judge: Judge = ended,
           since: Since = Since()) -> Iterator[Item]:
    """Log lines as they come, and at last the Outcome that `judge` finds. Raises TimedOut, Forbidden; outages of the API server are waited out."""
    reader, said = _Reader(place, deadline, since), set[str]()
    while True:
        try:
            # The Job is read before the VolumeResize, and both before the pods: what ended a Job was recorded by then, and its last line is there.
            jobs = runner_jobs(place, name)
            migration = place.client.find(paths.migrations(place.namespace, name))
            pods = [pod for pod in runner_pods(place, name) if pod.uid not in since.old]
            for pod in pods:
                # An older one may hang on a dead node for ever; it must not keep us from its successor.
                yield from reader.read(pod, follow=pod is pods[-1])
            end = judge(place, name, migration, jobs)
            if end is not None:
                yield end
                return
            now, wait = waiting_for(place, pods, jobs), _POLL_SECONDS
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.status < 500:
                raise
            now, wait = f"the API server does not answer, trying again: {error.message}", _OUTAGE_SECONDS
        if now and now not in said:
            # Each once until all is well again: a pod that cannot be started alternates between two reasons for ever.
            yield Notice(now)
        said = said | {now} if now else set()
        if deadline.passed:
            raise TimedOut(name=migration_resource(name), seconds=f"{deadline.seconds:g}", command=place.command("logs", f"vr/{name}", "-f"))
        pause(wait)


class _Reader:
    """Reads pods' logs on from where it was."""

    def __init__(self, place: Place, deadline: Deadline, since: Since = Since()) -> None:
        self._place, self._deadline, self._since = place, deadline, since
        self._positions: dict[str, _Position] = {}
        self._finished: set[str] = set()

    def read(self, pod: Pod, follow: bool) -> Iterator[Item]:
        if pod.uid in self._finished or pod.phase == "Pending":
            return
        position = self._positions.setdefault(pod.uid, _Position(late=pod.uid in self._since.present))
        try:
            yield from self._lines(pod, position, follow)
        except Unreachable:
            # The connection broke, or was silent for too long. Whether the API server is there will be seen at the next question.
            return
        except NotFound:
            self._finished.add(pod.uid)
        except ApiError as error:
            # 400 while the container has not started, and when the kubelet has lost its log: what the pod's status says is shown instead.
            if error.status != 400:
                raise
        # Judged by what was seen before reading: a pod that ended meanwhile is asked once more.
        if pod.phase in ("Succeeded", "Failed"):
            self._finished.add(pod.uid)

    def _lines(self, pod: Pod, position: _Position, follow: bool) -> Iterator[LogLine]:
        left, had, last = self._deadline.left, position.count, position.stamp
        silence = _SILENCE_SECONDS if left is None else max(1.0, min(_SILENCE_SECONDS, left))
        for line in self._place.client.log(self._place.namespace, pod.name, silence=silence, container=CONTAINER, follow=follow, timestamps=True,
                                           **position.since(self._deadline.elapsed)):
            stamp, text = _split(line)
            if stamp is not None:
                if stamp < last:
                    continue
                if stamp == last and had > 0:
                    had -= 1
                    continue
                position.count = position.count + 1 if stamp == position.stamp else 1
                position.stamp = stamp
            yield LogLine(text)
            if self._deadline.passed:
                return


def _split(line: str) -> tuple[tuple[int, int] | None, str]:
    """((seconds, nanoseconds), text); no stamp when the kubelet speaks itself."""
    found = _STAMP.match(line)
    if found is None:
        return None, line
    second, fraction, zone = found.groups()
    at = int(datetime.fromisoformat(second + zone).timestamp())
    return (at, int((fraction or "0").ljust(9, "0"))), line[found.end():]
