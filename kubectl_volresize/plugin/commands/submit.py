"""`submit`: checks a request, then creates the VolumeResize and the Job that carries it out, or says at once all that is against it."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ...errors import UsageError
from .. import result
from ..completion import statefulsets
from ..options import Where, cluster_options, dry_run_option, output_option
from ..order import Flags, Order, order
from ..place import Place, connect
from ..submission import NothingToDo, submit
from .install import Installation, install
from .logs import followed

_UNCHANGED = 3


@click.command("submit", short_help="Check a request, then start a Job that makes the volumes smaller")
@click.argument("statefulset", metavar="[SET]", required=False, shell_complete=statefulsets)
@click.option("--volume", "volumes", multiple=True, metavar="NAME=SIZE[,storageClass=CLASS]",
              help="volumeClaimTemplate and its new size, for example data=500Mi; may be repeated")
@click.option("-f", "--filename", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
              help="Manifest of a VolumeResize instead; - for stdin")
@click.option("--name", metavar="NAME", help="Name of the VolumeResize; by default the StatefulSet's, with a number from the second on")
@click.option("--image", metavar="IMAGE", help="Image of the runner and the pods that copy; by default VOLRESIZE_IMAGE, else the one of this version")
@click.option("--head-room", type=click.IntRange(0, 1000), metavar="PERCENT",
              help="Room that must be left beside the data on the new volume  [default: 10]")
@click.option("--bandwidth", metavar="QUANTITY", help="Upper limit of the copy's speed in bytes per second, for example 50M")
@click.option("--install", "with_install", is_flag=True, help="Install first what is missing in cluster and namespace, if you may")
@click.option("--follow", "following", is_flag=True, help="Then follow the log, like logs -f")
@click.option("--error-unchanged", is_flag=True, help="Exit with 3 when there is nothing to do")
@cluster_options
@dry_run_option
@output_option(result.TEXT, result.JSON, result.YAML, result.NAME)
def command(where: Where, with_install: bool, following: bool, error_unchanged: bool, dry_run: str, output: str, **flags: Any) -> result.Result:
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
    if following and dry_run != "none":
        raise UsageError("--follow has nothing to follow with --dry-run")
    ordered = order(Flags(**flags))
    place = _place(where, ordered)
    installed = install(place, Installation(place.namespace, dry_run)) if with_install and dry_run != "client" else ()
    done = submit(place, ordered, dry_run)
    if isinstance(done, NothingToDo):
        return result.Changes(output=output, changes=installed, notes=(*done.warnings, str(done)), exit_code=_UNCHANGED if error_unchanged else 0)
    code = _UNCHANGED if error_unchanged and done.already_running else 0
    shown = result.Changes(output=output, notes=done.notes, changes=(*installed, *done.changes), exit_code=code)
    if following:
        return followed(place, done.name, None, output, before=shown)
    return replace(shown, next_steps=(f"Follow it: {place.command('logs', ordered.request.statefulset, '-f')}",) if dry_run == "none" else ())


def _place(where: Where, ordered: Order) -> Place:
    """A manifest's namespace wins over the context's; one that contradicts -n is an error, as in kubectl."""
    if ordered.namespace and where.namespace and ordered.namespace != where.namespace:
        raise UsageError(f"the manifest's metadata.namespace {ordered.namespace!r} does not match -n {where.namespace}")
    return connect(replace(where, namespace=where.namespace or ordered.namespace))
