"""Writes the destination to disk while it is being filled: reading and writing overlap, and the sync at the end has little left to do."""
from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import Iterator

from . import kernel, workers

_PAUSE_SECONDS = 1.0


@contextmanager
def all_along(dest: int) -> Iterator[None]:
    """A process of its own syncs the file system of an open directory again and again."""
    # A description of its own: each learns of a write error once, and the sync at the end must learn of all.
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dest)
    child = workers.fork(lambda: _flush(own))
    os.close(own)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _flush(descriptor: int) -> None:
    while True:
        time.sleep(_PAUSE_SECONDS)
        try:
            kernel.syncfs(descriptor)
        except OSError:
            # Whoever syncs at the end sees it too, and says so.
            return
