"""What the demonstration found, as two tables and a list of promises, each kept or broken."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence

from timeline import Span, Swap

ABSENT_SECONDS = 0.2
FROZEN_SECONDS = 3.0


@dataclass(frozen=True)
class Volume:
    """One volume of one replica at one moment. `size_kib`: of the file system, as df shows it in the pod; `digest`: over all that it holds but the
    journal; `entries`: the same, one JSON line each; `journal`: what hack/manifest.py says of it."""

    pod: str
    name: str
    claim: str
    requested: str
    persistent_volume: str
    size_kib: int
    digest: str
    entries: tuple[str, ...] = field(repr=False)
    allocated: int
    lines: int
    sum: str
    sum_before: str = ""
    longest_pause: float = 0.0


@dataclass(frozen=True)
class Replica:
    """What a bystander saw of one pod during the migration. `swaps`: those of its set that began while it was not Ready; `silent`: the longest pause
    between two lines of its journal, in seconds; `lives`: pods that bore the name."""

    pod: str
    not_ready: tuple[Span, ...]
    swaps: tuple[Swap, ...]
    silent: float
    lives: int
    restarts: int

    @property
    def frozen(self) -> float:
        return sum(swap.frozen.seconds for swap in self.swaps)

    @property
    def absent(self) -> float:
        return sum(swap.absent.seconds for swap in self.swaps)


@dataclass(frozen=True)
class Promise:
    text: str
    kept: bool
    detail: str = ""

    def __str__(self) -> str:
        return f"{'kept  ' if self.kept else 'BROKEN'}  {self.text}" + (f": {self.detail}" if self.detail else "")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as kubectl prints them."""
    cells = [list(head)] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells)


def volume_table(before: Sequence[Volume], after: Sequence[Volume]) -> str:
    rows = [(old.pod, old.name, old.requested, new.requested, f"{old.size_kib >> 10} MiB", f"{new.size_kib >> 10} MiB", old.digest[:12],
             new.digest[:12], len(old.entries), f"{old.lines} -> {new.lines}") for old, new in zip(before, after)]
    return table(("REPLICA", "VOLUME", "CLAIM", "NEW", "DF IN POD", "NEW", "SHA256 BEFORE", "AFTER", "ENTRIES", "JOURNAL"), rows)


def replica_table(replicas: Sequence[Replica], kept_volumes: dict[str, str]) -> str:
    rows = [(seen.pod, f"{sum(span.seconds for span in seen.not_ready):.2f} s", f"{seen.silent:.2f} s", f"{seen.frozen:.3f} s",
             f"{seen.absent:.3f} s", seen.lives - 1, seen.restarts, kept_volumes[seen.pod]) for seen in replicas]
    return table(("REPLICA", "NOT READY", "SILENT", "SET FROZEN", "SET ABSENT", "REPLACED", "RESTARTS", "OLD VOLUME"), rows)


def content_promises(before: Sequence[Volume], after: Sequence[Volume], resized: str, size: str) -> list[Promise]:
    """That the right volumes changed, and nothing in them."""
    promises = []
    for old, new in zip(before, after):
        label = f"{old.pod}, {old.name}"
        changed = sorted(set(old.entries) ^ set(new.entries))
        promises.append(Promise(f"{label}: every entry is exactly as it was", old.digest == new.digest, "; ".join(changed[:4])))
        promises.append(Promise(f"{label}: holes are still holes", new.allocated <= old.allocated * 1.01,
                                f"{old.allocated} bytes on disk before, {new.allocated} after"))
        promises.append(Promise(f"{label}: the journal goes on where it was", new.lines > old.lines and new.sum_before == old.sum,
                                f"{old.lines} lines before, {new.lines} after, none missing" if new.sum_before == old.sum else "another journal"))
        if old.name == resized:
            promises.append(Promise(f"{label}: smaller, also for df", new.requested == size and new.size_kib < old.size_kib))
        else:
            promises.append(Promise(f"{label}: left alone", (new.requested, new.persistent_volume) == (old.requested, old.persistent_volume)))
    return promises


def time_promises(replicas: Sequence[Replica]) -> list[Promise]:
    """That the set was hardly away, and that one pod at a time was."""
    promises = []
    for seen in replicas:
        promises.append(Promise(f"{seen.pod}: the set was exchanged once, frozen", [swap.by_freeze for swap in seen.swaps] == [True],
                                f"{len(seen.swaps)} in all"))
        promises.append(Promise(f"{seen.pod}: the set was absent for at most {ABSENT_SECONDS} s", seen.absent <= ABSENT_SECONDS,
                                f"{seen.absent:.3f} s"))
        promises.append(Promise(f"{seen.pod}: the set was frozen for at most {FROZEN_SECONDS:g} s", seen.frozen <= FROZEN_SECONDS,
                                f"{seen.frozen:.3f} s"))
        promises.append(Promise(f"{seen.pod}: stopped once, for its own volumes only", (seen.lives, seen.restarts, len(seen.not_ready)) == (2, 0, 1),
                                f"replaced {seen.lives - 1} times, restarted {seen.restarts} times, not Ready {len(seen.not_ready)} times"))
    clashes = [f"{one.pod} and {other.pod}" for number, one in enumerate(replicas) for other in replicas[number + 1:]
               if any(mine.overlaps(theirs) for mine in one.not_ready for theirs in other.not_ready)]
    return promises + [Promise("never two replicas not Ready at a time", not clashes, ", ".join(clashes))]
