"""`submit`: checks a request, then creates the VolumeResize and the Job that carries it out, or says at once all that is against it."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ...errors import UsageError
from .. import result
from ..options import Where, cluster_options, dry_run_option, output_option, request_options
from ..order import Flags, order, place_of
from ..submission import NothingToDo, every_refusal, submit, what_no_job_could_judge
from .install import Installation, install
from ..watching import watched
from .logs import followed

_UNCHANGED = 3


@click.command("submit", short_help="Check a request, then start a Job that makes the volumes smaller")
@request_options
@click.option("--install", "with_install", is_flag=True, help="Install first what is missing in cluster and namespace, if you may")
@click.option("--follow", "following", is_flag=True, help="Then follow the log, like logs -f")
@click.option("--wait", "waiting", is_flag=True, help="Then watch it until it is over, like status --watch; the exit code is its outcome")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="With --wait or --follow: stop after this time, with exit code 124; the migration goes on")
@click.option("--validate", type=bool, default=True, metavar="BOOL",
              help="false: only say what speaks against it, and let the Job judge  [default: true]")
@click.option("--error-unchanged", is_flag=True, help="Exit with 3 when there is nothing to do")
@cluster_options
@dry_run_option
@output_option(result.TEXT, result.JSON, result.YAML, result.NAME)
def command(where: Where, with_install: bool, following: bool, waiting: bool, timeout: float | None, validate: bool, error_unchanged: bool,
            dry_run: str, output: str, **flags: Any) -> result.Result:
    """Check a request, then start a Job that makes the volumes of StatefulSet SET smaller

    Everything that speaks against it is said at once, and nothing is created then (exit code 4). Otherwise a VolumeResize and a Job are created;
    the Job does the work in the cluster, replica by replica, with the application running. Submitting the same again is harmless: what runs goes on,
    and a Job that is missing is created.

    The old volumes are kept. `cancel` stops it, `resume` goes on, `rollback` goes back to the old volumes, `cleanup` gives them up.

    \b
    kubectl volresize submit my-set --volume data=500Mi
    kubectl volresize submit sts/my-set --volume data=500Mi --volume wal=1Gi,storageClass=fast --follow
    kubectl volresize submit -f volumeresize.yaml
    """
    if (following or waiting) and dry_run != "none":
        raise UsageError(f"--{'follow' if following else 'wait'} has nothing to wait for with --dry-run")
    if following and waiting:
        raise UsageError("--follow and --wait do not go together: the one prints the log, the other does not")
    if timeout is not None and not (following or waiting):
        raise UsageError("--timeout needs --wait or --follow")
    ordered = order(Flags(**flags))
    place = place_of(where, ordered)
    installed = install(place, Installation(place.namespace, dry_run)) if with_install and dry_run != "client" else ()
    done = submit(place, ordered, dry_run, every_refusal if validate else what_no_job_could_judge)
    if isinstance(done, NothingToDo):
        return result.Changes(output=output, changes=installed, notes=(*done.warnings, str(done)), exit_code=_UNCHANGED if error_unchanged else 0)
    code = _UNCHANGED if error_unchanged and done.already_running else 0
    shown = result.Changes(output=output, notes=done.notes, changes=(*installed, *done.changes), exit_code=code)
    if following:
        return followed(place, done.name, timeout, output, before=shown)
    if waiting:
        return watched(place, done.name, timeout, output, before=shown)
    return replace(shown, next_steps=(f"Follow it: {place.command('logs', ordered.request.statefulset, '-f')}",) if dry_run == "none" else ())
