"""Is there a place for the new volumes: the class, where it provisions, and how much is left there."""
from __future__ import annotations

from collections.abc import Iterator

from ..model import names
from ..model.cluster import Cluster
from ..model.objects import Node, Object
from ..model.quantity import human, parse_bytes
from ..model.request import Request, Target
from ..model.selector import selector_matches, topology_allows
from .findings import Finding
from .pending import pending_ordinals, pending_targets


def storage_findings(cluster: Cluster, request: Request) -> Iterator[Finding]:
    """The class of each new volume, at the node of each replica that gets one."""
    if "storageclasses" in cluster.unreadable:
        return
    for target in request.targets:
        if target.storage_class and target.storage_class not in cluster.classes:
            yield Finding("class-missing", f"storageclass/{target.storage_class}", f"does not exist (volume {target.name})",
                          f"one of: {', '.join(sorted(cluster.classes)) or 'none'}")
    yield from _topology(cluster, request)
    yield from _capacity(cluster, request)


def _new_volumes(cluster: Cluster, request: Request) -> Iterator[tuple[int, Node, Target, str]]:
    """(ordinal, node of its pod, target, class) of each new volume whose place is known."""
    for ordinal in pending_ordinals(cluster, request):
        pod = cluster.pods.get(ordinal)
        node = cluster.nodes.get(pod.node) if pod is not None else None
        for target in pending_targets(cluster, request, ordinal):
            claim = cluster.claim_of(target.name, request.statefulset, ordinal)
            chosen = target.storage_class or (claim.storage_class if claim is not None else None)
            if node is not None and chosen in cluster.classes:
                yield ordinal, node, target, str(chosen)


def _topology(cluster: Cluster, request: Request) -> Iterator[Finding]:
    """Both volumes must be reached from the pod's node, where the copy is made."""
    for ordinal, node, target, name in _new_volumes(cluster, request):
        if not topology_allows(cluster.classes[name].get("allowedTopologies") or [], node.labels):
            yield Finding("class-topology", f"storageclass/{name}", f"makes no volumes for node {node.name}, where "
                          f"pod/{names.pod(request.statefulset, ordinal)} runs{_pins(cluster, request, ordinal, target)}",
                          "choose a class that does: --volume NAME=SIZE,storageClass=CLASS", path="allowedTopologies")


def _pins(cluster: Cluster, request: Request, ordinal: int, target: Target) -> str:
    """Which volumes of the pod keep it there, in words."""
    pod = cluster.pods[ordinal]
    claims = [cluster.claims[name] for name in pod.claims.values() if name in cluster.claims]
    pinned = sorted(claim.name for claim in claims if (volume := cluster.volume_of(claim)) is not None and volume.spec.get("nodeAffinity")
                    and claim.name != names.claim(target.name, request.statefulset, ordinal))
    return f", and where its volumes {', '.join(pinned)} are" if pinned else ""


def _capacity(cluster: Cluster, request: Request) -> Iterator[Finding]:
    """What the class's driver says is left where the nodes are; nothing when it does not say. Old and new volumes are there at once.

    Source: kubernetes.io/docs/concepts/storage/storage-capacity.
    """
    # Nodes of one zone share what is left there.
    places: dict[tuple[str, tuple[str, ...]], list[tuple[Node, Target]]] = {}
    for _, node, target, name in _new_volumes(cluster, request):
        segments = tuple(sorted(one["metadata"]["name"] for one in _segments(cluster, name, node)))
        if segments:
            places.setdefault((name, segments), []).append((node, target))
    for (name, _), wanted in places.items():
        node, largest = wanted[0][0], max((target for _, target in wanted), key=lambda target: target.bytes)
        found = _segments(cluster, name, node)
        at_once = max(_bytes(one, "maximumVolumeSize", "capacity") for one in found)
        left, needed = sum(_bytes(one, "capacity") for one in found), sum(target.bytes for _, target in wanted)
        if at_once < largest.bytes:
            said = f"has no room for a volume of {largest.size} (volume {largest.name}): its driver says {human(at_once)}"
        elif left < needed:
            said = f"has {human(left)} left; all new volumes there need {human(needed)}, beside the old ones, which are kept"
        else:
            continue
        nodes = ", ".join(dict.fromkeys(node.name for node, _ in wanted))
        yield Finding("no-capacity", f"storageclass/{name}", f"at node {nodes} {said}", "free some, or choose another class", path="capacity")


def _segments(cluster: Cluster, name: str, node: Node) -> list[Object]:
    """CSIStorageCapacities of the class that speak of the node and of a size."""
    return [one for one in cluster.surroundings.capacities
            if one.get("storageClassName") == name and "capacity" in one and one.get("nodeTopology") is not None
            and selector_matches(one["nodeTopology"], node.labels)]


def _bytes(capacity: Object, *keys: str) -> int:
    return parse_bytes(next(capacity[key] for key in keys if key in capacity))
