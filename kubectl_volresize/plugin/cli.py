"""`kubectl volresize`: the group of verbs, and the one place where an error becomes a message and an exit code.

A verb's module is imported when its name is typed, and imports the API room only when it runs, so that help and completion stay fast.
"""
from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from ..errors import VolresizeError
from . import render
from .options import Where, raw_cluster_options
from .result import Result

PROGRAM = "kubectl volresize"
INTERRUPTED = 130
VERBS = ("install", "plan", "submit", "logs", "status", "list", "cancel", "resume", "rollback", "cleanup", "uninstall", "completion", "version")


class _Verbs(click.Group):
    """Verbs by module name in commands/; listed in the order in which they are used."""

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


def run(arguments: list[str]) -> int:
    """Exit code of one invocation; everything is printed by then."""
    try:
        outcome = cli.main(arguments or ["--help"], prog_name=PROGRAM, standalone_mode=False)
        return render.show(outcome) if isinstance(outcome, Result) else int(outcome or 0)
    except VolresizeError as error:
        render.show_error(error)
        return error.exit_code
    except click.ClickException as error:
        render.show_usage_error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`). What is still buffered must not raise again when the interpreter closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def main() -> None:
    sys.exit(run(sys.argv[1:]))
