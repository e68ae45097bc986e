"""`uninstall`: takes away what `install` made, of one namespace or of the whole cluster; never while a migration runs."""
from __future__ import annotations

from collections.abc import Iterator

import click

from ...errors import NotFound, Refused
from ...kube import paths
from ...model import labels
from ...model.objects import View
from .. import result
from ..options import Where, cluster_options, dry_run_option, output_option
from ..place import Place, connect
from ..result import Change, Changes, Object
from ..words import done, migration_resource
from .install import CLUSTER_TEMPLATES, NAMESPACE_TEMPLATES

_OURS = "app.kubernetes.io/name=volresize,app.kubernetes.io/managed-by=kubectl-volresize"


class AtWork(Refused):
    """migrations are not over, nothing was removed: {message}"""

    hint = "wait for them, or stop them: kubectl volresize cancel TARGET -n NAMESPACE"


class RecordsWouldGo(Refused):
    """nothing was removed; with the kind go the records of {message}"""

    hint = "old volumes that they keep stay, but rollback and cleanup know them no more. First: kubectl volresize cleanup; or all the same: --yes"


@click.command("uninstall", short_help="Remove what `install` made; refuses while a migration runs")
@cluster_options
@click.option("-y", "--yes", is_flag=True, help="Also when the records of migrations that are over go with the kind")
@dry_run_option
@output_option(result.TEXT, result.YAML, result.JSON, result.NAME)
def command(where: Where, yes: bool, dry_run: str, output: str) -> Changes:
    """Remove what `install` made

    With -n: what one namespace had for migrations, its account and bindings. Without: all of it in the whole cluster, the VolumeResize kind and
    with it the records of all migrations included. StatefulSets, claims and volumes are not touched. Refused while a migration runs.

    \b
    kubectl volresize uninstall -n my-namespace
    kubectl volresize uninstall --yes
    """
    place = connect(where)
    _nobody_at_work(place, where.namespace)
    if where.namespace is None and dry_run == "none" and not yes and (found := _migrations(place, None)):
        raise RecordsWouldGo(", ".join(f"{migration_resource(one['metadata']['name'])} in {one['metadata']['namespace']}" for one in found))
    namespaces = [where.namespace] if where.namespace is not None else None
    changes = [Change(found, done("deleted", dry_run)) for found in _remove(place, namespaces, dry_run)]
    notes = () if changes else ("nothing is installed" + (f" in namespace {where.namespace}" if where.namespace else ""),)
    return Changes(output=output, changes=tuple(changes), notes=notes)


def _migrations(place: Place, namespace: str | None) -> list[Object]:
    try:
        return place.client.list(paths.migrations(namespace))
    except NotFound:
        return []


def _nobody_at_work(place: Place, namespace: str | None) -> None:
    """One that ended half-way needs its record, and a runner, as much as one that runs."""
    found = [one for one in _migrations(place, namespace)
             if (one.get("status") or {}).get("phase") not in labels.TERMINAL or labels.FINALIZER in View(one).finalizers]
    if found:
        raise AtWork(", ".join(f"{migration_resource(one['metadata']['name'])} in {one['metadata']['namespace']}" for one in found))


def _remove(place: Place, namespaces: list[str] | None, dry_run: str) -> Iterator[Object]:
    """In the opposite order of `install`."""
    for namespace in namespaces if namespaces is not None else _namespaces_with_us(place):
        yield from _delete(place, _rendered(NAMESPACE_TEMPLATES, namespace), dry_run)
        _take_prefix_away(place, namespace, dry_run)
    if namespaces is None:
        yield from _delete(place, _rendered(CLUSTER_TEMPLATES), dry_run)


def _rendered(templates: tuple[str, ...], namespace: str = "") -> list[Object]:
    from ...templates import render

    return [render(name, **({"namespace": namespace} if namespace else {})) for name in reversed(templates)]


def _namespaces_with_us(place: Place) -> list[str]:
    bound = place.client.list(paths.cluster_role_bindings(), _OURS)
    return sorted({str(subject["namespace"]) for one in bound for subject in one.get("subjects") or [] if subject.get("namespace")})


def _delete(place: Place, manifests: list[Object], dry_run: str) -> Iterator[Object]:
    for manifest in manifests:
        path = paths.of_object(manifest)
        found = place.client.find(path)
        if found is None:
            continue
        if dry_run != "client":
            place.client.delete(path, uid=found["metadata"]["uid"], dry_run=dry_run == "server")
        yield found


def _take_prefix_away(place: Place, namespace: str, dry_run: str) -> None:
    """The annotation that `install --image` left on the namespace."""
    found = place.client.find(paths.namespaces(namespace))
    if found is not None and labels.IMAGE_PREFIX in View(found).annotations and dry_run != "client":
        place.client.merge_patch(paths.namespaces(namespace), {"metadata": {"annotations": {labels.IMAGE_PREFIX: None}}}, dry_run=dry_run == "server")
