"""Waiting for the answer to a request, and what it means: the log meanwhile, then an exit code."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..errors import Refused, Resumable, UsageError
from ..kube import paths
from ..model import labels
from ..model.asked import CANCEL, CLEANUP, RESUME, Asked
from ..model.objects import View
from ..model.record import ACCEPTED, DECLINED, FINISHED
from . import result
from .asking import Sent, at_once, record_of, successor
from .follow import Deadline, Since, ended, follow
from .job import at_work, job_end, queued
from .outcome import advice, outcome
from .place import Place
from .words import migration_resource

# What is left to do once the request was carried out.
Afterwards = Callable[[], Iterator[result.Notice]]


@dataclass(frozen=True)
class Waiting:
    """--wait, --timeout, --dry-run and -o of a verb."""

    wait: bool
    timeout: float | None
    dry_run: str
    output: str

    def check(self) -> None:
        """Raises UsageError."""
        if self.timeout is not None and not self.wait:
            raise UsageError("--timeout has nothing to stop with --no-wait")
        if self.timeout is not None and self.dry_run != "none":
            raise UsageError("--timeout has nothing to stop with --dry-run")


def settled(place: Place, sent: Sent, waiting: Waiting, afterwards: Afterwards = lambda: iter(())) -> result.Result:
    """What was written, then the log until the answer is there; `afterwards` is done when it was done. With an output for programs the log is left
    out, and the VolumeResize is printed as it is at the end."""
    shown = result.Changes(output=waiting.output, changes=sent.changes, notes=sent.notes)
    follow_it = f"Follow it: {place.command('logs', f'vr/{sent.name}', '-f')}"
    if waiting.dry_run != "none":
        return shown
    if not waiting.wait:
        return result.Changes(output=waiting.output, changes=sent.changes, notes=sent.notes, next_steps=(follow_it,))
    items = _with(_answer(place, sent, Deadline.after(waiting.timeout)), afterwards)
    if waiting.output != result.TEXT:
        return _in_silence(place, sent, waiting.output, items)
    stopped = ("Stopped waiting; what was asked for goes on in the cluster.", follow_it)
    return result.Following(output=waiting.output, before=shown, items=items, interrupted=stopped)


def _in_silence(place: Place, sent: Sent, output: str, items: Iterator[result.Item]) -> result.Changes:
    notes, code = [*sent.notes], 1
    for item in items:
        if isinstance(item, result.Outcome):
            code = item.exit_code
            notes += [f"error: {item.message}" if code else item.message, *item.advice]
        elif isinstance(item, result.Notice):
            notes.append(item.text)
    now = place.client.find(paths.migrations(place.namespace, sent.name)) or sent.migration
    return result.Changes(output=output, changes=(result.Change(now, ""),), notes=tuple(notes), exit_code=code)


def _with(items: Iterator[result.Item], afterwards: Afterwards) -> Iterator[result.Item]:
    for item in items:
        if isinstance(item, result.Outcome) and item.exit_code == 0:
            yield from afterwards()
        yield item


def _answer(place: Place, sent: Sent, deadline: Deadline) -> Iterator[result.Item]:
    judge = ended if sent.asked is None else _Judge(sent, sent.asked)
    return follow(place, sent.name, deadline, judge=judge, since=Since(sent.old, sent.present))


@dataclass
class _Judge:
    """Whether the request is answered for good. `restarted`: a runner that went home as the request came, or lost its place in a queue before it was
    done, was followed by another, once."""

    sent: Sent
    asked: Asked
    restarted: bool = field(default=False)

    def __call__(self, place: Place, name: str, migration: result.Object | None, jobs: list[View]) -> result.Outcome | None:
        if migration is None:
            return result.Outcome(0 if self.asked.verb == CANCEL else 1, f"{migration_resource(name)} is gone: it was deleted")
        answer = record_of(migration).last_request
        # A runner that was at work when it was asked may lose its place in a queue, and with it the time to answer, or to do it.
        waits = bool(jobs) and queued(jobs[-1]) and at_once(self.sent) and not self.restarted
        working = at_work(jobs) and not waits
        if answer.get("id") != self.asked.id:
            return None if working else self._unanswered(place, migration, jobs)
        if answer.get("outcome") == DECLINED:
            return result.Outcome(Refused.exit_code, f"{migration_resource(name)}: {self.asked.verb} was refused: {answer.get('message', '')}")
        if working:
            # Its last lines are still to come.
            return None
        if answer.get("outcome") == ACCEPTED:
            return self._after_another(place, jobs) if waits else _left_undone(place, self.asked, name, jobs)
        return _final(place, self.asked, migration)

    def _unanswered(self, place: Place, migration: result.Object, jobs: list[View]) -> result.Outcome | None:
        name = migration["metadata"]["name"]
        if self.asked.id not in str((migration["metadata"].get("annotations") or {}).get(labels.REQUESTED, "")):
            return result.Outcome(1, f"{migration_resource(name)}: somebody asked for something else before {self.asked.verb} was answered",
                                  advice(place, migration))
        if self.restarted or (jobs and _failed(jobs[-1])):
            return _left_undone(place, self.asked, name, jobs)
        return self._after_another(place, jobs)

    def _after_another(self, place: Place, jobs: list[View]) -> result.Outcome | None:
        """Not answered yet: another runner will."""
        self.restarted = True
        successor(place, self.sent, tuple(jobs))
        return None


def _failed(job: View) -> bool:
    end = job_end(job)
    return end is not None and end["type"] == "Failed" and end.get("reason") == "BackoffLimitExceeded"


def _left_undone(place: Place, asked: Asked, name: str, jobs: list[View]) -> result.Outcome:
    end = job_end(jobs[-1]) if jobs else None
    why = ": ".join(part for part in ((end or {}).get("reason", ""), (end or {}).get("message", "")) if part)
    what = f"job.batch/{jobs[-1].name} ended before {asked.verb} was done" + (f" ({why})" if why else "") if jobs else "its Job was deleted"
    again = "Run the same command again: another runner goes on with it."
    return result.Outcome(Resumable.exit_code, f"{migration_resource(name)}: {what}", (again,))


def _final(place: Place, asked: Asked, migration: result.Object) -> result.Outcome:
    """Its answer is not `accepted` any more, and its runner has gone home."""
    record, name = record_of(migration), migration["metadata"]["name"]
    message, finished = str(record.last_request.get("message", "")), record.last_request.get("outcome") == FINISHED
    over = outcome(place, migration)
    if asked.verb == RESUME and over is not None:
        return over
    code = 0 if finished else max(over.exit_code if over is not None else 0, Resumable.exit_code)
    words = f"{asked.verb} {'done' if finished else 'failed'}"
    steps = over.advice if over is not None else ()
    if not finished and asked.verb == CLEANUP:
        steps = ("Remove the cause, then run the same command again.",)
    return result.Outcome(code, f"{migration_resource(name)} is {record.phase}, {words}: {message}", steps)
