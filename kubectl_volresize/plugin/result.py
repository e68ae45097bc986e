"""What a verb hands up: frozen values, never text on a terminal. render/ is the only room that prints them."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..plan.findings import Finding
    from ..plan.outline import Action, Row

Object = dict[str, Any]

TEXT, WIDE, JSON, YAML, NAME = "text", "wide", "json", "yaml", "name"


@dataclass(frozen=True)
class Result:
    """`output`: one of the formats above. `notes`: sentences for stderr, such as warnings. `exit_code` as in errors.py."""

    output: str = TEXT
    notes: tuple[str, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True)
class Change:
    """One object and what was done with it: created, configured, unchanged, with `(dry run)` when it was not; `diff`: what
    changed in it, as `kubectl diff` shows it."""

    object: Object
    done: str
    diff: str = ""


@dataclass(frozen=True)
class Changes(Result):
    """Objects written. `next_steps`: sentences for people, printed with `text` only."""

    changes: tuple[Change, ...] = ()
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing(Result):
    """VolumeResizes as a table. `now`: seconds since the epoch, for ages; `everywhere`: of all namespaces."""

    migrations: tuple[Object, ...] = ()
    now: float = 0.0
    everywhere: bool = False


@dataclass(frozen=True)
class Details(Result):
    """One VolumeResize with all that its record says. `coming`: a Job works on it; `waiting`: why its runner does not run, if so; `next_steps` as in
    Changes."""

    migration: Object | None = None
    now: float = 0.0
    coming: bool = False
    waiting: str = ""
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned(Result):
    """What a migration would do, see plan/outline.py. `refused`: whether it would not start."""

    statefulset: str = ""
    namespace: str = ""
    migration: str = ""
    rows: tuple[Row, ...] = ()
    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    acknowledged: tuple[str, ...] = ()
    refused: bool = False


@dataclass(frozen=True)
class VersionInfo(Result):
    """`image_from`: where the image comes from, in words."""

    version: str = ""
    image: str = ""
    image_from: str = ""


@dataclass(frozen=True)
class Printed(Result):
    """Text that is printed as it is, for a file or another program."""

    text: str = ""


@dataclass(frozen=True)
class Preview:
    """What would be done, shown before the user is asked: sentences, a table, sentences."""

    lines: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


# -- what comes while a log is followed


@dataclass(frozen=True)
class LogLine:
    """One line as the runner wrote it."""

    text: str


@dataclass(frozen=True)
class Notice:
    """Something about the following itself (why a pod does not start, a lost connection); not part of the log."""

    text: str


@dataclass(frozen=True)
class Outcome:
    """How a migration ended. `exit_code` as in errors.py; `advice`: what to do next, a sentence each."""

    exit_code: int
    message: str
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A VolumeResize that says something else than before."""

    migration: Object


Item = LogLine | Notice | Outcome | Seen


@dataclass(frozen=True)
class Following(Result):
    """What comes, read while it is printed. `before` is printed first, `interrupted` on ^C; the exit code is that of the last Outcome in `items`.
    `look`: the VolumeResize as it is now, for a view of it on a terminal; called in a thread of its own."""

    items: Iterator[Item] = iter(())
    before: Result | None = None
    interrupted: tuple[str, ...] = ()
    look: Callable[[], Object | None] | None = None
