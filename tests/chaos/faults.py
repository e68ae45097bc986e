"""Parts of a cluster of hack/localcluster that fail and come back, and a StatefulSet that cannot come back for as long as a test likes."""
from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from disturbed import Disturbed
from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object

_ROOT = Path(__file__).resolve().parents[2]
_CACHE = Path(os.environ.get("VOLRESIZE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubectl-volresize")
AUDIT_LOG = _CACHE / "cluster" / "logs" / "audit.log"
_NODE_LOST = 120.0  # seconds; the node controller says NotReady after 50


def why_not_here(kubeconfig: str) -> str:
    """Why nothing of the cluster in use can be stopped; empty when it can."""
    if Path(kubeconfig) != _CACHE / "cluster" / "kubeconfig":
        return f"stops parts of a cluster of hack/localcluster, and the one in use is another: KUBECONFIG={kubeconfig}"
    return "" if os.geteuid() == 0 else "hack/localcluster needs root"


def fault(*arguments: str) -> None:
    done = subprocess.run([_ROOT / "hack" / "localcluster" / "fault.sh", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def back_again(namespace: Namespace) -> Iterator[None]:
    """Whatever fails in the block, servers and nodes run afterwards."""
    try:
        yield
    finally:
        fault("apiserver", "start")
        for number in "12":
            fault("node", number, "start")
        until("all nodes are Ready again", lambda: all(ready(node) for node in namespace.objects("nodes")), _NODE_LOST)


def ready(node: Object) -> bool:
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"].get("conditions", ()))


def number_of(node: str) -> str:
    """As hack/localcluster counts its nodes."""
    return node.rpartition("-")[2]


@dataclass
class Once:
    """Something that is done to a migration one time, `delay` seconds after `when` first holds; `done` gets what it was and where the migration
    stood."""

    what: str
    when: Callable[[Disturbed], bool]
    do: Callable[[Disturbed], None]
    done: list[str]
    delay: float = 0.0
    _since: float | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)

    def __call__(self, run: Disturbed) -> None:
        if self._over:
            return
        if self._since is None and self.when(run):
            self._since = time.monotonic()
        if self._since is not None and time.monotonic() >= self._since + self.delay:
            self._over = True
            self.done.append(f"{self.what} at {run.look.where}")
            self.do(run)


def absent(run: Disturbed) -> bool:
    return run.look.the_set is None


def at_step(step: str, ordinal: int) -> Callable[[Disturbed], bool]:
    return lambda run: (step, ordinal) in run.look.steps


def away_for(seconds: float, stop: tuple[str, ...], start: tuple[str, ...]) -> Callable[[Disturbed], None]:
    def do(run: Disturbed) -> None:
        fault(*stop)
        time.sleep(seconds)
        fault(*start)
    return do


@contextmanager
def no_statefulset_may_be_created(namespace: Namespace, name: str) -> Iterator[Callable[[], None]]:
    """An admission policy that lets no StatefulSet of that name in, until the block ends or what it gives is called. What it is rehearsed with has
    another name, so that nobody knows before."""
    policy = f"{namespace.name}-no-{name}"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}
    namespace.apply(
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": policy},
         "spec": {"failurePolicy": "Fail", "matchConstraints": {"namespaceSelector": selector, "resourceRules": [rule]},
                  "validations": [{"expression": f"object.metadata.name != '{name}'", "message": "not now"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": policy},
         "spec": {"policyName": policy, "validationActions": ["Deny"]}})

    def lift() -> None:
        namespace.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", policy, "--ignore-not-found")
    try:
        until("the policy is at work", lambda: _refuses(namespace, name))
        yield lift
    finally:
        lift()


def _refuses(namespace: Namespace, name: str) -> bool:
    again = {**namespace.get("statefulset", name), "metadata": {"name": name}}
    asked = subprocess.run(namespace.command("create", "--dry-run=server", "-f", "-"), input=json.dumps(again), capture_output=True, text=True,
                           env=namespace.environment)
    return "not now" in asked.stderr
