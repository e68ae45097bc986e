"""The only printers. Results go to stdout; notes, hints and errors to stderr, so that output can be piped."""
from __future__ import annotations

import sys
from functools import singledispatch

import click

from ...errors import VolresizeError
from .. import result
from . import objects, planned, sentences
from .log import LogPrinter
from .tables import details, listing


def show(outcome: result.Result) -> int:
    """Prints a Result and returns the exit code."""
    for note in outcome.notes:
        print(note, file=sys.stderr)
    return _show(outcome)


@singledispatch
def _show(outcome: result.Result) -> int:
    return outcome.exit_code


@_show.register
def _changes(outcome: result.Changes) -> int:
    changed = [change.object for change in outcome.changes]
    if outcome.output != result.TEXT:
        _out(objects.text(changed, outcome.output))
        return outcome.exit_code
    for change in outcome.changes:
        print(f"{objects.resource(change.object)} {change.done}")
    _next_steps(outcome.next_steps)
    return outcome.exit_code


@_show.register
def _listed(outcome: result.Listing) -> int:
    if outcome.output in (result.TEXT, result.WIDE):
        _out(listing(outcome))
    else:
        _out(objects.text(list(outcome.migrations), outcome.output, as_list=True))
    return outcome.exit_code


@_show.register
def _detailed(outcome: result.Details) -> int:
    assert outcome.migration is not None
    if outcome.output not in (result.TEXT, result.WIDE):
        _out(objects.text([outcome.migration], outcome.output))
        return outcome.exit_code
    _out(details(outcome))
    _next_steps(outcome.next_steps)
    return outcome.exit_code


@_show.register
def _planned(outcome: result.Planned) -> int:
    if outcome.output in (result.TEXT, result.WIDE):
        _out(planned.text(outcome))
    else:
        _out(objects.text([planned.as_object(outcome)], outcome.output))
    return outcome.exit_code


@_show.register
def _version(outcome: result.VersionInfo) -> int:
    if outcome.output == result.TEXT:
        print(f"kubectl-volresize v{outcome.version}\nimage {outcome.image} ({outcome.image_from})")
    else:
        _out(objects.text([{"version": outcome.version, "image": outcome.image, "imageFrom": outcome.image_from}], outcome.output))
    return outcome.exit_code


@_show.register
def _followed(outcome: result.Following) -> int:
    code = show(outcome.before) if outcome.before is not None else 0
    printer = LogPrinter(sys.stdout, sys.stderr, raw=outcome.output == result.JSON)
    try:
        for item in outcome.items:
            printer.show(item)
            if isinstance(item, result.Outcome):
                code = item.exit_code
    except KeyboardInterrupt:
        for line in outcome.interrupted:
            printer.show(result.Notice(line))
        raise
    finally:
        printer.close()
    return code


def show_error(error: VolresizeError) -> None:
    message, hint = sentences.sentence(error)
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(hint, file=sys.stderr)


def show_usage_error(error: click.ClickException) -> None:
    print(f"error: {error.format_message()}", file=sys.stderr)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print(f"see '{error.ctx.command_path} --help'", file=sys.stderr)


def _next_steps(lines: tuple[str, ...]) -> None:
    if lines:
        print()
    for line in lines:
        print(line)


def _out(text: str) -> None:
    if text:
        print(text)
