"""The node lifecycle controller: what it says of pods whose kubelet is silent. Source: pkg/controller/nodelifecycle."""
from __future__ import annotations

from ..store import Object
from ..world import World, pod_ready, set_condition


class NodeLifecycle:
    name = "nodes"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest

    def step(self) -> bool:
        """A pod is not Ready once its node is not; its phase and containers stay as last heard of, and so does its process."""
        for pod in self._store.all("pods"):
            node = pod["spec"].get("nodeName")
            if node and pod_ready(pod) and not self._world.node_ready(node):
                self._rest.change("pods", pod, self._silent, status=True)
                return True
        return False

    def _silent(self, pod: Object) -> None:
        set_condition(pod["status"], "Ready", "False", self._world.clock.text(), reason="NodeNotReady")
