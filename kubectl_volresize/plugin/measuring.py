"""Counting the data of a set's volumes for a plan: the pods that the runner would start for it, started by the user and removed again."""
from __future__ import annotations

import time

from ..errors import AlreadyExists, NotFound, VolresizeError
from ..kube import paths
from ..model.cluster import Cluster
from ..model.objects import Claim, Object, Pod, View
from ..model.request import Request, Target
from ..plan import manifests
from ..plan.fit import TreeCounts
from ..plan.outline import Measured
from ..plan.pending import to_measure
from .place import Place

_POLL = 0.5
# Seconds; it looks at every name once.
_LONGEST = 1800


class NotMeasured(VolresizeError):
    """{pod} could not count the data: {why}"""

    hint = "the Job counts it anyway; leave --measure out"


def measure(place: Place, cluster: Cluster, request: Request, migration: str) -> Measured:
    """Counts by ordinal and volume, of those that are to be migrated. Raises NotMeasured, ApiError; no pod is left in any case."""
    assert cluster.statefulset is not None
    wanted = [(ordinal, target, claim) for ordinal, target in to_measure(cluster, request)
              if (claim := cluster.claim_of(target.name, request.statefulset, ordinal)) is not None and claim.bound]
    started: dict[tuple[int, str], Object] = {}
    try:
        for ordinal, target, claim in wanted:
            started[ordinal, target.name] = _start(place, cluster, request, migration, ordinal, target, claim)
        return {key: _counted(place, pod) for key, pod in started.items()}
    finally:
        for pod in started.values():
            _remove(place, pod)


def _start(place: Place, cluster: Cluster, request: Request, migration: str, ordinal: int, target: Target, claim: Claim) -> Object:
    from ..templates import render

    named = View({"metadata": {"name": migration, "namespace": place.namespace}})
    values = manifests.measurer_values(request, claim, target.name, ordinal, cluster.pods.get(ordinal), named)
    body: Object = render("mover", **values, lease={"name": "", "uid": ""})
    # Nobody's: there is no runner yet. Whoever is cut off before it is removed finds it ended after its deadline.
    del body["metadata"]["ownerReferences"]
    body["spec"]["activeDeadlineSeconds"] = _LONGEST
    try:
        return place.client.create(paths.pods(place.namespace), body)
    except AlreadyExists as error:
        name = body["metadata"]["name"]
        raise NotMeasured(pod=f"pod/{name}", why=f"one of this name is there already; if nobody measures now, kubectl delete pod {name} "
                          f"-n {place.namespace}") from error


def _counted(place: Place, pod: Object) -> TreeCounts:
    # Brings requests with it, which --help must not pay.
    from ..kube.observe import last_event

    name, deadline = pod["metadata"]["name"], time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        found = place.client.find(paths.pods(place.namespace, name))
        if found is None:
            raise NotMeasured(pod=f"pod/{name}", why="it was deleted")
        present = Pod(found)
        said = last_event(place.client, place.namespace, present)
        if said.get("event") == "measured":
            return TreeCounts.from_dict(said["counts"])
        if present.phase in ("Failed", "Succeeded"):
            raise NotMeasured(pod=f"pod/{name}", why=said.get("message") or present.status.get("message") or f"exit code {present.exit_code}")
        time.sleep(_POLL)
    raise NotMeasured(pod=f"pod/{name}", why=f"not within {_LONGEST} s")


def _remove(place: Place, pod: Object) -> None:
    try:
        place.client.delete(paths.pods(place.namespace, pod["metadata"]["name"]), uid=pod["metadata"]["uid"], grace_seconds=0)
    except NotFound:
        pass
