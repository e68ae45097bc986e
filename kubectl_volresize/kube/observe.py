"""From the API server to model.cluster. The plugin and the runner see the cluster through these same eyes; what it means is decided in plan/."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..errors import ApiError, Forbidden, NotFound, Unreachable
from ..model import labels, names
from ..model.asked import asks_for_lost_record, named_volumes, unanswered
from ..model.cluster import Cluster, Mover, Surroundings
from ..model.objects import Budget, Claim, Migration, Node, Object, Pod, StatefulSet, View, Volume
from ..model.kept import Kept, unpack
from ..model.record import from_status, volume_to_json
from ..model.request import from_spec
from ..plan.rehearsals import job_rehearsals, rehearsals
from . import paths
from .client import Client
from .definition import unknown_fields
from .rehearse import rehearse
from .rights import lacking, rules_of_runner

_LOG_TAIL = 50  # lines; a mover speaks at most once a second
_LOG_SILENCE = 10.0  # seconds without a byte; the API server waits for a kubelet that hangs for as long as we do


def observe(client: Client, migration: Object) -> Cluster:
    """All that the runner's decisions look at. Raises Forbidden when a right is missing, ApiError, Unreachable."""
    def listed(what: str, path: str) -> list[Object]:
        return client.list(path)

    namespace = migration["metadata"]["namespace"]
    cluster = _observe(client, migration, listed=listed, others=lambda: client.list(paths.migrations(namespace)), volumes=_volumes,
                       nodes=lambda: client.list(paths.nodes()), place=lambda name: client.find(paths.namespaces(name)), unreadable=[],
                       kept=_kept(client, migration))
    # While data is counted nothing is decided by it, and each look would ask again. Whoever turns away must not wait for what it says.
    status = migration.get("status") or {}
    turns_away = cluster.cancelled or status.get("stopping") or unanswered(Migration(migration), from_status(status)) is not None
    if not _is_before_the_start(migration) or cluster.measurers or turns_away:
        return cluster
    tried = rehearse(client, namespace, rehearsals(cluster, from_spec(migration["spec"])))
    return replace(cluster, surroundings=replace(cluster.surroundings, answers=tried, lacking=lacking(client, namespace, rules_of_runner()),
                                                 unknown_fields=unknown_fields(client, namespace)))


def observe_permitted(client: Client, migration: Object) -> Cluster:
    """The same for a user who may lack the right to read volumes, classes or nodes: these are then named in `unreadable` and left to the Job."""
    unreadable: list[str] = []

    def or_nothing(what: str, path: str) -> list[Object]:
        try:
            return client.list(path)
        except Forbidden:
            unreadable.append(what)
            return []

    def volumes(client: Client, wanted: set[str]) -> dict[str, Volume]:
        try:
            return _volumes(client, wanted)
        except Forbidden:
            unreadable.append("persistentvolumes")
            return {}

    def others() -> list[Object]:
        try:
            return client.list(paths.migrations(migration["metadata"]["namespace"]))
        except NotFound:
            # Not installed yet.
            return []

    cluster = _observe(client, migration, listed=or_nothing, others=others, volumes=volumes, nodes=lambda: or_nothing("nodes", paths.nodes()),
                       place=lambda name: None, unreadable=unreadable)
    if not _is_before_the_start(migration):
        return cluster
    request = from_spec(migration["spec"])
    tried = rehearse(client, cluster.namespace, (*rehearsals(cluster, request), *job_rehearsals(request, cluster.migration)))
    return replace(cluster, surroundings=replace(cluster.surroundings, answers=tried, unknown_fields=unknown_fields(client, cluster.namespace)))


def _observe(client: Client, migration: Object, *, listed: Callable[[str, str], list[Object]], others: Callable[[], list[Object]], volumes: Any,
             nodes: Any, place: Any, unreadable: list[str], kept: Kept | None = None) -> Cluster:
    namespace, own_name = migration["metadata"]["namespace"], migration["metadata"]["name"]
    set_name = migration["spec"]["statefulSetName"]
    found = client.find(paths.statefulsets(namespace, set_name))
    pods = [Pod(raw) for raw in client.list(paths.pods(namespace))]
    claims = {raw["metadata"]["name"]: Claim(raw) for raw in client.list(paths.claims(namespace))}
    ours = {name: claim for name, claim in claims.items() if _concerns(claim, set_name, migration)}
    entries = [*((migration.get("status") or {}).get("volumeStatuses") or []), *(map(volume_to_json, kept.record.volumes) if kept else ())]
    recorded = {entry[key] for entry in entries for key in ("oldPVName", "newPVName") if entry.get(key)}
    wanted = recorded | {claim.volume_name for claim in ours.values() if claim.volume_name}
    named = named_volumes(Migration(migration), from_status(migration.get("status") or {})) - wanted
    movers, measurers = _copiers(client, namespace, own_name, pods)
    replicas = _replicas(pods, set_name, migration)
    its_namespace, its_nodes, at_first = place(namespace), [Node(raw) for raw in nodes()], _is_before_the_start(migration)
    if at_first:
        # The other volumes of its pods too: they say where the pods can be.
        wanted |= {claims[name].volume_name for pod in replicas.values() for name in pod.claims.values() if name in claims} - {""}
    return Cluster(
        namespace=namespace, migration=Migration(migration), statefulset=StatefulSet(found) if found else None,
        pods=replicas, claims=claims, volumes={**volumes(client, wanted), **_of_namespace(namespace, volumes(client, named))}, movers=movers,
        measurers=measurers,
        budgets=tuple(Budget(raw) for raw in client.list(paths.budgets(namespace))),
        revisions=tuple(View(raw) for raw in client.list(paths.revisions(namespace))),
        nodes={node.name: node for node in its_nodes},
        classes={raw["metadata"]["name"]: raw for raw in listed("storageclasses", paths.storage_classes())},
        others=tuple(View(raw) for raw in others() if raw["metadata"]["name"] != own_name),
        guests=_guests(pods, {pod.uid for pod in replicas.values()} | {copier.pod.uid for copier in (*movers.values(), *measurers.values())}),
        namespace_going=bool(its_namespace and its_namespace["metadata"].get("deletionTimestamp")), kept=kept,
        surroundings=_surroundings(listed, namespace) if at_first else Surroundings(),
        # The last: what reads the others may add to it.
        unreadable=tuple(unreadable))


