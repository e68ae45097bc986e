"""What the application has promised, kept outside the cluster: the log of each replica's pod is followed, and whatever arrives here whole is a fact.
A stream that breaks is opened again and read from its beginning; what a stream loses for good was never claimed."""
from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import judge
import recorder
from namespaces import Namespace

_OPEN_AGAIN_AFTER = 0.3  # seconds


@dataclass(frozen=True)
class Acknowledgement:
    """`at`: seconds of this process' monotonic clock when it arrived; `pod`: UID of the pod that wrote."""

    record: judge.Record
    at: float
    pod: str


class Acknowledgements:
    """Those of one pod's name, whatever pod has it, while the `with` block runs."""

    def __init__(self, namespace: Namespace, pod: str) -> None:
        self._namespace, self._pod = namespace, pod
        self._received: dict[str, Acknowledgement] = {}
        self._pods: dict[str, str] = {}
        self._damaged: list[str] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._stream: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, name=f"acknowledgements of {pod}", daemon=True)

    def __enter__(self) -> Acknowledgements:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with self._lock:
            self._over.set()
            if self._stream is not None:
                self._stream.kill()
        self._thread.join()

    def all(self) -> list[Acknowledgement]:
        """Up to now, in the order of their arrival. Raises AssertionError when a line came that is whole and yet damaged."""
        with self._lock:
            assert not self._damaged, f"lines of pod/{self._pod} that are damaged: {self._damaged[:3]}"
            return sorted(self._received.values(), key=lambda one: one.at)

    def _follow(self) -> None:
        while True:
            with self._lock:
                if self._over.is_set():
                    return
                # Whatever kubectl has to say (no pod, no API server) is said again by the next try.
                self._stream = subprocess.Popen(self._namespace.command("logs", "--follow", self._pod), stdout=subprocess.PIPE,
                                                stderr=subprocess.DEVNULL, text=True, env=self._namespace.environment)
            assert self._stream.stdout is not None
            with self._stream as stream:
                for line in stream.stdout or ():
                    # Without its end it may be cut anywhere.
                    if line.endswith("\n"):
                        self._receive(line.removesuffix("\n"), time.monotonic())
            self._over.wait(_OPEN_AGAIN_AFTER)

    def _receive(self, line: str, at: float) -> None:
        text = recorder.unsealed(line)
        with self._lock:
            if text is None:
                self._damaged.append(line)
                return
            kind, _, rest = text.partition(" ")
            if kind == recorder.BORN:
                life, pod = rest.split(" ")
                self._pods[life] = pod
            elif rest not in self._received:
                entry = judge.record(rest)
                self._received[rest] = Acknowledgement(entry, at, self._pods[entry.life])
