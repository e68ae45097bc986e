"""Which resources there are, and what a URL path means."""
from __future__ import annotations

from dataclasses import dataclass

from kubectl_volresize.model import labels

from .refusal import no_such_resource


@dataclass(frozen=True)
class Resource:
    """`status`: has a status subresource, so that main writes leave status alone; `generation`: counts changes of its spec;
    `unconditional`: a PUT without resourceVersion is allowed."""

    prefix: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    generation: bool = False
    unconditional: bool = True

    @property
    def api_version(self) -> str:
        return self.prefix.removeprefix("/apis/").removeprefix("/api/")

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """As in messages of the server: statefulsets.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RESOURCES = (
    Resource("/api/v1", "namespaces", "Namespace", namespaced=False, status=True),
    Resource("/api/v1", "nodes", "Node", namespaced=False, status=True),
    Resource("/api/v1", "pods", "Pod", status=True, generation=True),
    Resource("/api/v1", "persistentvolumeclaims", "PersistentVolumeClaim", status=True),
    Resource("/api/v1", "persistentvolumes", "PersistentVolume", namespaced=False, status=True),
    Resource("/api/v1", "events", "Event"),
    Resource("/api/v1", "serviceaccounts", "ServiceAccount"),
    Resource("/api/v1", "configmaps", "ConfigMap"),
    Resource("/api/v1", "secrets", "Secret"),
    Resource("/api/v1", "services", "Service", status=True),
    Resource("/api/v1", "resourcequotas", "ResourceQuota", status=True),
    Resource("/api/v1", "limitranges", "LimitRange"),
    Resource("/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", status=True),
    Resource("/apis/autoscaling.k8s.io/v1", "verticalpodautoscalers", "VerticalPodAutoscaler"),
    Resource("/apis/apps/v1", "statefulsets", "StatefulSet", status=True, generation=True),
    Resource("/apis/apps/v1", "controllerrevisions", "ControllerRevision"),
    Resource("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", status=True, generation=True, unconditional=False),
    Resource("/apis/batch/v1", "jobs", "Job", status=True, generation=True),
    Resource("/apis/coordination.k8s.io/v1", "leases", "Lease", unconditional=False),
    Resource("/apis/storage.k8s.io/v1", "storageclasses", "StorageClass", namespaced=False),
    Resource("/apis/storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity"),
    Resource("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False, status=True, generation=True,
             unconditional=False),
    Resource(_RBAC, "roles", "Role"),
    Resource(_RBAC, "rolebindings", "RoleBinding"),
    Resource(_RBAC, "clusterroles", "ClusterRole", namespaced=False),
    Resource(_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Resource(_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False, status=True, generation=True),
    Resource(_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False),
    Resource(f"/apis/{labels.API_VERSION}", labels.PLURAL, labels.KIND, status=True, generation=True, unconditional=False),
)
BY_PLURAL = {resource.plural: resource for resource in RESOURCES}
BY_KIND = {resource.kind: resource for resource in RESOURCES}


@dataclass(frozen=True)
class Target:
    """What a URL path names: a resource, perhaps in a namespace, perhaps one object of it, perhaps its subresource."""

    resource: Resource
    namespace: str
    name: str
    sub: str


def parse(path: str) -> Target:
    """The target of a path. Raises Refusal 404 for a path that names no resource."""
    for resource in RESOURCES:
        if not path.startswith(resource.prefix + "/"):
            continue
        parts = path.removeprefix(resource.prefix + "/").split("/")
        namespace = ""
        if resource.namespaced and len(parts) >= 3 and parts[0] == "namespaces":
            namespace, parts = parts[1], parts[2:]
        # /namespaces/NAME/pods speaks of pods; a namespace has only its own subresources.
        if parts[0] == resource.plural and len(parts) <= 3 and not (resource.plural == "namespaces" and parts[2:] not in ([], ["status"])):
            name, sub = [*parts[1:], "", ""][:2]
            if name and resource.namespaced and not namespace:
                continue
            return Target(resource, namespace, name, sub)
    raise no_such_resource()
