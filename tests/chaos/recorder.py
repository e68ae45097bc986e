"""What runs in the application's pods: a writer that changes its volume in every way in which files change, and says so once it is on the disk.
Given to the pod as text; nothing but the standard library, and shared with the judge, which knows from here what each byte has to be.

Every change has a number of its own and stands in the journal before it is made: `LIFE.NUMBER OPERATION SUBJECT CHECKSUM`. A LIFE is one process of
the writer: counted on the volume, with a random part, so that a volume that went back in time cannot give the same name twice. The change is
acknowledged by the same line on stdout, after fsync of the file and its directory.

    python3 -c TEXT write ROOT      append, create and rename, overwrite in place, link, delete, for ever. SIGUSR1 pauses it, SIGUSR2 lets it go on.
    python3 -c TEXT look ROOT       what is on the volume, as JSON, while the writer pauses
"""
from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any

BLOCKS, BLOCK = 64, 4096
COLD_FILES, COLD_BYTES = 1000, 4000
COLD, FILES, LINKS, JOURNAL, BLOCK_FILE, LIFE = "cold", "files", "links", "journal", "blocks", "life"
APPEND, CREATE, OVERWRITE, LINK_TO, DELETE = "append", "create", "overwrite", "link", "delete"
BORN, DONE = "born", "done"
_UNFINISHED = ".new-"
_MOST_FILES = 150
_PAUSE = 0.02  # seconds between two changes; leaves a small machine some time for the migration
_PAUSED = "/tmp/paused"


# -- what each byte has to be


def sealed(text: str) -> str:
    """`text` with a checksum, as a line without its end."""
    return f"{text} {zlib.crc32(text.encode()):08x}"


def unsealed(line: str) -> str | None:
    """The text of a sealed line; None when it is not whole."""
    text, _, _ = line.rpartition(" ")
    return text if text and sealed(text) == line else None


def content(key: str, size: int | None = None) -> bytes:
    """Bytes that nobody else would write: the key, and what follows from it alone."""
    digest = hashlib.sha256(key.encode())
    size = size if size is not None else 40 + digest.digest()[0] * 12
    body = f"{key}\n".encode()
    while len(body) < size:
        digest.update(body[-32:])
        body += digest.digest()
    return body[:max(size, len(key) + 1)]


def key_of(body: bytes) -> str:
    """The key of some content; "" when it is not what its first line promises."""
    key = body.split(b"\n", 1)[0][:80].decode(errors="replace")
    return key if body == content(key, len(body)) and len(body) > len(key) else ""


