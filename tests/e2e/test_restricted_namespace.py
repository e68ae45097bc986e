"""PodSecurity: runner and movers are admitted where they are said to be, and in a namespace that enforces restricted a mover that is not root makes a
whole migration (--run-as-user). What the kubelet does for its fsGroup, it does to the new volume only."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from application import Application
from namespaces import Namespace, until

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object
from kubectl_volresize.templates import render

pytestmark = pytest.mark.cluster
UID = 4321
REFUSED = 4
_LEVEL = "pod-security.kubernetes.io/enforce"
# All that a mover of root would keep of an entry: kind, mode, owner, size, time, target, name.
_LIST = "find . -mindepth 1 -exec stat -c '%F %a %u:%g %s %y %N' {} + | sort -k 8"
_FILL = """
cd /data
mkdir -p tree/deep; echo one >tree/one; echo two >tree/deep/two; ln -s one tree/link; ln tree/one tree/hard; mkfifo tree/pipe
dd if=/dev/urandom of=tree/blob bs=64k count=40 2>/dev/null
chmod 4755 tree/one; chmod 400 tree/deep/two; chmod 2750 tree/deep; touch -d '2001-02-03 04:05:06' tree/blob tree/deep; sync
"""


@dataclass(frozen=True)
class Confined(Application):
    """As restricted wants it, under a user of its own."""

    def manifest(self, sizes: Mapping[str, str] | None = None, greeting: str = "hello") -> Object:
        made = super().manifest(sizes, greeting)
        # OnRootMismatch: else the kubelet gives every file to the group again when a pod starts, and what the copy kept could not be seen.
        made["spec"]["template"]["spec"]["securityContext"] = {
            "runAsNonRoot": True, "runAsUser": UID, "runAsGroup": UID, "fsGroup": UID, "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"}}
        return made

    def container(self, greeting: str) -> Object:
        return {**super().container(greeting), "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}

    def listing(self) -> str:
        return self.run(0, f"cd /data; {_LIST.replace('.', './tree ./mark', 1)}")


def enforce(namespace: Namespace, level: str) -> None:
    namespace.kubectl("label", "namespace", namespace.name, "--overwrite", f"{_LEVEL}={level}")


@pytest.fixture(scope="module")
def confined(new_namespace: Callable[[], Namespace]) -> Iterator[Confined]:
    namespace = new_namespace()
    enforce(namespace, "restricted")
    made = Confined(namespace)
    made.start()
    made.run(0, _FILL)
    yield made
    namespace.abandon()


# -- who is admitted where


def mover(namespace: Namespace, user: int) -> Object:
    return render("mover", name="mover", namespace=namespace.name, labels={}, annotations={}, lease={"name": "a", "uid": "b"}, node="n",
                  tolerations=[], priority_class="",
                  pull_secrets=[], selinux=None, image=namespace.image, args=[], resources={}, source_claim="a", target_claim="b",
                  user=user, group=user)


def runner(namespace: Namespace) -> Object:
    job = render("job", name="runner", namespace=namespace.name, labels={}, queue={}, migration="none", image=namespace.image, tolerations=[],
                 pull_secrets=[])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runner"}, "spec": job["spec"]["template"]["spec"]}


def violations(namespace: Namespace, pod: Object) -> str:
    done = subprocess.run(namespace.command("create", "--dry-run=server", "-f", "-"), input=json.dumps(pod), capture_output=True, text=True,
                          env=namespace.environment)
    return done.stderr.partition("violates PodSecurity")[2] if done.returncode else ""


def test_runner_and_movers_keep_to_their_level_of_pod_security(fresh_namespace: Namespace) -> None:
    seen = {}
    for level in ("restricted", "baseline"):
        enforce(fresh_namespace, level)
        pods = {"runner": runner(fresh_namespace), "mover": mover(fresh_namespace, 0), "mover of a user": mover(fresh_namespace, UID)}
        seen[level] = {what for what, pod in pods.items() if not violations(fresh_namespace, pod)}
    assert seen == {"restricted": {"runner", "mover of a user"}, "baseline": {"runner", "mover", "mover of a user"}}


# -- what the kubelet does for a group


def look(namespace: Namespace, name: str, *, read_only: bool, group: int | None) -> str:
    """What a pod, alone on the volume, sees of it."""
    claim = {"claimName": "data-app-0", "readOnly": read_only}
    container = {"name": "look", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "workingDir": "/data", "command": ["sh", "-c", _LIST],
                 "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": read_only}]}
    namespace.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "containers": [container], "securityContext": {} if group is None else {"fsGroup": group},
        "volumes": [{"name": "data", "persistentVolumeClaim": claim}]}})
    until(f"pod {name} has ended", lambda: namespace.get("pod", name)["status"].get("phase") == "Succeeded")
    seen = namespace.kubectl("logs", name)
    namespace.kubectl("delete", "pod", name)
    return seen


def test_the_kubelet_gives_a_volume_that_is_read_only_to_no_group(fresh_namespace: Namespace) -> None:
    application = Application(fresh_namespace)
    application.start()
    application.run(0, _FILL)
    fresh_namespace.kubectl("scale", "statefulset", "app", "--replicas=0")
    until("the application is gone", lambda: not fresh_namespace.objects("pods"))
    before = look(fresh_namespace, "before", read_only=True, group=None)
    assert "./tree/blob" in before and f":{UID} " not in before
    assert look(fresh_namespace, "read-only", read_only=True, group=UID) == before
    # The measure is one: with the volume source writable every file is changed.
    assert f"0:{UID} " in look(fresh_namespace, "writable", read_only=False, group=UID)


# -- a whole migration


def test_root_is_refused_and_both_ways_out_are_named(confined: Confined) -> None:
    done = confined.namespace.volresize("submit", "app", "--volume", "data=32Mi")
    assert done.returncode == REFUSED
    assert "--run-as-user UID" in done.stderr and f"{_LEVEL}=baseline" in done.stderr


def test_pods_without_the_group_of_the_new_root_directory_need_a_word(confined: Confined) -> None:
    namespace = confined.namespace
    planned = namespace.volresize("plan", "app", "--volume", "data=32Mi", "--run-as-user", str(UID))
    assert planned.returncode == 0 and "[copied-as-user]" in planned.stdout, planned.stdout + planned.stderr
    bare = Application(namespace).manifest()
    bare["metadata"]["name"] = "bare"
    bare["spec"] = {**bare["spec"], "replicas": 0, "selector": {"matchLabels": {"app": "bare"}}}
    bare["spec"]["template"]["metadata"]["labels"] = {"app": "bare"}
    namespace.apply(bare)
    assert "[no-fs-group]" in namespace.volresize("plan", "bare", "--volume", "data=32Mi", "--run-as-user", str(UID)).stdout
    namespace.kubectl("delete", "statefulset", "bare")


def test_a_user_copies_all_that_is_his_and_what_he_cannot_keep_is_said(confined: Confined) -> None:
    namespace, before, old = confined.namespace, confined.listing(), str(confined.claim(0)["spec"]["volumeName"])
    submitted = namespace.volresize("submit", "app", "--volume", "data=32Mi", "--run-as-user", str(UID))
    assert submitted.returncode == 0, submitted.stderr
    assert f"is copied as user {UID}" in submitted.stderr
    followed = namespace.follow("app")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert confined.claim(0)["spec"]["volumeName"] != old
    assert confined.listing() == before and confined.marks() == confined.expected_marks()
    # Root's own two directories, which mkfs made, and nothing else.
    [entry] = namespace.migration("app")["status"]["volumeStatuses"]
    assert entry["message"].startswith("not kept: mtime of 2 (") and entry["message"] in followed.stdout
    assert namespace.nothing_left() == []


def test_a_file_that_the_user_may_not_read_makes_the_copy_fail_and_nothing_is_lost(confined: Confined) -> None:
    """After the migration, with the next smaller size: a file without any right, which root would copy."""
    namespace, old = confined.namespace, str(confined.claim(0)["spec"]["volumeName"])
    confined.run(0, "echo secret >/data/closed; chmod 0 /data/closed; sync")
    namespace.submit("app", "--volume", "data=24Mi", "--run-as-user", str(UID))
    followed = namespace.follow("app-2")
    assert followed.returncode == 5, followed.stdout + followed.stderr
    assert "closed: Permission denied" in followed.stdout + followed.stderr
    assert confined.claim(0)["spec"]["volumeName"] == old and confined.marks() == confined.expected_marks()
    assert namespace.migration("app-2")["spec"]["mover"]["runAsUser"] == UID
    assert labels.FAILED == namespace.migration("app-2")["status"]["phase"]
