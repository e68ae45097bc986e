"""`completion`: the program that kubectl asks for what can stand next; a package installs it, krew does not."""
from __future__ import annotations

import click

from .. import result

# kubectl looks for this name on PATH (pkg/cmd/plugin/plugin_completion.go).
_SCRIPT = """#!/bin/sh
# Completion of `kubectl volresize`, for a kubectl whose own completion is loaded. Put it on PATH, executable, as kubectl_complete-volresize.
exec kubectl-volresize completion words -- "$@"
"""


@click.command("completion", short_help="Print the program that completes this plugin's commands in a shell",
               context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> result.Result:
    """Print the program that completes this plugin's commands in a shell

    kubectl completes a plugin with a program kubectl_complete-PLUGIN on PATH. pip installs it; after `krew install`:

    \b
    kubectl volresize completion >~/.local/bin/kubectl_complete-volresize
    chmod +x ~/.local/bin/kubectl_complete-volresize
    """
    if words[:1] == ("words",):
        # Brings the whole tree of verbs with it.
        from ..completion import printed
        return result.Printed(text=printed(list(words[1:])))
    return result.Printed(text=_SCRIPT)
