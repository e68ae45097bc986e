"""The runner's voice: one JSON object a line on stdout, which `kubectl volresize logs` renders. The only place that writes there."""
from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, TextIO


class Log:
    """`clock` gives RFC 3339 UTC."""

    def __init__(self, clock: Callable[[], str], stream: TextIO | None = None) -> None:
        self._clock, self._stream = clock, stream or sys.stdout
        self.phase = ""

    def info(self, operation: str, message: str, **about: Any) -> None:
        """`operation`: one CamelCase word; `about`: object ("pod/x"), replica, volume."""
        self._line("info", operation, message, about)

    def warning(self, operation: str, message: str, **about: Any) -> None:
        self._line("warning", operation, message, about)

    def error(self, operation: str, message: str, **about: Any) -> None:
        self._line("error", operation, message, about)

    def _line(self, level: str, operation: str, message: str, about: dict[str, Any]) -> None:
        known = {key: value for key, value in about.items() if value not in ("", None)}
        line = {"at": self._clock(), "level": level, "operation": operation, "phase": self.phase, **known, "message": message}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()