def _is_before_the_start(migration: Object) -> bool:
    return (migration.get("status") or {}).get("phase", "") in labels.BEFORE_THE_START


def _surroundings(listed: Callable[[str, str], list[Object]], namespace: str) -> Surroundings:
    def views(what: str, path: str) -> tuple[View, ...]:
        return tuple(View(raw) for raw in listed(what, path))

    def if_there_are_any(what: str, path: str) -> tuple[View, ...]:
        try:
            return views(what, path)
        except NotFound:
            # A kind that few clusters have.
            return ()

    return Surroundings(views("resourcequotas", paths.quotas(namespace)), views("limitranges", paths.limit_ranges(namespace)),
                        views("horizontalpodautoscalers", paths.autoscalers(namespace)),
                        if_there_are_any("verticalpodautoscalers", paths.vertical_autoscalers(namespace)),
                        tuple(listed("csistoragecapacities", paths.capacities())))


def _concerns(claim: Claim, set_name: str, migration: Object) -> bool:
    """A claim of the set's replicas, or a temporary one of this migration."""
    if claim.labels.get(labels.MIGRATION) == migration["metadata"]["name"]:
        return True
    volumes = [volume["name"] for volume in migration["spec"]["volumes"]]
    return any(names.ordinal_of(claim.name, f"{volume}-{set_name}") is not None for volume in volumes)


def _replicas(pods: list[Pod], set_name: str, migration: Object) -> dict[int, Pod]:
    """Pods of the set by ordinal: its name's form and not one of our own pods, which could bear a name of that form too."""
    found = {}
    for pod in pods:
        ordinal = names.ordinal_of(pod.name, set_name)
        if ordinal is not None and labels.ROLE not in pod.labels and not pod.labels.get("batch.kubernetes.io/job-name"):
            found[ordinal] = pod
    return found


def _guests(pods: list[Pod], known: set[str]) -> dict[str, tuple[str, ...]]:
    """Names of the pods of unknown UID by the claims that they name."""
    found: dict[str, tuple[str, ...]] = {}
    for pod in pods:
        for claim in pod.claims.values() if pod.uid not in known else ():
            found[claim] = (*found.get(claim, ()), pod.name)
    return found


def _volumes(client: Client, wanted: set[str]) -> dict[str, Volume]:
    found = {name: client.find(paths.volumes(name)) for name in sorted(wanted)}
    return {name: Volume(raw) for name, raw in found.items() if raw is not None}


def _kept(client: Client, migration: Object) -> Kept | None:
    if not asks_for_lost_record(Migration(migration), from_status(migration.get("status") or {})):
        return None
    return kept_in(client.find(paths.leases(migration["metadata"]["namespace"], names.lease(migration["spec"]["statefulSetName"]))))


def kept_in(lease: Object | None) -> Kept | None:
    """The copy of a record that the Lease bears; None when there is none, or none that can be read."""
    text = View(lease).annotations.get(labels.RECORD, "") if lease is not None else ""
    return unpack(text) if text else None


def _of_namespace(namespace: str, found: dict[str, Volume]) -> dict[str, Volume]:
    return {name: volume for name, volume in found.items() if volume.claim_ref.get("namespace") == namespace}


def _copiers(client: Client, namespace: str, migration: str, pods: list[Pod]) -> tuple[dict[tuple[int, str], Mover], dict[tuple[int, str], Mover]]:
    kinds: dict[str, dict[tuple[int, str], Mover]] = {labels.ROLE_MOVER: {}, labels.ROLE_MEASURE: {}}
    for pod in pods:
        role = pod.labels.get(labels.ROLE, "")
        if pod.labels.get(labels.MIGRATION) == migration and role in kinds:
            key = (int(pod.labels[labels.REPLICA]), pod.labels[labels.VOLUME])
            kinds[role][key] = Mover(pod, last_event(client, namespace, pod))
    return kinds[labels.ROLE_MOVER], kinds[labels.ROLE_MEASURE]


def last_event(client: Client, namespace: str, pod: Pod) -> Object:
    """The last thing that a mover said: its termination message when it ended, else the last JSON line of its log; {} when it said nothing yet.

    The log and not the pod's phase, since the kubelet takes up to two seconds to report a finished container (measured).
    """
    if pod.last_words:
        return pod.last_words
    if pod.phase not in ("Running", "Failed", "Succeeded"):
        return {}
    try:
        lines = list(client.log(namespace, pod.name, silence=_LOG_SILENCE, tailLines=_LOG_TAIL))
    except (ApiError, Unreachable):
        # No log yet, none any more, or a node that does not answer: the pod is then judged by its status alone.
        return {}
    for line in reversed(lines):
        if line.startswith("{"):
            try:
                event: Object = json.loads(line)
            except ValueError:
                continue
            if "event" in event:
                return event
    return {}
