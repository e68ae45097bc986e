"""`logs`: what the runner says, now or until the migration is over."""
from __future__ import annotations

import time

import click

from ...errors import UsageError, VolresizeError
from ...model.objects import Pod
from .. import result
from ..completion import targets
from ..follow import Deadline, follow, tail
from ..job import runner_pods
from ..options import Time, Where, cluster_options, output_option
from ..outcome import advice
from ..place import Place, connect
from ..target import find
from ..watching import looking


class NotStarted(VolresizeError):
    """pod/{pod} has not started{why}"""

    hint = "wait for it: {command}"


@click.command("logs", short_help="Print or follow the log of a migration")
@click.argument("target", shell_complete=targets)
@cluster_options
@click.option("-f", "--follow", "following", is_flag=True, help="Follow until the migration is over; the exit code is its outcome")
@click.option("--timeout", type=Time(), metavar="DURATION",
              help="With -f: stop following after this time, with exit code 124")
@output_option(result.TEXT, result.JSON)
def command(where: Where, target: str, following: bool, timeout: float | None, output: str) -> result.Result:
    """Print or follow the log of a migration

    TARGET is a StatefulSet (its newest migration), sts/NAME or vr/NAME. ^C, a closed laptop and a broken connection change nothing: the work
    is done in the cluster, and -f can be run again at any time.

    \b
    Exit codes with -f: 0 completed; 4 refused, nothing was touched; 5 failed, safe to resume; 6 a human is needed;
    124 --timeout passed; 130 ^C.
    """
    if timeout is not None and not following:
        raise UsageError("--timeout needs -f")
    place = connect(where)
    migration = find(place, target)
    if following:
        return followed(place, migration["metadata"]["name"], timeout, output)
    return _printed(place, migration, output)


def followed(place: Place, name: str, timeout: float | None, output: str, before: result.Result | None = None) -> result.Following:
    """The log as it comes, after `before` was printed."""
    again = f"Follow it again: {place.command('logs', f'vr/{name}', '-f')}"
    return result.Following(output=output, before=before, items=follow(place, name, Deadline.after(timeout)), look=looking(place, name),
                            interrupted=("Stopped following; the migration goes on in the cluster.", again))


def _printed(place: Place, migration: result.Object, output: str) -> result.Result:
    name = migration["metadata"]["name"]
    pods = runner_pods(place, name)
    if pods and all(pod.phase == "Pending" for pod in pods):
        raise NotStarted(pod=pods[-1].name, why=_why(pods[-1]), command=place.command("logs", f"vr/{name}", "-f"))
    if pods:
        return result.Following(output=output, items=tail(place, name))
    note = "No log is left: the runner's pods are gone, or none has started yet. What is recorded:"
    if output == result.JSON:
        return result.Following(output=output, items=iter((result.Notice(note), result.Seen(migration))))
    return result.Details(output=output, notes=(note,), migration=migration, now=time.time(), next_steps=advice(place, migration))


def _why(pod: Pod) -> str:
    return f": {pod.why_not_running}" if pod.why_not_running else ""
