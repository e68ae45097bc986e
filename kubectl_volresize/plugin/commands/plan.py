"""`plan`: what a migration would do and what speaks against it. Writes nothing, but for the pods of --measure."""
from __future__ import annotations

from typing import Any

import click

from ...errors import Refused
from ...model.request import from_spec
from ...plan import findings, outline, pending, preflight
from ...plan.findings import Finding
from .. import result, submission, target
from ..options import Where, cluster_options, output_option, request_options, set_argument
from ..measuring import measure
from ..order import Flags, Order, order, place_of
from ..place import Place


@click.command("plan", short_help="Show what a migration would do, and what speaks against it")
@set_argument
@request_options
@click.option("--measure", "measuring", is_flag=True,
              help="Count the data of each volume: starts a pod beside each replica, which reads only, and removes it again")
@cluster_options
@output_option(result.TEXT, result.WIDE, result.JSON, result.YAML)
def command(where: Where, measuring: bool, output: str, **flags: Any) -> result.Result:
    """Show what a migration would do, and what speaks against it

    Takes what `submit` takes, and changes nothing: reads the cluster and shows in which order the replicas of StatefulSet SET would be migrated,
    each object that would be created, changed or deleted, and everything that `submit` would refuse or warn of. Whether the data fits is known
    with --measure only; the Job counts it anyway, before it touches anything.

    \b
    kubectl volresize plan my-set --volume data=500Mi
    kubectl volresize plan -f volumeresize.yaml -o json

    \b
    Exit codes: 0 it would start, or nothing is to be done; 4 it would be refused.
    """
    ordered = order(Flags(**flags))
    place = place_of(where, ordered)
    with submission.forbidden_is_refused(place):
        return _planned(place, ordered, measuring, output)


def _planned(place: Place, ordered: Order, measuring: bool, output: str) -> result.Planned:
    missing: tuple[Finding, ...] = ()
    try:
        existing = target.migrations(place)
    except target.NotInstalled as error:
        existing, missing = [], (submission.kind_missing(error),)
    migration = submission.manifest(place, ordered, existing)
    name, request = migration["metadata"]["name"], from_spec(migration["spec"])
    cluster, found = submission.look(place, migration)
    found = (*missing, *found)
    known = cluster.statefulset is not None
    idle = pending.nothing_to_do(cluster, request)
    measured: outline.Measured = {}
    if measuring and known and not idle:
        measured = measure(place, cluster, request, name)
        found = (*found, *preflight.fit_findings(request, dict(measured)))
    refused = bool(findings.refusals(found, request.acknowledged))
    notes = submission.said((), cluster) + ((f"nothing to do: statefulset/{request.statefulset} has these sizes already",) if idle else ())
    return result.Planned(
        output=output, notes=notes, exit_code=Refused.exit_code if refused and not idle else 0, statefulset=request.statefulset,
        namespace=place.namespace, migration=name, rows=outline.rows(cluster, request, measured) if known else (),
        actions=outline.actions(cluster, request, name) if known and not idle else (), findings=found, acknowledged=request.acknowledged,
        refused=refused)
