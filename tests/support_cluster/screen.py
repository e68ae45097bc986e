"""A terminal as a user sees it: what tmux shows of it after all that moved the cursor."""
from __future__ import annotations

import shlex
import subprocess
import uuid
from collections.abc import Mapping
from types import TracebackType

from namespaces import until

_ENDED = "ended with exit code "


class Screen:
    """`command` at a terminal of `columns` by `lines`, in a tmux server of its own, while the `with` block runs."""

    def __init__(self, command: str, environment: Mapping[str, str], columns: int = 100, lines: int = 40) -> None:
        self._socket, self._environment = f"volresize-{uuid.uuid4().hex[:8]}", {**environment, "TERM": "xterm"}
        # env -i: what is not in `environment` is not there, whatever this process has. The shell stays, also over ^C, so that the last picture does.
        given = " ".join(f"{key}={shlex.quote(value)}" for key, value in self._environment.items())
        self._script = f"trap : INT; env -i {given} TERM=screen /bin/sh -c {shlex.quote(command)}; echo {_ENDED}$?; exec sleep infinity"
        self._size = ("-x", str(columns), "-y", str(lines))

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(["tmux", "-L", self._socket, "-f", "/dev/null", *arguments], check=True, capture_output=True, text=True,
                              env={"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}).stdout

    def __enter__(self) -> Screen:
        self._tmux("new-session", "-d", *self._size, self._script)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._tmux("kill-server")

    @property
    def text(self) -> str:
        """What is on the screen now."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, *words: str, seconds: float = 120) -> str:
        """The screen once all of these are on it."""
        seen = [""]

        def all_there() -> bool:
            seen[0] = self.text
            assert _ENDED not in seen[0] or all(word in seen[0] for word in words), f"it ended without {words}:\n{seen[0]}"
            return all(word in seen[0] for word in words)
        try:
            until(f"{words} on the screen", all_there, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{seen[0]}") from late
        return seen[0]

    def press(self, *keys: str) -> None:
        """As tmux names them: C-c."""
        self._tmux("send-keys", *keys)

    def end(self, seconds: float = 240) -> int:
        """The command's exit code, when it has ended."""
        text = self.wait_for(_ENDED, seconds=seconds)
        return int(text.split(_ENDED)[1].split()[0])
