"""Who else writes to the StatefulSet: operators, Helm, Argo CD, Flux, autoscalers; and which value in their source says the size."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model.objects import StatefulSet, View
from ..model.request import Request
from .findings import Finding

# What each tool writes on the objects that it manages: helm.sh/docs/howto/charts_tips_and_tricks (release annotations), argo-cd.readthedocs.io
# (Resource Tracking), fluxcd.io/flux/components (kustomize and helm controllers: labels of managed objects).
_HELM = "meta.helm.sh/release-name"
_ARGO_TRACKING, _ARGO_INSTANCE = "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"
_FLUX = {"kustomize.toolkit.fluxcd.io": "Kustomization", "helm.toolkit.fluxcd.io": "HelmRelease"}


def managers(statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    """Whoever has the old size in a source of its own."""
    where, values = f"statefulset/{statefulset.name}", _values(statefulset, request)
    for owner in statefulset.owners:
        if owner.get("controller"):
            named = f"{owner['kind'].lower()}/{owner['name']}"
            yield Finding("owned-set", where, f"belongs to {owner['kind']}/{owner['name']}, whose operator may put the old size back or create the "
                          "set itself while it is exchanged", f"pause that operator and set the new size in {named}", path="metadata.ownerReferences")
    if release := statefulset.annotations.get(_HELM):
        yield Finding("helm-release", where, f"is part of the Helm release {release}, whose next upgrade would ask for the old size: the API server "
                      "refuses that", f"before it, set in the values of {release} what makes {values}", path=f"metadata.annotations[{_HELM}]")
    application, told_by = _argo_application(statefulset)
    if application:
        yield Finding("argocd-application", where, f"is managed by the Argo CD Application {application}: out of sync until its source says the "
                      "new size", f"commit {values} to the source of {application}", path=told_by)
    for group, kind in _FLUX.items():
        if name := statefulset.labels.get(f"{group}/name"):
            full = f"{statefulset.labels.get(f'{group}/namespace', '')}/{name}".lstrip("/")
            yield Finding("flux-object", where, f"is managed by the Flux {kind} {full}, which cannot be reconciled until its source says the "
                          "new size", f"flux suspend {kind.lower()} {name} meanwhile, and commit {values}", path=f"metadata.labels[{group}/name]")


def _argo_application(statefulset: StatefulSet) -> tuple[str, str]:
    """Its name, and the field that says it."""
    if tracking := statefulset.annotations.get(_ARGO_TRACKING, "").partition(":")[0]:
        return tracking, f"metadata.annotations[{_ARGO_TRACKING}]"
    return statefulset.labels.get(_ARGO_INSTANCE, ""), f"metadata.labels[{_ARGO_INSTANCE}]"


def _values(statefulset: StatefulSet, request: Request) -> str:
    """The fields of the StatefulSet that must say something new."""
    names = list(statefulset.templates)
    fields = []
    for target in request.targets:
        if target.name in names:
            top = f"spec.volumeClaimTemplates[{names.index(target.name)}].spec"
            fields.append(f"{top}.resources.requests.storage: {target.size}")
            fields += [f"{top}.storageClassName: {target.storage_class}"] if target.storage_class else []
    return " and ".join(fields)


def autoscalers(statefulset: StatefulSet, found: Sequence[View]) -> Iterator[Finding]:
    """HorizontalPodAutoscalers that scale the set; KEDA makes one for each ScaledObject."""
    for autoscaler in found:
        target = autoscaler.spec.get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) != ("StatefulSet", statefulset.name):
            continue
        keda = [owner["name"] for owner in autoscaler.owners if owner.get("kind") == "ScaledObject"]
        by = f" (of the KEDA ScaledObject {keda[0]})" if keda else ""
        pause = f"kubectl annotate scaledobject {keda[0]} autoscaling.keda.sh/paused=true" if keda else "set minReplicas and maxReplicas equal"
        yield Finding("autoscaler", f"horizontalpodautoscaler/{autoscaler.name}", f"scales statefulset/{statefulset.name}{by}: a replica that goes "
                      "while it is migrated stops the migration", f"{pause} while the migration runs", path="spec.scaleTargetRef")


def vertical_autoscalers(statefulset: StatefulSet, found: Sequence[View]) -> Iterator[Finding]:
    """VerticalPodAutoscalers that evict the set's pods. Source: autoscaling.k8s.io/v1, updatePolicy.updateMode."""
    for autoscaler in found:
        target = autoscaler.spec.get("targetRef") or {}
        mode = (autoscaler.spec.get("updatePolicy") or {}).get("updateMode", "Auto")
        if (target.get("kind"), target.get("name")) == ("StatefulSet", statefulset.name) and mode not in ("Off", "Initial"):
            yield Finding("vertical-autoscaler", f"verticalpodautoscaler/{autoscaler.name}", f"evicts pods of statefulset/{statefulset.name} (mode "
                          f"{mode}): one that goes while another is migrated is a second one that is away",
                          "set spec.updatePolicy.updateMode to Initial while the migration runs", path="spec.updatePolicy.updateMode")
