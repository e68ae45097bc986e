"""What we write is what was there, but for what was asked: a field that nobody here knows survives the exchange, and a mover keeps its promises."""
from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import states
from states import MIGRATION_UID, NODE

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Claim, Object, Pod, StatefulSet
from kubectl_volresize.model.record import VolumeRecord
from kubectl_volresize.model.request import Target
from kubectl_volresize.mover.finish import LOSSES
from kubectl_volresize.plan import manifests
from kubectl_volresize.templates import render

LEASE = {"name": "volresize-web", "uid": "uid-of-lease"}


def saved_set() -> Object:
    """A set as read, with fields that a newer Kubernetes might have, everywhere."""
    raw = copy.deepcopy(states.statefulset(volumes=("data", "logs"), minReadySeconds=10, ofTheFuture={"deep": [1, {"er": True}]}).raw)
    raw["metadata"].update(annotations={"team": "db"}, labels={"app": "web"}, finalizers=["example.test/keep", labels.FREEZE_FINALIZER, "orphan"],
                           creationTimestamp="then", deletionTimestamp="now", deletionGracePeriodSeconds=0, managedFields=[{"manager": "argocd"}],
                           selfLink="/x", ownerReferences=[{"kind": "Database", "name": "d", "uid": "u"}], ofTheFuture=1)
    for template in raw["spec"]["volumeClaimTemplates"]:
        template["status"] = {"phase": "Pending"}
        template["metadata"]["labels"] = {"l": "1"}
        template["spec"].update(volumeAttributesClassName="fast", ofTheFuture={"x": 1}, dataSource={"kind": "VolumeSnapshot", "name": "s"})
    return raw


