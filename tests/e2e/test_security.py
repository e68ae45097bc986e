"""What docs/security.md says is forbidden, tried for real by those to whom it is: the runner's account, and a user with the role `edit` who
would like to be it. Beside each thing that is denied stands the nearest one that is not.
tests/packaging/test_security_doc.py holds the document to this file."""
from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from namespaces import Namespace, until
from tried import Done, allowed, denied

from kubectl_volresize.errors import ApiError
from kubectl_volresize.kube import paths
from kubectl_volresize.kube.auth import from_kubeconfig
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object
from kubectl_volresize.templates import render

pytestmark = pytest.mark.cluster
DEVELOPER = "developer"
RBAC = "cannot"
ELSEWHERE = "somebody-elses"


@dataclass(frozen=True)
class Person:
    """Somebody with kubectl in a namespace."""

    namespace: Namespace
    user: str

    def tries(self, *arguments: str, given: Object | None = None) -> Done:
        command = self.namespace.command(*arguments, "--as", self.user)
        return subprocess.run(command, input=json.dumps(given) if given else None, capture_output=True, text=True, env=self.namespace.environment)

    def creates(self, what: Object) -> Done:
        return self.tries("create", "--dry-run=server", "-f", "-", given=what)

    def patches(self, volume: str, **change: Any) -> Done:
        return self.tries("patch", "persistentvolume", volume, "--type=merge", "--patch", json.dumps(change))


@pytest.fixture(scope="module")
def runner(namespace: Namespace) -> Person:
    made = Person(namespace, f"system:serviceaccount:{namespace.name}:{labels.RUNNER_ACCOUNT}")
    # The API server looks at a new policy about once a second.
    until("the policies are in force", lambda: "ValidatingAdmissionPolicy" in _token_of_the_runner(made).stderr)
    return made


@pytest.fixture(scope="module")
def developer(runner: Person) -> Person:
    runner.namespace.kubectl("create", "rolebinding", DEVELOPER, "--clusterrole=edit", f"--user={DEVELOPER}")
    return Person(runner.namespace, DEVELOPER)


def _token_of_the_runner(person: Person) -> Done:
    return subprocess.run(person.namespace.command("create", "token", labels.RUNNER_ACCOUNT), capture_output=True, text=True,
                          env=person.namespace.environment)


NewVolume = Callable[..., str]


@pytest.fixture
def new_volume(runner: Person) -> Iterator[NewVolume]:
    """Makes volumes that nobody provisions or uses, for a claim of `claimed_in`, or of nobody."""
    made: list[str] = []

    def make(claimed_in: str | None) -> str:
        name = f"{runner.namespace.name}-{len(made)}"
        reference = {"claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claimed_in, "name": "data-app-0", "uid": "1"}}
        runner.namespace.create({"apiVersion": "v1", "kind": "PersistentVolume",
                                 "metadata": {"name": name, "labels": {"team": "storage"}, "annotations": {"example.test/note": "keep"}},
                                 "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                                          "storageClassName": runner.namespace.name, "hostPath": {"path": "/nonexistent"},
                                          **(reference if claimed_in else {})}})
        made.append(name)
        return name

    yield make
    for name in made:
        runner.namespace.kubectl("delete", "persistentvolume", name)


# -- volumes


@pytest.mark.security("other-volume")
def test_a_volume_of_another_namespace_is_left_alone(runner: Person, new_volume: NewVolume) -> None:
    own, other = new_volume(runner.namespace.name), new_volume(ELSEWHERE)
    for change in ({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}, {"metadata": {"labels": {labels.ROLE: labels.ROLE_OLD}}}):
        denied(runner.patches(other, **change), "only volumes of claims in its own namespace")
        allowed(runner.patches(own, **change))