# -- writing


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(path: str, body: bytes) -> None:
    """Whole or not at all."""
    folder, name = os.path.split(path)
    unfinished = os.path.join(folder, _UNFINISHED + name)
    with open(unfinished, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.rename(unfinished, path)
    _fsync(folder)


class Writer:
    """One life on the volume at `root`."""

    def __init__(self, root: str) -> None:
        self._root, self._number, self._ended, self._paused = root, 0, False, False
        self._random = random.Random()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGUSR1, self._pause)
        signal.signal(signal.SIGUSR2, self._go_on)
        self._prepare()
        self._life = self._next_life()
        self._blocks = os.open(self._at(BLOCK_FILE), os.O_RDWR)
        self._journal = os.open(self._at(JOURNAL), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        _fsync(self._root)
        self._say(f"{BORN} {self._life} {os.environ.get('POD_UID', 'unknown')}")
        while not self._ended:
            if self._paused:
                open(_PAUSED, "w").close()
                time.sleep(0.02)
            else:
                self._change()
                time.sleep(_PAUSE)

    def _end(self, *_: Any) -> None:
        self._ended = True

    def _pause(self, *_: Any) -> None:
        self._paused = True

    def _go_on(self, *_: Any) -> None:
        self._paused = False

    def _at(self, *parts: str) -> str:
        return os.path.join(self._root, *parts)

    def _say(self, text: str) -> None:
        sys.stdout.write(sealed(text) + "\n")
        sys.stdout.flush()

    def _prepare(self) -> None:
        """As a database does it that was killed: what was never acknowledged and is half there goes."""
        if not os.path.exists(self._at(LIFE)):
            self._seed()
        for folder in (FILES, LINKS):
            for name in os.listdir(self._at(folder)):
                if name.startswith(_UNFINISHED):
                    os.remove(self._at(folder, name))
        if os.path.exists(self._at(JOURNAL)):
            with open(self._at(JOURNAL), "rb+") as journal:
                whole = journal.read().rfind(b"\n") + 1
                journal.truncate(whole)
                os.fsync(journal.fileno())

    def _seed(self) -> None:
        for folder in (COLD, FILES, LINKS):
            os.makedirs(self._at(folder), exist_ok=True)
        for number in range(COLD_FILES):
            with open(self._at(COLD, f"{number:04}"), "wb") as file:
                file.write(content(f"{COLD}/{number:04}", COLD_BYTES))
        with open(self._at(BLOCK_FILE), "wb") as file:
            file.write(b"".join(content("seed", BLOCK) for _ in range(BLOCKS)))
        os.sync()

    def _next_life(self) -> str:
        number = 1
        if os.path.exists(self._at(LIFE)):
            with open(self._at(LIFE)) as file:
                number = int(file.read().partition("-")[0]) + 1
        life = f"{number}-{os.urandom(4).hex()}"
        _put(self._at(LIFE), life.encode())
        return life

    def _change(self) -> None:
        files, links = sorted(os.listdir(self._at(FILES))), sorted(os.listdir(self._at(LINKS)))
        linkable = sorted(set(files) - set(links))
        kind = self._random.choice((APPEND, CREATE, CREATE, CREATE, OVERWRITE, OVERWRITE, LINK_TO, DELETE))
        if len(files) + len(links) > _MOST_FILES:
            kind = DELETE
        key = f"{self._life}.{self._number + 1}"
        if kind == CREATE:
            self._make(CREATE, f"{FILES}/{key}")
        elif kind == LINK_TO and linkable:
            self._make(LINK_TO, f"{LINKS}/{self._random.choice(linkable)}")
        elif kind == DELETE and files + links:
            self._make(DELETE, self._random.choice([f"{FILES}/{name}" for name in files] + [f"{LINKS}/{name}" for name in links]))
        elif kind == OVERWRITE:
            self._make(OVERWRITE, str(self._random.randrange(BLOCKS)))
        else:
            self._make(APPEND, "-")

    def _make(self, kind: str, subject: str) -> None:
        self._number += 1
        key = f"{self._life}.{self._number}"
        record = f"{key} {kind} {subject}"
        os.write(self._journal, f"{sealed(record)}\n".encode())
        os.fsync(self._journal)
        if kind == CREATE:
            _put(self._at(subject), content(key))
        elif kind == LINK_TO:
            os.link(self._at(FILES, os.path.basename(subject)), self._at(subject))
            _fsync(self._at(LINKS))
        elif kind == DELETE:
            os.remove(self._at(subject))
            _fsync(os.path.dirname(self._at(subject)))
        elif kind == OVERWRITE:
            os.pwrite(self._blocks, content(key, BLOCK), int(subject) * BLOCK)
            os.fsync(self._blocks)
        self._say(f"{DONE} {record}")


# -- looking


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _files(root: str) -> Iterator[tuple[str, os.stat_result, str]]:
    """Path, stat and key of all that lies below the root's folders; a file that is not what it promises has the key ""."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if folder != root:
                yield os.path.relpath(path, root), os.lstat(path), key_of(_read(path))


def look(root: str) -> dict[str, Any]:
    """{journal: lines, blocks: keys, files: {path: [key, inode, links]}, top: names in the root}."""
    blocks = _read(os.path.join(root, BLOCK_FILE))
    return {"journal": _read(os.path.join(root, JOURNAL)).decode(errors="replace").split("\n"),
            "blocks": [key_of(blocks[at:at + BLOCK]) for at in range(0, len(blocks), BLOCK)],
            "files": {path: [key, seen.st_ino, seen.st_nlink] for path, seen, key in _files(root)},
            "top": sorted(os.listdir(root))}


def look_while_it_pauses(root: str) -> dict[str, Any]:
    os.kill(1, signal.SIGUSR1)
    while not os.path.exists(_PAUSED):
        time.sleep(0.02)
    try:
        return look(root)
    finally:
        os.kill(1, signal.SIGUSR2)
        os.remove(_PAUSED)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        Writer(sys.argv[2]).run()
    else:
        json.dump(look_while_it_pauses(sys.argv[2]), sys.stdout)
