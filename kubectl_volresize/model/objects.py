"""Frozen views of raw API objects: what a decision may ask of a pod, a claim, a volume, a StatefulSet. The raw dict stays whole underneath, since
what we recreate must keep every field, also the ones nobody here knows. No I/O; nothing here changes an object."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from . import labels
from .quantity import parse_bytes
from .selector import node_matches, selector_matches

Object = dict[str, Any]


@dataclass(frozen=True)
class View:
    """Anything with metadata."""

    raw: Object

    @property
    def meta(self) -> Object:
        meta: Object = self.raw["metadata"]
        return meta

    @property
    def name(self) -> str:
        return str(self.meta["name"])

    @property
    def uid(self) -> str:
        return str(self.meta.get("uid", ""))

    @property
    def resource_version(self) -> str:
        return str(self.meta.get("resourceVersion", ""))

    @property
    def labels(self) -> dict[str, str]:
        return self.meta.get("labels") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.meta.get("annotations") or {}

    @property
    def finalizers(self) -> tuple[str, ...]:
        return tuple(self.meta.get("finalizers") or ())

    def finalizers_without(self, *gone: str) -> tuple[str, ...]:
        return tuple(finalizer for finalizer in self.finalizers if finalizer not in gone)

    @property
    def foreign_finalizers(self) -> tuple[str, ...]:
        """Those that neither we nor Kubernetes itself take off: the object stays after its deletion for as long as somebody else wants."""
        return self.finalizers_without(*labels.KNOWN_FINALIZERS)

    @property
    def terminating(self) -> bool:
        return bool(self.meta.get("deletionTimestamp"))

    @property
    def owners(self) -> tuple[Object, ...]:
        return tuple(self.meta.get("ownerReferences") or ())

    @property
    def spec(self) -> Object:
        return self.raw.get("spec") or {}

    @property
    def status(self) -> Object:
        return self.raw.get("status") or {}

    def owned_by(self, uid: str) -> bool:
        return any(owner.get("uid") == uid for owner in self.owners)


def _condition(status: Object, kind: str) -> Object:
    found = [condition for condition in status.get("conditions") or [] if condition.get("type") == kind]
    condition: Object = found[0] if found else {}
    return condition


class Pod(View):
    """A pod of the application, a mover or a measurer."""

    @property
    def node(self) -> str:
        return str(self.spec.get("nodeName") or "")

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def ready(self) -> bool:
        return not self.terminating and _condition(self.status, "Ready").get("status") == "True"

    @property
    def ready_since(self) -> str:
        """RFC 3339 time of the last change of the Ready condition, empty when there is none."""
        return str(_condition(self.status, "Ready").get("lastTransitionTime", ""))

    @property
    def held(self) -> bool:
        return labels.HOLD_FINALIZER in self.finalizers

    @property
    def revision(self) -> str:
        return self.labels.get("controller-revision-hash", "")

    @property
    def claims(self) -> dict[str, str]:
        """Claim name by volume name of the pod spec."""
        volumes = self.spec.get("volumes") or []
        return {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in volumes if volume.get("persistentVolumeClaim")}

    @property
    def _container_statuses(self) -> list[Object]:
        kinds = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        return [status for kind in kinds for status in self.status.get(kind) or []]

    @property
    def containers_terminated(self) -> bool:
        """Every container that ever had a status has ended. A container that was never started has state `waiting`: it holds no file open."""
        return all("terminated" in state or ("waiting" in state and not status.get("containerID"))
                   for status in self._container_statuses for state in (status.get("state") or {},))

    @property
    def never_started(self) -> bool:
        """No container of it has ever run, so that it has written nothing."""
        return self.phase in ("Pending", "Failed") and all(
            "waiting" in (status.get("state") or {}) and not status.get("containerID") and not status.get("lastState")
            for status in self._container_statuses)

    @property
    def exit_code(self) -> int | None:
        """Exit code of the only container of a mover or measurer; None while it runs or when nobody knows."""
        for status in self.status.get("containerStatuses") or []:
            if "terminated" in (status.get("state") or {}):
                return int(status["state"]["terminated"]["exitCode"])
        return None

    @property
    def last_words(self) -> Object:
        """The termination message of a mover or measurer as JSON; {} when it left none."""
        for status in self.status.get("containerStatuses") or []:
            message = ((status.get("state") or {}).get("terminated") or {}).get("message", "")
            if message.startswith("{"):
                try:
                    words: Object = json.loads(message)
                except ValueError:
                    return {}
                return words
        return {}

    @property
    def why_not_running(self) -> str:
        """What keeps it from running, in the words of the scheduler or the kubelet; empty when nothing does."""
        scheduled = _condition(self.status, "PodScheduled")
        if scheduled.get("status") == "False":
            return f"{scheduled.get('reason', '')}: {scheduled.get('message', '')}"
        for status in self._container_statuses:
            waiting = (status.get("state") or {}).get("waiting")
            if waiting:
                return f"{waiting.get('reason', '')}: {waiting.get('message', '')}".rstrip(": ")
        return ""

    def shut_down(self, node_ready: bool) -> bool:
        """Nothing of the application can write any more.

        Grace period 0 alone is also what a force delete or podGC leaves while the process lives on, hence every container status and the node, whose
        kubelet alone knows (measured: `delete --force` left a container running for 30 s; podgc/gc_controller.go with the out-of-service taint).
        """
        if not self.node:
            # No node, no process; and none will be given to a pod that is being deleted (pkg/registry/core/pod/storage, assignPod).
            return self.terminating
        over = self.phase in ("Failed", "Succeeded") and bool(self.meta.get("deletionGracePeriodSeconds", 1) == 0)
        return self.terminating and over and self.containers_terminated and node_ready


class Claim(View):
    """A PersistentVolumeClaim."""

    @property
    def volume_name(self) -> str:
        return str(self.spec.get("volumeName") or "")

    @property
    def bound(self) -> bool:
        return self.status.get("phase") == "Bound"

    @property
    def lost(self) -> bool:
        return self.status.get("phase") == "Lost"

    @property
    def request(self) -> int:
        """Bytes asked for."""
        return parse_bytes(self.spec.get("resources", {}).get("requests", {}).get("storage", "0"))

    @property
    def capacity(self) -> int:
        """Bytes that it has; what it asks for while it is not bound."""
        given = (self.status.get("capacity") or {}).get("storage")
        return parse_bytes(given) if given else self.request

    @property
    def storage_class(self) -> str | None:
        found = self.spec.get("storageClassName")
        return None if found is None else str(found)

    @property
    def access_modes(self) -> tuple[str, ...]:
        return tuple(self.spec.get("accessModes") or ())

    @property
    def one_pod(self) -> bool:
        """No second pod can have it beside the application's (KEP-2485)."""
        return "ReadWriteOncePod" in self.access_modes

    @property
    def block(self) -> bool:
        return bool(self.spec.get("volumeMode", "Filesystem") == "Block")


