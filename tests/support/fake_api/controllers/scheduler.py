"""The scheduler: a node for each pod whose claims allow one. Source: pkg/scheduler/framework/plugins/volumebinding."""
from __future__ import annotations

import zlib

from ..store import Object
from ..world import World, condition, set_condition, terminating
from .volumes import SELECTED_NODE


class Scheduler:
    name = "scheduler"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest

    def step(self) -> bool:
        return any(self._schedule(pod) for pod in self._store.all("pods") if not pod["spec"].get("nodeName") and not terminating(pod))

    def _schedule(self, pod: Object) -> bool:
        nodes, why = self._candidates(pod)
        if not why and not nodes:
            why = "0/2 nodes are available: node(s) didn't match Pod's node affinity/selector or had volume node affinity conflict"
        if why:
            return self._unschedulable(pod, why)
        node = nodes[zlib.crc32(pod["metadata"]["name"].encode()) % len(nodes)]
        if self._choose_for_claims(pod, node):
            return True
        if any(claim is None or claim["status"]["phase"] != "Bound" for claim in self._world.claims_of_pod(pod).values()):
            return False

        def bind(new: Object) -> None:
            new["spec"]["nodeName"] = node

        def scheduled(new: Object) -> None:
            set_condition(new["status"], "PodScheduled", "True", self._world.clock.text())

        self._rest.change("pods", pod, bind)
        self._rest.change("pods", pod, scheduled, status=True)
        return True

    def _unschedulable(self, pod: Object, why: str) -> bool:
        if condition(pod, "PodScheduled").get("message") == why:
            return False

        def say(new: Object) -> None:
            set_condition(new["status"], "PodScheduled", "False", self._world.clock.text(), reason="Unschedulable", message=why)

        self._rest.change("pods", pod, say, status=True)
        return True

    def _candidates(self, pod: Object) -> tuple[list[str], str]:
        """Nodes that the pod may run on, or why there is none."""
        if why := self._world.faults.unschedulable.get(pod["metadata"]["name"]):
            return [], why
        nodes = [node for node in self._store.all("nodes") if self._admits(node, pod)]
        names = [node["metadata"]["name"] for node in nodes if _wanted_by(pod, node["metadata"]["name"])]
        for volume, claim in self._world.claims_of_pod(pod).items():
            if claim is None:
                return [], f'persistentvolumeclaim of volume "{volume}" not found'
            name = claim["metadata"]["name"]
            if terminating(claim):
                return [], f'persistentvolumeclaim "{name}" is being deleted'
            if claim["status"]["phase"] == "Lost":
                return [], f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume'
            if claim["status"]["phase"] != "Bound":
                # A claim that names its volume is not the scheduler's to bind, whatever its class says.
                if claim["spec"].get("volumeName") or not self._delayed(claim):
                    return [], "pod has unbound immediate PersistentVolumeClaims"
                chosen = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
                names = [node for node in names if chosen in (None, node)]
                continue
            if "ReadWriteOncePod" in claim["spec"]["accessModes"] and self._in_use(claim, pod):
                return [], "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
            bound = self._world.volume_of(claim)
            names = [node for node in names if bound is not None and _reaches(bound, node)]
        return names, ""

    def _admits(self, node: Object, pod: Object) -> bool:
        if not self._world.node_ready(node["metadata"]["name"]):
            return False
        tolerated = any(one.get("key") in (None, "node.kubernetes.io/unschedulable") and one.get("operator") == "Exists"
                        for one in pod["spec"].get("tolerations") or [])
        return tolerated or not node["spec"].get("unschedulable")

    def _delayed(self, claim: Object) -> bool:
        found = self._store.find("storageclasses", "", claim["spec"].get("storageClassName") or "")
        return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"

    def _in_use(self, claim: Object, by: Object) -> bool:
        others = [pod for pod in self._store.all("pods", claim["metadata"]["namespace"]) if pod["metadata"]["uid"] != by["metadata"]["uid"]]
        return any(pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Failed", "Succeeded")
                   and any(used and used["metadata"]["uid"] == claim["metadata"]["uid"] for used in self._world.claims_of_pod(pod).values())
                   for pod in others)

    def _choose_for_claims(self, pod: Object, node: str) -> bool:
        for claim in self._world.claims_of_pod(pod).values():
            if claim is None or claim["status"]["phase"] == "Bound" or SELECTED_NODE in (claim["metadata"].get("annotations") or {}):
                continue
            self._rest.change("persistentvolumeclaims", claim,
                              lambda new: new["metadata"].setdefault("annotations", {}).update({SELECTED_NODE: node}))
            return True
        return False


def _wanted_by(pod: Object, node: str) -> bool:
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if affinity is None:
        return True
    return any(all(node in field["values"] for field in term.get("matchFields") or []) for term in affinity["nodeSelectorTerms"])


def _reaches(volume: Object, node: str) -> bool:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return required is None or any(node in rule["values"] for term in required["nodeSelectorTerms"] for rule in term["matchExpressions"])
