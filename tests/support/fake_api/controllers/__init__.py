"""The controllers of a cluster, each in steps: `step()` does one thing and says whether there was one to do."""
from __future__ import annotations

from typing import Protocol

from ..world import World
from .budgets import Budgets
from .garbage import GarbageCollector, Namespaces
from .kubelet import Kubelets
from .nodes import NodeLifecycle
from .quotas import Quotas
from .scheduler import Scheduler
from .statefulset import StatefulSets
from .volumes import Binder, Protection, Provisioner


class Controller(Protocol):
    """`name` is what Faults.stopped knows it by."""

    name: str

    def step(self) -> bool: ...


def all_of(world: World) -> tuple[Controller, ...]:
    return (StatefulSets(world), GarbageCollector(world), Namespaces(world), Protection(world), Provisioner(world), Binder(world), Scheduler(world),
            Kubelets(world), NodeLifecycle(world), Budgets(world), Quotas(world))
