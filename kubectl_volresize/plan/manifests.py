"""What is written: the StatefulSet's and the claims' successors, made from what was saved, and the values of the templates for what we create from
nothing. Pure dict to dict; every field that we do not know is kept."""
from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType

from ..model import labels, names
from ..model.objects import Claim, Object, Pod, StatefulSet, View, Volume
from ..model.quantity import parse_bytes
from ..model.record import VolumeRecord
from ..model.request import Request, Target

_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields",
                  "selfLink")
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
# Written by the binder and the provisioner for the old volume; on the new claim they would be lies
# (pkg/controller/volume/persistentvolume/pv_controller.go).
_BIND_ANNOTATIONS = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", _SELECTED_NODE,
                     "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner", labels.NUDGE)
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
# What a user who is not root may be unable to set, if only on the root directory, which mkfs made (mover/finish.py). What exists is never left out.
_NOT_A_USERS = ("owner", "mode", "mtime", "xattr", "flags")
_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}


def without_server_fields(obj: Object) -> Object:
    """A copy that can be POSTed: no status, no identity, none of our finalizers and not the garbage collector's."""
    bare = copy.deepcopy(obj)
    bare.pop("status", None)
    for key in _SERVER_FIELDS:
        bare["metadata"].pop(key, None)
    ours = {labels.FREEZE_FINALIZER, labels.HOLD_FINALIZER, labels.ORPHAN_FINALIZER, "kubernetes.io/pvc-protection"}
    kept = [finalizer for finalizer in bare["metadata"].get("finalizers") or [] if finalizer not in ours]
    bare["metadata"].pop("finalizers", None)
    if kept:
        bare["metadata"]["finalizers"] = kept
    return bare


def job_without_server_fields(job: Object) -> Object:
    """Of a dry run too: its UID stands in the selector and the labels of the pods, and a Job that brings another's is refused."""
    bare = without_server_fields(job)
    for key in ("selector", "manualSelector"):
        bare["spec"].pop(key, None)
    of_pods = bare["spec"]["template"]["metadata"]["labels"]
    for key in ("controller-uid", "job-name"):
        of_pods.pop(key, None)
        of_pods.pop(f"batch.kubernetes.io/{key}", None)
    return bare


def successor_set(saved: Object, request: Request, migration_uid: str, ordinal: int) -> Object:
    """The set to POST: as saved, with the new size and class in volumeClaimTemplates and our mark, which names the replica being swapped."""
    manifest = without_server_fields(saved)
    annotations = {key: value for key, value in (manifest["metadata"].get("annotations") or {}).items() if key != labels.ADOPTED}
    manifest["metadata"]["annotations"] = {**annotations, **_marks(migration_uid, ordinal)}
    for template in manifest["spec"]["volumeClaimTemplates"]:
        template.pop("status", None)
        for target in request.template_targets:
            if template["metadata"]["name"] == target.name:
                template["spec"].setdefault("resources", {}).setdefault("requests", {})["storage"] = target.size
                if target.storage_class is not None:
                    template["spec"]["storageClassName"] = target.storage_class
    return manifest


def foreign_managed_fields(saved: Object) -> tuple[Object, ...]:
    """Who owned which field, without our own patches. A plain POST makes its sender the owner of everything, and the next server-side apply of the
    real owner would get a conflict (measured)."""
    entries = saved["metadata"].get("managedFields") or []
    return tuple(entry for entry in entries if not str(entry.get("manager", "")).startswith(labels.MANAGER))


def rehearsal(successor: Object) -> Object:
    """The same set under a name that nobody has: a dry run of the real name would answer AlreadyExists (measured)."""
    rehearsed = copy.deepcopy(successor)
    digest = hashlib.sha256(successor["metadata"]["name"].encode()).hexdigest()[:8]
    rehearsed["metadata"]["name"] = f"volresize-rehearsal-{digest}"
    return rehearsed


def rehearsal_differences(successor: Object, rehearsed: Object) -> list[str]:
    """Fields of the spec that admission would change: a changed pod template restarts every pod, another change is nobody's wish."""
    asked, given = _comparable(successor["spec"]), _comparable(rehearsed["spec"])
    return [f"spec.{key}" for key in sorted({*asked, *given}) if asked.get(key) != given.get(key)]