class Node(View):
    """A node."""

    @property
    def ready(self) -> bool:
        return bool(_condition(self.status, "Ready").get("status") == "True")

    @property
    def cordoned(self) -> bool:
        """It takes no new pods."""
        return bool(self.spec.get("unschedulable"))


class Volume(View):
    """A PersistentVolume."""

    @property
    def policy(self) -> str:
        return str(self.spec.get("persistentVolumeReclaimPolicy", ""))

    @property
    def retained(self) -> bool:
        return self.policy == "Retain"

    @property
    def claim_ref(self) -> Object:
        return self.spec.get("claimRef") or {}

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def capacity(self) -> int:
        return parse_bytes((self.spec.get("capacity") or {}).get("storage", "0"))

    def reachable_from(self, node: Node) -> bool:
        """Whether a pod on the node can have it (spec.nodeAffinity, which its provisioner wrote)."""
        required = (self.spec.get("nodeAffinity") or {}).get("required")
        return required is None or node_matches(required, node.name, node.labels)

    def reserved_for(self, namespace: str, claim: str) -> bool:
        """Pre-bound to a claim of this name whatever its UID will be."""
        ref = self.claim_ref
        return ref.get("namespace") == namespace and ref.get("name") == claim and not ref.get("uid")


class StatefulSet(View):
    """The application."""

    @property
    def replicas(self) -> int:
        found = self.spec.get("replicas")
        return 1 if found is None else int(found)

    @property
    def ordinals(self) -> tuple[int, ...]:
        """Ordinals of its replicas, lowest first. Source: KEP-3335, spec.ordinals.start."""
        start = int((self.spec.get("ordinals") or {}).get("start") or 0)
        return tuple(range(start, start + self.replicas))

    @property
    def templates(self) -> dict[str, Object]:
        """volumeClaimTemplates by name."""
        return {template["metadata"]["name"]: template for template in self.spec.get("volumeClaimTemplates") or []}

    @property
    def frozen(self) -> bool:
        return labels.FREEZE_FINALIZER in self.finalizers

    @property
    def inert(self) -> bool:
        """Terminating with nothing but our finalizer: its controller only updates status (stateful_set_control.go, UpdateStatefulSet)."""
        return self.terminating and set(self.finalizers) == {labels.FREEZE_FINALIZER}

    @property
    def in_order(self) -> bool:
        """A replica is created only when those below it are Ready."""
        return bool(self.spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady")

    @property
    def min_ready_seconds(self) -> int:
        return int(self.spec.get("minReadySeconds") or 0)

    @property
    def retention(self) -> Object:
        """persistentVolumeClaimRetentionPolicy with its defaults."""
        policy = self.spec.get("persistentVolumeClaimRetentionPolicy") or {}
        return {"whenDeleted": policy.get("whenDeleted", "Retain"), "whenScaled": policy.get("whenScaled", "Retain")}

    @property
    def observed(self) -> bool:
        return int(self.status.get("observedGeneration") or 0) >= int(self.meta.get("generation") or 0)

    @property
    def rolling(self) -> str:
        """Why its revision is in motion, empty when it stands still. A set recreated in the middle of a rollout would come up at another version."""
        strategy = self.spec.get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            # Its currentRevision never follows (stateful_set_control.go, completeRollingUpdate): each pod says for itself what it runs.
            return "" if self.observed else "its controller has not seen the last change yet"
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        if not self.observed:
            return "its controller has not seen the last change yet"
        if self.status.get("currentRevision") != self.status.get("updateRevision"):
            return "a rollout is in progress: currentRevision and updateRevision differ"
        if partition > min(self.ordinals, default=0):
            return f"updateStrategy.rollingUpdate.partition is {partition}"
        return ""

    @property
    def scaling(self) -> str:
        """Why its number of replicas is in motion, empty when it stands still."""
        present = self.status.get("replicas")
        if present is None or int(present) == self.replicas:
            return ""
        return f"is being scaled: {present} replica(s) are there, {self.replicas} are wanted"

    def marked_by(self, migration_uid: str, ordinal: int) -> bool:
        """Created by us in the swap of this replica."""
        return (bool(migration_uid) and self.annotations.get(labels.MIGRATION_UID) == migration_uid
                and self.annotations.get(labels.REPLICA_MARK) == str(ordinal))


class Migration(View):
    """The VolumeResize at work."""

    @property
    def uid(self) -> str:
        """What our marks on other objects name: its UID, or that of the lost one in whose place it stands."""
        return str(self.status.get("migrationUID") or super().uid)


class Budget(View):
    """A PodDisruptionBudget."""

    @property
    def allowed(self) -> int:
        return int(self.status.get("disruptionsAllowed") or 0)

    def selects(self, pod_labels: dict[str, str]) -> bool:
        selector = self.spec.get("selector")
        return selector is not None and selector_matches(selector, pod_labels)
