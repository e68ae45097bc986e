"""The disruption controller: how many pods of a budget may be evicted now. Source: pkg/controller/disruption/disruption.go."""
from __future__ import annotations

from typing import Any

from kubectl_volresize.model.selector import selector_matches

from ..store import Object
from ..world import World, pod_ready, set_condition, terminating


class Budgets:
    name = "disruption"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest

    def step(self) -> bool:
        return any(self._update(budget) for budget in self._store.all("poddisruptionbudgets"))

    def _update(self, budget: Object) -> bool:
        pods = [pod for pod in self._store.all("pods", budget["metadata"]["namespace"])
                if selector_matches(budget["spec"].get("selector") or {}, pod["metadata"].get("labels") or {})]
        healthy = len([pod for pod in pods if pod_ready(pod) and not terminating(pod)])
        expected, desired, lost = self._counts(budget, pods)
        allowed = 0 if lost or expected <= 0 else max(0, healthy - desired)

        def report(new: Object) -> None:
            status = new.setdefault("status", {})
            status.update({"currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected, "disruptionsAllowed": allowed,
                           "observedGeneration": budget["metadata"]["generation"]})
            reason = "SyncFailed" if lost else "SufficientPods" if allowed else "InsufficientPods"
            set_condition(status, "DisruptionAllowed", "True" if allowed else "False", self._world.clock.text(), reason=reason, message=lost)

        before = self._store.version
        self._rest.change("poddisruptionbudgets", budget, report, status=True)
        return self._store.version != before

    def _counts(self, budget: Object, pods: list[Object]) -> tuple[int, int, str]:
        """Pods expected, pods that must stay healthy, and what is wrong: a budget without a controller to ask allows nothing."""
        spec = budget["spec"]
        if isinstance(spec.get("minAvailable"), int):
            return len(pods), spec["minAvailable"], ""
        expected, seen = 0, set()
        for pod in pods:
            owner = next((ref for ref in pod["metadata"].get("ownerReferences") or [] if ref.get("controller")), None)
            found = self._store.find("statefulsets", pod["metadata"]["namespace"], owner["name"]) if owner else None
            if owner is None or found is None or found["metadata"]["uid"] != owner["uid"]:
                return 0, 0, f"found no controllers for pod \"{pod['metadata']['name']}\""
            if owner["uid"] not in seen:
                seen.add(owner["uid"])
                expected += found["spec"]["replicas"]
        if spec.get("minAvailable") is not None:
            return expected, _scaled(spec["minAvailable"], expected), ""
        return expected, max(0, expected - _scaled(spec.get("maxUnavailable", 1), expected)), ""


def _scaled(value: Any, total: int) -> int:
    """A number, or a percentage of `total`, rounded up."""
    return value if isinstance(value, int) else -(-int(str(value).rstrip("%")) * total // 100)