def _comparable(spec: Object) -> Object:
    templates = copy.deepcopy([{"metadata": template["metadata"], "spec": template["spec"]} for template in spec.get("volumeClaimTemplates") or []])
    for template in templates:
        template["metadata"].pop("creationTimestamp", None)
        requests = (template["spec"].get("resources") or {}).get("requests") or {}
        # The server writes our sizes its own way: 1.5Gi comes back as 1536Mi, 1024Mi as 1Gi (measured).
        if "storage" in requests:
            requests["storage"] = parse_bytes(requests["storage"])
    return {**spec, "volumeClaimTemplates": templates}


def successor_claim(saved: Object, target: Target, volume: str, migration_name: str, migration_uid: str, ordinal: int) -> Object:
    """The original claim again, on PV `volume` and with the new size; labels, annotations, access modes and attributes class are kept."""
    claim = without_server_fields(saved)
    meta, spec = claim["metadata"], claim["spec"]
    meta.pop("ownerReferences", None)
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in _BIND_ANNOTATIONS}
    meta["annotations"] = {**annotations, **_marks(migration_uid, ordinal)}
    meta["labels"] = {**(meta.get("labels") or {}), **object_labels(migration_name, ordinal, target.name, labels.ROLE_NEW)}
    for key in ("dataSource", "dataSourceRef"):
        spec.pop(key, None)
    spec["volumeName"] = volume
    spec["resources"] = {"requests": {"storage": target.size}}
    if target.storage_class is not None:
        spec["storageClassName"] = target.storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}


def object_labels(migration: str, ordinal: int, volume: str, role: str) -> dict[str, str]:
    return {labels.MANAGED_BY: labels.MANAGER, labels.MIGRATION: migration, labels.REPLICA: str(ordinal), labels.VOLUME: volume, labels.ROLE: role}


def target_values(request: Request, target: Target, claim: Claim, migration: str, migration_uid: str, ordinal: int, namespace: str,
                  node: str = "") -> Object:
    """Values of template `claim`: the temporary claim; `node` where its volume shall be, when nobody else would tell the provisioner."""
    full = f"{names.claim(target.name, request.statefulset, ordinal)}-new"
    placed = {_SELECTED_NODE: node} if node else {}
    return {"name": names.temporary_claim(target.name, request.statefulset, ordinal), "namespace": namespace, "size": target.size,
            "access_modes": list(claim.access_modes), "storage_class": target.storage_class or claim.storage_class,
            "labels": object_labels(migration, ordinal, target.name, labels.ROLE_NEW),
            "annotations": {**_marks(migration_uid, ordinal), labels.FULL_NAME: full, **placed}}


def mover_values(request: Request, entry: VolumeRecord, pod: Pod | None, migration: View) -> Object:
    """Values of template `mover` for one volume; on the node of the application's pod, with its tolerations and priority."""
    args = ["/source", "/dest", "--final-when", "/control/final=final:"]
    if request.copy.get("bandwidth"):
        args += ["--bwlimit", str(request.copy["bandwidth"])]
    if request.run_as_user:
        args += ["--accept", ",".join(_NOT_A_USERS)]
    if Claim(json.loads(entry.saved_claim or '{"metadata": {}}')).one_pod:
        # Nobody could count before, hence the mover itself looks whether the room is left that was asked for.
        args += ["--head-room", str(request.head_room)]
    full = f"{migration.name}-migrator-{entry.replica}-{entry.volume}"
    return {**_pod_values(request, pod, migration), "name": names.mover(migration.name, entry.replica, entry.volume),
            "source_claim": entry.old_claim, "target_claim": entry.new_claim, "args": args,
            "annotations": {**_marks(migration.uid, entry.replica), labels.FULL_NAME: full},
            "labels": object_labels(migration.name, entry.replica, entry.volume, labels.ROLE_MOVER)}


