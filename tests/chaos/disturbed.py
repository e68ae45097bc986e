"""One migration under disturbance, from `submit` to its end, as one row of the table. What happened to the application's records is the witness' to
say; a run in which it had too little to say does not count."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import kills
from application import NAME
from application_that_records import Witness
from kills import Kill, Killer
from namespaces import until

from kubectl_volresize.kube import paths
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object
from kubectl_volresize.model.record import Record, from_status

ENOUGH = 20  # acknowledgements of each replica before, during and after its stop
BANDWIDTH = "2M"
_LONGEST = 420.0  # seconds until a migration counts as stuck
_LOOK_AGAIN_AFTER = 0.05
_MOST_RESUMES = 8


@dataclass
class Row:
    """What came of one run. `done`: what was done to it; `resumes`: why a human had to say `resume`, each time; `findings`: the judge's, None before
    it has looked."""

    name: str
    done: list[str] = field(default_factory=list)
    resumes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    acknowledged: int = 0
    findings: list[str] | None = None
    converged: bool = False


@dataclass
class Look:
    """The migration at one moment. `steps`: when each step of each replica was first seen, `movers`: when a mover of each replica was first seen at
    work; both in seconds of the monotonic clock."""

    record: Record = field(default_factory=Record)
    pods: list[Object] = field(default_factory=list)
    the_set: Object | None = field(default_factory=dict)
    steps: dict[tuple[str, int], float] = field(default_factory=dict)
    movers: dict[int, float] = field(default_factory=dict)

    @property
    def where(self) -> str:
        current = self.record.current_replica
        return self.record.phase if current is None else f"{self.record.replica(current).step or self.record.phase} {current}"


class Disturbed:
    """One migration of the witness' application to `size`. `due` is asked all the time, and disturbs."""

    def __init__(self, witness: Witness, client: Client, name: str, size: str) -> None:
        self._witness, self._client, self.name, self._size = witness, client, name, size
        self.namespace = witness.application.namespace
        self.look = Look()
        self.began = 0.0
        self._jobs_given_up: set[str] = set()

    def run(self, row: Row, due: Callable[[Disturbed], None]) -> None:
        """Fills the row. Raises AssertionError when the run does not count, or the migration is stuck."""
        self._witness.wait_for_all(ENOUGH)
        known = self._witness.count()
        self.began = time.monotonic()
        self.namespace.submit(NAME, "--volume", f"data={self._size}", "--bandwidth", BANDWIDTH, "--name", self.name)
        while not self._completed(row):
            assert time.monotonic() - self.began < _LONGEST, f"{self.name} is stuck at {self.look.where}: {self.look.record.message}"
            due(self)
            time.sleep(_LOOK_AGAIN_AFTER)
        row.converged, row.seconds = True, time.monotonic() - self.began
        self._witness.wait_for_all(ENOUGH)
        row.acknowledged = self._witness.count() - known
        row.findings = self._witness.findings()
        self._counts()

    def _completed(self, row: Row) -> bool:
        self._observe()
        if self.look.record.phase == labels.COMPLETED:
            return True
        if why := self._why_resume():
            row.resumes.append(f"{why} at {self.look.where}")
            assert len(row.resumes) <= _MOST_RESUMES, f"{self.name} does not get there: {row.resumes}"
            self.resume()
        return False

    def resume(self) -> None:
        resumed = self.namespace.volresize("resume", f"vr/{self.name}", "--no-wait")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        # Its runner has to speak before the phase means anything again.
        until("the resumed migration goes on", lambda: not self._terminal())

    def _terminal(self) -> bool:
        self._observe()
        return self.look.record.terminal

    def _observe(self) -> None:
        migration = self._client.get(paths.migrations(self.namespace.name, self.name))
        now, look = time.monotonic(), self.look
        look.record = from_status(migration.get("status") or {})
        look.pods = self._client.list(paths.pods(self.namespace.name))
        look.the_set = self._client.find(paths.statefulsets(self.namespace.name, NAME))
        for replica in look.record.replicas:
            look.steps.setdefault((replica.step, replica.ordinal), now)
        for pod in kills.running(look.pods, labels.ROLE_MOVER):
            look.movers.setdefault(int(pod["metadata"]["labels"][labels.REPLICA]), now)

    def _why_resume(self) -> str:
        """When nothing goes on by itself any more; empty while it does."""
        if self.look.record.terminal:
            return f"{self.look.record.phase}({self.look.record.reason}): {self.look.record.message}"
        jobs = self._client.list(paths.jobs(self.namespace.name), f"{labels.MIGRATION}={self.name}")
        newest = max(jobs, key=lambda job: (str(job["metadata"]["creationTimestamp"]), len(job["metadata"]["name"]), str(job["metadata"]["name"])))
        name, conditions = str(newest["metadata"]["name"]), newest["status"].get("conditions", ())
        failed = [condition for condition in conditions if (condition["type"], condition["status"]) == ("Failed", "True")]
        if failed and name not in self._jobs_given_up:
            self._jobs_given_up.add(name)
            return f"Job {name}: {failed[0].get('reason')}"
        return ""

    def _counts(self) -> None:
        for ordinal in range(self._witness.application.replicas):
            pod, acknowledged = self._witness.application.pod_uid(ordinal), self._witness.of(ordinal)
            copying = self.look.movers.get(ordinal)
            assert copying is not None, f"no mover of replica {ordinal} was ever seen"
            during = [one for one in acknowledged if one.pod != pod and one.at >= copying]
            assert len(during) >= ENOUGH, f"only {len(during)} acknowledgements of replica {ordinal} while it was copied: the run does not count"


def by_schedule(kill_plan: list[Kill], killer: Killer, row: Row) -> Callable[[Disturbed], None]:
    """Carries the kills out when their time has come and their victim is there."""
    pending = list(kill_plan)

    def due(run: Disturbed) -> None:
        now = time.monotonic()
        for kill in list(pending):
            since = run.look.steps.get((kill.step, kill.ordinal)) if kill.step else run.began
            victims = kills.running(run.look.pods, kill.victim)
            if since is None or now < since + kill.delay or not victims:
                continue
            if killer.kill(victims[-1], kill.how):
                pending.remove(kill)
                row.done.append(f"{kill} at {run.look.where}")
    return due
