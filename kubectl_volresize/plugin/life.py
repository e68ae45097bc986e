"""Whether a runner is at work, is about to be, or is dead without Kubernetes knowing it: on a node that hangs a pod stays Running for ever."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import Forbidden
from ..kube import paths
from ..model import names
from ..model.objects import Pod, View
from .job import at_work, queued, runner_jobs, runner_pods, waiting_for
from .place import Place
from .result import Object
from .words import instant

ALIVE, STARTING, QUEUED, DEAD, NONE = "alive", "starting", "queued", "dead", "none"
_JOB_NAME = "batch.kubernetes.io/job-name"
# A runner that lives renews its Lease every 10 s, a little later when the API server is slow.
_NEXT_SIGN_SECONDS = 20.0
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Runner:
    """`state`: one of the five above, NONE when no Job may work; `why` in words, to be said after "its runner" (alone when it has not started)."""

    state: str
    why: str
    jobs: tuple[View, ...] = ()
    pods: tuple[Pod, ...] = ()

    @property
    def working(self) -> bool:
        return self.state in (ALIVE, STARTING, QUEUED)


def look(place: Place, migration: Object, pause: Callable[[float], None] = time.sleep) -> Runner:
    """Takes up to 20 s when the Lease looks old: this machine's clock may be wrong, a sign of life is not."""
    name = migration["metadata"]["name"]
    jobs, pods = runner_jobs(place, name), runner_pods(place, name)

    def found(state: str, why: str) -> Runner:
        return Runner(state, why, tuple(jobs), tuple(pods))

    if not at_work(jobs):
        return found(NONE, "has ended" if jobs else "was never started")
    if queued(jobs[-1]):
        return found(QUEUED, waiting_for(place, pods, jobs))
    own = [pod for pod in pods if pod.labels.get(_JOB_NAME, jobs[-1].name) == jobs[-1].name]
    if not own or own[-1].phase == "Pending":
        return found(STARTING, waiting_for(place, own, jobs))
    if own[-1].phase != "Running":
        return found(DEAD, f"ended with pod/{own[-1].name}, and the Job waits before it starts the next pod")
    if lost := _lost_node(place, own[-1]):
        return found(DEAD, lost)
    return found(*_by_lease(place, names.lease(migration["spec"]["statefulSetName"]), pause))


def _lost_node(place: Place, pod: Pod) -> str:
    """Why nothing is heard of the pod's node, empty when that cannot be said: most users may not read nodes."""
    try:
        node = place.client.find(paths.nodes(pod.node))
    except Forbidden:
        return ""
    if node is None:
        return f"was on node/{pod.node}, which is gone"
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return "" if ready else f"is on node/{pod.node}, which is not Ready"


def _by_lease(place: Place, name: str, pause: Callable[[float], None]) -> tuple[str, str]:
    try:
        lease = place.client.find(paths.leases(place.namespace, name))
    except Forbidden:
        return ALIVE, "has a pod that runs (you may not read its lease)"
    if lease is None:
        return ALIVE, "has a pod that runs, and holds no lease"
    renewed, seconds = str(lease["spec"].get("renewTime", "")), int(lease["spec"].get("leaseDurationSeconds") or 0)
    age = time.time() - instant(renewed) if renewed else float("inf")
    if age <= seconds:
        return ALIVE, f"renewed lease/{name} {max(0, round(age))} s ago"
    waited = 0.0
    while waited < _NEXT_SIGN_SECONDS:
        pause(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
        again = place.client.find(paths.leases(place.namespace, name))
        if again is None or again["spec"].get("renewTime") != renewed:
            return ALIVE, f"renewed lease/{name} just now"
    return DEAD, f"has not renewed lease/{name} since {renewed}"
