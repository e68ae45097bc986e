"""Clusters that read like the cluster: three_replicas(volumes={"data": "1Gi"}).with_budget(max_unavailable=1).build() -> a settled FakeApi."""
from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

from fake_api import EAGER, FakeApi, Object

from kubectl_volresize.templates import render

NAMESPACE, SET = "prod", "web"
STANDARD, IMMEDIATE = "standard", "immediate"
IMAGE = "example.test/volmig:1"


@dataclass(frozen=True)
class Cluster:
    """What a cluster shall hold; `build` makes it. `volumes`: size by volumeClaimTemplate; `set_fields`: more fields of the set's spec."""

    name: str = SET
    namespace: str = NAMESPACE
    replicas: int = 3
    volumes: dict[str, str] = field(default_factory=lambda: {"data": "1Gi"})
    policy: str = "OrderedReady"
    storage_class: str = STANDARD
    access_mode: str = "ReadWriteOnce"
    reclaim_policy: str = "Delete"
    budgets: tuple[Object, ...] = ()
    set_fields: Object = field(default_factory=dict)
    pod_fields: Object = field(default_factory=dict)
    nodes: tuple[str, ...] = ("node-1", "node-2")
    installed: bool = True

    def with_budget(self, max_unavailable: int | str | None = None, min_available: int | str | None = None) -> Cluster:
        """One more PodDisruptionBudget over all pods of the set."""
        limit = {"maxUnavailable": max_unavailable} if max_unavailable is not None else {"minAvailable": min_available}
        number = len(self.budgets) + 1
        return replace(self, budgets=(*self.budgets, {"metadata": {"name": f"{self.name}-{number}", "namespace": self.namespace},
                                                      "spec": {"selector": {"matchLabels": {"app": self.name}}, **limit}}))

    def with_retention(self, deleted: str = "Retain", scaled: str = "Retain") -> Cluster:
        """persistentVolumeClaimRetentionPolicy of the set."""
        return self.with_set(persistentVolumeClaimRetentionPolicy={"whenDeleted": deleted, "whenScaled": scaled})

    def with_set(self, **fields: Any) -> Cluster:
        """More fields of the StatefulSet's spec, by their names in Kubernetes."""
        return replace(self, set_fields={**self.set_fields, **fields})

    def with_pods(self, **fields: Any) -> Cluster:
        """More fields of the pod template's spec."""
        return replace(self, pod_fields={**self.pod_fields, **fields})

    def without_installation(self) -> Cluster:
        """No CustomResourceDefinition, no rights: as before `install`."""
        return replace(self, installed=False)

    def statefulset(self) -> Object:
        """The manifest."""
        labels = {"app": self.name}
        container = {"name": "app", "image": "example.test/app:1", "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in self.volumes]}
        claims = [{"metadata": {"name": name},
                   "spec": {"accessModes": [self.access_mode], "storageClassName": self.storage_class, "resources": {"requests": {"storage": size}}}}
                  for name, size in self.volumes.items()]
        return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
                "spec": {"replicas": self.replicas, "serviceName": self.name, "selector": {"matchLabels": labels}, "podManagementPolicy": self.policy,
                         "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **self.pod_fields}},
                         "volumeClaimTemplates": claims, **copy.deepcopy(self.set_fields)}}

    def build(self, seed: int = 0, mode: str = EAGER) -> FakeApi:
        """The cluster, settled: pods Ready, claims Bound, some data on every volume; what happened until then counts as no disaster."""
        api = FakeApi(seed=seed, mode=mode)
        add_nodes_and_classes(api, self.nodes, self.reclaim_policy)
        if self.installed:
            install(api, self.namespace)
        elif api.find("namespaces", "", self.namespace) is None:
            add_namespace(api, self.namespace)
        for budget in self.budgets:
            api.rest.post("poddisruptionbudgets", budget)
        add_set(api, self)
        return api


def three_replicas(volumes: dict[str, str] | None = None, policy: str = "OrderedReady", immediate: bool = False, replicas: int = 3) -> Cluster:
    """StatefulSet web in namespace prod; with classes that wait for a consumer, or with `immediate` ones."""
    return Cluster(replicas=replicas, volumes=volumes or {"data": "1Gi"}, policy=policy, storage_class=IMMEDIATE if immediate else STANDARD)


def add_set(api: FakeApi, cluster: Cluster) -> None:
    """One more StatefulSet in a cluster that is built already; settled, and what was created for it counts as no disaster."""
    api.rest.post("statefulsets", cluster.statefulset())
    api.settle()
    for _ in range(3):
        api.applications_write()
    api.empty_claims.clear()


def add_namespace(api: FakeApi, namespace: str) -> None:
    api.rest.post("namespaces", {"metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace}}})


def add_nodes_and_classes(api: FakeApi, nodes: tuple[str, ...] = ("node-1", "node-2"), reclaim_policy: str = "Delete") -> None:
    for node in nodes:
        made = api.rest.post("nodes", {"metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}}, "spec": {}})
        set_node_ready(api, made["metadata"]["name"], True)
    for name, mode in ((STANDARD, "WaitForFirstConsumer"), (IMMEDIATE, "Immediate")):
        default = {"storageclass.kubernetes.io/is-default-class": "true"} if name == STANDARD else {}
        api.rest.post("storageclasses", {"metadata": {"name": name, "annotations": default}, "provisioner": "example.test/disks",
                                         "reclaimPolicy": reclaim_policy, "volumeBindingMode": mode})


def set_node_ready(api: FakeApi, node: str, ready: bool) -> None:
    """A node whose kubelet answers, or not."""
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}
    found = api.find("nodes", "", node)
    assert found is not None, f"node {node} does not exist"
    api.rest.change("nodes", found, lambda new: new.update(status=status), status=True)


def install(api: FakeApi, namespace: str) -> None:
    """What `install -n NAMESPACE` creates and a migration cannot go without: the CustomResourceDefinition and the runner's account."""
    api.rest.post("customresourcedefinitions", render("crd"))
    if api.find("namespaces", "", namespace) is None:
        add_namespace(api, namespace)
    api.rest.post("serviceaccounts", render("serviceaccount", namespace=namespace))


def submit(api: FakeApi, sizes: dict[str, str], *, name: str = SET, statefulset: str = SET, namespace: str = NAMESPACE, **spec: Any) -> Object:
    """A VolumeResize that wants these sizes; a size may be (size, storageClass). `spec`: more of its fields by their names in the CRD."""
    volumes = [{"name": volume, "newSize": size} if isinstance(size, str) else {"name": volume, "newSize": size[0], "storageClass": size[1]}
               for volume, size in sizes.items()]
    wanted = {"statefulSetName": statefulset, "volumes": volumes, "mover": {"image": IMAGE}, **spec}
    return api.rest.post("volumeresizes", render("volumeresize", name=name, namespace=namespace, spec=wanted))
