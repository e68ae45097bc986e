"""URL paths of the API objects that we touch. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (resource URIs)."""
from __future__ import annotations

from typing import Any

from ..model import labels


def _path(prefix: str, namespace: str | None, plural: str, name: str | None, sub: str | None = None) -> str:
    parts = [prefix]
    if namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(plural)
    parts += [part for part in (name, sub) if part]
    return "/".join(parts)


def namespaces(name: str | None = None) -> str:
    return _path("/api/v1", None, "namespaces", name)


def nodes(name: str | None = None) -> str:
    return _path("/api/v1", None, "nodes", name)


def pods(namespace: str, name: str | None = None, sub: str | None = None) -> str:
    return _path("/api/v1", namespace, "pods", name, sub)


def claims(namespace: str, name: str | None = None) -> str:
    return _path("/api/v1", namespace, "persistentvolumeclaims", name)


def volumes(name: str | None = None) -> str:
    return _path("/api/v1", None, "persistentvolumes", name)


def events(namespace: str, name: str | None = None) -> str:
    return _path("/api/v1", namespace, "events", name)


def service_accounts(namespace: str, name: str | None = None) -> str:
    return _path("/api/v1", namespace, "serviceaccounts", name)


def quotas(namespace: str, name: str | None = None) -> str:
    return _path("/api/v1", namespace, "resourcequotas", name)


def limit_ranges(namespace: str, name: str | None = None) -> str:
    return _path("/api/v1", namespace, "limitranges", name)


def autoscalers(namespace: str, name: str | None = None) -> str:
    return _path("/apis/autoscaling/v2", namespace, "horizontalpodautoscalers", name)


def vertical_autoscalers(namespace: str, name: str | None = None) -> str:
    return _path("/apis/autoscaling.k8s.io/v1", namespace, "verticalpodautoscalers", name)


def statefulsets(namespace: str, name: str | None = None) -> str:
    return _path("/apis/apps/v1", namespace, "statefulsets", name)


def revisions(namespace: str, name: str | None = None) -> str:
    return _path("/apis/apps/v1", namespace, "controllerrevisions", name)


def budgets(namespace: str, name: str | None = None) -> str:
    return _path("/apis/policy/v1", namespace, "poddisruptionbudgets", name)


def jobs(namespace: str, name: str | None = None) -> str:
    return _path("/apis/batch/v1", namespace, "jobs", name)


def leases(namespace: str, name: str | None = None) -> str:
    return _path("/apis/coordination.k8s.io/v1", namespace, "leases", name)


def storage_classes(name: str | None = None) -> str:
    return _path("/apis/storage.k8s.io/v1", None, "storageclasses", name)


def capacities() -> str:
    """CSIStorageCapacities of all namespaces: each driver has its own."""
    return _path("/apis/storage.k8s.io/v1", None, "csistoragecapacities", None)


def migrations(namespace: str | None, name: str | None = None) -> str:
    """Of all namespaces when `namespace` is None."""
    return _path(f"/apis/{labels.API_VERSION}", namespace, labels.PLURAL, name)


def migration_status(namespace: str, name: str) -> str:
    return _path(f"/apis/{labels.API_VERSION}", namespace, labels.PLURAL, name, "status")


def definitions(name: str | None = None) -> str:
    return _path("/apis/apiextensions.k8s.io/v1", None, "customresourcedefinitions", name)


def roles(namespace: str, name: str | None = None) -> str:
    return _path("/apis/rbac.authorization.k8s.io/v1", namespace, "roles", name)


def role_bindings(namespace: str, name: str | None = None) -> str:
    return _path("/apis/rbac.authorization.k8s.io/v1", namespace, "rolebindings", name)


def cluster_roles(name: str | None = None) -> str:
    return _path("/apis/rbac.authorization.k8s.io/v1", None, "clusterroles", name)


def cluster_role_bindings(name: str | None = None) -> str:
    return _path("/apis/rbac.authorization.k8s.io/v1", None, "clusterrolebindings", name)


def admission_policies(name: str | None = None) -> str:
    return _path("/apis/admissionregistration.k8s.io/v1", None, "validatingadmissionpolicies", name)


def admission_bindings(name: str | None = None) -> str:
    return _path("/apis/admissionregistration.k8s.io/v1", None, "validatingadmissionpolicybindings", name)


def access_reviews() -> str:
    return "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def rules_reviews() -> str:
    return "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


_BY_KIND = {
    "ServiceAccount": service_accounts, "Role": roles, "RoleBinding": role_bindings, "Job": jobs, "Pod": pods, "Lease": leases,
    "PersistentVolumeClaim": claims, "StatefulSet": statefulsets, labels.KIND: migrations,
}
_CLUSTER_BY_KIND = {
    "Namespace": namespaces, "CustomResourceDefinition": definitions, "ClusterRole": cluster_roles, "ClusterRoleBinding": cluster_role_bindings,
    "PersistentVolume": volumes, "ValidatingAdmissionPolicy": admission_policies, "ValidatingAdmissionPolicyBinding": admission_bindings,
}


def of_object(obj: dict[str, Any]) -> str:
    """The path of an object by its kind, namespace and name. Raises KeyError for a kind that we never write."""
    name = obj["metadata"]["name"]
    if obj["kind"] in _CLUSTER_BY_KIND:
        return _CLUSTER_BY_KIND[obj["kind"]](name)
    return _BY_KIND[obj["kind"]](obj["metadata"]["namespace"], name)
