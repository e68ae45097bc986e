"""The kubelets: containers start, become Ready, end; a deleted pod's object goes last. One transition of one pod at a step.
Source: pkg/kubelet/status/status_manager.go, pkg/kubelet/kubelet_pods.go; the shutdown of held pods as measured."""
from __future__ import annotations

from kubectl_volresize.model import labels

from ..store import Object
from ..world import Process, World, claim_names, condition, set_condition, terminating
from . import copying

_OVER = ("Failed", "Succeeded")
_KILLED = 143  # 128 + SIGTERM


class Kubelets:
    name = "kubelet"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest

    def step(self) -> bool:
        return self._end_forgotten() or any(self._advance(pod) for pod in self._store.all("pods"))

    def _end_forgotten(self) -> bool:
        """Processes whose pod object went away (a forced deletion): they live on until the kubelet has noticed."""
        alive = {pod["metadata"]["uid"] for pod in self._store.all("pods")}
        forgotten = [uid for uid in self._world.processes if uid not in alive]
        for uid in forgotten:
            del self._world.processes[uid]
        return bool(forgotten)

    def _advance(self, pod: Object) -> bool:
        if not self._world.node_ready(pod["spec"].get("nodeName", "")):
            return False
        process = self._world.processes.get(pod["metadata"]["uid"])
        if terminating(pod):
            return self._terminate(pod, process)
        if pod["status"]["phase"] == "Pending":
            return self._start(pod)
        if process is None:
            return False
        if pod["spec"]["containers"][0].get("command") == ["true"]:
            self.end(pod, process, 0, "")
            return True
        return copying.advance(self._world, self, pod, process) if process.role else self._probe(pod)

    # -- start

    def _start(self, pod: Object) -> bool:
        mounts = {}
        for volume, claim in self._world.claims_of_pod(pod).items():
            bound = self._world.volume_of(claim) if claim is not None else None
            if bound is None or bound["metadata"]["name"] not in self._world.disks:
                return False
            mounts[volume] = bound["metadata"]["name"]
        meta = pod["metadata"]
        claims = {volume: (meta["namespace"], name) for volume, name in claim_names(pod).items()}
        role = (meta.get("labels") or {}).get(labels.ROLE, "")
        self._world.processes[meta["uid"]] = Process((meta["namespace"], meta["name"]), meta["uid"], role, mounts, claims)
        self._report(pod, "Running", {"running": {"startedAt": self._world.clock.text()}}, self._passes_probe(pod))
        return True

    def _passes_probe(self, pod: Object) -> bool:
        return pod["metadata"]["name"] not in self._world.faults.unready

    def _probe(self, pod: Object) -> bool:
        passes = self._passes_probe(pod)
        if (condition(pod, "Ready").get("status") == "True") == passes:
            return False
        self._report(pod, "Running", {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}}, passes)
        return True

    # -- end

    def _terminate(self, pod: Object, process: Process | None) -> bool:
        meta = pod["metadata"]
        beyond = self._world.clock.since(meta["deletionTimestamp"])
        if process is not None and _ignores_term(pod) and beyond < 0:
            return False
        if process is not None and beyond + meta["deletionGracePeriodSeconds"] < self._world.faults.lingers.get(meta["name"], 0):
            return False
        if process is not None or pod["status"]["phase"] not in _OVER:
            self.end(pod, process, _KILLED if process is not None and process.role else 0, "")
            return True
        if meta.get("finalizers") and meta.get("deletionGracePeriodSeconds") == 0:
            return False
        self._rest.remove("pods", pod, gracePeriodSeconds=0)
        return True

    def end(self, pod: Object, process: Process | None, code: int, message: str) -> None:
        """The process is gone from the node, and then the pod's status says so."""
        if process is not None:
            del self._world.processes[process.uid]
        state: Object = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "finishedAt": self._world.clock.text()}
        if message:
            state["message"] = message
        self._report(pod, "Failed" if code else "Succeeded", {"terminated": state}, False)

    def _report(self, pod: Object, phase: str, state: Object, ready: bool) -> None:
        now = self._world.clock.text()

        def report(new: Object) -> None:
            status = new["status"]
            status["phase"] = phase
            status["containerStatuses"] = [{"name": container["name"], "containerID": f"containerd://{pod['metadata']['uid']}", "ready": ready,
                                            "restartCount": 0, "state": state} for container in pod["spec"]["containers"]]
            for kind in ("ContainersReady", "Ready"):
                set_condition(status, kind, "True" if ready else "False", now)

        self._rest.change("pods", pod, report, status=True)


def _ignores_term(pod: Object) -> bool:
    """A container whose shell does not hear SIGTERM lives until its grace period is over."""
    return any("trap '' TERM" in " ".join(container.get("command") or []) for container in pod["spec"]["containers"])
