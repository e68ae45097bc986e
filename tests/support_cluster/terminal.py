"""What a user does at a terminal: types a command, answers when he is asked, ends with ^C what does not end by itself, and keeps what he exported."""
from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from namespaces import until

INTERRUPTED = 130
_SECONDS = 240  # until a command that must end counts as one that hangs
_LAST_WORDS = 5.0  # seconds; something that it left behind may hold the terminal for longer
_QUESTION = "[y/N]"


@dataclass(frozen=True)
class Typed:
    """`command`: as a document shows it; `code` and `says`: its exit code (None: whichever), and words of its output.

    `answer`: typed at a terminal when it asks; `until`: words after which it is ended with ^C; `in_checkout`: typed in the checkout's root;
    `beside`: typed in other terminals while this one runs, once `begun` is among what it says.
    """

    command: str
    code: int | None = 0
    says: str = ""
    answer: str = ""
    until: str = ""
    in_checkout: bool = False
    beside: tuple[Typed, ...] = ()
    begun: str = ""


class Terminal:
    """Commands of one user; `environment`: what he starts with, `folder`: where he is, `exported`: a file elsewhere that keeps what he exports."""

    def __init__(self, environment: Mapping[str, str], folder: Path, exported: Path) -> None:
        self._folder, self._kept = folder, f"'{exported}'"
        subprocess.run(["bash", "-c", f"export -p >{self._kept}"], env=dict(environment), check=True)

    def start(self, command: str, folder: Path | None = None, asks: bool = False) -> Running:
        # At once or not at all: one in another terminal may be reading it.
        script = f". {self._kept}\n{command}\nCODE=$?; export -p >{self._kept}.$$; mv {self._kept}.$$ {self._kept}; exit $CODE"
        return Running(command, script, folder or self._folder, asks)


class Running:
    """A command that was typed. It has a terminal only if it asks: without one its output is lines."""

    def __init__(self, command: str, script: str, folder: Path, asks: bool) -> None:
        self.command, self.said, self._closed = command, "", False
        self._ours, theirs = pty.openpty() if asks else os.pipe()
        # A session of its own, so that ^C reaches bash and all that it started, as a terminal's does.
        self._process = subprocess.Popen(["bash", "-c", script], stdin=theirs if asks else subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                                         env={"PATH": os.defpath}, cwd=folder, start_new_session=True)
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                read = os.read(self._ours, 65536)
            except OSError:
                # So a terminal says that nobody is on its other side any more.
                return
            if not read:
                return
            self.said += read.decode(errors="replace")

    def wait_for(self, words: str) -> None:
        until(f"{words!r} from {self.command}", lambda: words in self.said or self._process.poll() is not None, _SECONDS)
        assert words in self.said, f"{self.command} ended without {words!r}:\n{self.said}"

    def answer(self, text: str) -> None:
        self.wait_for(_QUESTION)
        os.write(self._ours, f"{text}\n".encode())

    def interrupt(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)

    def end(self) -> int:
        """Its exit code. Raises AssertionError when it does not end."""
        try:
            code = self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.command}: not within {_SECONDS} s\n{self.said}") from error
        self._reader.join(_LAST_WORDS)
        return code

    def close(self) -> None:
        """The terminal, with whatever still runs at it; more than once does no harm."""
        if self._closed:
            return
        self._closed = True
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(_LAST_WORDS)
        os.close(self._ours)
