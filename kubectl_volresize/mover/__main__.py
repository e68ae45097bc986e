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
from . import finish, kernel, measure, scan
from .failures import BadUsage, InputOutput, Interrupted, MoverFailure, of_os_error
from .passes import FINAL, FULL, MOST_WARM_PASSES, WARM, Move, Options
from .report import Reporter

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one copy or measurement; returns the exit code of the contract (DESIGN section 9)."""
    parsed = _parser().parse_args(arguments)
    reporter = Reporter(parsed.report, speaks=parsed.progress)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    os.umask(0o077)
    # Millions of small values, none in a cycle: walking them again and again costs a fifth of the time.
    gc.disable()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        _be_nice(parsed.nice, parsed.ionice)
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
    move = Move(_options(parsed), reporter)
    if parsed.check:
        move.compare()
    else:
        signal.signal(signal.SIGUSR1, lambda number, frame: move.word.signalled())
        move.run()
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
    if rate < 0:
        raise BadUsage(f"--bwlimit {parsed.bwlimit}: a rate is not negative")
    several = final_file is not None or parsed.passes is not None
    if several and parsed.kind is not None:
        raise BadUsage("--pass is one pass; --passes and --final-when are several")
    unknown = sorted(set(parsed.accept) - set(finish.LOSSES))
    if unknown:
        raise BadUsage(f"--accept {','.join(unknown)}: choose from {', '.join(finish.LOSSES)}")
    return Options(parsed.source, parsed.dest, None if several else WARM if parsed.kind == WARM else FULL, final_file, prefix,
                   MOST_WARM_PASSES if parsed.passes is None else parsed.passes, rate, parsed.head_room, parsed.settle,
                   parsed.verify == "content", frozenset(parsed.accept))


def _demand_apart(source: str, dest: str) -> None:
    if _holds(source, dest) or _holds(dest, source):
        raise BadUsage(f"{dest} and {source} are the same directory, or one holds the other")
    if inside := kernel.mounts_below(dest):
        raise BadUsage(f"{inside[0]} is mounted inside {dest}: what is there would be deleted or copied over; unmount it")


def _holds(upper: str, lower: str) -> bool:
    """By identity and not by name, which a bind mount changes."""
    try:
        top = os.stat(upper)
        path = os.path.realpath(lower)
        while not os.path.samestat(top, os.stat(path)):
            if path == "/":
                return False
            path = os.path.dirname(path)
        return True
    except OSError:
        # One is not there, which is said in other words.
        return False


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once: a second signal must not cut the cleaning up short.
    _silence_signals()
    raise Interrupted(f"stopped by {signal.Signals(number).name}", number)


def _silence_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _nothing() -> None:
    return


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 10**6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds, 0 or more")
    return seconds


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more")
    return int(text)


def _be_nice(nice: int, disk: str | None) -> None:
    """To the application that is still running."""
    os.nice(nice)
    if disk is not None:
        kernel.set_io_priority(*((3, 0) if disk == "idle" else (2, int(disk))))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mover", description="Copy a volume exactly and prove it. Writes JSON lines to stdout.",
                                     epilog="Exit codes: 0 verified equal; 2 usage; 20 no room; 21 something cannot be reproduced; 22 the copy "
                                     "differs; 23 the source changed; 24 input or output failed; 128+n stopped by signal n; rclone's own "
                                     "when rclone failed.")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("dest", metavar="DEST", nargs="?")
    parser.add_argument("--measure", action="store_true", help="count what SOURCE holds, copy nothing")
    parser.add_argument("--check", action="store_true", help="compare SOURCE and DEST, copy nothing")
    parser.add_argument("--pass", dest="kind", choices=(WARM, FINAL),
                        help="one pass: of a SOURCE in use, or of one that nobody writes to (default final)")
    parser.add_argument("--passes", metavar="N", type=_number, help="up to N passes of a SOURCE in use, then wait for SIGUSR1 or "
                        f"--final-when, then the final one (default with --final-when: {MOST_WARM_PASSES})")
    parser.add_argument("--final-when", metavar="FILE=PREFIX", help="copy while SOURCE is in use, then wait until FILE begins with PREFIX")
    parser.add_argument("--verify", choices=("content", "metadata"), default="content",
                        help="metadata: take files of equal size and mtime as equal, and do not read back what was copied (default content)")
    parser.add_argument("--accept", metavar="WHAT", type=lambda text: text.split(","), default=[],
                        help=f"do not fail when DEST cannot keep these, only report them: {', '.join(finish.LOSSES)}")
    parser.add_argument("--bwlimit", metavar="RATE", help="bytes a second, such as 50Mi, except in the final pass")
    parser.add_argument("--nice", metavar="N", type=_number, default=0, help="lower the priority for the processor, 0 to 19")
    parser.add_argument("--ionice", metavar="CLASS", choices=("idle", *map(str, range(8))),
                        help="priority for the disk: idle, or best effort 0 (first) to 7")
    parser.add_argument("--report", metavar="FILE", help="write the whole report there")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction, default=True, help="a line every second (default on)")
    parser.add_argument("--head-room", metavar="PERCENT", type=_number, default=0, help="room that must be left, in percent of the data (default 0)")
    parser.add_argument("--settle", metavar="SECONDS", type=_seconds, default=10.0,
                        help="content read before the stop is trusted only in files untouched for that long (default 10)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
