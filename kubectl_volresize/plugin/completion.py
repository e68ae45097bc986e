"""Shell completion: kubectl runs `kubectl_complete-volresize` with the words typed so far and the one being typed, and reads a candidate a line.

The last line, `:4`, tells kubectl's shells not to offer file names instead. Source: KEP-2379; kubectl pkg/cmd/plugin/plugin_completion.go.
"""
from __future__ import annotations

import signal
import sys

import click
from click.shell_completion import ShellComplete

from ..errors import VolresizeError
from ..model import labels
from .options import Where

_NO_FILES, _FILES = ":4", ":0"
# A cluster that does not answer must not hold the shell: the alarm ends us, and an exit other than 0 means no candidates.
_SECONDS = 3


def _chosen(ctx: click.Context) -> Where:
    """The cluster options typed so far."""
    root = ctx.find_root()
    names = ("namespace", "context", "kubeconfig", "request_timeout")
    before, here = (Where(**{name: params.get(name) for name in names}) for params in (root.params, ctx.params))
    return before.overridden_by(here)


def _names(path: str, ctx: click.Context) -> list[str]:
    from .place import connect

    try:
        return [obj["metadata"]["name"] for obj in connect(_chosen(ctx)).client.list(path)]
    except VolresizeError:
        # No cluster, no rights: there is nothing to offer, and nobody to tell.
        return []


def namespaces(ctx: click.Context, incomplete: str) -> list[str]:
    from ..kube import paths

    return [name for name in _names(paths.namespaces(), ctx) if name.startswith(incomplete)]


def _in_namespace(ctx: click.Context) -> str:
    from .place import connect

    return connect(_chosen(ctx)).namespace


def statefulsets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from ..kube import paths

    try:
        path = paths.statefulsets(_in_namespace(ctx))
    except VolresizeError:
        return []
    prefix, slash, _ = incomplete.rpartition("/")
    return [name for name in (prefix + slash + found for found in _names(path, ctx)) if name.startswith(incomplete)]


def volumes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For --volume: the volumeClaimTemplates of the set that was typed before, or of all; behind `storageClass=` the classes."""
    from ..kube import paths
    from .place import connect
    from .target import parse

    head, mark, started = incomplete.rpartition("storageClass=")
    if mark:
        return [f"{head}{mark}{name}" for name in _names(paths.storage_classes(), ctx) if name.startswith(started)]
    try:
        place = connect(_chosen(ctx))
        typed = ctx.params.get("statefulset")
        sets = [one for one in place.client.list(paths.statefulsets(place.namespace)) if not typed or one["metadata"]["name"] == parse(typed).name]
    except VolresizeError:
        return []
    found = {template["metadata"]["name"] for one in sets for template in one["spec"].get("volumeClaimTemplates") or []}
    return sorted(f"{name}=" for name in found if name.startswith(incomplete))


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """StatefulSets that have a migration, or after `vr/` the migrations themselves."""
    from ..kube import paths
    from .place import connect

    try:
        place = connect(_chosen(ctx))
        found = place.client.list(paths.migrations(place.namespace))
    except VolresizeError:
        return []
    prefix, slash, _ = incomplete.rpartition("/")
    by_name = prefix in ("vr", labels.KIND.lower())
    offered = {str(one["metadata"]["name"] if by_name else one["spec"]["statefulSetName"]) for one in found}
    return sorted(name for name in (prefix + slash + one for one in offered) if name.startswith(incomplete))


def candidates(words: list[str]) -> tuple[list[str], str]:
    """Completions of the last word, and kubectl's directive."""
    from .cli import PROGRAM, cli

    *before, incomplete = words or [""]
    found = ShellComplete(cli, {}, PROGRAM, "_VOLRESIZE_COMPLETE").get_completions(before, incomplete)
    wants_file = any(item.type in ("file", "dir") for item in found)
    lines = [item.value if not item.help else f"{item.value}\t{item.help}" for item in found if item.type == "plain"]
    return lines, _FILES if wants_file else _NO_FILES


def printed(words: list[str]) -> str:
    """A candidate a line, and the directive."""
    signal.alarm(_SECONDS)
    lines, directive = candidates(words)
    return "".join(f"{line}\n" for line in (*lines, directive))


def main() -> None:
    click.echo(printed(sys.argv[1:]), nl=False)
