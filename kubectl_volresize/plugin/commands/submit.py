"""`submit`: checks a request, then creates the VolumeResize and the Job that carries it out, or says at once all that is against it."""
from __future__ import annotations

from typing import Any

import click

from ...errors import UsageError
from ...kube import paths
from .. import result
from ..options import Time, Where, cluster_options, dry_run_option, output_option, request_options, sets_argument
from ..order import Flags, Order, order, place_of
from ..place import Place, connect
from ..submission import NothingToDo, PreflightRefused, Stops, Submitted, every_refusal, submit, what_no_job_could_judge
from .install import Installation, install
from ..watching import watched
from .logs import followed

_UNCHANGED = 3


@click.command("submit", short_help="Check a request, then start a Job that makes the volumes smaller")
@sets_argument
@request_options
@click.option("--install", "with_install", is_flag=True, help="Install first what is missing in cluster and namespace, if you may")
@click.option("--follow", "following", is_flag=True, help="Then follow the log, like logs -f")
@click.option("--wait", "waiting", is_flag=True, help="Then watch it until it is over, like status --watch; the exit code is its outcome")
@click.option("--timeout", type=Time(), metavar="DURATION",
              help="With --wait or --follow: stop after this time, with exit code 124; the migration goes on")
@click.option("--validate", type=bool, default=True, metavar="BOOL",
              help="false: only say what speaks against it, and let the Job judge  [default: true]")
@click.option("--error-unchanged", is_flag=True, help="Exit with 3 when there is nothing to do")
@cluster_options
@dry_run_option
@output_option(result.TEXT, result.JSON, result.YAML, result.NAME)
def command(where: Where, statefulsets: tuple[str, ...], selector: str | None, with_install: bool, following: bool, waiting: bool,
            timeout: float | None, validate: bool, error_unchanged: bool, dry_run: str, output: str, **flags: Any) -> result.Result:
    """Check a request, then start a Job that makes the volumes of StatefulSet SET smaller

    Everything that speaks against it is said at once, and nothing is created then (exit code 4). Otherwise a VolumeResize and a Job are created;
    the Job does the work in the cluster, replica by replica, with the application running. Submitting the same again is harmless: what runs goes on,
    and a Job that is missing is created.

    The old volumes are kept. `cancel` stops it, `resume` goes on, `rollback` goes back to the old volumes, `cleanup` gives them up.

    \b
    kubectl volresize submit my-set --volume data=500Mi
    kubectl volresize submit sts/my-set --volume data=500Mi --volume wal=1Gi,storageClass=fast --follow
    kubectl volresize submit -f volumeresize.yaml
    kubectl volresize submit -l team=storage --volume data=500Mi      one VolumeResize and Job for each set; all or none

    \b
    Exit codes: 0 submitted, or nothing to do; 3 nothing to do, with --error-unchanged; 4 refused, nothing was created; with --wait and --follow
    also 5 failed, safe to resume; 6 a human is needed; 124 --timeout passed; 130 ^C.
    """
    if (following or waiting) and dry_run != "none":
        raise UsageError(f"--{'follow' if following else 'wait'} has nothing to follow with --dry-run")
    if (following or waiting) and output not in (result.TEXT, result.JSON):
        raise UsageError(f"--{'follow' if following else 'wait'} takes -o text or json")
    if following and waiting:
        raise UsageError("--follow and --wait do not go together: the one prints the log, the other does not")
    if timeout is not None and not (following or waiting):
        raise UsageError("--timeout needs --wait or --follow")
    place, orders = _ordered(where, statefulsets, selector, flags)
    if len(orders) > 1 and (following or waiting):
        raise UsageError(f"--{'follow' if following else 'wait'} takes one StatefulSet, not {len(orders)}")
    installed = install(place, Installation(place.namespace, dry_run)) if with_install and dry_run != "client" else ()
    stops = every_refusal if validate else what_no_job_could_judge
    if len(orders) > 1:
        # All of them are looked at before anything is created for one.
        _check_all(place, orders, stops)
    answers = [submit(place, ordered, dry_run, stops) for ordered in orders]
    shown = _shown(place, orders, answers, installed, dry_run, output, error_unchanged)
    name = next((done.name for done in answers if isinstance(done, Submitted)), None)
    if name is not None and following:
        return followed(place, name, timeout, output, before=shown)
    if name is not None and waiting:
        return watched(place, name, timeout, output, before=shown)
    return shown


def _ordered(where: Where, statefulsets: tuple[str, ...], selector: str | None, flags: dict[str, Any]) -> tuple[Place, list[Order]]:
    """One order for each StatefulSet. Raises UsageError."""
    if selector and (statefulsets or flags["filename"] or flags["name"]):
        raise UsageError("-l names the StatefulSets: SET, -f and --name do not go with it")
    if len(statefulsets) > 1 and (flags["filename"] or flags["name"]):
        raise UsageError(f"-f and --name are for one StatefulSet, not {len(statefulsets)}")
    if twice := sorted({one for one in statefulsets if statefulsets.count(one) > 1}):
        raise UsageError(f"{', '.join(twice)} is named twice")
    if not selector:
        orders = [order(Flags(statefulset=one, **flags)) for one in statefulsets or (None,)]
        return place_of(where, orders[0]), orders
    # Typos are found before a cluster is asked.
    order(Flags(statefulset="any", **flags))
    place = connect(where)
    found = [one["metadata"]["name"] for one in place.client.list(paths.statefulsets(place.namespace), selector)]
    if not found:
        raise UsageError(f"-l {selector}: no StatefulSet in namespace {place.namespace} has these labels")
    return place, [order(Flags(statefulset=one, **flags)) for one in found]


def _check_all(place: Place, orders: list[Order], stops: Stops) -> None:
    """Raises PreflightRefused with what speaks against each of them."""
    refused, found = [], []
    for ordered in orders:
        try:
            submit(place, ordered, "client", stops)
        except PreflightRefused as error:
            refused.append(f"{ordered.request.statefulset}: {error.message}")
            found += [{"statefulSet": ordered.request.statefulset, **one} for one in error.findings]
    if refused:
        raise PreflightRefused("\n".join(refused), found)


def _shown(place: Place, orders: list[Order], answers: list[NothingToDo | Submitted], installed: tuple[result.Change, ...], dry_run: str, output: str,
           error_unchanged: bool) -> result.Changes:
    notes: list[str] = []
    changes, steps, unchanged = [*installed], [], True
    for ordered, done in zip(orders, answers):
        if isinstance(done, NothingToDo):
            notes += [*done.warnings, str(done)]
            continue
        notes += done.notes
        changes += done.changes
        unchanged = unchanged and done.already_running
        steps.append(f"Follow it: {place.command('logs', ordered.request.statefulset, '-f')}")
    return result.Changes(output=output, notes=tuple(notes), changes=tuple(changes), exit_code=_UNCHANGED if error_unchanged and unchanged else 0,
                          next_steps=tuple(steps) if dry_run == "none" else ())
