"""What happened while nobody looked: every change that the API server told a watch, in order, replayed as states of the namespace."""
from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO

from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object


class History:
    """Objects of one kind while the `with` block runs: `kubectl get KIND --watch`."""

    def __init__(self, namespace: Namespace, kind: str) -> None:
        self._namespace, self._kind = namespace, kind
        self._file: IO[str] = tempfile.TemporaryFile("w+")
        self._watch: subprocess.Popen[str] | None = None
        self._text = ""

    def __enter__(self) -> History:
        command = self._namespace.command("get", self._kind, "--watch", "--output-watch-events", "-o", "json")
        self._watch = subprocess.Popen(command, stdout=self._file, text=True, env=self._namespace.environment)
        # It begins with what is there; whatever comes after that is not missed.
        until(f"the watch on {self._kind} has begun", lambda: self._file.seek(0, 2) > 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._watch is not None
        broken = self._watch.poll()
        self._watch.terminate()
        self._watch.wait()
        self._file.seek(0)
        self._text = self._file.read()
        self._file.close()
        assert broken is None, f"the watch on {self._kind} ended before it should: exit code {broken}"

    def events(self) -> Iterator[tuple[str, Object]]:
        """(ADDED, MODIFIED or DELETED, the object then)."""
        decoder, text, at = json.JSONDecoder(), self._text.rstrip(), 0
        while at < len(text):
            while text[at].isspace():
                at += 1
            try:
                event, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError:
                # Half written when the watch was ended.
                return
            yield event["type"], event["object"]

    def states(self) -> Iterator[dict[str, Object]]:
        """All objects by name, after each change; the first ones, of which the watch tells one by one, come as one state."""
        seen: dict[str, Object] = {}
        begun = False
        for kind, item in self.events():
            name = str(item["metadata"]["name"])
            begun = begun or kind != "ADDED" or name in seen
            if kind == "DELETED":
                seen.pop(name, None)
            else:
                seen[name] = item
            if begun:
                yield dict(seen)
