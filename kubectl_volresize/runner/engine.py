"""The loop: observe, decide, check, record, do, again. It knows nothing of volumes or pods; what is decided stands in plan/, what is done in
execute.py, and every doubt (a conflict, a broken connection, a crash) has the same answer: look again and decide again."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import (JOB_DONE, JOB_NEEDS_HUMAN, JOB_REFUSED, JOB_TERMINATED, ApiError, Conflict, Forbidden, InvariantBroken, NotFound, Refused,
                      Unreachable, UsageError)
from ..kube import paths
from ..kube.observe import observe
from ..kube.rights import lacking, rules_of_runner
from ..model import labels
from ..model.cluster import Cluster
from ..model.objects import Object
from ..model.kept import Kept, pack
from ..model.record import Record, from_status
from ..model.request import Request, from_spec
from ..plan import invariants, leave, swap, waits
from ..plan.findings import Finding
from ..plan.rights import of_runner
from ..plan.planner import next_step, too_late
from ..plan.steps import AskHuman, Done, Refuse, Step, Stop, TakeUp, Wait
from .events import Events
from .execute import Postponed, execute
from .store import Store
from .tools import Tools

_SAY_AGAIN_AFTER = 5.0   # seconds between two log lines of one wait
_RECORD_AGAIN_AFTER = 2.0
_DO_MEANWHILE_AFTER = 0.25
_UNREACHABLE = 2.0
_LONGEST_RETRY = 60.0    # seconds, whatever the API server's Retry-After says
_SECOND_LOOK_AFTER = 1.0
_LOOK_AGAIN_AFTER = 0.02
_SLOWEST_POLL = 1.0
_LONGEST_PAUSE = 5.0
_LONGEST_LOOK = 15.0     # seconds between two looks that count as waiting: our longest pause, and calls that take their time


@dataclass
class _Patience:
    """How long the present wait lasts already, in seconds of a monotonic clock."""

    key: tuple[str, int | None] = ("", None)
    since: float = 0.0
    looked_at: float = 0.0
    said_at: float = 0.0
    said: str = ""
    recorded_at: float = 0.0


class Engine:
    """One runner at work on one VolumeResize. `monotonic` in seconds; `leaving` says whether this runner's pod was asked to end."""

    def __init__(self, store: Store, tools: Tools, events: Events, monotonic: Callable[[], float] = time.monotonic,
                 leaving: Callable[[], bool] = lambda: False) -> None:
        self._store, self._tools, self._events, self._monotonic, self._leaving = store, tools, events, monotonic, leaving
        self._patience = _Patience()
        self._failures = 0
        self._doubted = False
        self._told_too_long = False

    def run(self) -> int:
        """Until nothing is left to do; returns the Job container's exit code. Raises Fenced when another runner took over."""
        while True:
            began = self._monotonic()
            try:
                code = self.step()
            except Conflict as error:
                # Somebody changed something between our look and our write; what that means the next look tells.
                self._tools.log.info("LookAgain", error.message)
                self._tools.pause(_LOOK_AGAIN_AFTER)
                continue
            except (Unreachable, ApiError) as error:
                if isinstance(error, ApiError) and error.status < 500 and error.status not in (401, 429):
                    raise
                self._tools.log.warning("ApiUnavailable", error.message)
                wanted = error.retry_after or 0.0 if isinstance(error, ApiError) else 0.0
                self._tools.pause(max(_UNREACHABLE, min(wanted, _LONGEST_RETRY)))
                # Nobody could be asked meanwhile: that is no time in which what is waited for did not come.
                self._patience.looked_at = self._monotonic()
                self._patience.since += self._patience.looked_at - began
                continue
            if code is not None:
                return code

    def step(self) -> int | None:
        """Look, and do the one thing that is to be done next; the exit code when nothing is. Raises ApiError, Conflict, Fenced, Unreachable."""
        migration = self._store.read()
        if migration is None:
            return self._gone()
        record = from_status(migration.get("status") or {})
        asked = self._leaving() and not self._namespace_goes()
        lets_go = asked and leave.cannot_wait(record) and self._tools.lease.nobody_follows()
        # An exchange takes about a second: it is ended first, or the set would stay frozen or absent until the next pod has started.
        if asked and not lets_go and not swap.set_may_be_away(record):
            return self._leave()
        other = self._holder()
        if other and lets_go:
            return JOB_TERMINATED
        if other:
            self._wait(migration, from_status({}), Wait("lease", f"lease {self._tools.lease.name} is held by {other}", poll=2.0))
            return None
        self._tools.log.phase = record.phase
        try:
            request = from_spec(migration["spec"])
        except UsageError as error:
            if record.terminal:
                return self._end(record)
            self._perform(migration, None, record, None, Refuse((Finding("bad-spec", f"volumeresize/{self._store.name}", error.message,
                                                                         "delete it and submit a new one"),)))
            return None
        try:
            cluster = observe(self._tools.client, migration)
        except Forbidden as error:
            self._may_too_little(migration, record, error)
            return None
        decision = next_step(cluster, record, request)
        if lets_go:
            decision = leave.next_without_place(cluster, record, request, decision)
        if isinstance(decision, Done):
            return self._leave() if lets_go and not record.terminal else self._end(record)
        if self._is_doubtful(decision):
            self._tools.pause(_SECOND_LOOK_AFTER)
        elif isinstance(decision, Wait):
            self._wait_or_give_up(migration, cluster, record, request, decision)
        else:
            self._perform(migration, cluster, record, request, decision)
        return None

    def _leave(self) -> int:
        self._tools.lease.give_up()
        return JOB_TERMINATED

    def _may_too_little(self, migration: Object, record: Record, error: Forbidden) -> None:
        """Nothing was touched yet: everything that the account lacks is said at once. Later the next pod tries again."""
        found = tuple(of_runner(lacking(self._tools.client, self._tools.namespace, rules_of_runner()), self._tools.namespace))
        if record.phase not in labels.BEFORE_THE_START or not found:
            raise error
        self._perform(migration, None, record, None, Refuse(found))

    def _holder(self) -> str:
        """The other runner that has the Lease, "" when it is ours. In a namespace that goes there may be none any more, and none can be made; what
        has to be let go there is fenced by the record all the same."""
        try:
            return self._tools.lease.acquire()
        except Forbidden:
            if self._namespace_goes():
                return ""
            raise

    def _is_doubtful(self, decision: Step | Wait) -> bool:
        """What ends a migration is believed when it is seen twice: a look is made of many answers, and one of them may have been true before."""
        self._doubted = isinstance(decision, (Stop, AskHuman, Refuse)) and not self._doubted
        return self._doubted

    def _gone(self) -> int | None:
        lost = self._store.lost()
        if lost is not None and not self._namespace_goes():
            # Whoever took its finalizer off wanted it gone, and not a pod that nobody lets go: what is known of it is put back, and with it the rest.
            stop = Stop(labels.CANCELLED, "the VolumeResize was deleted by force; what was not migrated yet is as it was")
            self._tools.log.warning("RecordLost", f"volumeresize/{self._store.name} was deleted by force in the middle; it is written again, "
                                                  "to put back what was begun")
            self._store.write_again(stop.recorded(lost, self._tools.now()))
            return None
        self._tools.log.info("Done", "the VolumeResize is gone, and everything of ours with it")
        self._tools.lease.remove(self._store.mark)
        return JOB_DONE

    def _namespace_goes(self) -> bool:
        """Then our pod is asked to end like all others, and nobody comes after it to let go."""
        place = self._tools.client.find(paths.namespaces(self._tools.namespace))
        return place is None or bool(place["metadata"].get("deletionTimestamp"))

    # -- doing

    def _perform(self, migration: Object, cluster: Cluster | None, record: Record, request: Request | None, step: Step) -> None:
        now = self._tools.now()
        if not self._store.claimed(record) and not isinstance(step, TakeUp):
            # Before anything else: a runner that slept must find out that it was followed.
            self._store.write(migration, record)
            return
        after = step.recorded(record, now)
        try:
            if cluster is not None and request is not None:
                invariants.check(step, cluster, after, request)
        except InvariantBroken as error:
            self._perform(migration, None, record, None, AskHuman(error.message))
            return
        if after != record:
            migration = self._store.write(migration, after)
            self._tools.log.phase = after.phase
        if after.saved_set and not (cluster is not None and cluster.namespace_going):
            self._keep(migration, after)
        if not self._failures:
            self._tools.log.info(type(step).__name__, str(step), **step.about)
        try:
            execute(self._tools, step)
        except (ApiError, Refused, Postponed, Unreachable) as error:
            self._not_done(migration, cluster, after, request, step, error)
            return
        self._failures = 0
        if step.event is not None:
            # `kubectl describe` shows the events of this very object: one that is being exchanged is not looked at any more.
            statefulset = cluster.statefulset if cluster is not None else None
            lasting = statefulset.raw if statefulset is not None and not statefulset.terminating else None
            self._events.say(migration, lasting, *step.event, str(step), now)

    def _keep(self, migration: Object, record: Record) -> None:
        """Before anything is done the record also stands where it does not go with the VolumeResize. From the moment that validation has passed:
        until then nothing was touched, and what stands there may be all that is left of another migration."""
        text = pack(Kept(self._store.name, migration["spec"], record))
        if not self._tools.lease.keep(record.mark, text) and not self._told_too_long:
            self._told_too_long = True
            self._tools.log.warning("NoCopy", "the record is too long for a copy in the Lease: if the VolumeResize is deleted by force while no "
                                              "runner lives, docs/recovery.md is needed")

    def _not_done(self, migration: Object, cluster: Cluster | None, record: Record, request: Request | None, step: Step,
                  error: ApiError | Refused | Postponed | Unreachable) -> None:
        if isinstance(error, Postponed):
            self._wait_or_give_up(migration, cluster, record, request, Wait(error.kind, error.message, poll=2.0, replica=record.current_replica))
        elif isinstance(error, Refused):
            self._perform(migration, None, record, None, Stop("Refused", f"{error.message}: {error.advice}"))
        elif isinstance(error, Unreachable) or error.status >= 500 or error.status == 429:
            raise error
        else:
            self._failures += 1
            if isinstance(error, (Conflict, NotFound)) and self._failures < 20:
                raise Conflict(status=error.status, verb="look again", path=str(step), message=error.message)
            pause = min(0.1 * 2**min(self._failures, 10), _LONGEST_PAUSE)
            self._wait_or_give_up(migration, cluster, record, request,
                                  Wait("refused-write", f"cannot {step}: {error.message}", poll=pause, replica=record.current_replica))

    # -- waiting

    def _wait_or_give_up(self, migration: Object, cluster: Cluster | None, record: Record, request: Request | None, wait: Wait) -> None:
        limit = waits.LIMITS[wait.kind]
        lasted = self._lasted(wait)
        if limit.seconds is None or lasted <= limit.seconds + wait.grace:
            self._wait(migration, record, wait)
            return
        self._patience = _Patience()
        late = f"{wait.reason}; waited {round(lasted)} s"
        step = too_late(record, wait, limit, bool(migration["metadata"].get("deletionTimestamp")), late)
        self._perform(migration, cluster, record, request, step)

    def _lasted(self, wait: Wait) -> float:
        key, now = (wait.kind, wait.replica), self._monotonic()
        if self._patience.key != key:
            self._patience = _Patience(key, now, looked_at=now)
        # An API server that stops answers after a minute, as if nothing had been; the controllers that we wait for were as deaf as we were.
        self._patience.since += max(0.0, now - self._patience.looked_at - _LONGEST_LOOK)
        self._patience.looked_at = now
        return now - self._patience.since

    def _wait(self, migration: Object, record: Record, wait: Wait) -> None:
        lasted, now, patience = self._lasted(wait), self._monotonic(), self._patience
        if not patience.said or (wait.reason != patience.said and now - patience.said_at >= _SAY_AGAIN_AFTER):
            operation = "Progress" if wait.progress else "Waiting"
            self._tools.log.info(operation, wait.reason, replica=wait.replica)
            patience.said, patience.said_at = wait.reason, now
        if lasted >= _RECORD_AGAIN_AFTER and now - patience.recorded_at >= _RECORD_AGAIN_AFTER and self._store.claimed(record):
            patience.recorded_at = now
            after = wait.recorded(record)
            if after != record:
                self._store.write(migration, after)
        if wait.meanwhile is not None and lasted >= _DO_MEANWHILE_AFTER:
            self._do_meanwhile(wait.meanwhile)
        # What does not come at once is asked for less and less often; an API server in trouble is not helped by our questions.
        self._tools.pause(max(wait.poll, min(lasted / 10, _SLOWEST_POLL)))

    def _do_meanwhile(self, step: Step) -> None:
        """It only helps: what it would change may be gone or changed by now, and the next look will tell."""
        try:
            execute(self._tools, step)
        except ApiError as error:
            if error.status >= 500 or error.status == 429:
                raise
            self._tools.log.info("LookAgain", error.message)

    # -- the end

    def _end(self, record: Record) -> int:
        self._tools.log.info("Done", f"finished: {record.phase}")
        if record.phase == labels.FAILED and record.reason == "NeedsHuman":
            self._tools.lease.give_up()
            return JOB_NEEDS_HUMAN
        self._tools.lease.remove(record.mark)
        return JOB_REFUSED if record.phase == labels.FAILED else JOB_DONE
