"""A runner that dies: in the middle of the copy, and where it hurts most, while the StatefulSet is absent. That gap lasts some milliseconds; here the
API server refuses to create the set again until the runner has died in it."""
from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from application import NAME, Application
from namespaces import Namespace, until

from kubectl_volresize.errors import ApiError
from kubectl_volresize.kube import paths
from kubectl_volresize.kube.auth import from_kubeconfig
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
# In the runner's container: a signal to the child of PID 1. Whatever `kubectl exec` starts is no child of PID 1.
_SIGNAL_RUNNER = """
import os, sys
def parent(process):
    with open(f"/proc/{process}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[1]
(runner,) = [int(process) for process in os.listdir("/proc") if process.isdigit() and parent(process) == "1"]
os.kill(runner, int(sys.argv[1]))
"""
_SIZE, _MEBIBYTES = "32Mi", 4
_CLOSED = "gate.example/closed"


def runners(namespace: Namespace) -> list[Object]:
    """Oldest first."""
    found = namespace.objects("pods", "-l", f"{labels.ROLE}={labels.ROLE_RUNNER}")
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def signal_runner(namespace: Namespace, pod: str, number: signal.Signals) -> None:
    namespace.kubectl("exec", pod, "-c", "runner", "--", "python3", "-c", _SIGNAL_RUNNER, str(int(number)))


def demand_migrated(application: Application, before: str) -> None:
    namespace = application.namespace
    followed = namespace.follow(NAME)
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert namespace.migration(NAME)["status"]["phase"] == labels.COMPLETED
    assert application.sum(0, "data") == before and application.marks() == application.expected_marks()
    assert application.template_sizes() == {"data": _SIZE} and application.claim(0)["status"]["capacity"]["storage"] == _SIZE
    assert namespace.nothing_left() == []


def demand_same_pod(namespace: Namespace, first: Object) -> None:
    (last,) = runners(namespace)
    assert last["metadata"]["uid"] == first["metadata"]["uid"]
    assert [container["restartCount"] for container in last["status"]["containerStatuses"]] == [0]
    said = [json.loads(line) for line in namespace.kubectl("logs", last["metadata"]["name"]).splitlines()]
    assert [line["level"] for line in said if line["operation"] == "Restart"] == ["warning"]


def test_a_runner_killed_during_the_copy_goes_on_in_the_same_pod(fresh_namespace: Namespace) -> None:
    application = Application(fresh_namespace)
    application.start()
    before = application.fill(0, "data", 10)
    fresh_namespace.submit(NAME, "--volume", f"data={_SIZE}", "--bandwidth", "1M")
    until("a mover copies", lambda: any(pod["status"].get("phase") == "Running" for pod in
                                        fresh_namespace.objects("pods", "-l", f"{labels.ROLE}={labels.ROLE_MOVER}")))
    (first,) = runners(fresh_namespace)
    signal_runner(fresh_namespace, first["metadata"]["name"], signal.SIGKILL)
    assert fresh_namespace.migration(NAME)["status"]["phase"] == labels.SYNCING, "it was over before its runner was killed"
    demand_migrated(application, before)
    demand_same_pod(fresh_namespace, first)


@dataclass(frozen=True)
class Gap:
    """An application whose StatefulSet is absent, and may not be created before the gate is opened."""

    application: Application
    client: Client
    before: str
    runner: Object

    def open(self) -> None:
        self.client.merge_patch(paths.namespaces(self.application.namespace.name), {"metadata": {"labels": {_CLOSED: None}}})

    def stands(self) -> bool:
        return self.client.find(paths.statefulsets(self.application.namespace.name, NAME)) is not None

    def seconds_until_the_set_stands(self) -> float:
        opened = time.monotonic()
        while not self.stands():
            assert time.monotonic() < opened + 120, "the StatefulSet does not come back"
            time.sleep(0.01)
        return time.monotonic() - opened


def _gate(namespace: str) -> list[Object]:
    """An admission policy: no StatefulSet of the application's name is created while the namespace bears the label; a rehearsal, which has another
    name, is let through. A label, since the API server sees its change at once: at that of a policy it looks about once a second."""
    name, version = f"gap-{namespace}", "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}
    return [{"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
             "spec": {"matchConstraints": {"resourceRules": [rule]},
                      "validations": [{"expression": f"object.metadata.name != '{NAME}'", "message": "the gate is closed"}]}},
            {"apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
             "spec": {"policyName": name, "validationActions": ["Deny"],
                      "matchResources": {"namespaceSelector": {"matchLabels": {_CLOSED: namespace}}}}}]


@pytest.fixture
def gap(fresh_namespace: Namespace) -> Iterator[Gap]:
    """Its runner tries again and again to create the set."""
    namespace, application = fresh_namespace, Application(fresh_namespace)
    client = from_kubeconfig(namespace.kubeconfig).client
    application.start()
    before = application.fill(0, "data", _MEBIBYTES)
    try:
        namespace.kubectl("label", "namespace", namespace.name, f"{_CLOSED}={namespace.name}")
        namespace.create(*_gate(namespace.name))
        until("the gate is closed", lambda: "the gate is closed" in refusal(client, application))
        namespace.submit(NAME, "--volume", f"data={_SIZE}")
        gap = Gap(application, client, before, until("a runner", lambda: runners(namespace))[0])
        until("the StatefulSet is absent", lambda: not gap.stands())
        yield gap
    finally:
        namespace.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", f"gap-{namespace.name}", "--ignore-not-found")


def refusal(client: Client, application: Application) -> str:
    """What the API server says to whoever creates the set, which it never does: it is there."""
    with pytest.raises(ApiError) as told:
        client.create(paths.statefulsets(application.namespace.name), application.manifest(), dry_run=True)
    return told.value.message


def test_the_set_stands_again_when_the_runner_is_killed_in_the_gap(gap: Gap) -> None:
    signal_runner(gap.application.namespace, gap.runner["metadata"]["name"], signal.SIGKILL)
    gap.open()
    print(f"runner killed in the gap: the StatefulSet stands after {gap.seconds_until_the_set_stands():.2f} s")
    demand_migrated(gap.application, gap.before)
    demand_same_pod(gap.application.namespace, gap.runner)


def test_the_set_stands_again_when_the_runners_pod_is_deleted_in_the_gap(gap: Gap) -> None:
    namespace, name = gap.application.namespace, gap.runner["metadata"]["name"]
    # It does nothing any more; or it would create the set itself in the moment that it has left.
    signal_runner(namespace, name, signal.SIGSTOP)
    namespace.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
    gap.open()
    print(f"runner's pod deleted in the gap: the StatefulSet stands after {gap.seconds_until_the_set_stands():.2f} s")
    demand_migrated(gap.application, gap.before)
    assert runners(namespace)[-1]["metadata"]["uid"] != gap.runner["metadata"]["uid"]