def _paths(one: Any, other: Any, path: str = "") -> set[str]:
    """Where two objects differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {found for key in {*one, *other} for found in _paths(one.get(key), other.get(key), f"{path}.{key}")}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {found for index, pair in enumerate(zip(one, other)) for found in _paths(*pair, f"{path}[{index}]")}
    return set() if one == other else {path}


IDENTITY = {f".metadata.{key}" for key in ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields",
                                           "selfLink", "deletionGracePeriodSeconds", "finalizers")}
MARKS = {f".metadata.annotations.{labels.MIGRATION_UID}", f".metadata.annotations.{labels.REPLICA_MARK}"}


def test_the_sets_successor_differs_only_in_size_class_and_mark() -> None:
    saved = saved_set()
    successor = manifests.successor_set(saved, states.request("data", storage_class="slow"), MIGRATION_UID, 2)
    template = ".spec.volumeClaimTemplates[0]"
    assert _paths(saved, successor) == IDENTITY | MARKS | {
        ".status", f"{template}.status", f"{template}.spec.resources.requests.storage", f"{template}.spec.storageClassName",
        ".spec.volumeClaimTemplates[1].status"}
    spec = successor["spec"]["volumeClaimTemplates"][0]["spec"]
    assert (spec["resources"]["requests"]["storage"], spec["storageClassName"]) == (states.NEW_SIZE, "slow")
    assert successor["metadata"]["finalizers"] == ["example.test/keep"]


def test_the_successor_bears_our_mark_and_is_recognised_by_it() -> None:
    successor = StatefulSet(manifests.successor_set(saved_set(), states.request(), MIGRATION_UID, 2))
    assert successor.marked_by(MIGRATION_UID, 2)
    assert successor.annotations["team"] == "db"


def test_without_a_class_in_the_request_the_template_keeps_its_own() -> None:
    successor = manifests.successor_set(saved_set(), states.request(), MIGRATION_UID, 2)
    assert successor["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "standard"


def test_a_template_without_class_or_resources_is_filled_and_not_a_traceback() -> None:
    saved = saved_set()
    saved["metadata"].pop("annotations")
    saved["spec"]["volumeClaimTemplates"][0]["spec"] = {"accessModes": ["ReadWriteOnce"]}
    spec = manifests.successor_set(saved, states.request(), MIGRATION_UID, 2)["spec"]["volumeClaimTemplates"][0]["spec"]
    assert spec == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": states.NEW_SIZE}}}


def saved_claim() -> Object:
    raw = copy.deepcopy(states.claim("data-web-2", pv="pv-old", owners=({"kind": "StatefulSet", "name": "web", "uid": "u"},),
                                     volumeAttributesClassName="fast", dataSource={"kind": "VolumeSnapshot", "name": "s"},
                                     dataSourceRef={"kind": "VolumeSnapshot", "name": "s"}, ofTheFuture={"x": [1]}, volumeMode="Filesystem").raw)
    raw["metadata"].update(labels={"app": "web"}, finalizers=["kubernetes.io/pvc-protection", "example.test/backup"], annotations={
        "backup": "daily", "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
        "volume.kubernetes.io/selected-node": NODE, "volume.kubernetes.io/storage-provisioner": "x",
        "volume.beta.kubernetes.io/storage-provisioner": "x", labels.NUDGE: "then"})
    return raw


def successor_claim(storage_class: str | None = None) -> Claim:
    return Claim(manifests.successor_claim(saved_claim(), Target("data", states.NEW_SIZE, storage_class), "pv-new", "web", MIGRATION_UID, 2))


def test_the_claims_successor_stands_on_the_new_volume_with_the_new_size() -> None:
    claim = successor_claim()
    assert (claim.name, claim.volume_name, claim.spec["resources"]) == ("data-web-2", "pv-new", {"requests": {"storage": states.NEW_SIZE}})
    assert claim.raw["kind"] == "PersistentVolumeClaim" and claim.raw["apiVersion"] == "v1"


def test_the_claims_successor_keeps_what_is_the_users() -> None:
    claim = successor_claim()
    assert claim.labels["app"] == "web" and claim.annotations["backup"] == "daily"
    assert claim.access_modes == ("ReadWriteOnce",) and claim.storage_class == "standard"
    assert claim.spec["volumeAttributesClassName"] == "fast" and claim.spec["volumeMode"] == "Filesystem"
    assert claim.spec["ofTheFuture"] == {"x": [1]} and claim.finalizers == ("example.test/backup",)


def test_the_claims_successor_drops_what_was_true_of_the_old_volume_only() -> None:
    claim = successor_claim()
    assert labels.NUDGE not in claim.annotations
    # Bind annotations would make the binder believe that it is bound already; a data source would be refused, or filled again.
    assert not [key for key in claim.annotations if key.partition("/")[0].endswith("kubernetes.io")]
    assert claim.owners == () and not {"dataSource", "dataSourceRef"} & set(claim.spec)
    assert claim.uid == claim.resource_version == "" and "status" not in claim.raw


def test_the_claims_successor_is_recognised_as_ours_for_its_own_replica_only() -> None:
    claim = successor_claim()
    assert manifests.is_ours(claim, MIGRATION_UID, 2)
    assert not manifests.is_ours(claim, MIGRATION_UID, 1) and not manifests.is_ours(claim, "other", 2)
    assert claim.labels[labels.ROLE] == labels.ROLE_NEW and claim.labels[labels.VOLUME] == "data"


def test_the_claims_successor_takes_the_class_that_was_asked_for() -> None:
    assert successor_claim("slow").storage_class == "slow"


def test_what_was_saved_is_never_changed_by_making_something_of_it() -> None:
    one, other, view = saved_set(), saved_claim(), StatefulSet(saved_set())
    manifests.successor_set(one, states.request(storage_class="slow"), MIGRATION_UID, 2)
    manifests.successor_claim(other, Target("data", "1Mi", "slow"), "pv-new", "web", MIGRATION_UID, 2)
    manifests.rehearsal(one)
    manifests.rehearsal_differences(one, one)
    manifests.saved_claim(Claim(other))
    manifests.cleaned_for_record(view)
    assert (one, other, view.raw) == (saved_set(), saved_claim(), saved_set())


def test_the_record_holds_the_whole_set_but_its_status() -> None:
    assert _paths(saved_set(), manifests.cleaned_for_record(StatefulSet(saved_set()))) == {".status"}


def test_fields_are_given_back_to_their_owners_but_not_to_us() -> None:
    saved = {"metadata": {"managedFields": [{"manager": "argocd"}, {"manager": "kubectl-volresize"}, {"manager": "kubectl-edit"}, {}]}}
    assert manifests.foreign_managed_fields(saved) == ({"manager": "argocd"}, {"manager": "kubectl-edit"}, {})
    assert manifests.foreign_managed_fields({"metadata": {}}) == ()


def test_a_rehearsal_is_the_same_set_under_a_name_of_its_own() -> None:
    successor = manifests.successor_set(saved_set(), states.request(), MIGRATION_UID, 2)
    rehearsed = manifests.rehearsal(successor)
    assert _paths(successor, rehearsed) == {".metadata.name"}
    assert len(rehearsed["metadata"]["name"]) <= 63


def _answered(size: str = states.NEW_SIZE, asked: str = states.NEW_SIZE) -> tuple[Object, Object]:
    """What was asked, and what a server answers: with statuses, timestamps and sizes written its own way."""
    successor = manifests.successor_set(saved_set(), states.request("data", "logs", size=asked), MIGRATION_UID, 2)
    answer = copy.deepcopy(successor)
    answer["status"] = {"replicas": 0}
    for template in answer["spec"]["volumeClaimTemplates"]:
        template.update(apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        template["metadata"]["creationTimestamp"] = None
        template["spec"]["resources"]["requests"]["storage"] = size
    return successor, answer


def test_a_rehearsal_that_comes_back_as_sent_differs_in_nothing() -> None:
    assert manifests.rehearsal_differences(*_answered()) == []


@pytest.mark.parametrize(("asked", "canonical"), [("1.5Gi", "1536Mi"), ("1024Mi", "1Gi"), ("524288000", "524288k"), ("0.5Gi", "512Mi")])
def test_a_size_that_the_server_writes_its_own_way_is_no_difference(asked: str, canonical: str) -> None:
    assert manifests.rehearsal_differences(*_answered(canonical, asked)) == []


CHANGES: dict[str, tuple[Any, str]] = {
    "an injected container": (lambda spec: spec["template"]["spec"]["containers"].append({"name": "sidecar"}), "spec.template"),
    "a label": (lambda spec: spec["template"]["metadata"]["labels"].update(a="b"), "spec.template"),
    "a new field": (lambda spec: spec.update(more=1), "spec.more"),
    "a dropped field": (lambda spec: spec.pop("ofTheFuture"), "spec.ofTheFuture"),
    "another size": (lambda spec: spec["volumeClaimTemplates"][1]["spec"]["resources"]["requests"].update(storage="501Mi"),
                     "spec.volumeClaimTemplates"),
    "another class": (lambda spec: spec["volumeClaimTemplates"][0]["spec"].update(storageClassName="x"), "spec.volumeClaimTemplates"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_admission_changes_is_named(what: str) -> None:
    successor, answer = _answered()
    change, named = CHANGES[what]
    change(answer["spec"])
    assert manifests.rehearsal_differences(successor, answer) == [named]


ENTRY = VolumeRecord(volume="data", replica=2, old_claim="data-web-2", new_claim="data-web-2-new")
APPLICATION = Pod(states.pod(2, spec={"tolerations": [{"key": "gpu"}], "priorityClassName": "high",
                                      "securityContext": {"fsGroup": 1000, "seLinuxOptions": {"level": "s0:c1"}}}).raw)


def mover(pod: Pod | None = APPLICATION, **request: Any) -> Object:
    """The rendered mover of the data of replica 2."""
    return render("mover", **manifests.mover_values(states.request(**request), ENTRY, pod, states.migration()), lease=LEASE)


def measurer() -> Object:
    claim = states.claim("data-web-2")
    return render("mover", **manifests.measurer_values(states.request(), claim, "data", 2, APPLICATION, states.migration()), lease=LEASE)


@pytest.mark.parametrize("made", [mover, measurer])
def test_the_source_is_read_only_in_the_volume_and_in_the_mount(made: Any) -> None:
    spec = made()["spec"]
    [source] = [one for one in spec["volumes"] if one["name"] == "source"]
    assert source["persistentVolumeClaim"] == {"claimName": "data-web-2", "readOnly": True}
    [mount] = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "source"]
    assert mount == {"name": "source", "mountPath": "/source", "readOnly": True}


def test_the_destination_is_the_temporary_claim_and_a_measurer_has_none() -> None:
    spec = mover()["spec"]
    assert {"name": "dest", "persistentVolumeClaim": {"claimName": "data-web-2-new"}} in spec["volumes"]
    assert {"name": "dest", "mountPath": "/dest"} in spec["containers"][0]["volumeMounts"]
    assert "dest" not in json.dumps(measurer()["spec"])


@pytest.mark.parametrize("made", [mover, measurer])
def test_a_mover_has_no_more_rights_than_a_copy_needs(made: Any) -> None:
    spec = made()["spec"]
    [container] = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False and container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False and "serviceAccountName" not in spec
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert not any("hostPath" in volume or "projected" in volume for volume in spec["volumes"])


@pytest.mark.parametrize("made", [mover, measurer])
def test_a_mover_has_no_fs_group_since_the_kubelet_would_change_the_owner_of_every_file(made: Any) -> None:
    assert "fsGroup" not in json.dumps(made())


@pytest.mark.parametrize(("pod", "group"), [(APPLICATION, 1000), (None, 4321)])
def test_a_mover_that_is_not_root_has_no_capability_and_the_group_that_its_new_volume_needs(pod: Pod | None, group: int) -> None:
    spec = mover(pod, mover={"image": "x", "runAsUser": 4321})["spec"]
    assert {key: spec["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup", "runAsNonRoot")} == {
        "runAsUser": 4321, "runAsGroup": 4321, "fsGroup": group, "runAsNonRoot": True}
    [container] = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # The kubelet gives a volume that is read-only to no group.
    [source] = [one for one in spec["volumes"] if one["name"] == "source"]
    assert source["persistentVolumeClaim"]["readOnly"] is True


def test_only_a_mover_that_is_not_root_may_lose_anything_and_never_an_entry() -> None:
    assert "--accept" not in mover()["spec"]["containers"][0]["args"]
    args = mover(mover={"image": "x", "runAsUser": 4321})["spec"]["containers"][0]["args"]
    accepted = set(args[args.index("--accept") + 1].split(","))
    assert accepted == {"owner", "mode", "mtime", "xattr", "flags"} < set(LOSSES)


def test_a_mover_goes_to_the_node_of_the_pod_past_the_scheduler_and_not_around_it() -> None:
    spec = mover()["spec"]
    assert "nodeName" not in spec
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [NODE]}]}]


def test_a_mover_can_follow_its_pod_anywhere() -> None:
    spec = mover(mover={"image": "x", "tolerations": [{"key": "mine"}]})["spec"]
    cordoned = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
    assert spec["tolerations"] == [{"key": "gpu"}, cordoned, {"key": "mine"}]
    assert spec["priorityClassName"] == "high" and spec["securityContext"]["seLinuxOptions"] == {"level": "s0:c1"}


def test_without_a_pod_the_volumes_decide_about_the_node() -> None:
    spec = mover(pod=None)["spec"]
    assert "affinity" not in spec and "priorityClassName" not in spec and "seLinuxOptions" not in spec["securityContext"]


def test_a_mover_runs_the_image_of_the_request_once_with_the_words_of_the_contract() -> None:
    spec = mover(mover={"image": "registry.test/volmig:9", "imagePullSecrets": [{"name": "pull"}], "resources": {"limits": {"cpu": "1"}}},
                 copy={"bandwidth": "50M"})["spec"]
    [container] = spec["containers"]
    assert container["image"] == "registry.test/volmig:9" and container["resources"] == {"limits": {"cpu": "1"}}
    assert spec["restartPolicy"] == "Never" and spec["imagePullSecrets"] == [{"name": "pull"}]
    assert container["args"] == ["/source", "/dest", "--final-when", "/control/final=final:", "--bwlimit", "50M"]
    assert container["env"] == [{"name": "HOME", "value": "/tmp"}]


def test_the_movers_word_comes_through_the_downward_api() -> None:
    [control] = [one for one in mover()["spec"]["volumes"] if one["name"] == "control"]
    assert control["downwardAPI"]["items"] == [{"path": "final", "fieldRef": {"fieldPath": f"metadata.annotations['{labels.FINAL}']"}}]


def test_a_mover_is_found_by_its_labels_and_named_after_its_migration_replica_and_volume() -> None:
    meta = mover()["metadata"]
    assert meta["name"] == "web-migrator-2-data" and meta["namespace"] == "prod"
    assert meta["labels"] == {labels.MANAGED_BY: "kubectl-volresize", labels.MIGRATION: "web", labels.REPLICA: "2", labels.VOLUME: "data",
                              labels.ROLE: "mover"}
    assert measurer()["metadata"]["labels"][labels.ROLE] == "measure"


def test_a_mover_has_a_controller_so_that_drain_does_not_refuse_it() -> None:
    assert mover()["metadata"]["ownerReferences"] == [{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **LEASE, "controller": True}]


def test_a_temporary_claim_asks_for_the_new_size_in_the_class_of_the_old_one_unless_told_otherwise() -> None:
    claim, request = states.claim("data-web-2", storage_class="gold", modes=("ReadWriteOnce",)), states.request()
    for target, storage_class in ((Target("data", "500Mi"), "gold"), (Target("data", "500Mi", "slow"), "slow")):
        made = Claim(render("claim", **manifests.target_values(request, target, claim, "web", MIGRATION_UID, 2, "prod")))
        assert (made.name, made.request, made.storage_class) == ("data-web-2-new", 500 << 20, storage_class)
        assert manifests.is_ours(made, MIGRATION_UID, 2) and made.volume_name == ""


def test_a_value_cannot_break_out_of_its_template() -> None:
    evil = 'x", "hostPath": {"path": "/"}}\n  hostNetwork: true\n#{{ lease }}'
    spec = mover(mover={"image": evil})["spec"]
    assert spec["containers"][0]["image"] == evil and "hostNetwork" not in spec


def test_the_original_reclaim_policy_is_what_was_noted_before_we_changed_it() -> None:
    assert manifests.original_policy(states.volume("pv", policy="Retain", role="old")) == "Delete"
    assert manifests.original_policy(states.volume("pv", policy="Retain")) == "Retain"
