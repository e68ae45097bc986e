"""Does the namespace leave room for what a migration creates: ResourceQuota at the peak, and LimitRange."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from ..model.cluster import Cluster
from ..model.objects import Object, View
from ..model.quantity import human, parse
from ..model.request import Request, Target
from .findings import Finding
from .pending import to_measure

# What is still to be migrated, by ordinal.
Pending = Mapping[int, Sequence[Target]]


def quota_findings(cluster: Cluster, request: Request, pending: Pending, quotas: Sequence[View]) -> Iterator[Finding]:
    """What is missing at the peak. Of claims: while one replica is migrated, its old ones are there still and the new ones already. Of pods: one for
    each volume of all replicas, while the data is counted.

    Source: kubernetes.io/docs/concepts/policy/resource-quotas (names of the resources). Quotas with a scope concern pods of a kind only: those that
    copy are seen by the server alone.
    """
    needed = _needed(cluster, request, pending)
    for quota in quotas:
        if quota.spec.get("scopes") or quota.spec.get("scopeSelector"):
            continue
        hard, used = quota.status.get("hard") or quota.spec.get("hard") or {}, quota.status.get("used") or {}
        for resource, amount in needed.items():
            if resource not in hard:
                continue
            left = parse(hard[resource]) - parse(used.get(resource, "0"))
            if left < amount:
                yield Finding("quota", f"resourcequota/{quota.name}", f"leaves {_said(resource, left)} of {resource}; at the peak "
                              f"{_said(resource, amount)} more are needed", f"raise spec.hard[{resource}] by {_said(resource, amount - left)} "
                              "or more while the migration runs", path=f"spec.hard[{resource}]")


def _needed(cluster: Cluster, request: Request, pending: Pending) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for ordinal, targets in pending.items():
        for resource, amount in _of_claims(cluster, request, ordinal, targets).items():
            found[resource] = max(found.get(resource, Fraction(0)), amount)
    # Those that count already are in what is used.
    counted = to_measure(cluster, request)
    # A ReadWriteOncePod volume is not counted, and copied when its replica has stopped.
    pods = max(len(counted) - len(cluster.measurers), 0) if counted else max((len(targets) for targets in pending.values()), default=0)
    return {**found, **{resource: amount * pods for resource, amount in _of_one_pod(request).items()}}


def _of_claims(cluster: Cluster, request: Request, ordinal: int, targets: Sequence[Target]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for target in targets:
        claim = cluster.claim_of(target.name, request.statefulset, ordinal)
        of_class = f"{target.storage_class or (claim.storage_class if claim else None)}.storageclass.storage.k8s.io/"
        more = {f"{prefix}{resource}": amount for prefix in ("", of_class) for resource, amount in (
            ("requests.storage", Fraction(target.bytes)), ("persistentvolumeclaims", Fraction(1)))}
        for resource, amount in {**more, "count/persistentvolumeclaims": Fraction(1)}.items():
            found[resource] = found.get(resource, Fraction(0)) + amount
    return found


def _of_one_pod(request: Request) -> dict[str, Fraction]:
    resources = request.mover.get("resources") or {}
    found = {f"{kind}.{resource}": parse(amount) for kind in ("requests", "limits") for resource, amount in (resources.get(kind) or {}).items()}
    # Their short names mean requests.
    short = {resource: found[f"requests.{resource}"] for resource in ("cpu", "memory") if f"requests.{resource}" in found}
    return {"pods": Fraction(1), "count/pods": Fraction(1), **found, **short}


def _said(resource: str, amount: Fraction) -> str:
    return human(int(amount)) if "storage" in resource.rpartition("/")[2] or "memory" in resource else f"{float(amount):g}"


def limit_findings(request: Request, ranges: Sequence[View]) -> Iterator[Finding]:
    """Claims of the new size that a LimitRange forbids."""
    for limit_range in ranges:
        for index, limit in enumerate(limit_range.spec.get("limits") or []):
            if limit.get("type") == "PersistentVolumeClaim":
                for target in request.targets:
                    yield from _limit(limit_range, index, limit, target)


def _limit(limit_range: View, index: int, limit: Object, target: Target) -> Iterator[Finding]:
    lowest, highest = ((limit.get(end) or {}).get("storage") for end in ("min", "max"))
    for end, bound, is_wrong in (("min", lowest, lowest is not None and target.bytes < parse(lowest)),
                                 ("max", highest, highest is not None and target.bytes > parse(highest))):
        if is_wrong:
            yield Finding("limit-range", f"limitrange/{limit_range.name}", f"does not allow a claim of {target.size} (volume {target.name}): "
                          f"{end} is {bound}", f"choose a size within its limits, or change spec.limits[{index}].{end}.storage",
                          path=f"spec.limits[{index}].{end}.storage")
