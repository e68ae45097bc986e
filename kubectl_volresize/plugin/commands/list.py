"""`list`: all migrations of a namespace, or of all, one line each."""
from __future__ import annotations

import time

import click

from ...errors import NotFound
from ...kube import paths
from .. import result
from ..options import Where, cluster_options, output_option
from ..place import Place, connect
from ..target import NotInstalled, newest_first


@click.command("list", short_help="List migrations")
@cluster_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces")
@click.option("-l", "--selector", metavar="SELECTOR", default="", help="Only those that have these labels themselves, as for kubectl get")
@output_option(result.TEXT, result.WIDE, result.JSON, result.YAML, result.NAME)
def command(where: Where, all_namespaces: bool, selector: str, output: str) -> result.Listing:
    """List migrations, the newest first

    \b
    kubectl volresize list -A -o wide
    kubectl volresize list -l team=storage
    """
    return listing(connect(where), all_namespaces, output, selector)


def listing(place: Place, everywhere: bool, output: str, selector: str = "") -> result.Listing:
    """Raises NotInstalled."""
    try:
        found = place.client.list(paths.migrations(None if everywhere else place.namespace), selector)
    except NotFound as error:
        raise NotInstalled(command=place.command("install")) from error
    notes = () if found else ("No migrations found" + ("." if everywhere else f" in namespace {place.namespace}."),)
    return result.Listing(output=output, notes=notes, migrations=tuple(newest_first(found)), now=time.time(), everywhere=everywhere)
