"""What of a request is still to be done: claims that have not what is asked for, and templates."""
from __future__ import annotations

from ..model.cluster import Cluster
from ..model.objects import Claim, StatefulSet
from ..model.request import Request, Target


def pending_ordinals(cluster: Cluster, request: Request) -> tuple[int, ...]:
    """Ordinals that still have a claim to exchange, highest first."""
    assert cluster.statefulset is not None
    return tuple(ordinal for ordinal in reversed(cluster.statefulset.ordinals)
                 if any(not done(cluster.claim_of(target.name, request.statefulset, ordinal), target) for target in request.targets))


def pending_targets(cluster: Cluster, request: Request, ordinal: int) -> tuple[Target, ...]:
    """What of a replica is still to be exchanged."""
    return tuple(target for target in request.targets if not done(cluster.claim_of(target.name, request.statefulset, ordinal), target))


def to_measure(cluster: Cluster, request: Request) -> tuple[tuple[int, Target], ...]:
    """Whose data can be counted beside the application."""
    return tuple((ordinal, target) for ordinal in pending_ordinals(cluster, request) for target in pending_targets(cluster, request, ordinal)
                 if (claim := cluster.claim_of(target.name, request.statefulset, ordinal)) is not None and not claim.one_pod)


def nothing_to_do(cluster: Cluster, request: Request) -> bool:
    """All claims and the templates have what is asked for already."""
    statefulset = cluster.statefulset
    if statefulset is None or any(target.name not in statefulset.templates for target in request.targets):
        return False
    return not pending_ordinals(cluster, request) and all(template_done(statefulset, target) for target in request.targets)


def done(claim: Claim | None, target: Target) -> bool:
    """The claim asks for exactly the new size (its capacity may be more: providers round up) and has the class that is wanted."""
    return claim is not None and claim.request == target.bytes and target.storage_class in (None, claim.storage_class)


def template_done(statefulset: StatefulSet, target: Target) -> bool:
    template = Claim(statefulset.templates[target.name])
    return template.request == target.bytes and target.storage_class in (None, template.storage_class)