@pytest.mark.security("unclaimed-volume")
def test_a_volume_of_nobody_is_not_taken(runner: Person, new_volume: NewVolume) -> None:
    free = new_volume(None)
    denied(runner.patches(free, spec={"claimRef": {"namespace": runner.namespace.name, "name": "data-app-0"}}), "in its own namespace")
    denied(runner.patches(free, spec={"persistentVolumeReclaimPolicy": "Delete"}), "in its own namespace")
    allowed(runner.tries("get", "persistentvolume", free))


@pytest.mark.security("volume-given-away")
def test_a_volume_is_not_given_to_another_namespace(runner: Person, new_volume: NewVolume) -> None:
    own = new_volume(runner.namespace.name)
    denied(runner.patches(own, spec={"claimRef": {"namespace": ELSEWHERE, "uid": None}}), "in its own namespace")
    denied(runner.patches(own, spec={"claimRef": None}), "in its own namespace")
    allowed(runner.patches(own, spec={"claimRef": {"name": "data-app-1", "uid": None, "resourceVersion": None}}))


FOREIGN_FIELDS: dict[str, Object] = {
    "spec.capacity": {"spec": {"capacity": {"storage": "2Gi"}}},
    "spec.accessModes": {"spec": {"accessModes": ["ReadWriteMany"]}},
    "spec.storageClassName": {"spec": {"storageClassName": "other"}},
    "spec.mountOptions": {"spec": {"mountOptions": ["suid"]}},
    "spec.nodeAffinity": {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "a", "operator": "Exists"}]}]}}}},
    "metadata.finalizers": {"metadata": {"finalizers": ["example.test/mine"]}},
    "metadata.ownerReferences": {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "b"}]}},
    "its own labels": {"metadata": {"labels": {"team": None}}},
    "its own annotations": {"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "somebody"}}},
}


@pytest.mark.security("volume-field")
def test_only_the_fields_of_a_migration_are_changed(runner: Person, new_volume: NewVolume) -> None:
    own = new_volume(runner.namespace.name)
    for field, change in FOREIGN_FIELDS.items():
        denied(runner.patches(own, **change), field)
    ours = {"labels": {labels.MANAGED_BY: labels.MANAGER, labels.REPLICA: "0"}, "annotations": {labels.ORIGINAL_RECLAIM: "Delete"}}
    allowed(runner.patches(own, metadata=ours, spec={"persistentVolumeReclaimPolicy": "Delete"}))
    allowed(runner.patches(own, metadata={key: dict.fromkeys(values) for key, values in ours.items()}))


@pytest.mark.security("volume-source")
def test_a_volume_does_not_become_another_disk(runner: Person, new_volume: NewVolume) -> None:
    own = new_volume(runner.namespace.name)
    denied(runner.patches(own, spec={"hostPath": {"path": "/etc"}}), "immutable after creation")
    denied(runner.patches(own, spec={"hostPath": None, "nfs": {"server": "a", "path": "/"}}), "immutable after creation")
    allowed(runner.patches(own, spec={"persistentVolumeReclaimPolicy": "Retain"}))


@pytest.mark.security("volume-deleted")
def test_no_volume_is_deleted_or_made_even_with_the_right_to(runner: Person, new_volume: NewVolume) -> None:
    own, namespace = new_volume(runner.namespace.name), runner.namespace
    another = {**namespace.get("persistentvolume", own), "metadata": {"name": f"{own}-too"}}
    denied(runner.tries("delete", "persistentvolume", own), RBAC)
    denied(runner.creates(another), RBAC)
    role = f"too-much-{namespace.name}"
    try:
        namespace.kubectl("create", "clusterrole", role, "--verb=create,delete", "--resource=persistentvolumes")
        namespace.kubectl("create", "clusterrolebinding", role, f"--clusterrole={role}", f"--serviceaccount={namespace.name}:{labels.RUNNER_ACCOUNT}")
        until("the right is there", lambda: RBAC not in runner.creates(another).stderr)
        denied(runner.tries("delete", "persistentvolume", own), "neither creates nor deletes")
        denied(runner.creates(another), "neither creates nor deletes")
    finally:
        namespace.kubectl("delete", f"clusterrole/{role}", f"clusterrolebinding/{role}", "--ignore-not-found")
    allowed(runner.patches(own, spec={"persistentVolumeReclaimPolicy": "Delete"}))


