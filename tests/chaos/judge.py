"""What was acknowledged against what is there. Pure: it is given both, and says each difference in one line. Acknowledgements are facts, the rest is
possible: a change that stands in the journal and was never acknowledged may have happened or not, whole."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import recorder

LOST, TORN, RESURRECTED, DOUBLED = "lost", "torn", "resurrected", "doubled"
_TOP = {recorder.COLD, recorder.FILES, recorder.LINKS, recorder.JOURNAL, recorder.BLOCK_FILE, recorder.LIFE}
# Of the file system itself.
_ANYWAY = {"lost+found"}


@dataclass(frozen=True)
class Record:
    """One change: `key` is LIFE.NUMBER, unique for ever."""

    key: str
    operation: str
    subject: str

    @property
    def life(self) -> str:
        return self.key.partition(".")[0]

    @property
    def number(self) -> int:
        return int(self.key.partition(".")[2])

    def __str__(self) -> str:
        return f"{self.key} {self.operation} {self.subject}"


def record(text: str) -> Record:
    key, operation, subject = text.split(" ")
    return Record(key, operation, subject)


@dataclass(frozen=True)
class Finding:
    """`kind` of damage, `what` it hit."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass
class _Journal:
    """The whole records in their order, and what is wrong with it as a file."""

    records: list[Record] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def judge(acknowledged: Iterable[str], found: dict[str, Any]) -> list[Finding]:
    """Every acknowledged change ("KEY OPERATION SUBJECT") that `found` (recorder.look) does not bear out, and what nobody wrote; empty is good."""
    facts = {text: record(text) for text in acknowledged}
    journal = _journal(found["journal"])
    written = {str(entry) for entry in journal.records}
    findings = [*journal.findings, *(Finding(LOST, f"journal record {text}") for text in facts if text not in written)]
    # Of a record that the journal lost its change is still a fact, the last one on its subject.
    history = [*journal.records, *(entry for text, entry in facts.items() if text not in written)]
    return [*findings, *_blocks(history, facts, found["blocks"]), *_paths(history, facts, found["files"]), *_cold(found["files"]),
            *(Finding(DOUBLED, f"{name}, which nobody wrote") for name in found["top"] if name not in _TOP | _ANYWAY),
            *(Finding(LOST, name) for name in sorted(_TOP - set(found["top"])))]


def _journal(lines: list[str]) -> _Journal:
    journal, seen = _Journal(), set()
    *whole, last = lines
    if last:
        journal.findings.append(Finding(TORN, f"journal: its last line {last[:60]!r} has no end"))
    for line in whole:
        text = recorder.unsealed(line)
        if text is None:
            journal.findings.append(Finding(TORN, f"journal line {line[:60]!r}"))
        elif text in seen:
            journal.findings.append(Finding(DOUBLED, f"journal record {text}"))
        else:
            seen.add(text)
            journal.records.append(record(text))
    journal.findings += _gaps(journal.records)
    return journal


def _gaps(records: list[Record]) -> Iterator[Finding]:
    """Each was on the disk before the next one was written, acknowledged or not."""
    life, number = "", 0
    for entry in records:
        expected = number + 1 if entry.life == life else 1
        if entry.number != expected:
            yield Finding(LOST, f"journal: {entry.life}.{expected} is missing before {entry.key}")
        life, number = entry.life, entry.number


def _blocks(history: list[Record], facts: dict[str, Record], found: list[str]) -> Iterator[Finding]:
    possible: list[list[str]] = [["seed"] for _ in range(recorder.BLOCKS)]
    for entry in history:
        if entry.operation == recorder.OVERWRITE:
            block = int(entry.subject)
            possible[block] = [entry.key] if str(entry) in facts else [*possible[block], entry.key]
    if len(found) != recorder.BLOCKS:
        yield Finding(LOST, f"blocks: there are {len(found)} and not {recorder.BLOCKS}")
    for number, (key, keys) in enumerate(zip(found, possible)):
        if not key:
            yield Finding(TORN, f"block {number}, last written as {keys[0]}")
        elif key not in keys:
            yield Finding(LOST, f"block {number} as {keys[0]}: it is as {key} wrote it")


def _paths(history: list[Record], facts: dict[str, Record], found: dict[str, list[Any]]) -> Iterator[Finding]:
    possible: dict[str, set[bool]] = {}
    for entry in history:
        if entry.operation in (recorder.CREATE, recorder.LINK_TO, recorder.DELETE):
            there = entry.operation != recorder.DELETE
            possible[entry.subject] = {there} if str(entry) in facts else possible.get(entry.subject, {False}) | {there}
    for path, states in possible.items():
        if path not in found and states == {True}:
            yield Finding(LOST, path)
        elif path in found and states == {False}:
            yield Finding(RESURRECTED, path)
        elif path in found:
            yield from _file(path, found)
    for path in found:
        if path not in possible and not path.startswith(f"{recorder.COLD}/"):
            yield Finding(DOUBLED, f"{path}, which nobody wrote")


def _file(path: str, found: dict[str, list[Any]]) -> Iterator[Finding]:
    key, inode, links = found[path]
    folder, _, name = path.partition("/")
    if key != name:
        yield Finding(TORN, f"{path}: its content is not what was written")
    other = found.get(f"{recorder.LINKS if folder == recorder.FILES else recorder.FILES}/{name}")
    if other is None and links != 1 or other is not None and (links != 2 or other[1] != inode):
        yield Finding(DOUBLED, f"{path}: the hard link is a copy, or has one name too many")


def _cold(found: dict[str, list[Any]]) -> Iterator[Finding]:
    for number in range(recorder.COLD_FILES):
        path = f"{recorder.COLD}/{number:04}"
        if path not in found:
            yield Finding(LOST, path)
        elif found[path][0] != path or found[path][2] != 1:
            yield Finding(TORN, path)
    strange = [path for path in found if path.startswith(f"{recorder.COLD}/")]
    if len(strange) > recorder.COLD_FILES:
        yield Finding(DOUBLED, f"{len(strange) - recorder.COLD_FILES} files in {recorder.COLD}/ that nobody wrote")
