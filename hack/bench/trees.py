"""The trees that are copied. Content is random, from one seed, so that every run on every machine copies the same."""
from __future__ import annotations

import os
import random
from pathlib import Path

_SEED = 20260101
_PER_DIRECTORY = 100


def small(top: Path, number: int = 100_000) -> None:
    """Files of 1 to 8 KiB, a hundred in a directory."""
    numbers = random.Random(_SEED)
    content = numbers.randbytes(1 << 20)
    for directory in range(number // _PER_DIRECTORY):
        folder = top / f"d{directory % 32:02}" / f"e{directory:05}"
        folder.mkdir(parents=True)
        for file in range(_PER_DIRECTORY):
            start = numbers.randrange(len(content) - 8192)
            _write(folder / f"file-{file:03}.dat", content[start:start + numbers.randrange(1024, 8192)])


def tiny(top: Path, number: int) -> None:
    """Files of a few bytes, five hundred in a directory."""
    for directory in range(number // 500):
        folder = top / f"d{directory % 64:02}" / f"e{directory:05}"
        folder.mkdir(parents=True)
        for file in range(500):
            _write(folder / f"file-{file:03}", b"%d" % file)


def large(top: Path, gibibytes: int = 4) -> None:
    """Files of one GiB."""
    numbers = random.Random(_SEED)
    for file in range(gibibytes):
        with (top / f"large-{file}").open("wb") as out:
            for _ in range(64):
                out.write(numbers.randbytes(16 << 20))


def mixed(top: Path) -> None:
    """280 files of 1 to 64 MiB, 4 GiB in all or so."""
    numbers = random.Random(_SEED)
    for file in range(280):
        # Most are small: 4 GiB in all, as a database's directory has them.
        size = int((1 << 20) * 64 ** numbers.random())
        folder = top / f"d{file % 8}"
        folder.mkdir(exist_ok=True)
        _write(folder / f"mixed-{file}", numbers.randbytes(size))


def touch_one_percent(top: Path, round_number: int) -> None:
    """New content in one file of a hundred, another one each time; sizes change too."""
    numbers = random.Random(_SEED + round_number)
    for folder, _, files in os.walk(top):
        for name in sorted(files):
            if numbers.randrange(100) == 0:
                _write(Path(folder) / name, numbers.randbytes(numbers.randrange(1024, 8192)))


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    os.write(descriptor, content) if len(content) < 1 << 20 else _write_all(descriptor, content)
    os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view):]
