"""A real Kueue: its manager (hack/kueue.sh) as a process on this machine. None of its webhooks is registered: they are for all of a cluster, in which
others may be at work, and would be in their way as soon as the process has ended."""
from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from from_source import compiled, free_port, running
from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object

GROUP = "kueue.x-k8s.io"
API_VERSION = f"{GROUP}/v1beta2"
QUEUE_LABEL = f"{GROUP}/queue-name"
# On the definitions: who made them may take them away.
_OURS = {"kubectl-volresize.test/made-by": "tests"}
_KINDS = ("workloads", "localqueues", "clusterqueues", "resourceflavors")


@dataclass(frozen=True)
class Queue:
    """A ClusterQueue with room for one pod, of the first namespace's name, and a LocalQueue to it in each."""

    namespaces: tuple[Namespace, ...]
    name: str = "migrations"

    @property
    def namespace(self) -> Namespace:
        return self.namespaces[0]

    def create(self) -> None:
        scope, names = self.namespace.name, [one.name for one in self.namespaces]
        room = [{"name": "pods", "nominalQuota": 1}, {"name": "cpu", "nominalQuota": 10}, {"name": "memory", "nominalQuota": "10Gi"}]
        selector = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}]}
        self.namespace.apply(
            {"apiVersion": API_VERSION, "kind": "ResourceFlavor", "metadata": {"name": scope}},
            {"apiVersion": API_VERSION, "kind": "ClusterQueue", "metadata": {"name": scope},
             "spec": {"namespaceSelector": selector,
                      "resourceGroups": [{"coveredResources": [one["name"] for one in room], "flavors": [{"name": scope, "resources": room}]}]}})
        for namespace in self.namespaces:
            namespace.apply({"apiVersion": API_VERSION, "kind": "LocalQueue", "metadata": {"name": self.name}, "spec": {"clusterQueue": scope}})

    def hold(self, policy: str) -> None:
        """`Hold`: nobody else is admitted; `HoldAndDrain`: those who are lose their place; `None`: as before."""
        self.namespace.kubectl("patch", f"clusterqueue.{GROUP}/{self.namespace.name}", "--type=merge", "-p",
                               json.dumps({"spec": {"stopPolicy": policy}}))

    def activate(self, namespace: Namespace, job: str, active: bool) -> None:
        """Whether this Job alone may have a place."""
        for workload in self._workloads(namespace, job):
            namespace.kubectl("patch", f"workload.{GROUP}/{workload['metadata']['name']}", "--type=merge", "-p",
                              json.dumps({"spec": {"active": active}}))

    def admitted(self, namespace: Namespace, job: str) -> bool:
        """Whether the Job has its place."""
        return any(one["type"] == "Admitted" and one["status"] == "True" for workload in self._workloads(namespace, job)
                   for one in workload.get("status", {}).get("conditions", ()))

    @staticmethod
    def _workloads(namespace: Namespace, job: str) -> list[Object]:
        """What Kueue keeps of the Job: one, as soon as it has seen it."""
        return [workload for workload in namespace.objects(f"workloads.{GROUP}")
                if any(owner["name"] == job for owner in workload["metadata"].get("ownerReferences", ()))]


def _configuration(health: int, webhook: int) -> str:
    return yaml.safe_dump({
        "apiVersion": "config.kueue.x-k8s.io/v1beta2", "kind": "Configuration", "namespace": "kueue-system",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"}, "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": webhook, "certDir": "certs"}, "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False}, "manageJobsWithoutQueueName": False,
        "integrations": {"frameworks": ["batch/job"]},
        "featureGates": {"VisibilityOnDemand": False, "MultiKueue": False}})


@contextmanager
def at_work(namespaces: tuple[Namespace, ...], folder: Path) -> Iterator[Queue]:
    """Kueue, and a queue for one migration at a time. Its definitions are there as long."""
    namespace = namespaces[0]
    built = compiled("kueue.sh", slow=True)
    _definitions(namespace, built / "crds")
    try:
        health = free_port()
        (folder / "certs").mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", "tls.key",
                        "-out", "tls.crt"], cwd=folder / "certs", check=True, capture_output=True)
        (folder / "config.yaml").write_text(_configuration(health, free_port()))
        queue, log = Queue(namespaces), folder / "log"
        with running([built / "kueue", "--config=config.yaml", "--zap-log-level=2"], log, folder, namespace.environment) as process:
            def ready() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{health}/readyz", timeout=5) as answer:
                        return bool(answer.status == 200)
                except urllib.error.URLError:
                    return False
            until("Kueue is ready", ready)
            queue.create()
            try:
                yield queue
            finally:
                # As long as somebody is there who takes the finalizers off.
                for one in namespaces:
                    one.kubectl("delete", "jobs", "-l", QUEUE_LABEL, "--cascade=foreground", "--timeout=60s")
    finally:
        _take_away(namespace)


def _definitions(namespace: Namespace, folder: Path) -> None:
    made = [yaml.safe_load(file.read_text()) for file in sorted(folder.glob("*.yaml"))]
    there = [one for one in namespace.objects("customresourcedefinitions") if one["spec"]["group"] == GROUP]
    if any(one["metadata"].get("labels", {}).items().isdisjoint(_OURS.items()) for one in there):
        pytest.skip("the cluster has a Kueue of its own, which would be in the way of the tests' one")
    for one in made:
        one["metadata"]["labels"] = _OURS
    namespace.apply(*made)
    namespace.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{one['metadata']['name']}" for one in made))


def _take_away(namespace: Namespace) -> None:
    """Whatever is left, with whatever finalizers; then the definitions."""
    for kind in _KINDS:
        for one in namespace.objects(f"{kind}.{GROUP}", "-A"):
            where = ["-n", one["metadata"]["namespace"]] if "namespace" in one["metadata"] else []
            subprocess.run(["kubectl", *where, "patch", f"{kind}.{GROUP}", one["metadata"]["name"], "--type=merge", "-p",
                            '{"metadata": {"finalizers": null}}'], capture_output=True, env=namespace.environment)
    namespace.kubectl("delete", "customresourcedefinitions", "--ignore-not-found", "--timeout=180s",
                      "-l", ",".join(f"{key}={value}" for key, value in _OURS.items()))
