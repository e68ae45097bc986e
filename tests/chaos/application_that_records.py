"""The application of these tests: two replicas, each with a writer on its volume whose acknowledgements are kept here."""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import judge
import recorder
from acknowledgements import Acknowledgement, Acknowledgements
from application import NAME, Application
from namespaces import until

from kubectl_volresize.model.objects import Object

_TEXT = Path(recorder.__file__).read_text()
ROOT = "/data"
SMALLEST = 24  # MiB; what the writer keeps on its volume fits with room to spare


@dataclass(frozen=True)
class RecordingApplication(Application):
    """Its image is the migration's own, which has a Python."""

    replicas: int = 2

    def container(self, greeting: str) -> Object:
        return {"name": "app", "image": self.namespace.image, "imagePullPolicy": "IfNotPresent", "command": ["python3", "-c", _TEXT, "write", ROOT],
                "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}], "securityContext": {"runAsUser": 0}}

    def start(self) -> None:
        self.namespace.apply(self.manifest())
        self.ready()

    def pod_uid(self, ordinal: int) -> str:
        return str(self.pod(ordinal)["metadata"]["uid"])

    def look(self, ordinal: int) -> dict[str, Any]:
        """What is on the replica's volume, through its pod; the writer pauses meanwhile."""
        said = self.namespace.kubectl("exec", f"{NAME}-{ordinal}", "-c", "app", "--", "python3", "-c", _TEXT, "look", ROOT)
        found: dict[str, Any] = json.loads(said)
        return found


@dataclass(frozen=True)
class Witness:
    """The acknowledgements of every replica. It outlives migrations: what was acknowledged before one must still be there after the next."""

    application: RecordingApplication
    streams: tuple[Acknowledgements, ...]

    def of(self, ordinal: int) -> list[Acknowledgement]:
        return self.streams[ordinal].all()

    def count(self) -> int:
        return sum(len(self.of(ordinal)) for ordinal in range(len(self.streams)))

    def wait_for(self, ordinal: int, enough: int, since: float, pod: str) -> None:
        """Until the pod acknowledged `enough` changes after `since`."""
        until(f"{enough} acknowledgements of replica {ordinal}",
              lambda: sum(1 for one in self.of(ordinal) if one.at >= since and one.pod == pod) >= enough)

    def wait_for_all(self, enough: int) -> None:
        """That many more of every replica as it runs now."""
        since = time.monotonic()
        for ordinal in range(len(self.streams)):
            self.wait_for(ordinal, enough, since, self.application.pod_uid(ordinal))

    def findings(self) -> list[str]:
        """What is wrong on any volume, "replica N: kind: what"; empty is good."""
        found = []
        for ordinal in range(len(self.streams)):
            # Taken before the look: each of them has to be in what is seen.
            acknowledged = [str(one.record) for one in self.of(ordinal)]
            found += [f"replica {ordinal}: {finding}" for finding in judge.judge(acknowledged, self.application.look(ordinal))]
        return found


@contextmanager
def witness(application: RecordingApplication) -> Iterator[Witness]:
    with ExitStack() as stack:
        streams = tuple(stack.enter_context(Acknowledgements(application.namespace, f"{NAME}-{ordinal}")) for ordinal in range(application.replicas))
        yield Witness(application, streams)
