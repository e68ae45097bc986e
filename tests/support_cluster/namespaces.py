"""A namespace of a real cluster: what a user does in it with kubectl and the plugin, and how it is left as if it had never been there."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

_T = TypeVar("_T")
_SAY_HOW_IT_IS = ("Pod", "StatefulSet", "PodDisruptionBudget")
_SECONDS = 120  # until something that must come counts as not coming
# The volume of a temporary claim that never existed: what makes a volume that is only reserved Released, so that its provisioner removes it.
_NOBODY = "00000000-0000-0000-0000-000000000000"


def until(what: str, seen: Callable[[], _T | None], seconds: float = _SECONDS) -> _T:
    """Look until there is something to see. Raises AssertionError, with `what`, when it does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := seen():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:g} s")


def _version(one: Object) -> str:
    """Of what says by itself how the application is, all but that."""
    if one["kind"] not in _SAY_HOW_IT_IS:
        return str(one["metadata"]["resourceVersion"])
    metadata = {key: value for key, value in one["metadata"].items() if key not in ("resourceVersion", "managedFields")}
    return json.dumps({**one, "metadata": metadata, "status": None}, sort_keys=True)


@dataclass(frozen=True)
class Namespace:
    """`name` in the cluster of `kubeconfig`; `image` of the runner and the movers."""

    name: str
    kubeconfig: str
    image: str

    @property
    def environment(self) -> dict[str, str]:
        """The checkout's own plugin first on PATH, whatever else is installed."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"KUBECONFIG": self.kubeconfig, "VOLRESIZE_IMAGE": self.image, "PATH": path}

    # -- what a user types

    def command(self, *arguments: str) -> list[str]:
        return ["kubectl", "-n", self.name, *arguments]

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Its output. Raises AssertionError with what it said when it failed."""
        done = subprocess.run(self.command(*arguments), input=given, capture_output=True, text=True, env=self.environment)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}{done.stdout}"
        return done.stdout

    def plugin(self, *arguments: str) -> list[str]:
        """kubectl takes no option before a plugin's name."""
        return ["kubectl", "volresize", *arguments, "-n", self.name]

    def volresize(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`kubectl volresize ARGUMENTS`; whether it failed is for the test to judge."""
        return self.volresize_given(None, *arguments)

    def volresize_given(self, given: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same with this on its stdin."""
        command = self.plugin(*arguments)
        try:
            return subprocess.run(command, input=given, capture_output=True, text=True, env=self.environment, timeout=_SECONDS)
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode() + (error.stderr or b"").decode()
            raise AssertionError(f"{' '.join(command)}: not within {_SECONDS} s\n{said}") from error

    def submit(self, *arguments: str) -> None:
        done = self.volresize("submit", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def follow(self, target: str) -> subprocess.CompletedProcess[str]:
        """The log until the migration is over; the exit code is its outcome."""
        return self.volresize("logs", target, "-f")

    def apply(self, *objects: Object, server_side: bool = True) -> None:
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", *["--server-side"] * server_side, "-f", "-", given=body)

    def create(self, *objects: Object) -> None:
        self.kubectl("create", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    # -- what is there

    def objects(self, *arguments: str) -> list[Object]:
        """Objects as the API has them, one that is not there is left out."""
        answer = json.loads(self.kubectl("get", *arguments, "--ignore-not-found", "-o", "json") or '{"items": []}')
        items: list[Object] = answer["items"] if answer.get("kind", "List").endswith("List") else [answer]
        return items

    def get(self, kind: str, name: str) -> Object:
        found = self.objects(kind, name)
        assert found, f"{kind}/{name} is not there"
        return found[0]

    def names(self, *arguments: str) -> set[str]:
        return {str(item["metadata"]["name"]) for item in self.objects(*arguments)}

    def migration(self, name: str) -> Object:
        return self.get(f"{labels.PLURAL}.{labels.GROUP}", name)

    def volumes(self) -> list[Object]:
        """PersistentVolumes of the namespace's claims, those that are kept or reserved too."""
        return [volume for volume in self.objects("persistentvolumes") if (volume["spec"].get("claimRef") or {}).get("namespace") == self.name]

    def versions(self) -> dict[tuple[str, str], str]:
        """What is written in all of the namespace and in its volumes, but for the status that kubelets and controllers go on writing on their own."""
        kinds = ("statefulsets,controllerrevisions,pods,persistentvolumeclaims,jobs,volumeresizes,leases,configmaps,secrets,serviceaccounts,services,"
                 "roles,rolebindings,poddisruptionbudgets,resourcequotas,limitranges")
        return {(one["kind"], one["metadata"]["name"]): _version(one) for one in [*self.objects(kinds), *self.volumes()]}

    def nothing_left(self) -> list[str]:
        """What of ours is still there although no migration is at work; empty is good. The record, its Job and the kept volumes may stay."""
        left = [f"{pod['metadata']['name']} (pod)" for pod in self.objects("pods")
                if pod["metadata"].get("labels", {}).get(labels.ROLE) in (labels.ROLE_MOVER, labels.ROLE_MEASURE)]
        left += [f"{name} (temporary claim)" for name in self.names("persistentvolumeclaims") if name.endswith("-new")]
        left += [f"{name} (lease)" for name in self.names("leases")]
        for item in self.objects("pods,statefulsets,volumeresizes"):
            left += [f"finalizer {finalizer} on {item['kind']} {item['metadata']['name']}"
                     for finalizer in item["metadata"].get("finalizers", ()) if finalizer.startswith(labels.GROUP)]
        for item in self.objects("statefulsets"):
            left += [f"annotation {key} on {item['kind']} {item['metadata']['name']}"
                     for key in item["metadata"].get("annotations", {}) if key.startswith(labels.GROUP)]
        return left

    # -- leaving

    def abandon(self) -> None:
        """Delete everything without waiting; what a test that died has left must not stop it. Done again and again until `gone`."""
        self._quiet("delete", "jobs", "--all", "--wait=false", "--cascade=background")
        self._quiet("delete", "clusterrolebinding", f"volresize-runner-{self.name}", "--ignore-not-found")
        self._quiet("delete", "namespace", self.name, "--wait=false", "--ignore-not-found")
        for item in self.objects("pods,statefulsets,volumeresizes"):
            kept = [finalizer for finalizer in item["metadata"].get("finalizers", ()) if not finalizer.startswith(labels.GROUP)]
            if len(kept) < len(item["metadata"].get("finalizers", ())):
                self._quiet("patch", item["kind"].lower(), item["metadata"]["name"], "--type", "merge", "--patch",
                            json.dumps({"metadata": {"finalizers": kept}}))
        for volume in self.volumes():
            self._let_go(volume)

    def gone(self) -> bool:
        """Whether neither the namespace nor a volume of it is left."""
        return not self.objects("namespace", self.name) and not self.volumes()

    def _let_go(self, volume: Object) -> None:
        spec: dict[str, Any] = {"persistentVolumeReclaimPolicy": "Delete"}
        if not volume["spec"]["claimRef"].get("uid"):
            spec["claimRef"] = {"uid": _NOBODY}
        self._quiet("patch", "persistentvolume", volume["metadata"]["name"], "--type", "merge", "--patch", json.dumps({"spec": spec}))

    def _quiet(self, *arguments: str) -> None:
        """It may be gone already; whether it worked is seen by looking again."""
        subprocess.run(self.command(*arguments), capture_output=True, env=self.environment)
