"""The only printers. Results go to stdout; notes, hints and errors to stderr, so that output can be piped.

What a printer needs it imports when it prints: the tables know records and plans, whose import takes longer than all of --help.
"""
from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import singledispatch

import click

from ...errors import UsageError, VolresizeError
from .. import result
from . import objects, sentences


def show(outcome: result.Result) -> int:
    """Prints a Result and returns the exit code."""
    _notes(outcome)
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
        if change.diff:
            print(change.diff)
    _next_steps(outcome.next_steps)
    return outcome.exit_code


@_show.register
def _listed(outcome: result.Listing) -> int:
    from .tables import listing

    if outcome.output in (result.TEXT, result.WIDE):
        _out(listing(outcome))
    else:
        _out(objects.text(list(outcome.migrations), outcome.output, as_list=True))
    return outcome.exit_code


@_show.register
def _detailed(outcome: result.Details) -> int:
    from .tables import details

    assert outcome.migration is not None
    if outcome.output not in (result.TEXT, result.WIDE):
        _out(objects.text([outcome.migration], outcome.output))
        return outcome.exit_code
    _out(details(outcome))
    _next_steps(outcome.next_steps)
    return outcome.exit_code


@_show.register
def _planned(outcome: result.Planned) -> int:
    from . import planned

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
        _out(objects.text([objects.answer("Version", version=outcome.version, image=outcome.image, imageFrom=outcome.image_from)], outcome.output))
    return outcome.exit_code


@_show.register
def _printed(outcome: result.Printed) -> int:
    sys.stdout.write(outcome.text)
    return outcome.exit_code


@_show.register
def _followed(outcome: result.Following) -> int:
    from .log import LogPrinter

    raw, end = outcome.output == result.JSON, None
    code = _before(outcome.before, raw) if outcome.before is not None else 0
    on_terminal = outcome.look is not None and sys.stdout.isatty() and not raw and os.environ.get("TERM") != "dumb"
    try:
        with _view(outcome) if on_terminal else nullcontext():
            # Within: the view puts what is written to these two above itself.
            printer = LogPrinter(sys.stdout, sys.stderr, raw, on_terminal)
            try:
                for item in outcome.items:
                    if isinstance(item, result.Outcome):
                        code, end = item.exit_code, item
                    else:
                        printer.show(item)
            finally:
                printer.close()
    except KeyboardInterrupt:
        for line in outcome.interrupted:
            LogPrinter(sys.stdout, sys.stderr).show(result.Notice(line))
        raise
    if end is not None and end.exit_code and raw:
        print(objects.compact(objects.ended(end)), flush=True)
    if end is not None:
        # Below the view, which stays.
        LogPrinter(sys.stdout, sys.stderr).show(end)
    return code


def _before(outcome: result.Result, raw: bool) -> int:
    """What stands above a stream; in a stream of documents, one line as they."""
    if not raw or not isinstance(outcome, result.Changes):
        return show(outcome)
    _notes(outcome)
    print(objects.line([change.object for change in outcome.changes]), flush=True)
    return outcome.exit_code


def _view(outcome: result.Following) -> AbstractContextManager[object]:
    from .live import LiveView

    assert outcome.look is not None
    return LiveView(outcome.look)


def show_error(error: VolresizeError, output: str = result.TEXT) -> None:
    """A sentence for people; with an output for programs also an object for them, which in JSON is one line, since it may end a stream of lines."""
    if output == result.JSON:
        print(objects.compact(objects.failure(error)), flush=True)
    elif output == result.YAML:
        _out(objects.text([objects.failure(error)], output))
    message, hint = sentences.sentence(error)
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(hint, file=sys.stderr)


def show_usage_error(error: click.ClickException, output: str = result.TEXT) -> None:
    if output in (result.JSON, result.YAML):
        show_error(UsageError(error.format_message()), output)
        return
    print(f"error: {error.format_message()}", file=sys.stderr)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print(f"see '{error.ctx.command_path} --help'", file=sys.stderr)


def _notes(outcome: result.Result) -> None:
    for note in outcome.notes:
        print(note, file=sys.stderr)


def _next_steps(lines: tuple[str, ...]) -> None:
    if lines:
        print()
    for line in lines:
        print(line)


def _out(text: str) -> None:
    if text:
        print(text)