def measurer_values(request: Request, claim: Claim, volume: str, ordinal: int, pod: Pod | None, migration: View) -> Object:
    """Values of template `mover` for a pod that only counts."""
    full = f"{migration.name}-measure-{ordinal}-{volume}"
    return {**_pod_values(request, pod, migration), "name": names.measurer(migration.name, ordinal, volume),
            "source_claim": claim.name, "target_claim": "", "args": ["--measure", "/source"],
            "annotations": {**_marks(migration.uid, ordinal), labels.FULL_NAME: full},
            "labels": object_labels(migration.name, ordinal, volume, labels.ROLE_MEASURE)}


def _pod_values(request: Request, pod: Pod | None, migration: View) -> Object:
    spec = pod.spec if pod is not None else {}
    security = spec.get("securityContext") or {}
    tolerations = [*(spec.get("tolerations") or []), _UNSCHEDULABLE, *(request.mover.get("tolerations") or [])]
    return {"namespace": migration.meta["namespace"], "image": request.image, "node": pod.node if pod is not None else "", "tolerations": tolerations,
            "priority_class": spec.get("priorityClassName") or "", "selinux": security.get("seLinuxOptions"),
            # The application's group, if the kubelet gives its volumes one: that is whom what mkfs made is readable for.
            "user": request.run_as_user, "group": security.get("fsGroup") or request.run_as_user,
            "pull_secrets": request.mover.get("imagePullSecrets") or [], "resources": request.mover.get("resources") or {}}


def saved_claim(claim: Claim) -> Object:
    """What a claim's successor is made from; managedFields are left out, they would double the record."""
    saved = copy.deepcopy(claim.raw)
    saved["metadata"].pop("managedFields", None)
    saved.pop("status", None)
    return saved


def _marks(migration_uid: str, ordinal: int) -> dict[str, str]:
    return {labels.MIGRATION_UID: migration_uid, labels.REPLICA_MARK: str(ordinal)}


def is_ours(obj: View, migration_uid: str, ordinal: int) -> bool:
    """Made by this migration for this replica, and not by an earlier one of the same name."""
    return obj.annotations.get(labels.MIGRATION_UID) == migration_uid and obj.annotations.get(labels.REPLICA_MARK) == str(ordinal)


def cleaned_for_record(statefulset: StatefulSet) -> Object:
    """The set as it is saved in the record: everything but its status."""
    saved = copy.deepcopy(statefulset.raw)
    saved.pop("status", None)
    return saved


def saved_set(statefulset: StatefulSet) -> str:
    """The same as the JSON string that the record holds."""
    return json.dumps(cleaned_for_record(statefulset), separators=(",", ":"))


def original_policy(volume: Volume) -> str:
    return volume.annotations.get(labels.ORIGINAL_RECLAIM) or volume.policy


def policy_of_given_up(volume: Volume) -> str:
    """Delete for what was provisioned for our temporary claim, whatever its class says: nothing but half a copy is on it, and a disk that nobody
    knows of is paid for for ever. A volume that somebody made by hand keeps its policy."""
    return "Delete" if PROVISIONED_BY in volume.annotations else original_policy(volume)


def queue_of(found: Mapping[str, str]) -> dict[str, str]:
    """Of the labels of a VolumeResize those that bring its Jobs into a queue; {} when it is for none."""
    return {key: found[key] for key in (labels.QUEUE, labels.QUEUE_PRIORITY) if key in found} if labels.QUEUE in found else {}


def job_values(request: Request, migration_name: str, namespace: str, attempt: int, queue: Mapping[str, str] = MappingProxyType({})) -> Object:
    """Values of template `job`: the runner's Job for a migration's `attempt`th run, counted from 1. `queue`: labels for a queue, which starts it."""
    return {"name": names.job(migration_name, attempt), "namespace": namespace, "image": request.image, "migration": migration_name,
            "labels": {labels.MANAGED_BY: labels.MANAGER, labels.MIGRATION: migration_name, labels.ROLE: labels.ROLE_RUNNER}, "queue": dict(queue),
            "tolerations": request.mover.get("tolerations") or [], "pull_secrets": request.mover.get("imagePullSecrets") or []}
