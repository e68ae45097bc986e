"""Options that several verbs share, named as kubectl names them."""
from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import click

from . import result

Command = Callable[..., Any]


@dataclass(frozen=True)
class Where:
    """-n, --context, --kubeconfig and --request-timeout (seconds, 0 for ever) as the user gave them; None where he did not."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    request_timeout: float | None = None

    def overridden_by(self, later: Where) -> Where:
        """The same options given after the verb win over those before it."""
        said = {key: value for key, value in asdict(later).items() if value is not None}
        return replace(self, **said)

    def command(self, verb: str, *arguments: str, namespace: str | None = None) -> str:
        """`kubectl volresize VERB ARGUMENTS` against the same cluster, to be shown and pasted; with -n when `namespace` is given."""
        words = ["kubectl", "volresize", verb, *arguments]
        for option, value in (("-n", namespace), ("--context", self.context), ("--kubeconfig", self.kubeconfig)):
            words += [option, value] if value else []
        return " ".join(shlex.quote(word) for word in words)

    def kubectl(self, *arguments: str, namespace: str | None = None) -> str:
        """`kubectl ARGUMENTS` against the same cluster, to be shown and pasted."""
        words = ["kubectl", *arguments]
        for option, value in (("-n", namespace), ("--context", self.context), ("--kubeconfig", self.kubeconfig)):
            words += [option, value] if value else []
        return " ".join(shlex.quote(word) for word in words)


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A duration as kubectl takes it, a number of seconds or with units, as seconds."""

    name = "duration"
    _UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
        if "".join(number + unit for number, unit in parts) == text and parts:
            return sum(float(number) * self._UNITS[unit] for number, unit in parts)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        self.fail(f"{text!r} is no duration; write it like 30s or 1m", param, ctx)


class Time(Duration):
    """One that something is stopped after: not none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = super().convert(value, param, ctx)
        if seconds <= 0:
            self.fail(f"{str(value)!r} is no time", param, ctx)
        return seconds


def raw_cluster_options(function: Command) -> Command:
    """-n, --context, --kubeconfig and --request-timeout as parameters."""
    # Imported when a completion is asked for: it talks to the cluster.
    def namespaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from .completion import namespaces as found
        return found(ctx, incomplete)

    for decorate in (
            click.option("--request-timeout", metavar="DURATION", type=Duration(), help="Give up on an answer after this time: 5s, 1m; 0 for never"),
            click.option("--kubeconfig", metavar="FILE", help="Kubeconfig file to use", type=click.Path(dir_okay=False)),
            click.option("--context", metavar="NAME", help="Context of the kubeconfig to use"),
            click.option("-n", "--namespace", metavar="NAMESPACE", help="Namespace; by default the one of the context", shell_complete=namespaces)):
        function = decorate(function)
    return function


def cluster_options(function: Command) -> Command:
    """The same as one parameter `where`, merged with what stood before the verb."""
    @raw_cluster_options
    @click.pass_context
    @functools.wraps(function)
    def with_where(ctx: click.Context, /, namespace: str | None, context: str | None, kubeconfig: str | None, request_timeout: float | None,
                   **rest: Any) -> Any:
        before = ctx.obj if isinstance(ctx.obj, Where) else Where()
        return function(where=before.overridden_by(Where(namespace, context, kubeconfig, request_timeout)), **rest)
    return with_where


def output_option(*formats: str, default: str = result.TEXT) -> Callable[[Command], Command]:
    return click.option("-o", "--output", type=click.Choice(formats), default=default, show_default=True, help="Output format")


def dry_run_option(function: Command) -> Command:
    return click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none", show_default=True,
                        help="Only print what would be sent (client), or send it without keeping it (server)")(function)


def waiting_options(function: Command) -> Command:
    """--wait/--no-wait and --timeout of the verbs that ask a runner for something, as parameters `wait` and `timeout`."""
    for decorate in (
            click.option("--timeout", type=Time(), metavar="DURATION",
                         help="Stop waiting after this time, such as 90 (seconds) or 5m, with exit code 124; what was asked for goes on"),
            click.option("--wait/--no-wait", default=True, show_default=True, help="Follow the log until it is done, or only ask for it")):
        function = decorate(function)
    return function


def yes_option(function: Command) -> Command:
    return click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal to ask on")(function)


def _statefulsets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    # Imported when a completion is asked for: it talks to the cluster.
    from .completion import statefulsets as found
    return found(ctx, param, incomplete)


def set_argument(function: Command) -> Command:
    """The StatefulSet, as parameter `statefulset`."""
    return click.argument("statefulset", metavar="[SET]", required=False, shell_complete=_statefulsets)(function)


def sets_argument(function: Command) -> Command:
    """Several of them, by name or by their labels, as parameters `statefulsets` and `selector`."""
    function = click.option("-l", "--selector", metavar="SELECTOR", help="All StatefulSets with these labels instead of SET")(function)
    return click.argument("statefulsets", metavar="[SET]...", nargs=-1, shell_complete=_statefulsets)(function)


def request_options(function: Command) -> Command:
    """What shall become of a StatefulSet, as the fields of order.Flags but for its name."""
    def volumes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from .completion import volumes as found
        return found(ctx, param, incomplete)

    for decorate in (
            click.option("--acknowledge", "acknowledged", multiple=True, metavar="CODE[,CODE]",
                         help="Findings that you have read and accept, by their code; may be repeated"),
            click.option("--queue", metavar="NAME", help="LocalQueue of Kueue that lets the Job start, which is suspended until then"),
            click.option("--run-as-user", type=click.IntRange(1, 2**31 - 1), metavar="UID",
                         help="Copy as this user, not as root: for namespaces that enforce PodSecurity restricted, and files that all belong to it"),
            click.option("--bandwidth", metavar="QUANTITY", help="Upper limit of the copy's speed in bytes per second, for example 50M"),
            click.option("--head-room", type=click.IntRange(0, 1000), metavar="PERCENT",
                         help="Room that must be left beside the data on the new volume  [default: 10]"),
            click.option("--image", metavar="IMAGE",
                         help="Image of the runner and the pods that copy; by default VOLRESIZE_IMAGE, else the one of this version"),
            click.option("--name", metavar="NAME", help="Name of the VolumeResize; by default the StatefulSet's, with a number from the second on"),
            click.option("-f", "--filename", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
                         help="Manifest of a VolumeResize instead; - for stdin"),
            click.option("--volume", "volumes", multiple=True, metavar="NAME=SIZE[,storageClass=CLASS]", shell_complete=volumes,
                         help="volumeClaimTemplate and its new size, for example data=500Mi; may be repeated")):
        function = decorate(function)
    return function
