"""`status`: how far a migration is, and what to do next."""
from __future__ import annotations

import time
from dataclasses import replace

import click

from ...errors import Forbidden, UsageError
from ...model import labels
from ...plan.leave import left_stopped
from .. import result
from ..asking import being_deleted, record_of
from ..completion import targets
from ..job import at_work, queued, restart_command, runner_jobs, runner_pods, waiting_for
from ..options import Time, Where, cluster_options, output_option
from ..outcome import advice
from ..place import Place, connect
from ..target import find
from ..watching import watched
from .list import listing


@click.command("status", short_help="Show how far migrations are, and what to do next")
@click.argument("target", required=False, shell_complete=targets)
@cluster_options
@click.option("-w", "--watch", "watching", is_flag=True, help="Watch TARGET until it is over; the exit code is its outcome")
@click.option("--timeout", type=Time(), metavar="DURATION",
              help="With --watch: stop watching after this time, with exit code 124")
@click.option("-A", "--all-namespaces", is_flag=True, help="List migrations of all namespaces")
@output_option(result.TEXT, result.WIDE, result.JSON, result.YAML, result.NAME)
def command(where: Where, target: str | None, watching: bool, timeout: float | None, all_namespaces: bool, output: str) -> result.Result:
    """Show how far migrations are, and what to do next

    TARGET is a StatefulSet (its newest migration), sts/NAME or vr/NAME. Without it, all migrations of the namespace are listed.

    On a terminal --watch shows all replicas and volumes, how far they are and for how long each was stopped; else a line each time that something
    else is to be said, and with -o json the VolumeResize as one line of JSON. ^C ends the watching alone.

    \b
    Exit codes with --watch: 0 completed; 4 refused, nothing was touched; 5 failed, safe to resume; 6 a human is needed;
    124 --timeout passed; 130 ^C.
    """
    if watching and (target is None or output not in (result.TEXT, result.JSON)):
        raise UsageError("--watch takes a TARGET, and -o text or json")
    if timeout is not None and not watching:
        raise UsageError("--timeout needs --watch")
    if target and all_namespaces:
        raise UsageError("TARGET and -A do not go together: name the namespace with -n")
    place = connect(where)
    if target is None:
        return listing(place, all_namespaces, output)
    migration = find(place, target)
    if watching:
        return watched(place, migration["metadata"]["name"], timeout, output)
    return replace(_with_its_runner(place, migration), output=output, now=time.time())


def _with_its_runner(place: Place, migration: result.Object) -> result.Details:
    """Whether the runner is coming, why it does not run, and what the user does next."""
    name, over = migration["metadata"]["name"], (migration.get("status") or {}).get("phase") in labels.TERMINAL
    if over:
        return result.Details(migration=migration, next_steps=advice(place, migration))
    try:
        jobs, pods = runner_jobs(place, name), runner_pods(place, name)
    except Forbidden:
        # Who may read only the VolumeResize still sees all that is recorded.
        return result.Details(migration=migration, next_steps=advice(place, migration))
    if at_work(jobs):
        waiting, untouched = waiting_for(place, pods, jobs), not (migration.get("status") or {}).get("startTime")
        take_back = f"Take it back, nothing is touched yet: {place.kubectl('delete', f'volumeresize/{name}', f'job/{jobs[-1].name}')}"
        steps = advice(place, migration) + ((take_back,) if waiting and untouched else ())
        steps += _until_then(place, migration) if queued(jobs[-1]) else ()
        return result.Details(migration=migration, coming=True, waiting=waiting, next_steps=steps)
    start = f"Start one: {restart_command(place, name)}"
    return result.Details(migration=migration, waiting="no Job works on it", next_steps=(start,))


def _until_then(place: Place, migration: result.Object) -> tuple[str, ...]:
    """What should not wait for a place in a queue: a runner that was killed has let go of nothing."""
    stopped, end_it = left_stopped(record_of(migration)), place.command("cancel", f"vr/{migration['metadata']['name']}")
    if being_deleted(migration):
        return (f"It is being deleted, which ends only when its Job goes on; to end it now, in no queue: {end_it}",)
    if stopped is None:
        return ()
    return (f"Replica {stopped} is stopped until then, if its last runner was killed; to end that now, in no queue: {end_it}",)
