"""One wrong thing at a time on a real cluster, by the code of the finding that must come of it. Each is brought about, looked at, and taken away."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from application import Application
from namespaces import until
from spoiling import again_and_again, applied, extra_set, manifest, patch, patched, phase, placed, static_volume

from kubectl_volresize.model.objects import Object

SMALLER = ("app", "--volume", "data=32Mi")
EXTRA = ("extra", "--volume", "data=32Mi")
Provocation = Callable[[Application], Iterator[tuple[str, ...]]]
PROVOCATIONS: dict[str, Provocation] = {}


def provokes(code: str) -> Callable[[Provocation], Provocation]:
    """The function brings it about, yields what is asked for then, and takes it away."""
    def registered(function: Provocation) -> Provocation:
        assert code not in PROVOCATIONS
        PROVOCATIONS[code] = function
        return function
    return registered


# -- the set


@provokes("set-missing")
def _set_missing(application: Application) -> Iterator[tuple[str, ...]]:
    yield ("nope", "--volume", "data=32Mi")


@provokes("set-terminating")
def _set_terminating(application: Application) -> Iterator[tuple[str, ...]]:
    with extra_set(application, replicas=0, meta={"finalizers": ["example.test/hold"]}):
        application.namespace.kubectl("delete", "statefulset", "extra", "--wait=false")
        yield EXTRA


@provokes("set-rolling")
def _set_rolling(application: Application) -> Iterator[tuple[str, ...]]:
    strategy = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}}
    with patched(application, "statefulset/app", strategy, {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}):
        application.ready()
        yield SMALLER
    application.ready()


def _scaled_without_room(application: Application) -> Iterator[tuple[str, ...]]:
    """A second replica whose claim the namespace's quota does not admit."""
    with applied(application, manifest("ResourceQuota", "full", spec={"hard": {"persistentvolumeclaims": "1"}})):
        until("the quota is counted", lambda: application.namespace.get("resourcequota", "full").get("status", {}).get("used"))
        with patched(application, "statefulset/app", {"spec": {"replicas": 2}}, {"spec": {"replicas": 1}}):
            until("the controller has seen it", lambda: application.the_set()["status"].get("observedGeneration")
                  == application.the_set()["metadata"]["generation"])
            yield SMALLER
        application.ready()


provokes("set-scaling")(_scaled_without_room)
provokes("claim-missing")(_scaled_without_room)


@provokes("no-replicas")
def _no_replicas(application: Application) -> Iterator[tuple[str, ...]]:
    with extra_set(application, replicas=0):
        until("the controller has seen it", lambda: application.namespace.get("statefulset", "extra").get("status", {}).get("observedGeneration"))
        yield EXTRA


@provokes("volume-unknown")
def _volume_unknown(application: Application) -> Iterator[tuple[str, ...]]:
    yield ("app", "--volume", "nope=32Mi")


def _owner(application: Application, **metadata: Any) -> Iterator[tuple[str, ...]]:
    with patched(application, "statefulset/app", {"metadata": metadata},
                 {"metadata": {key: dict.fromkeys(value) if isinstance(value, dict) else None for key, value in metadata.items()}}):
        yield SMALLER


@provokes("owned-set")
def _owned(application: Application) -> Iterator[tuple[str, ...]]:
    with applied(application, manifest("ConfigMap", "owner")):
        uid = application.namespace.get("configmap", "owner")["metadata"]["uid"]
        yield from _owner(application, ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "controller": True}])


@provokes("helm-release")
def _helm(application: Application) -> Iterator[tuple[str, ...]]:
    yield from _owner(application, annotations={"meta.helm.sh/release-name": "shop"})


@provokes("argocd-application")
def _argocd(application: Application) -> Iterator[tuple[str, ...]]:
    yield from _owner(application, annotations={"argocd.argoproj.io/tracking-id": "shop:apps/StatefulSet:prod/app"})


