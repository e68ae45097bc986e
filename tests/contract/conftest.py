"""The same tests on the API server of tests/support/fake_api and on a real one (marker `cluster`, KUBECONFIG): what the fake claims about Kubernetes
is only worth something while the real controllers say the same."""
from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import builders
import pytest
from fake_api import EAGER, LAZY, RANDOM, FakeApi

from kubectl_volresize.errors import NotFound
from kubectl_volresize.kube import paths
from kubectl_volresize.kube.auth import from_kubeconfig
from kubectl_volresize.kube.client import Client, Object
from kubectl_volresize.templates import render

_T = TypeVar("_T")
_SECONDS = 120  # until a real controller counts as not coming
_TRIES = 400
_CALM = 2.0     # seconds in which a real controller would have acted: it needs 0.03-0.12 s
# Ends at once when told to; kept small since a real node has to run it.
_APP = {"name": "app", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]}


class Cluster:
    """A namespace in a cluster, with words for what the tests do in it. `pause` lets time pass, `calm` lets all controllers finish."""

    def __init__(self, client: Client, namespace: str, pause: Callable[[], None], calm: Callable[[], None], tries: float) -> None:
        self.client, self.namespace, self.calm = client, namespace, calm
        self._pause, self._tries = pause, tries
        self._numbers = itertools.count(1)
        self._prefix = f"t{uuid.uuid4().hex[:6]}"
        self.volumes: list[str] = []

    def name(self) -> str:
        """A name that nothing else has."""
        return f"{self._prefix}-{next(self._numbers)}"

    def until(self, seen: Callable[[], _T | None]) -> _T:
        """Look until there is something to see. Raises AssertionError when it never comes."""
        deadline = time.monotonic() + self._tries
        left = _TRIES
        while time.monotonic() < deadline and left:
            if found := seen():
                return found
            self._pause()
            left -= 1
        raise AssertionError("it never came")

    @contextmanager
    def apart(self, **labels: str) -> Iterator[str]:
        """A namespace of its own, with these labels, for what would disturb others."""
        name = self.name()
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.client.create(paths.namespaces(), body)
        yield name
        if self.client.find(paths.namespaces(name)):
            self.client.delete(paths.namespaces(name))

    # -- objects by their short paths

    def pod_path(self, name: str) -> str:
        return paths.pods(self.namespace, name)

    def claim_path(self, name: str) -> str:
        return paths.claims(self.namespace, name)

    def set_path(self, name: str) -> str:
        return paths.statefulsets(self.namespace, name)

    def gone(self, path: str) -> None:
        """Wait until nothing has this path."""
        self.until(lambda: self.client.find(path) is None)

    def phase(self, path: str, *phases: str) -> Object:
        """Wait until the object is in one of these phases."""
        def seen() -> Object | None:
            found = self.client.find(path)
            return found if found and found.get("status", {}).get("phase") in phases else None
        return self.until(seen)

    # -- things to have

    def config_map(self, **meta: Any) -> Object:
        """The smallest object there is."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name(), "namespace": self.namespace, **meta},
                "data": {"key": "one"}}
        return self.client.create(f"/api/v1/namespaces/{self.namespace}/configmaps", body)

    def config_map_path(self, obj: Object) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{obj['metadata']['name']}"

    def migration(self) -> Object:
        """A VolumeResize of a set that need not exist."""
        spec = {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}]}
        return self.client.create(paths.migrations(self.namespace), render("volumeresize", name=self.name(), namespace=self.namespace, spec=spec))

    def claim(self, name: str | None = None, size: str = "32Mi", volume: str | None = None, storage_class: str = "standard") -> Object:
        spec: Object = {"accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "resources": {"requests": {"storage": size}}}
        if volume:
            spec["volumeName"] = volume
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name or self.name(), "namespace": self.namespace},
                "spec": spec}
        return self.client.create(paths.claims(self.namespace), body)

    def pod(self, claim: str | None = None, command: list[str] | None = None, **meta: Any) -> Object:
        """A pod that runs until it is told to end."""
        container: Object = {**_APP, **({"command": command} if command else {})}
        spec: Object = {"containers": [container], "terminationGracePeriodSeconds": 20, "restartPolicy": "Never"}
        if claim:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
            spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name(), "namespace": self.namespace, **meta}, "spec": spec}
        return self.client.create(paths.pods(self.namespace), body)

    def bound_claim(self, policy: str = "Retain") -> tuple[Object, Object]:
        """A claim that nobody uses any more and its volume, with this reclaim policy."""
        claim = self.claim()
        pod = self.pod(claim["metadata"]["name"])
        self.phase(self.pod_path(pod["metadata"]["name"]), "Running")
        self.client.delete(self.pod_path(pod["metadata"]["name"]))
        self.gone(self.pod_path(pod["metadata"]["name"]))
        claim = self.client.get(self.claim_path(claim["metadata"]["name"]))
        self.volumes.append(claim["spec"]["volumeName"])
        patch = {"spec": {"persistentVolumeReclaimPolicy": policy}}
        return claim, self.client.merge_patch(paths.volumes(claim["spec"]["volumeName"]), patch)

    def statefulset(self, replicas: int = 2, policy: str = "OrderedReady", **spec: Any) -> Object:
        """A set with one volume `data` for each replica, all Ready; its volumes are kept when their claims go."""
        name = self.name()
        labels = {"app": name}
        container = {**_APP, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        template = {"metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "48Mi"}}}}
        self.client.create(paths.statefulsets(self.namespace), {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": labels}, "podManagementPolicy": policy,
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 20}},
                     "volumeClaimTemplates": [template], **spec}})
        found = self.until(lambda: self._all_ready(name, replicas))
        for ordinal in range(replicas):
            volume = self.client.get(self.claim_path(f"data-{name}-{ordinal}"))["spec"]["volumeName"]
            self.client.merge_patch(paths.volumes(volume), {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
            self.volumes.append(volume)
        return found

    def _all_ready(self, name: str, replicas: int) -> Object | None:
        found = self.client.get(self.set_path(name))
        status = found.get("status", {})
        settled = status.get("readyReplicas") == replicas and status.get("currentRevision") == status.get("updateRevision")
        return found if settled and status.get("observedGeneration") == found["metadata"]["generation"] else None

    def budget(self, selector: dict[str, str], max_unavailable: int) -> Object:
        """A PodDisruptionBudget that its controller has looked at."""
        body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": self.name(), "namespace": self.namespace},
                "spec": {"selector": {"matchLabels": selector}, "maxUnavailable": max_unavailable}}
        made = self.client.create(paths.budgets(self.namespace), body)
        path = paths.budgets(self.namespace, made["metadata"]["name"])

        def counted() -> Object | None:
            found = self.client.get(path)
            status = found.get("status", {})
            return found if status.get("observedGeneration") == 1 and status.get("currentHealthy") == status.get("expectedPods") else None
        return self.until(counted)


def _fake(mode: str) -> Iterator[Cluster]:
    api = FakeApi(seed=7, mode=mode)
    builders.add_nodes_and_classes(api)
    builders.install(api, "contract")
    with api.connected() as client:
        yield Cluster(client, "contract", pause=lambda: api.sleep(1), calm=api.settle, tries=60)


@pytest.fixture(scope="session")
def real_namespace() -> Iterator[Callable[[], tuple[Client, str]]]:
    """Makes the namespace when the first test asks for it; removed at the end with everything in it."""
    made: list[tuple[Client, str]] = []

    def make() -> tuple[Client, str]:
        if not made:
            client, name = from_kubeconfig().client, f"contract-{uuid.uuid4().hex[:8]}"
            client.create(paths.namespaces(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            made.append((client, name))
            definition = render("crd")
            client.apply(paths.definitions(definition["metadata"]["name"]), definition, "kubectl-volresize", force=True)
        return made[0]

    yield make
    for client, name in made:
        client.delete(paths.namespaces(name))


def _real(make: Callable[[], tuple[Client, str]]) -> Iterator[Cluster]:
    client, namespace = make()
    cluster = Cluster(client, namespace, pause=lambda: time.sleep(0.1), calm=lambda: time.sleep(_CALM), tries=_SECONDS)
    yield cluster
    _remove_kept_volumes(client, cluster.volumes)


def _remove_kept_volumes(client: Client, names: list[str]) -> None:
    """Their claims go with the namespace; policy Delete lets the provisioner take the disks away then."""
    for name in names:
        found = client.find(paths.volumes(name))
        if found is None:
            continue
        spec: Object = {"persistentVolumeReclaimPolicy": "Delete"}
        if not found["spec"].get("claimRef", {}).get("uid"):
            # Reserved for a claim that never came: only a volume that lost its claim is taken away.
            spec["claimRef"] = {**(found["spec"].get("claimRef") or {}), "uid": "00000000-0000-0000-0000-000000000000"}
        # It may go by itself meanwhile, when its claim did.
        with suppress(NotFound):
            client.merge_patch(paths.volumes(name), {"spec": spec})


@pytest.fixture(params=[f"fake-{EAGER}", f"fake-{LAZY}", f"fake-{RANDOM}", pytest.param("real", marks=pytest.mark.cluster)])
def cluster(request: pytest.FixtureRequest, real_namespace: Callable[[], tuple[Client, str]]) -> Iterator[Cluster]:
    """A fake cluster whose controllers act at once, late, or now and then; or the real one."""
    where = str(request.param)
    yield from _real(real_namespace) if where == "real" else _fake(where.removeprefix("fake-"))
