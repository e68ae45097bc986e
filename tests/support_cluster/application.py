"""The application whose volumes are made smaller: as small as a StatefulSet can be, applied by its owner with server-side apply."""
from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object

NAME = "app"
# Of a shell that waits, since a first process without a handler never gets the signal.
_SLEEP = ["sh", "-c", 'trap "exit 0" TERM; sleep infinity & wait']


@dataclass(frozen=True)
class Application:
    """`volumes`: size by volumeClaimTemplate; `spec`: what else stands in the StatefulSet's spec."""

    namespace: Namespace
    volumes: Mapping[str, str] = field(default_factory=lambda: {"data": "64Mi"})
    replicas: int = 1
    storage_class: str = "standard"
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ordinals(self) -> range:
        start = int((self.spec.get("ordinals") or {}).get("start", 0))
        return range(start, start + self.replicas)

    def manifest(self, sizes: Mapping[str, str] | None = None, greeting: str = "hello") -> Object:
        """As its owner keeps it; `sizes` in place of the first ones, `greeting` the value of an environment variable."""
        sizes = sizes or self.volumes
        container = {**self.container(greeting), "volumeMounts": [{"name": volume, "mountPath": f"/{volume}"} for volume in self.volumes]}
        # Over all nodes: a replica must come back on its own one.
        spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
                  "labelSelector": {"matchLabels": {"app": NAME}}}
        pod = {"terminationGracePeriodSeconds": 2, "containers": [container], "topologySpreadConstraints": [spread]}
        templates = [{"metadata": {"name": volume}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": self.storage_class,
                                                             "resources": {"requests": {"storage": sizes[volume]}}}} for volume in self.volumes]
        return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": NAME},
                "spec": {"replicas": self.replicas, "serviceName": NAME, "selector": {"matchLabels": {"app": NAME}},
                         "template": {"metadata": {"labels": {"app": NAME}}, "spec": pod}, "volumeClaimTemplates": templates,
                         **copy.deepcopy(dict(self.spec))}}

    def container(self, greeting: str) -> Object:
        """Without its mounts. One that does nothing; what else an application does, another one says here."""
        return {"name": "app", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": _SLEEP,
                "env": [{"name": "GREETING", "value": greeting}]}

    def start(self) -> None:
        """Applied, all Ready, and a mark of its own on each volume of each replica."""
        self.namespace.apply(self.manifest())
        self.ready()
        for ordinal in self.ordinals:
            for volume in self.volumes:
                self.write(ordinal, f"/{volume}/mark", self.mark(ordinal, volume))

    def ready(self, replicas: int | None = None) -> None:
        wanted = self.replicas if replicas is None else replicas

        def seen() -> bool:
            found = self.the_set()
            status = found.get("status", {})
            current = status.get("observedGeneration") == found["metadata"]["generation"]
            return bool(current and status.get("readyReplicas") == wanted and status.get("updatedReplicas") == wanted)
        until(f"{wanted} replica(s) Ready", seen)

    # -- in its pods

    def mark(self, ordinal: int, volume: str) -> str:
        return f"{volume} of replica {ordinal} in {self.namespace.name}"

    def marks(self) -> dict[str, str]:
        """What stands on the volumes now, by claim."""
        return {self.claim_name(ordinal, volume): self.run(ordinal, f"cat /{volume}/mark").strip()
                for ordinal in self.ordinals for volume in self.volumes}

    def expected_marks(self) -> dict[str, str]:
        return {self.claim_name(ordinal, volume): self.mark(ordinal, volume) for ordinal in self.ordinals for volume in self.volumes}

    def run(self, ordinal: int, script: str) -> str:
        return self.namespace.kubectl("exec", f"{NAME}-{ordinal}", "-c", "app", "--", "sh", "-euc", script)

    def write(self, ordinal: int, path: str, text: str) -> None:
        self.run(ordinal, f"echo '{text}' >{path}; sync")

    def fill(self, ordinal: int, volume: str, mebibytes: int) -> str:
        """Random bytes, which cannot be packed or left out as a hole; returns their sum."""
        self.run(ordinal, f"dd if=/dev/urandom of=/{volume}/blob bs=1M count={mebibytes} 2>/dev/null; sync")
        return self.sum(ordinal, volume)

    def sum(self, ordinal: int, volume: str) -> str:
        return self.run(ordinal, f"sha256sum /{volume}/blob").split()[0]

    def mebibytes(self, ordinal: int, volume: str) -> float:
        """Size of the file system that the application sees."""
        return int(self.run(ordinal, f"df -k /{volume}").splitlines()[-1].split()[1]) / 1024

    # -- its objects

    @staticmethod
    def claim_name(ordinal: int, volume: str) -> str:
        return f"{volume}-{NAME}-{ordinal}"

    def the_set(self) -> Object:
        return self.namespace.get("statefulset", NAME)

    def pod(self, ordinal: int) -> Object:
        return self.namespace.get("pod", f"{NAME}-{ordinal}")

    def claim(self, ordinal: int, volume: str = "data") -> Object:
        return self.namespace.get("persistentvolumeclaim", self.claim_name(ordinal, volume))

    def claim_uids(self) -> dict[str, str]:
        return {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in self.namespace.objects("persistentvolumeclaims")}

    def volume_of(self, ordinal: int, volume: str = "data") -> Object:
        return self.namespace.get("persistentvolume", self.claim(ordinal, volume)["spec"]["volumeName"])

    def template_sizes(self) -> dict[str, str]:
        return {template["metadata"]["name"]: template["spec"]["resources"]["requests"]["storage"]
                for template in self.the_set()["spec"]["volumeClaimTemplates"]}

    def on_volume(self, persistent_volume: str, path: str) -> str:
        """Content of a file on a volume that nobody uses any more, read as a user would: claim it again and look."""
        volume, name = self.namespace.get("persistentvolume", persistent_volume), f"look-{persistent_volume[-8:]}"
        self.namespace.kubectl("patch", "persistentvolume", persistent_volume, "--type", "json", "--patch",
                               '[{"op": "remove", "path": "/spec/claimRef"}]')
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                 "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": volume["spec"]["storageClassName"],
                          "volumeName": persistent_volume, "resources": {"requests": {"storage": volume["spec"]["capacity"]["storage"]}}}}
        container = {"name": "look", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": ["cat", f"/kept{path}"],
                     "volumeMounts": [{"name": "kept", "mountPath": "/kept"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
               "spec": {"restartPolicy": "Never", "containers": [container],
                        "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": name}}]}}
        self.namespace.create(claim)
        until(f"claim {name} is Bound", lambda: self._bound_or_nudged(name))
        self.namespace.create(pod)
        until(f"pod {name} has ended", lambda: self.namespace.get("pod", name)["status"].get("phase") in ("Succeeded", "Failed"))
        return self.namespace.kubectl("logs", name).strip()

    def _bound_or_nudged(self, claim: str) -> bool:
        """The binder looks again at a claim that changes; at one that it could not bind at once, only after 15 s.

        Not oftener than it can write: every change by others makes its own write a conflict, and a claim that changes all the time is never bound.
        """
        if self.namespace.get("persistentvolumeclaim", claim)["status"].get("phase") == "Bound":
            return True
        self.namespace.kubectl("annotate", "--overwrite", "persistentvolumeclaim", claim, f"nudge={time.monotonic()}")
        time.sleep(2)
        return False