# -- all else that the account may not


@pytest.mark.security("secrets")
def test_secrets_are_not_read(runner: Person) -> None:
    runner.namespace.kubectl("create", "secret", "generic", "password", "--from-literal=a=b")
    for arguments in (("get", "secrets"), ("get", "secret", "password"), ("get", "secrets", "-A"), ("get", "configmaps")):
        denied(runner.tries(*arguments), RBAC)
    allowed(runner.tries("get", "persistentvolumeclaims"))


@pytest.mark.security("other-namespace")
def test_nothing_of_another_namespace_is_touched_or_read(runner: Person) -> None:
    for arguments in (("get", "pods"), ("get", "statefulsets"), ("get", "persistentvolumeclaims"), ("delete", "pod", "any"), ("get", "vr")):
        denied(runner.tries(*arguments, "-n", "kube-system"), RBAC)
        denied(runner.tries(*arguments, "-n", "default"), RBAC)
    allowed(runner.tries("get", "pods"))


@pytest.mark.security("more-rights")
def test_no_right_is_given_away_or_taken(runner: Person) -> None:
    account = f"--serviceaccount={runner.namespace.name}:{labels.RUNNER_ACCOUNT}"
    for arguments in (("create", "rolebinding", "mine", "--clusterrole=edit", account),
                      ("create", "clusterrolebinding", "mine", "--clusterrole=edit", account),
                      ("create", "role", "mine", "--verb=get", "--resource=secrets"), ("delete", "rolebinding", labels.RUNNER_ROLE),
                      ("create", "token", "default"), ("annotate", "namespace", runner.namespace.name, f"{labels.IMAGE_PREFIX}=evil"),
                      ("delete", "validatingadmissionpolicybinding", labels.VOLUMES_ROLE)):
        denied(runner.tries(*arguments), RBAC)
    allowed(runner.tries("auth", "can-i", "patch", "persistentvolumes"))


# -- who would like to be the runner


def runners_pod(namespace: Namespace, name: str = "runner", **spec: Any) -> Object:
    """The pod of a runner's Job, for a VolumeResize that does not exist; `spec`: other fields of it."""
    job = render("job", name=name, namespace=namespace.name, labels={}, queue={}, migration="none", image=namespace.image, tolerations=[],
                 pull_secrets=[])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace.name},
            "spec": {**copy.deepcopy(job["spec"]["template"]["spec"]), **spec}}


def with_container(namespace: Namespace, **fields: Any) -> Object:
    pod = runners_pod(namespace)
    pod["spec"]["containers"][0].update(fields)
    return pod


@pytest.mark.security("command")
def test_the_account_runs_no_other_command(developer: Person) -> None:
    command = [*runners_pod(developer.namespace)["spec"]["containers"][0]["command"]]
    for other in (["sh", "-c", "cat /var/run/secrets/kubernetes.io/serviceaccount/token"], [*command, "more"], []):
        pod = with_container(developer.namespace, command=other)
        denied(developer.creates(pod), "and nothing else")
        pod["spec"]["serviceAccountName"] = "default"
        allowed(developer.creates(pod))
    allowed(developer.creates(runners_pod(developer.namespace)))


@pytest.mark.security("image")
def test_the_account_runs_no_other_image(developer: Person) -> None:
    repository = developer.namespace.image.rpartition(":")[0]
    for image in ("busybox:1.36", f"{repository}-too:1", f"{repository}too", f"evil.example/{repository}:1", f"{repository}:1/evil", repository[:-1]):
        denied(developer.creates(with_container(developer.namespace, image=image)), "--image PREFIX")
    for image in (f"{labels.IMAGE_REPOSITORY}:1", f"docker.io/{labels.IMAGE_REPOSITORY}@sha256:{'0' * 64}", labels.IMAGE_REPOSITORY):
        allowed(developer.creates(with_container(developer.namespace, image=image)))


