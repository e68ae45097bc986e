"""What happens to an object between the request and the store: defaults, validation, fields that must not change. Only what the project's writes can
run into; the rest of a pod is taken as it comes. Sources: pkg/apis/*/v1/defaults.go, pkg/apis/*/validation, plugin/pkg/admission/storage."""
from __future__ import annotations

import re
from typing import Any

from kubectl_volresize.errors import BadQuantity
from kubectl_volresize.model import labels
from kubectl_volresize.model.quantity import parse_bytes

from . import schema
from .quantities import canonical
from .refusal import Refusal, forbidden, invalid, no_such_resource
from .resources import BY_KIND, Resource
from .store import Object, Store

CLAIM_PROTECTION, VOLUME_PROTECTION = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_LABEL = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
_CHANGEABLE_OF_SET = {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy",
                      "minReadySeconds"}


def prepared(store: Store, resource: Resource, obj: Object) -> Object:
    """A new object with its defaults. Raises Refusal 403 and 422, AssertionError for fields that the schema of a VolumeResize does not know."""
    if resource.status:
        obj.pop("status", None)
    _check_metadata(resource, obj)
    prepare = _PREPARE.get(resource.kind)
    if prepare is not None:
        prepare(store, obj)
    if resource.plural == labels.PLURAL:
        obj = _checked_migration(store, obj)
    return obj


def check_change(store: Store, resource: Resource, old: Object, new: Object) -> Object:
    """The new object as it may be stored. Raises Refusal 422 when a field changed that must not."""
    _check_metadata(resource, new)
    check = _CHECK.get(resource.kind)
    if check is not None:
        check(old, new)
    if resource.plural == labels.PLURAL:
        new = _checked_migration(store, new)
        _check_started(old, new)
    return new