@provokes("flux-object")
def _flux(application: Application) -> Iterator[tuple[str, ...]]:
    yield from _owner(application, labels={"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "flux-system"})


@provokes("autoscaler")
def _autoscaler(application: Application) -> Iterator[tuple[str, ...]]:
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "app"}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}
    with applied(application, manifest("HorizontalPodAutoscaler", "app", "autoscaling/v2", spec={
            "scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 1, "metrics": [metric]})):
        yield SMALLER


@provokes("vertical-autoscaler")
def _vertical_autoscaler(application: Application) -> Iterator[tuple[str, ...]]:
    """The kind as its project defines it, as far as it matters here."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    kind = manifest("CustomResourceDefinition", "verticalpodautoscalers.autoscaling.k8s.io", "apiextensions.k8s.io/v1", spec={
        "group": "autoscaling.k8s.io", "scope": "Namespaced", "versions": [version],
        "names": {"plural": "verticalpodautoscalers", "singular": "verticalpodautoscaler", "kind": "VerticalPodAutoscaler", "shortNames": ["vpa"]}})
    kind["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, for a test"}
    namespace = application.namespace
    with applied(application, kind):
        namespace.kubectl("wait", "--for=condition=Established", "crd/verticalpodautoscalers.autoscaling.k8s.io", "--timeout=60s")
        until("the kind is served", lambda: "verticalpodautoscalers" in namespace.kubectl("api-resources", "--cached=false", "-o", "name"))
        with applied(application, manifest("VerticalPodAutoscaler", "app", "autoscaling.k8s.io/v1", spec={
                "targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "app"}, "updatePolicy": {"updateMode": "Recreate"}})):
            yield SMALLER


# -- claims


@provokes("claim-terminating")
def _claim_terminating(application: Application) -> Iterator[tuple[str, ...]]:
    with extra_set(application):
        application.namespace.kubectl("rollout", "status", "statefulset/extra", "--timeout=60s")
        application.namespace.kubectl("delete", "persistentvolumeclaim", "data-extra-0", "--wait=false")
        yield EXTRA


@provokes("claim-not-bound")
def _claim_not_bound(application: Application) -> Iterator[tuple[str, ...]]:
    with extra_set(application, claim={"storageClassName": "none-such"}):
        until("the claim is there", lambda: phase(application, "data-extra-0") == "Pending")
        yield EXTRA


@provokes("claim-in-use")
def _claim_in_use(application: Application) -> Iterator[tuple[str, ...]]:
    guest = manifest("Pod", "backup", spec={
        "restartPolicy": "Never", "containers": [{"name": "it", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": ["true"]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-app-0"}}]})
    with applied(application, guest):
        # Also one that has finished keeps the claim.
        until("it has ended", lambda: application.namespace.get("pod", "backup").get("status", {}).get("phase") == "Succeeded")
        yield SMALLER


@provokes("not-smaller")
def _not_smaller(application: Application) -> Iterator[tuple[str, ...]]:
    yield ("app", "--volume", "data=128Mi")


def _of_static_volume(application: Application, claim: Object, **volume: Any) -> Iterator[tuple[str, ...]]:
    claim = {"storageClassName": "by-hand", **claim}
    with static_volume(application, claim, "by-hand", **volume), extra_set(application, claim=claim):
        until("the claim is Bound", lambda: phase(application, "data-extra-0") == "Bound")
        until("its pod is placed", lambda: placed(application, "extra-0"))
        yield EXTRA


@provokes("block-volume")
def _block_volume(application: Application) -> Iterator[tuple[str, ...]]:
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]}}
    yield from _of_static_volume(application, {"volumeMode": "Block"}, volumeMode="Block", hostPath=None,
                                 local={"path": "/nonexistent"}, nodeAffinity=affinity)


@provokes("shared-volume")
def _shared_volume(application: Application) -> Iterator[tuple[str, ...]]:
    yield from _of_static_volume(application, {"accessModes": ["ReadWriteMany"]})


@provokes("one-pod-volume")
def _one_pod_volume(application: Application) -> Iterator[tuple[str, ...]]:
    with extra_set(application, claim={"accessModes": ["ReadWriteOncePod"]}):
        application.namespace.kubectl("rollout", "status", "statefulset/extra", "--timeout=60s")
        yield EXTRA


@provokes("foreign-finalizer")
def _foreign_finalizer(application: Application) -> Iterator[tuple[str, ...]]:
    finalizers = application.claim(0)["metadata"]["finalizers"]
    with patched(application, "persistentvolumeclaim/data-app-0", {"metadata": {"finalizers": [*finalizers, "example.test/backup"]}},
                 {"metadata": {"finalizers": finalizers}}):
        yield SMALLER


@provokes("claim-beyond-replicas")
def _claim_beyond(application: Application) -> Iterator[tuple[str, ...]]:
    with applied(application, manifest("PersistentVolumeClaim", "data-app-7", spec={
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "64Mi"}}})):
        yield SMALLER


# -- pods, budgets, nodes


@provokes("pod-not-ready")
def _pod_not_ready(application: Application) -> Iterator[tuple[str, ...]]:
    with extra_set(application, container={"readinessProbe": {"exec": {"command": ["false"]}}}):
        until("the pod runs", lambda: [pod for pod in application.namespace.objects("pods", "-l", "app=extra")
                                       if pod["status"]["phase"] == "Running"])
        yield EXTRA


@provokes("pod-old-revision")
def _pod_old_revision(application: Application) -> Iterator[tuple[str, ...]]:
    with extra_set(application):
        application.namespace.kubectl("rollout", "status", "statefulset/extra", "--timeout=60s")
        patch(application, "statefulset/extra", {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
                                                          "template": {"metadata": {"annotations": {"changed": "yes"}}}}})
        until("the controller has seen it", lambda: (found := application.namespace.get("statefulset", "extra"))["status"]["observedGeneration"]
              == found["metadata"]["generation"])
        yield EXTRA


@provokes("node-cordoned")
def _node_cordoned(application: Application) -> Iterator[tuple[str, ...]]:
    node = str(application.pod(0)["spec"]["nodeName"])
    application.namespace.kubectl("cordon", node)
    try:
        yield SMALLER
    finally:
        application.namespace.kubectl("uncordon", node)


@provokes("node-not-ready")
def _node_not_ready(application: Application) -> Iterator[tuple[str, ...]]:
    """Its kubelet says otherwise every 10 s."""
    node = str(application.pod(0)["spec"]["nodeName"])
    unknown = {"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Test", "message": "a test"}]}}
    with again_and_again(lambda: patch(application, f"node/{node}", unknown, "--subresource=status")):
        yield SMALLER
    application.namespace.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=90s")
    application.ready()


def _budget(name: str, **spec: Any) -> Object:
    return manifest("PodDisruptionBudget", name, "policy/v1", spec={**spec, "selector": {"matchLabels": {"app": "app"}}})


@provokes("budget")
def _budget_at_its_limit(application: Application) -> Iterator[tuple[str, ...]]:
    with applied(application, _budget("all", minAvailable=1)):
        until("the budget is counted", lambda: application.namespace.get("pdb", "all").get("status", {}).get("currentHealthy") == 1)
        yield SMALLER


@provokes("many-budgets")
def _many_budgets(application: Application) -> Iterator[tuple[str, ...]]:
    with applied(application, _budget("one", maxUnavailable=1), _budget("two", maxUnavailable=1)):
        until("the budgets are counted", lambda: all(application.namespace.get("pdb", name).get("status", {}).get("currentHealthy") == 1
                                                     for name in ("one", "two")))
        yield SMALLER


# -- storage


@provokes("class-missing")
def _class_missing(application: Application) -> Iterator[tuple[str, ...]]:
    yield ("app", "--volume", "data=32Mi,storageClass=none-such")


@provokes("class-topology")
def _class_topology(application: Application) -> Iterator[tuple[str, ...]]:
    name = f"elsewhere-{application.namespace.name}"
    elsewhere = manifest("StorageClass", name, "storage.k8s.io/v1", provisioner="example.test/none", volumeBindingMode="WaitForFirstConsumer",
                         allowedTopologies=[{"matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": ["none-such"]}]}])
    with applied(application, elsewhere):
        yield ("app", "--volume", f"data=32Mi,storageClass={name}")


@provokes("no-capacity")
def _no_capacity(application: Application) -> Iterator[tuple[str, ...]]:
    published = manifest("CSIStorageCapacity", "full", "storage.k8s.io/v1", storageClassName="standard", capacity="1Mi",
                         nodeTopology={"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]})
    with applied(application, published):
        yield SMALLER


# -- admission


@provokes("quota")
def _quota(application: Application) -> Iterator[tuple[str, ...]]:
    with applied(application, manifest("ResourceQuota", "claims", spec={"hard": {"persistentvolumeclaims": "1"}})):
        until("the quota is counted", lambda: application.namespace.get("resourcequota", "claims").get("status", {}).get("used"))
        yield SMALLER


@provokes("limit-range")
def _limit_range(application: Application) -> Iterator[tuple[str, ...]]:
    limit = {"type": "PersistentVolumeClaim", "min": {"storage": "64Mi"}}
    with applied(application, manifest("LimitRange", "claims", spec={"limits": [limit]})):
        yield SMALLER


@provokes("pod-security")
def _pod_security(application: Application) -> Iterator[tuple[str, ...]]:
    key = "pod-security.kubernetes.io/enforce"
    with patched(application, f"namespace/{application.namespace.name}", {"metadata": {"labels": {key: "restricted"}}},
                 {"metadata": {"labels": {key: None}}}):
        yield SMALLER


@provokes("admission")
def _admission(application: Application) -> Iterator[tuple[str, ...]]:
    """A policy that takes nobody's pods without a label of its own."""
    name, namespace = f"no-movers-{application.namespace.name}", application.namespace
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}
    policy = manifest("ValidatingAdmissionPolicy", name, "admissionregistration.k8s.io/v1", spec={
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
        "validations": [{"expression": "has(object.metadata.labels) && 'team' in object.metadata.labels", "message": "every pod needs a team"}]})
    binding = manifest("ValidatingAdmissionPolicyBinding", name, "admissionregistration.k8s.io/v1",
                       spec={"policyName": name, "validationActions": ["Deny"]})
    probe = manifest("Pod", "probe", spec={"containers": [{"name": "it", "image": "busybox:1.36"}]})
    with applied(application, policy, binding):
        until("the policy is in force", lambda: _is_refused(application, probe))
        yield SMALLER
    until("the policy is gone", lambda: not _is_refused(application, probe))


def _is_refused(application: Application, probe: Object) -> bool:
    try:
        application.namespace.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(probe))
    except AssertionError:
        return True
    return False