@pytest.mark.security("image-prefix")
def test_the_prefix_of_images_is_an_admins_and_stays(fresh_namespace: Namespace) -> None:
    namespace = fresh_namespace
    namespace.kubectl("create", "rolebinding", DEVELOPER, "--clusterrole=edit", f"--user={DEVELOPER}")
    somebody = Person(namespace, DEVELOPER)
    denied(somebody.tries("annotate", "namespace", namespace.name, f"{labels.IMAGE_PREFIX}=evil.example/x"), RBAC)
    theirs = with_container(namespace, image="registry.example:5000/team/volmig:3")
    denied(somebody.creates(theirs), "--image PREFIX")
    for options in (("--image", "registry.example:5000/team"), ()):
        assert namespace.volresize("install", *options).returncode == 0
        until("the prefix is seen", lambda: somebody.creates(theirs).returncode == 0)
        denied(somebody.creates(runners_pod(namespace)), "not " + namespace.image)


@pytest.mark.security("second-container")
def test_the_account_has_no_second_container(developer: Person) -> None:
    other = {"name": "other", "image": developer.namespace.image, "command": ["sleep", "9"]}
    pod = runners_pod(developer.namespace)
    for change in ({"containers": [*pod["spec"]["containers"], other]}, {"initContainers": [other]},
                   {"initContainers": [{**other, "restartPolicy": "Always"}]}):
        denied(developer.creates(runners_pod(developer.namespace, **change)), "has one container")
        allowed(developer.creates(runners_pod(developer.namespace, **change, serviceAccountName="default")))


MOUNTED = "/usr/lib/python3/dist-packages"
INTO_THE_CODE: dict[str, tuple[Object, str]] = {
    "environment": ({"env": [{"name": "PYTHONPATH", "value": "/tmp"}]}, "no other variable"),
    "environment from a ConfigMap": ({"envFrom": [{"configMapRef": {"name": "evil"}}]}, "no other variable"),
    "hook": ({"lifecycle": {"postStart": {"exec": {"command": ["id"]}}}}, "and nothing else"),
    "probe": ({"livenessProbe": {"exec": {"command": ["id"]}}}, "and nothing else"),
    "directory": ({"workingDir": "/tmp"}, "and nothing else"),
    "mount": ({"volumeMounts": [{"name": "tmp", "mountPath": MOUNTED}]}, "no other volume"),
}


@pytest.mark.security("other-code")
def test_our_command_is_not_made_to_run_other_code(developer: Person) -> None:
    for change, words in INTO_THE_CODE.values():
        denied(developer.creates(with_container(developer.namespace, **change)), words)
    code = {"name": "tmp", "configMap": {"name": "evil"}}
    projected = {"name": "tmp", "projected": {"sources": [{"configMap": {"name": "evil"}}]}}
    for volume in (code, projected):
        denied(developer.creates(runners_pod(developer.namespace, volumes=[volume])), "no other volume")
    allowed(developer.creates(with_container(developer.namespace, args=["--namespace", developer.namespace.name, "--name", "app"])))


@pytest.mark.security("host")
def test_the_account_gets_nothing_of_a_host(developer: Person) -> None:
    namespace = developer.namespace
    security = runners_pod(namespace)["spec"]["containers"][0]["securityContext"]
    for pod in (runners_pod(namespace, hostNetwork=True), runners_pod(namespace, hostPID=True), runners_pod(namespace, hostIPC=True),
                with_container(namespace, securityContext={"privileged": True}), runners_pod(namespace, securityContext={"runAsUser": 0}),
                with_container(namespace, securityContext={**security, "runAsNonRoot": False}),
                with_container(namespace, securityContext={**security, "capabilities": {"add": ["SYS_ADMIN"]}})):
        denied(developer.creates(pod), "nothing of its host")
    denied(developer.creates(runners_pod(namespace, volumes=[{"name": "tmp", "hostPath": {"path": "/"}}])), "no other volume")
    allowed(developer.creates(runners_pod(namespace)))


