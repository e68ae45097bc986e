"""What came of a command that somebody tried who may not do everything."""
from __future__ import annotations

import subprocess

Done = subprocess.CompletedProcess[str]


def denied(done: Done, words: str) -> None:
    assert done.returncode != 0, f"{done.args}: it was allowed"
    assert words in done.stderr, done.stderr


def allowed(done: Done) -> None:
    assert done.returncode == 0, done.stderr