def _check_metadata(resource: Resource, obj: Object) -> None:
    meta = obj["metadata"]
    name = meta["name"]
    if not _NAME.match(name) or len(name) > 253:
        # Names of RBAC objects may be any path segment.
        if "rbac" not in resource.prefix or "/" in name:
            raise invalid(resource.kind, name, f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 subdomain is required')
    for key, value in (meta.get("labels") or {}).items():
        if not isinstance(value, str) or not _LABEL.match(value):
            raise invalid(resource.kind, name, f'metadata.labels: Invalid value: "{value}" (key {key}): at most 63 characters of [A-Za-z0-9_.-]')
    for key, value in (meta.get("annotations") or {}).items():
        if not isinstance(value, str):
            raise Refusal(400, "BadRequest", f"{resource.kind} in version {resource.api_version} cannot be handled: annotation {key} is no string")
    for owner in meta.get("ownerReferences") or []:
        if not all(owner.get(field) for field in ("apiVersion", "kind", "name", "uid")):
            raise invalid(resource.kind, name, "metadata.ownerReferences: Invalid value: apiVersion, kind, name and uid must not be empty")


def _prepare_claim(store: Store, obj: Object) -> None:
    spec, name = obj.setdefault("spec", {}), obj["metadata"]["name"]
    request = (spec.get("resources") or {}).get("requests", {}).get("storage")
    if not spec.get("accessModes"):
        raise invalid("PersistentVolumeClaim", name, "spec.accessModes: Required value: at least 1 access mode is required")
    if request is None:
        raise invalid("PersistentVolumeClaim", name, "spec.resources[storage]: Required value")
    if _bytes("PersistentVolumeClaim", name, request) <= 0:
        raise invalid("PersistentVolumeClaim", name, f'spec.resources[storage]: Invalid value: "{request}": must be greater than zero')
    spec["resources"]["requests"]["storage"] = canonical(request)
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("storageClassName") is None:
        for default in store.all("storageclasses"):
            if (default["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true":
                spec["storageClassName"] = default["metadata"]["name"]
    _add_finalizer(obj, CLAIM_PROTECTION)
    obj["status"] = {"phase": "Pending"}


def _prepare_volume(store: Store, obj: Object) -> None:
    obj["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    obj["spec"]["capacity"]["storage"] = canonical(obj["spec"]["capacity"]["storage"])
    obj["spec"].setdefault("volumeMode", "Filesystem")
    _add_finalizer(obj, VOLUME_PROTECTION)
    obj["status"] = {"phase": "Pending"}


def _prepare_pod(store: Store, obj: Object) -> None:
    if not obj.get("spec", {}).get("containers"):
        raise invalid("Pod", obj["metadata"]["name"], "spec.containers: Required value")
    if not all(container.get("image") for container in obj["spec"]["containers"]):
        raise invalid("Pod", obj["metadata"]["name"], "spec.containers[0].image: Required value")
    _pod_defaults(obj["spec"])
    obj["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


def _pod_defaults(spec: Object) -> None:
    for key, value in (("restartPolicy", "Always"), ("terminationGracePeriodSeconds", 30), ("dnsPolicy", "ClusterFirst"),
                       ("schedulerName", "default-scheduler"), ("securityContext", {})):
        spec.setdefault(key, value)
    for container in spec.get("containers") or []:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("resources", {})


def _prepare_set(store: Store, obj: Object) -> None:
    spec, name = obj.setdefault("spec", {}), obj["metadata"]["name"]
    if not (spec.get("selector") or {}).get("matchLabels"):
        raise invalid("StatefulSet", name, "spec.selector: Required value")
    template_labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if any(template_labels.get(key) != value for key, value in spec["selector"]["matchLabels"].items()):
        raise invalid("StatefulSet", name, "spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`")
    for key, default in (("replicas", 1), ("podManagementPolicy", "OrderedReady"), ("revisionHistoryLimit", 10),
                         ("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
                         ("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})):
        spec.setdefault(key, default)
    _pod_defaults(spec["template"]["spec"])
    for claim in spec.get("volumeClaimTemplates") or []:
        claim.update({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}})
        claim["spec"].setdefault("volumeMode", "Filesystem")
        requests = claim["spec"]["resources"]["requests"]
        _bytes("StatefulSet", name, requests["storage"])
        requests["storage"] = canonical(requests["storage"])
    obj["status"] = {"replicas": 0, "availableReplicas": 0}


def _prepare_namespace(store: Store, obj: Object) -> None:
    obj.setdefault("spec", {})["finalizers"] = ["kubernetes"]
    obj["status"] = {"phase": "Active"}


def _prepare_definition(store: Store, obj: Object) -> None:
    for version in obj["spec"]["versions"]:
        schema.check_words(version["schema"]["openAPIV3Schema"])
    obj["status"] = {"conditions": [{"type": kind, "status": "True"} for kind in ("NamesAccepted", "Established")]}


_PREPARE = {"PersistentVolumeClaim": _prepare_claim, "PersistentVolume": _prepare_volume, "Pod": _prepare_pod, "StatefulSet": _prepare_set,
            "Namespace": _prepare_namespace, "CustomResourceDefinition": _prepare_definition}


def _check_claim(old: Object, new: Object) -> None:
    name = new["metadata"]["name"]
    before, after = ({**obj["spec"], "resources": None} for obj in (old, new))
    # The binder may name the volume, once.
    if not old["spec"].get("volumeName"):
        before, after = ({**spec, "volumeName": None} for spec in (before, after))
    if before != after:
        raise invalid("PersistentVolumeClaim", name, "spec: Forbidden: spec is immutable after creation except resources.requests and "
                                                     "volumeAttributesClassName for bound claims")
    was, wanted = (_bytes("PersistentVolumeClaim", name, obj["spec"]["resources"]["requests"]["storage"]) for obj in (old, new))
    if wanted < was:
        raise invalid("PersistentVolumeClaim", name, "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity")


def _check_set(old: Object, new: Object) -> None:
    if {key: value for key, value in old["spec"].items() if key not in _CHANGEABLE_OF_SET} != {
            key: value for key, value in new["spec"].items() if key not in _CHANGEABLE_OF_SET}:
        raise invalid("StatefulSet", new["metadata"]["name"], "spec: Forbidden: updates to statefulset spec for fields other than "
                      + ", ".join(f"'{key}'" for key in sorted(_CHANGEABLE_OF_SET)) + " are forbidden")


def _check_pod(old: Object, new: Object) -> None:
    # The scheduler binds through the binding subresource; here it sets the node itself.
    before, after = ({**obj["spec"], "nodeName": None, "tolerations": None} for obj in (old, new))
    if before != after or (old["spec"].get("nodeName") and old["spec"]["nodeName"] != new["spec"].get("nodeName")):
        raise invalid("Pod", new["metadata"]["name"], "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
                                                      "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)")


def _check_job(old: Object, new: Object) -> None:
    if old["spec"].get("template") != new["spec"].get("template"):
        raise invalid("Job", new["metadata"]["name"], "spec.template: Invalid value: field is immutable")


_CHECK = {"PersistentVolumeClaim": _check_claim, "StatefulSet": _check_set, "Pod": _check_pod, "Job": _check_job}


def _checked_migration(store: Store, obj: Object) -> Object:
    definition = store.find("customresourcedefinitions", "", f"{labels.PLURAL}.{labels.GROUP}")
    if definition is None:
        raise no_such_resource()
    structure = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    filled: Object = schema.with_defaults(structure, obj)
    errors = schema.wrong(structure, filled)
    sizes = [volume.get("newSize") for volume in filled.get("spec", {}).get("volumes") or [] if isinstance(volume, dict)]
    if not errors and any(_bytes(labels.KIND, obj["metadata"]["name"], size) <= 0 for size in sizes):
        errors.append("spec.volumes: Invalid value: newSize must be a quantity above 0, for example 500Mi")
    if errors:
        raise invalid(labels.KIND, obj["metadata"]["name"], "; ".join(errors))
    return filled


def _check_started(old: Object, new: Object) -> None:
    fixed = ("statefulSetName", "volumes")
    if (old.get("status") or {}).get("startTime") and any(old["spec"].get(key) != new["spec"].get(key) for key in fixed):
        raise invalid(labels.KIND, new["metadata"]["name"], "statefulSetName and volumes cannot change after the migration has started; "
                                                            "submit a new VolumeResize")


def check_namespace(store: Store, namespace: str, plural: str, name: str) -> None:
    """Raises Refusal 404 for a namespace that is not there, 403 for one that is going."""
    found = store.find("namespaces", "", namespace)
    if found is None:
        raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
    if found["metadata"].get("deletionTimestamp"):
        raise forbidden(f'{plural} "{name}" is forbidden: unable to create new content in namespace {namespace} because it is being terminated')


def check_kind(resource: Resource, body: Any) -> None:
    """Raises Refusal 400 for a body that is no object of this resource."""
    if not isinstance(body, dict) or body.get("kind") != resource.kind or body.get("apiVersion") != resource.api_version:
        given = f"{body.get('apiVersion')}, {body.get('kind')}" if isinstance(body, dict) else type(body).__name__
        raise Refusal(400, "BadRequest", f"the object provided ({given}) is no {resource.kind} of {resource.api_version}")
    assert BY_KIND[resource.kind] is resource


def _add_finalizer(obj: Object, finalizer: str) -> None:
    present = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in present:
        present.append(finalizer)


def _bytes(kind: str, name: str, text: Any) -> int:
    try:
        return parse_bytes(text)
    except BadQuantity as error:
        raise invalid(kind, name, f"{text!r}: quantities must match the regular expression") from error
