"""Admission that depends on more than the object itself: ResourceQuota and PodSecurity. Source: plugin/pkg/admission/resourcequota;
pod-security-admission, policy checks (the few that our pods meet)."""
from __future__ import annotations

from typing import Any

from kubectl_volresize.model.quantity import parse_bytes

from .refusal import forbidden
from .store import Object, Store

_CLAIMS, _STORAGE = "persistentvolumeclaims", "requests.storage"
_BASELINE = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
             "SETUID", "SYS_CHROOT"}
_ENFORCE = "pod-security.kubernetes.io/enforce"


def check(store: Store, kind: str, obj: Object) -> None:
    """Raises Refusal 403."""
    if kind == "PersistentVolumeClaim":
        _check_quotas(store, obj)
    if kind == "Pod":
        _check_security(store, obj)


def used(store: Store, namespace: str, hard: Object) -> Object:
    """What a ResourceQuota counts; claims that are being deleted count until they are gone."""
    claims = store.all("persistentvolumeclaims", namespace)
    total = sum(parse_bytes(claim["spec"]["resources"]["requests"]["storage"]) for claim in claims)
    return {key: value for key, value in ((_CLAIMS, str(len(claims))), (_STORAGE, str(total))) if key in hard}


def _check_quotas(store: Store, claim: Object) -> None:
    asked = {_CLAIMS: 1, _STORAGE: parse_bytes(claim["spec"]["resources"]["requests"]["storage"])}
    for quota in store.all("resourcequotas", claim["metadata"]["namespace"]):
        hard, now = quota["spec"].get("hard") or {}, (quota.get("status") or {}).get("used") or {}
        over = [key for key, more in asked.items() if key in hard and parse_bytes(now.get(key, 0)) + more > parse_bytes(hard[key])]
        if over:
            words = (",".join(f"{key}={value}" for key, value in sorted(table.items()) if key in over) for table in (asked, now, hard))
            requested, already, limited = words
            raise forbidden(f'persistentvolumeclaims "{claim["metadata"]["name"]}" is forbidden: exceeded quota: {quota["metadata"]["name"]}, '
                            f"requested: {requested}, used: {already}, limited: {limited}")


def _check_security(store: Store, pod: Object) -> None:
    namespace = store.find("namespaces", "", pod["metadata"]["namespace"])
    level = ((namespace or {"metadata": {}})["metadata"].get("labels") or {}).get(_ENFORCE, "privileged")
    wrong = [] if level == "privileged" else _beyond_baseline(pod["spec"]) + (_beyond_restricted(pod["spec"]) if level == "restricted" else [])
    if wrong:
        raise forbidden(f'pods "{pod["metadata"]["name"]}" is forbidden: violates PodSecurity "{level}:latest": ' + ", ".join(wrong))


def _contexts(spec: Object) -> list[dict[str, Any]]:
    return [{**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})} for container in spec["containers"]]


def _beyond_baseline(spec: Object) -> list[str]:
    added = {capability for context in _contexts(spec) for capability in (context.get("capabilities") or {}).get("add") or []}
    wrong = [f"non-default capabilities ({', '.join(sorted(added - _BASELINE))})"] if added - _BASELINE else []
    if any("hostPath" in volume for volume in spec.get("volumes") or []):
        wrong.append("hostPath volumes")
    return wrong + (["privileged"] if any(context.get("privileged") for context in _contexts(spec)) else [])


def _beyond_restricted(spec: Object) -> list[str]:
    wrong = []
    for context in _contexts(spec):
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []) or set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
            wrong.append("unrestricted capabilities")
        if not context.get("runAsNonRoot"):
            wrong.append("runAsNonRoot != true")
        if context.get("runAsUser") == 0:
            wrong.append("runAsUser=0")
    return wrong
