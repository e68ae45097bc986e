"""Asking a runner for something: one annotation on the VolumeResize, guarded by its resourceVersion, and a Job when no runner is there to read it.

Asking again for the same goes on with what was asked for: whoever was interrupted only repeats his command.
"""
from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..errors import AlreadyExists, Conflict, Refused, VolresizeError
from ..kube import paths
from ..model import labels
from ..model.asked import CANCEL, CLEANUP, RESUME, ROLLBACK, Asked, unanswered
from ..model.objects import View
from ..model.record import Record, from_status
from ..model.request import from_spec
from ..plan.manifests import queue_of
from .image import image
from .job import may_work, next_job, queued, retired
from .life import ALIVE, QUEUED, Runner, look
from .place import Place
from .result import Change, Object
from .words import done, migration_resource


class NotPossible(Refused):
    """{name} {message}"""

    hint = "{what_to_do}"

    def __init__(self, name: str, message: str, what_to_do: str = "") -> None:
        super().__init__(message, name=migration_resource(name), what_to_do=what_to_do)


def refused(name: str, verb: str, reasons: list[str], what_to_do: str = "") -> NotPossible:
    """Every reason at once."""
    different = list(dict.fromkeys(reasons))
    lines = "".join(f"\n  {reason}" for reason in different)
    count = f"{len(different)} reason{'s' if len(different) > 1 else ''}"
    return NotPossible(name, f"cannot be {verb}, nothing was touched; {count}:{lines}", what_to_do)


class AlreadyAsked(Refused):
    """{name} was asked to {verb} before (request {id}), and that is not done yet"""

    hint = "wait for it, or go on with it: {command}"


class NoRunner(VolresizeError):
    """{name} was asked to {verb}, but the Job that does it could not be created: {message}"""

    hint = "run the same command again to create the Job alone"


T = TypeVar("T")
VERBS = (CANCEL, RESUME, ROLLBACK, CLEANUP)
_TRIES = 4  # a runner at work writes its record every 2 s
# Between a runner's last look at its VolumeResize and the moment when its pod is seen to have ended lie 3 s (measured).
_GOING_HOME_SECONDS = 15.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Sent:
    """`asked` None: nothing had to be asked for, a runner alone was missing. `old`: UIDs of pods whose log was said before, `present`: of those that
    were at work already; `notes`: sentences for the user."""

    migration: Object
    asked: Asked | None
    changes: tuple[Change, ...]
    old: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.migration["metadata"]["name"])


def record_of(migration: Object) -> Record:
    return from_status(migration.get("status") or {})


def being_deleted(migration: Object) -> bool:
    return bool(migration["metadata"].get("deletionTimestamp"))


def unchanged(migration: Object, *notes: str) -> Sent:
    return Sent(migration, None, (Change(migration, "unchanged"),), notes=notes)


def persistently(place: Place, migration: Object, attempt: Callable[[Object], T]) -> T:
    """`attempt` with the VolumeResize, and from its start with a fresh one when somebody changed it before our write. Raises Conflict in the end."""
    for _ in range(_TRIES - 1):
        try:
            return attempt(migration)
        except AlreadyExists:
            raise
        except Conflict:
            migration = place.client.get(paths.migrations(place.namespace, migration["metadata"]["name"]))
    return attempt(migration)


def ask(place: Place, migration: Object, asked: Asked, dry_run: str = "none", spec: Object | None = None) -> Sent:
    """Writes the request, with `spec` amended, and starts a runner when none is at work. Raises AlreadyAsked, NoRunner, Conflict."""
    migration, asked, change = _write(place, migration, asked, dry_run, spec or {})
    runner = look(place, migration)
    if dry_run == "none" and record_of(migration).terminal:
        runner = _after_its_last_look(place, migration, asked, runner)
    return with_runner(place, Sent(migration, asked, (change,)), runner, dry_run)


def _after_its_last_look(place: Place, migration: Object, asked: Asked, runner: Runner) -> Runner:
    """What is over may still have a runner that goes home and reads no more, and a request that it leaves there nobody would ever answer. Either it
    answers, or it ends."""
    waited = 0.0
    while runner.state == ALIVE and waited < _GOING_HOME_SECONDS:
        time.sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
        now = place.client.get(paths.migrations(place.namespace, migration["metadata"]["name"]))
        if record_of(now).last_request.get("id") == asked.id:
            break
        runner = look(place, now)
    return runner


def new_request(verb: str, **args: Any) -> Asked:
    return Asked(secrets.token_hex(4), verb, args)


