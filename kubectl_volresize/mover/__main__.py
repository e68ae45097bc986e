"""The command line of the mover, its signals and its exit code. The rest of the program is passes.py."""
from __future__ import annotations

import argparse
import gc
import os
import resource
import signal
import sys
from types import FrameType
from typing import Sequence

from ..errors import VolresizeError
from ..model.quantity import parse_bytes
from . import measure, scan
from .failures import BadUsage, InputOutput, Interrupted, MoverFailure, of_os_error
from .passes import Move, Options
from .report import Reporter

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one copy or measurement; returns the exit code of the contract (DESIGN section 9)."""
    parsed = _parser().parse_args(arguments)
    reporter = Reporter(parsed.report)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    os.umask(0o077)
    # Millions of small values, none in a cycle: walking them again and again costs a fifth of the time.
    gc.disable()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        _act(parsed, reporter)
    except MoverFailure as failure:
        reporter.failed(failure)
        return int(failure.code)
    except OSError as error:
        unexpected = of_os_error(error, str(error.filename or ""), "unexpected error at")
        reporter.failed(unexpected)
        return unexpected.code
    except MemoryError:
        reporter.failed(InputOutput("out of memory"))
        return InputOutput.code
    return 0


def _act(parsed: argparse.Namespace, reporter: Reporter) -> None:
    if parsed.measure:
        if parsed.dest is not None:
            raise BadUsage("--measure takes one directory")
        root = measure.open_root(parsed.source, "source")
        reporter.measured(measure.counts(root, scan.walk(root, _nothing), _nothing))
        return
    if parsed.dest is None:
        raise BadUsage("a source and a destination are needed")
    _demand_apart(parsed.source, parsed.dest)
    Move(_options(parsed), reporter).run()
    reporter.verified()


def _options(parsed: argparse.Namespace) -> Options:
    final_file, prefix = None, ""
    if parsed.final_when is not None:
        final_file, separator, prefix = parsed.final_when.partition("=")
        if not final_file or not separator:
            raise BadUsage("--final-when takes FILE=PREFIX")
    try:
        rate = parse_bytes(parsed.bwlimit) if parsed.bwlimit else 0
    except VolresizeError as error:
        raise BadUsage(f"--bwlimit: {error.message}") from error
    return Options(parsed.source, parsed.dest, final_file, prefix, rate, parsed.head_room, parsed.settle)


def _demand_apart(source: str, dest: str) -> None:
    here, there = os.path.realpath(source), os.path.realpath(dest)
    if here == there or there.startswith(here.rstrip("/") + "/") or here.startswith(there.rstrip("/") + "/"):
        raise BadUsage(f"{dest} and {source} are the same directory, or one holds the other")


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once: a second signal must not cut the cleaning up short.
    _silence_signals()
    raise Interrupted(f"stopped by {signal.Signals(number).name}", number)


def _silence_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _nothing() -> None:
    return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mover", description="Copy a volume exactly and prove it. Writes JSON lines to stdout.")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("dest", metavar="DEST", nargs="?")
    parser.add_argument("--measure", action="store_true", help="count what SOURCE holds, copy nothing")
    parser.add_argument("--report", metavar="FILE", help="write the whole report there")
    parser.add_argument("--final-when", metavar="FILE=PREFIX", help="copy while SOURCE is in use, then wait until FILE begins with PREFIX")
    parser.add_argument("--bwlimit", metavar="RATE", help="bytes a second, such as 50Mi, except in the final pass")
    parser.add_argument("--head-room", metavar="PERCENT", type=int, default=0, help="room that must be left, in percent of the data (default 0)")
    parser.add_argument("--settle", metavar="SECONDS", type=float, default=10.0,
                        help="content read before the stop is trusted only in files untouched for that long (default 10)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
