"""An application that many migrations disturb, one after the other."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from application_that_records import SMALLEST, RecordingApplication, Witness, witness
from kills import Killer
from namespaces import Namespace

from kubectl_volresize.kube.client import Client

_LARGEST, _SHRINK_BY = 64, 4  # MiB


@dataclass
class Stage:
    """An application that was made smaller many times already; a new one when it cannot become smaller, or when something went wrong."""

    new_namespace: Callable[[], Namespace]
    client: Client
    stack: ExitStack = field(default_factory=ExitStack)
    witness: Witness | None = None
    killer: Killer | None = None
    size: int = _LARGEST
    number: int = 0

    def next(self) -> tuple[Witness, Killer, str, str]:
        """Who watches, who kills, a name for the migration and its size."""
        if self.witness is None or self.killer is None or self.size - _SHRINK_BY < SMALLEST:
            self.clear()
            namespace = self.new_namespace()
            application = RecordingApplication(namespace, volumes={"data": f"{_LARGEST}Mi"})
            self.killer = Killer(namespace, self.client)
            self.killer.start()
            application.start()
            self.witness, self.size, self.number = self.stack.enter_context(witness(application)), _LARGEST, 0
        self.size, self.number = self.size - _SHRINK_BY, self.number + 1
        return self.witness, self.killer, f"run-{self.number}", f"{self.size}Mi"

    def clear(self) -> None:
        self.stack.close()
        if self.witness is not None:
            self.witness.application.namespace.abandon()
        self.witness = None
