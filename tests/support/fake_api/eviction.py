"""The Eviction API. Source: pkg/registry/core/pod/storage/eviction.go."""
from __future__ import annotations

from typing import Any

from kubectl_volresize.model.selector import selector_matches

from .refusal import Refusal
from .resources import Target
from .rest import Rest
from .store import Object
from .world import pod_ready, set_condition, terminating

_RETRY = 10  # seconds: apierrors.NewTooManyRequests of a budget that has not been looked at; a real answer of a full budget carries no hint


def evict(rest: Rest, target: Target, body: Any, dry_run: bool) -> Object:
    """POST pods/NAME/eviction. Raises Refusal 404, 409, 429, 500."""
    pods = Target(target.resource, target.namespace, target.name, "")
    pod = rest.get(pods)
    options = dict(body.get("deleteOptions") or {})
    dry = dry_run or options.pop("dryRun", None) == ["All"]
    free = terminating(pod) or pod["status"].get("phase") in ("Pending", "Succeeded", "Failed")
    with rest.store.undone(dry):
        if not free:
            _take_from_budget(rest, pod)
            _mark(rest, pod, options)
        rest.delete(pods, options)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _take_from_budget(rest: Rest, pod: Object) -> None:
    budgets = [budget for budget in rest.store.all("poddisruptionbudgets", pod["metadata"]["namespace"])
               if selector_matches(budget["spec"].get("selector") or {}, pod["metadata"].get("labels") or {})]
    if len(budgets) > 1:
        raise Refusal(500, "InternalError", "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    for budget in budgets:
        status = budget.get("status") or {}
        name = budget["metadata"]["name"]
        if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
            raise _too_many(f"The disruption budget {name} is still being processed by the server.", name, _RETRY)
        # A pod that is not Ready may go when the others are enough (IfHealthyBudget).
        if not pod_ready(pod) and status["desiredHealthy"] > 0 and status["currentHealthy"] >= status["desiredHealthy"]:
            continue
        if status.get("disruptionsAllowed", 0) < 1:
            raise _too_many(f"The disruption budget {name} needs {status['desiredHealthy']} healthy pods "
                            f"and has {status['currentHealthy']} currently", name, None)
        rest.change("poddisruptionbudgets", budget,
                    lambda new: new["status"].update(disruptionsAllowed=new["status"]["disruptionsAllowed"] - 1), status=True)


def _too_many(why: str, budget: str, retry_after: int | None) -> Refusal:
    details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    return Refusal(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.", details, retry_after)


def _mark(rest: Rest, pod: Object, options: Object) -> None:
    uid = (options.get("preconditions") or {}).get("uid")
    if uid not in (None, pod["metadata"]["uid"]):
        # Refused by the deletion that follows.
        return

    def mark(new: Object) -> None:
        set_condition(new["status"], "DisruptionTarget", "True", rest.store.clock.text(), reason="EvictionByEvictionAPI",
                      message="Eviction API: evicting")

    rest.change("pods", pod, mark, status=True)
