"""The StatefulSet controller. It does one write at a step, so that everything else can happen in between.
Source: pkg/controller/statefulset/stateful_set_control.go, stateful_pod_control.go, stateful_set_utils.go."""
from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from kubectl_volresize.model.objects import StatefulSet
from kubectl_volresize.model.selector import selector_matches
from kubectl_volresize.model.names import claim as claim_name
from kubectl_volresize.model.names import ordinal_of

from ..refusal import Refusal
from ..store import Object
from ..world import EmptyClaim, World, pod_ready, terminating

_REVISION = "controller-revision-hash"


class StatefulSets:
    name = "statefulset"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest

    def step(self) -> bool:
        return any(self._try(raw) for raw in self._store.all("statefulsets"))

    def _try(self, raw: Object) -> bool:
        """What the API server refuses (a quota, a namespace that goes) is tried again later; nothing else happens to this set until then."""
        try:
            return self._sync(raw)
        except Refusal:
            return False

    def _sync(self, raw: Object) -> bool:
        # A terminating set only gets its status updated: what the freeze relies on.
        acted = not terminating(raw) and (self._adopt(raw) or self._remember_revision(raw) or self._replicas(raw) or self._scale_down(raw)
                                          or self._roll(raw))
        return acted or self._status(raw)

    # -- what is its own

    def _adopt(self, raw: Object) -> bool:
        meta = raw["metadata"]
        for plural in ("pods", "controllerrevisions"):
            for obj in self._store.all(plural, meta["namespace"]):
                if terminating(obj) or _controller(obj) or not selector_matches(raw["spec"]["selector"], obj["metadata"].get("labels") or {}):
                    continue
                if plural == "pods" and ordinal_of(obj["metadata"]["name"], meta["name"]) is None:
                    continue
                self._rest.change(plural, obj, lambda new: new["metadata"].setdefault("ownerReferences", []).append(_owner(raw)))
                return True
        return False

    def _owned(self, plural: str, raw: Object) -> list[Object]:
        return [obj for obj in self._store.all(plural, raw["metadata"]["namespace"]) if _controller(obj).get("uid") == raw["metadata"]["uid"]]

    def _pods(self, raw: Object) -> dict[int, Object]:
        found = {ordinal_of(pod["metadata"]["name"], raw["metadata"]["name"]): pod for pod in self._owned("pods", raw)}
        return {ordinal: pod for ordinal, pod in found.items() if ordinal is not None}

    # -- revisions

    def _update_revision(self, raw: Object) -> str:
        template = raw["spec"]["template"]
        for revision in self._owned("controllerrevisions", raw):
            if revision["data"]["spec"]["template"] == template:
                return str(revision["metadata"]["name"])
        return f"{raw['metadata']['name']}-{hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]}"

    def _current_revision(self, raw: Object) -> str:
        known = {revision["metadata"]["name"] for revision in self._owned("controllerrevisions", raw)}
        current = raw.get("status", {}).get("currentRevision", "")
        return current if current in known else self._update_revision(raw)

    def _remember_revision(self, raw: Object) -> bool:
        name, meta = self._update_revision(raw), raw["metadata"]
        if self._store.find("controllerrevisions", meta["namespace"], name) is not None:
            return False
        numbers = [revision["revision"] for revision in self._owned("controllerrevisions", raw)]
        self._rest.post("controllerrevisions", {
            "metadata": {"name": name, "namespace": meta["namespace"], "labels": dict(raw["spec"]["selector"]["matchLabels"]),
                         "ownerReferences": [_owner(raw)]},
            "data": {"spec": {"template": copy.deepcopy(raw["spec"]["template"])}}, "revision": max(numbers, default=0) + 1})
        return True

    def _template_of(self, raw: Object, ordinal: int) -> tuple[str, Object]:
        """Revision and pod template for a new pod: the current one below the partition."""
        partition = ((raw["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
        update, current = self._update_revision(raw), self._current_revision(raw)
        if ordinal < partition and current != update:
            revision = self._store.find("controllerrevisions", raw["metadata"]["namespace"], current)
            if revision is not None:
                return current, revision["data"]["spec"]["template"]
        return update, raw["spec"]["template"]

    # -- replicas

    def _replicas(self, raw: Object) -> bool:
        pods, ordered = self._pods(raw), raw["spec"].get("podManagementPolicy") != "Parallel"
        for ordinal in StatefulSet(raw).ordinals:
            pod = pods.get(ordinal)
            if pod is None:
                if self._create_pod(raw, ordinal):
                    return True
                stuck = True
            elif pod["status"].get("phase") in ("Failed", "Succeeded"):
                if not terminating(pod):
                    self._rest.remove("pods", pod)
                    return True
                stuck = True
            elif pod["status"].get("phase") == "Pending" and self._create_missing_claims(raw, ordinal):
                return True
            else:
                stuck = terminating(pod) or not pod_ready(pod)
                if not stuck and self._retention(raw, pod, ordinal):
                    return True
            if stuck and ordered:
                return False
        return False

    def _create_pod(self, raw: Object, ordinal: int) -> bool:
        meta = raw["metadata"]
        name = f"{meta['name']}-{ordinal}"
        if self._create_missing_claims(raw, ordinal):
            return True
        claims = [self._claim(raw, template, ordinal) for template in raw["spec"].get("volumeClaimTemplates") or []]
        if self._store.find("pods", meta["namespace"], name) is not None or any(claim is None or terminating(claim) for claim in claims):
            return False
        revision, template = self._template_of(raw, ordinal)
        spec = copy.deepcopy(template["spec"])
        templates = [claim["metadata"]["name"] for claim in raw["spec"].get("volumeClaimTemplates") or []]
        volumes = [{"name": volume, "persistentVolumeClaim": {"claimName": claim_name(volume, meta["name"], ordinal)}} for volume in templates]
        named = {volume["name"] for volume in volumes}
        spec["volumes"] = volumes + [volume for volume in spec.get("volumes") or [] if volume["name"] not in named]
        spec.update({"hostname": name, "subdomain": raw["spec"].get("serviceName", "")})
        labels = {**(template["metadata"].get("labels") or {}), _REVISION: revision, "statefulset.kubernetes.io/pod-name": name,
                  "apps.kubernetes.io/pod-index": str(ordinal)}
        self._rest.post("pods", {"metadata": {"name": name, "namespace": meta["namespace"], "labels": labels,
                                              "annotations": dict(template["metadata"].get("annotations") or {}), "ownerReferences": [_owner(raw)]},
                                 "spec": spec})
        return True

    def _claim(self, raw: Object, template: Object, ordinal: int) -> Object | None:
        name = claim_name(template["metadata"]["name"], raw["metadata"]["name"], ordinal)
        return self._store.find("persistentvolumeclaims", raw["metadata"]["namespace"], name)

    def _create_missing_claims(self, raw: Object, ordinal: int) -> bool:
        """The disaster: a claim that is missing is made again, empty and of the template's size."""
        meta = raw["metadata"]
        for template in raw["spec"].get("volumeClaimTemplates") or []:
            if self._claim(raw, template, ordinal) is not None:
                continue
            name = claim_name(template["metadata"]["name"], meta["name"], ordinal)
            labels = {**(template["metadata"].get("labels") or {}), **raw["spec"]["selector"]["matchLabels"]}
            made = self._rest.post("persistentvolumeclaims", {
                "metadata": {"name": name, "namespace": meta["namespace"], "labels": labels,
                             "annotations": dict(template["metadata"].get("annotations") or {})},
                "spec": copy.deepcopy(template["spec"])})
            storage = template["spec"]["resources"]["requests"]["storage"]
            self._world.empty_claims.append(EmptyClaim(meta["namespace"], name, made["metadata"]["uid"], storage))
            return True
        return False

    def _retention(self, raw: Object, pod: Object, ordinal: int) -> bool:
        """Owner references of a claim as persistentVolumeClaimRetentionPolicy wants them: the set (whenDeleted), the condemned pod (whenScaled)."""
        policy = StatefulSet(raw).retention
        for template in raw["spec"].get("volumeClaimTemplates") or []:
            claim = self._claim(raw, template, ordinal)
            if claim is None:
                continue
            refs = claim["metadata"].get("ownerReferences") or []
            others = [ref for ref in refs if ref["kind"] not in ("StatefulSet", "Pod")]
            wanted = others + ([_plain_owner(raw, "StatefulSet")] if policy["whenDeleted"] == "Delete" else [])
            condemned = ordinal not in StatefulSet(raw).ordinals
            if condemned and policy["whenScaled"] == "Delete":
                wanted = [*others, _plain_owner(pod, "Pod")]
            if _uids(refs) != _uids(wanted):
                self._rest.change("persistentvolumeclaims", claim, lambda new: new["metadata"].update(ownerReferences=wanted))
                return True
        return False

    # -- fewer replicas, other templates

    def _scale_down(self, raw: Object) -> bool:
        wanted, pods = StatefulSet(raw).ordinals, self._pods(raw)
        if any(ordinal not in pods or not pod_ready(pods[ordinal]) for ordinal in wanted):
            return False
        for ordinal in sorted(set(pods) - set(wanted), reverse=True):
            if terminating(pods[ordinal]):
                return False
            if not self._retention(raw, pods[ordinal], ordinal):
                self._rest.remove("pods", pods[ordinal])
            return True
        return False

    def _roll(self, raw: Object) -> bool:
        strategy = raw["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return False
        partition, update = (strategy.get("rollingUpdate") or {}).get("partition") or 0, self._update_revision(raw)
        pods = self._pods(raw)
        for ordinal in sorted(pods, reverse=True):
            pod = pods[ordinal]
            if ordinal >= partition and pod["metadata"]["labels"][_REVISION] != update and not terminating(pod):
                self._rest.remove("pods", pod)
                return True
            if terminating(pod) or not pod_ready(pod):
                return False
        return False

    # -- status

    def _status(self, raw: Object) -> bool:
        pods, update = list(self._pods(raw).values()), self._update_revision(raw)
        current = self._current_revision(raw)
        live = [pod for pod in pods if not terminating(pod)]
        updated = [pod for pod in live if pod["metadata"]["labels"][_REVISION] == update]
        ready = [pod for pod in pods if pod_ready(pod) and pod["status"].get("phase") == "Running"]
        if len(updated) == len(pods) == raw["spec"]["replicas"] and len(ready) == len(pods):
            current = update
        soon = raw["spec"].get("minReadySeconds") or 0
        available = [pod for pod in ready if self._world.clock.since(_ready_since(pod)) >= soon]
        status = {"observedGeneration": raw["metadata"]["generation"], "replicas": len(pods), "readyReplicas": len(ready),
                  "availableReplicas": len(available), "updatedReplicas": len(updated), "currentRevision": current, "updateRevision": update,
                  "currentReplicas": len([pod for pod in live if pod["metadata"]["labels"][_REVISION] == current]), "collisionCount": 0}
        if raw.get("status") == status:
            return False
        self._rest.change("statefulsets", raw, lambda new: new.update(status=status), status=True)
        return True


def _ready_since(pod: Object) -> str:
    return next(str(one["lastTransitionTime"]) for one in pod["status"]["conditions"] if one["type"] == "Ready")


def _controller(obj: Object) -> dict[str, Any]:
    return next((ref for ref in obj["metadata"].get("ownerReferences") or [] if ref.get("controller")), {})


def _owner(raw: Object) -> Object:
    return {**_plain_owner(raw, "StatefulSet"), "controller": True, "blockOwnerDeletion": True}


def _plain_owner(obj: Object, kind: str) -> Object:
    return {"apiVersion": "v1" if kind == "Pod" else "apps/v1", "kind": kind, "name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}


def _uids(refs: list[Object]) -> set[str]:
    return {ref["uid"] for ref in refs}