@pytest.mark.security("changed-pod")
def test_a_runners_pod_does_not_become_another_one(developer: Person) -> None:
    namespace, client = developer.namespace, from_kubeconfig(developer.namespace.kubeconfig).client
    namespace.create(runners_pod(namespace, "mine"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": {
        "containers": [{"name": "runner", "image": namespace.image, "command": ["sleep", "1"]}]}})
    image = json.dumps({"spec": {"containers": [{"name": "runner", "image": "busybox:1.36"}]}})
    denied(developer.tries("patch", "pod", "mine", "--patch", image), "--image PREFIX")
    allowed(developer.tries("patch", "pod", "other", "--patch", image))
    # What its controllers write goes on.
    allowed(developer.tries("label", "pod", "mine", "a=b"))
    # As an admin: `edit` does not give the right to add one.
    debugger = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "busybox:1.36"}]}}
    with pytest.raises(ApiError, match="has one container"):
        client.merge_patch(paths.pods(namespace.name, "mine", "ephemeralcontainers"), debugger, dry_run=True)
    client.merge_patch(paths.pods(namespace.name, "other", "ephemeralcontainers"), debugger, dry_run=True)


@pytest.mark.security("token")
def test_nobody_gets_a_token_of_the_account(developer: Person) -> None:
    denied(developer.tries("create", "token", labels.RUNNER_ACCOUNT), "only a kubelet gets a token")
    denied(_token_of_the_runner(developer), "only a kubelet gets a token")
    allowed(developer.tries("create", "token", "default"))


@pytest.mark.security("token-secret")
def test_no_secret_gets_a_token_of_the_account(developer: Person) -> None:
    def secret(account: str, kind: str = "kubernetes.io/service-account-token") -> Object:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": account}},
                "type": kind}
    denied(developer.creates(secret(labels.RUNNER_ACCOUNT)), "no secret holds a token")
    allowed(developer.creates(secret("default")))
    allowed(developer.creates(secret(labels.RUNNER_ACCOUNT, "Opaque")))
    allowed(developer.tries("apply", "-f", "-", given=secret("default")))
    denied(developer.tries("apply", "-f", "-", given=secret(labels.RUNNER_ACCOUNT)), "no secret holds a token")


# -- what is not stopped


@pytest.mark.security("impersonation")
def test_edit_may_impersonate_accounts_and_look_into_pods(developer: Person) -> None:
    """Documented, not wished for: should Kubernetes take these rights out of `edit`, the document is to be changed."""
    for right in (("impersonate", "serviceaccounts"), ("create", "pods/exec")):
        assert developer.tries("auth", "can-i", *right).stdout.strip() == "yes"
    # All that is gained by it: the runner's rights, which end at the namespace.
    denied(Person(developer.namespace, "nobody").tries("auth", "can-i", "impersonate", "serviceaccounts"), "")


def test_the_rights_in_the_document_are_those_of_the_account(runner: Person) -> None:
    document = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text()
    # The second column is the names of objects and URLs, which are nobody's here; what everybody may is about oneself.
    listed = re.findall(r"^([a-z][\w./]+) +\[\] +\[\] +(\[.*\])$", runner.tries("auth", "can-i", "--list").stdout, re.MULTILINE)
    shown = re.findall(r"^([a-z][\w./]+) +(\[.*\])$", document.partition("Resources  ")[2].partition("```")[0], re.MULTILINE)
    assert sorted(shown) == sorted((what, verbs) for what, verbs in listed if not what.startswith("self"))