def _write(place: Place, migration: Object, asked: Asked, dry_run: str, spec: Object) -> tuple[Object, Asked, Change]:
    name = migration["metadata"]["name"]
    standing = pending_request(migration)
    if standing is not None and (standing.verb, standing.args) == (asked.verb, asked.args):
        migration = amended(place, migration, spec, dry_run) if spec else migration
        return migration, standing, Change(migration, f"{asked.verb} requested already")
    if standing is not None and (standing.verb == CLEANUP or standing == unanswered(View(migration), record_of(migration))):
        raise AlreadyAsked(name=migration_resource(name), verb=standing.verb or "something that cannot be read", id=standing.id,
                           command=place.command(standing.verb if standing.verb in VERBS else RESUME, f"vr/{name}"))
    written = amended(place, migration, spec, dry_run, {labels.REQUESTED: asked.to_annotation()})
    return written, asked, Change(written, done(f"{asked.verb} requested", dry_run))


def pending_request(migration: Object) -> Asked | None:
    """The request that is not answered, else the one that is being carried out."""
    record = record_of(migration)
    under_way = record.open_request
    if (waiting := unanswered(View(migration), record)) is not None or not under_way:
        return waiting
    return Asked(str(under_way["id"]), str(under_way["verb"]), under_way.get("args") or {})


def amended(place: Place, migration: Object, spec: Object, dry_run: str, annotations: dict[str, str] | None = None) -> Object:
    """The VolumeResize with these fields of its spec and these annotations, and with an image when somebody applied it without one. Raises Conflict
    when it is not any more as `migration` says."""
    meta, server = migration["metadata"], dry_run == "server"
    if not from_spec(migration["spec"]).image and not (spec.get("mover") or {}).get("image"):
        spec = {**spec, "mover": {**(spec.get("mover") or {}), "image": image(None, None, os.environ).name}}
    patch: Object = {"metadata": {"resourceVersion": meta["resourceVersion"]}}
    if annotations:
        patch["metadata"]["annotations"] = annotations
    if spec:
        patch["spec"] = spec
    if dry_run == "client":
        merged = {key: {**value, **spec[key]} if isinstance(value, dict) and key in spec else spec.get(key, value)
                  for key, value in {**spec, **migration["spec"]}.items()}
        return {**migration, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), **(annotations or {})}}, "spec": merged}
    return place.client.merge_patch(paths.migrations(place.namespace, meta["name"]), patch, dry_run=server)


def with_runner(place: Place, sent: Sent, runner: Runner, dry_run: str, anew: bool = False) -> Sent:
    """The same with a runner at work: a dead one's Job is retired, and the next is created. `anew`: also in the place of one that lives."""
    before = frozenset(pod.uid for pod in runner.pods)
    if runner.working and not anew and not (runner.state == QUEUED and at_once(sent)):
        working = frozenset(pod.uid for pod in runner.pods[-1:])
        return replace(sent, old=before - working, present=working)
    return replace(sent, changes=(*sent.changes, *successor(place, sent, runner.jobs, dry_run)), old=before)


def successor(place: Place, sent: Sent, jobs: tuple[View, ...], dry_run: str = "none") -> tuple[Change, ...]:
    """The next Job, and those before it retired. Two runners must not be at work; but one that waits in a queue is given up only for another. Raises
    NoRunner."""
    changes = [retired(place, job, dry_run) for job in jobs if may_work(job) and not queued(job)]
    changes.append(Change(start(place, sent, jobs, dry_run), done("created", dry_run)))
    return (*changes, *(retired(place, job, dry_run) for job in jobs if queued(job)))


def at_once(sent: Sent) -> bool:
    """What ends a migration takes no place in a queue: there may be none for hours."""
    return being_deleted(sent.migration) or (sent.asked is not None and sent.asked.verb != RESUME)


def start(place: Place, sent: Sent, jobs: tuple[View, ...], dry_run: str = "none") -> Object:
    """The next Job. Raises NoRunner."""
    queue = {} if at_once(sent) else queue_of(View(sent.migration).labels)
    job = next_job(from_spec(sent.migration["spec"]), sent.name, place.namespace, list(jobs), queue)
    if dry_run == "client":
        return job
    try:
        return place.client.create(paths.jobs(place.namespace), job, dry_run=dry_run == "server")
    except VolresizeError as error:
        raise NoRunner(error.fields.get("message") or error.message, name=migration_resource(sent.name),
                       verb=sent.asked.verb if sent.asked else "go on") from error
