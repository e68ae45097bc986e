"""`kubectl volresize`: the group of verbs, and the one place where an error becomes a message and an exit code.

A verb's module is imported when its name is typed, and imports the API room only when it runs, so that help and completion stay fast.
"""
from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..errors import VolresizeError
from . import render
from .options import Where, raw_cluster_options
from .result import TEXT, Result

PROGRAM = "kubectl volresize"
INTERRUPTED = 130
# With what the list says of each, so that it needs none of them (tests/plugin/test_cli.py compares).
VERBS = {
    "install": "Install what migrations need: the VolumeResize kind, roles, policies, and one namespace's account",
    "plan": "Show what a migration would do, and what speaks against it",
    "submit": "Check a request, then start a Job that makes the volumes smaller",
    "logs": "Print or follow the log of a migration",
    "status": "Show how far migrations are, and what to do next",
    "list": "List migrations",
    "cancel": "Stop a migration at the next safe point",
    "resume": "Go on with a migration that failed, was cancelled or lost its runner",
    "rollback": "Put migrated replicas back on the volumes that they had before",
    "cleanup": "Remove the volumes that were kept as the way back",
    "uninstall": "Remove what `install` made; refuses while a migration runs",
    "completion": "Print the program that completes this plugin's commands in a shell",
    "version": "Show the version of the plugin and the image that it uses",
}


class _Verbs(click.Group):
    """Verbs by module name in commands/; listed in the order in which they are used."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        verbs = [CompletionItem(name, help=said) for name, said in VERBS.items() if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"{__package__}.commands.{cmd_name}").command
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@raw_cluster_options
@click.pass_context
def cli(ctx: click.Context, /, **where: Any) -> None:
    """Make the volumes of a running StatefulSet smaller, one replica at a time

    \b
    kubectl volresize install -n NAMESPACE                      once, by an admin
    kubectl volresize plan my-set --volume data=500Mi           what would be done, and what speaks against it
    kubectl volresize submit my-set --volume data=500Mi         check, then start a Job that does the work
    kubectl volresize logs my-set -f                            follow it; ^C changes nothing
    kubectl volresize cancel my-set                             stop it at the next safe point; resume goes on
    kubectl volresize rollback my-set                           go back to the old volumes, which are kept
    kubectl volresize cleanup my-set                            give the old volumes up
    """
    ctx.obj = Where(**where)


def _output(arguments: list[str]) -> str:
    """What -o asks for, also where the arguments are too wrong for click to say it; the last one counts."""
    found = TEXT
    for word, following in zip(arguments, [*arguments[1:], ""]):
        # Behind those that take no value: -Ao json.
        if (asked := re.fullmatch(r"--output(?:=(.*))?|-[Awyf]*o(.*)", word)) is not None:
            found = asked[1] or asked[2] or following
    return found


def run(arguments: list[str]) -> int:
    """Exit code of one invocation; everything is printed by then."""
    try:
        # kubectl takes -o=json too (pflag); click would take the sign for a part of the value.
        return _run([re.sub(r"^(-[Awyf]*[onlf])=", r"\1", word) for word in arguments])
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`). What is still buffered must not raise again when the interpreter closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: list[str]) -> int:
    try:
        outcome = cli.main(arguments or ["--help"], prog_name=PROGRAM, standalone_mode=False)
        return render.show(outcome) if isinstance(outcome, Result) else int(outcome or 0)
    except VolresizeError as error:
        render.show_error(error, _output(arguments))
        return error.exit_code
    except click.ClickException as error:
        render.show_usage_error(error, _output(arguments))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED


def main() -> None:
    sys.exit(run(sys.argv[1:]))
