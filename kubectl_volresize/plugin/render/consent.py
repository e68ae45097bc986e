"""Asking the user before something that cannot be taken back. On stderr, as all that is no result, so that stdout can be piped."""
from __future__ import annotations

import sys

from ...errors import UsageError
from .. import result
from .tables import table


def show(preview: result.Preview) -> None:
    """What would be done."""
    for line in preview.lines:
        print(line, file=sys.stderr)
    if preview.rows:
        print(table(preview.header, preview.rows), file=sys.stderr)
    for line in preview.notes:
        print(line, file=sys.stderr)


def given(question: str, yes: bool) -> bool:
    """Whether the user agrees; `yes`: he has said so already. Raises UsageError when there is nobody to ask."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"no terminal to ask on: {question} Agree with --yes")
    # click.confirm would leave a blank on stdout.
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
