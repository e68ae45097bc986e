"""The way back after the exchange: which replicas may go back, and the next step for each. The exchange itself is the one of swap.py, with old and
new in each other's place; there is no copy, and what was written since stays on the small volume, which is kept."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from ..model import labels, names
from ..model.cluster import Cluster
from ..model.objects import Pod
from ..model.record import Record, VolumeRecord
from ..model.request import Request, Target
from . import finish, manifests, swap
from .replica import hold_or_wait
from .rollback_steps import ROLLED_BACK, BeginRollback, EndRollback, GiveUpNewerData, ReplicaRolledBack, forward_again
from .steps import KEEP_CLAIMS, AskHuman, Decision, KeepVolume, Stop, SuspendRetention, Wait
from .swap_steps import ReplicaDone
from .undo_steps import UNDONE
from .views import VolumeView, guest, held_by_others, others_not_ready, user_of, views

IN_PART = "RolledBackInPart"  # reason of the condition Ready


def migrated(record: Record) -> tuple[int, ...]:
    """Ordinals that stand on new volumes, highest first."""
    return tuple(sorted({entry.replica for entry in record.volumes if entry.migrated and not entry.forward}, reverse=True))


def turned_request(cluster: Cluster, record: Record, request: Request, ordinal: int) -> Request:
    """What is wanted on the way back of a replica: the old sizes and classes of its claims; of the templates only with the last replica, since a set
    whose templates ask for less than a claim has is at rest, and one that asks for more is what the user wanted to get away from."""
    targets = tuple(_asked_before(forward_again(entry)) for entry in record.of_replica(ordinal) if entry.forward)
    stay = [entry for entry in record.volumes if entry.replica != ordinal and entry.migrated and _in_use(cluster, request, entry)]
    templates: tuple[Target, ...] = ()
    if not stay:
        wanted = {target.name for target in request.targets}
        templates = tuple(Target(name, str(asked["size"]), asked.get("storageClass") or None)
                          for name, asked in sorted(record.templates.items()) if name in wanted)
    return replace(request, targets=targets, templates=templates)


def _asked_before(entry: VolumeRecord) -> Target:
    spec = json.loads(entry.saved_claim)["spec"]
    return Target(entry.volume, str(spec["resources"]["requests"]["storage"]), spec.get("storageClassName"))


def _in_use(cluster: Cluster, request: Request, entry: VolumeRecord) -> bool:
    claim = cluster.claim_of(entry.volume, request.statefulset, entry.replica)
    return claim is not None and claim.volume_name == entry.new_pv


def unwritten(record: Record, ordinal: int, pod: Pod | None) -> bool:
    """Nothing was written since the exchange: this pod is the first on the new volumes, and none of its containers ever ran."""
    return pod is not None and pod.uid == record.replica(ordinal).fresh_pod and pod.never_started


def against(cluster: Cluster, record: Record, request: Request, chosen: tuple[int, ...], discard: bool) -> Iterator[str]:
    """Every reason why these ordinals cannot go back."""
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating:
        yield f"StatefulSet {request.statefulset} is gone or going"
        return
    turned = sorted({entry.replica for entry in record.volumes if entry.forward})
    if turned:
        yield f"replica {', '.join(map(str, turned))} is on its way back already: resume, once it can start"
    elif not chosen:
        yield "no replica stands on a new volume"
    if (open_at := swap.unfinished(record)) is not None and record.replica(open_at).step != swap.STARTING:
        yield f"the exchange of replica {open_at} is not finished: resume it first"
    for ordinal in chosen:
        entries = [entry for entry in record.of_replica(ordinal) if entry.migrated]
        if ordinal in turned:
            continue
        if not entries:
            yield f"replica {ordinal} was not migrated, or is back already"
        elif ordinal not in statefulset.ordinals:
            yield f"StatefulSet {request.statefulset} has no replica {ordinal} any more: scale it up first"
        elif not discard and not unwritten(record, ordinal, cluster.pods.get(ordinal)):
            since = next((entry.verified_at for entry in entries if entry.verified_at), "the exchange")
            yield f"replica {ordinal} may have written since {since}, which would be lost: --discard-newer-data"
        for entry in entries:
            yield from _against_entry(cluster, request, entry)


def _against_entry(cluster: Cluster, request: Request, entry: VolumeRecord) -> Iterator[str]:
    old, claim = cluster.volumes.get(entry.old_pv), cluster.claim_of(entry.volume, request.statefulset, entry.replica)
    if entry.cleaned or old is None or old.uid != entry.old_pv_uid:
        yield f"the old volume {entry.old_pv} of replica {entry.replica} is gone"
    elif user := user_of(cluster, old):
        yield f"the old volume {entry.old_pv} is used by claim {user}"
    elif old.terminating or not old.retained:
        # Its provisioner removes the disk first and the volume afterwards.
        yield f"the old volume {entry.old_pv} is being removed, or may be at any time (reclaim policy {old.policy})"
    if claim is None or not claim.bound or claim.terminating or claim.volume_name != entry.new_pv:
        name = names.claim(entry.volume, request.statefulset, entry.replica)
        yield f"claim {name} is not Bound to volume {entry.new_pv}, as it was after the migration"


def next_for_rollback(cluster: Cluster, record: Record, request: Request) -> Decision:
    """Until all of them are back, then EndRollback."""
    current = record.current_replica
    if current is not None and record.replica(current).step not in ("", swap.DONE, UNDONE, ROLLED_BACK):
        return _next_for_replica(cluster, record, request, current)
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating or statefulset.uid != record.set_uid:
        return Stop("Resumable", f"StatefulSet {request.statefulset} is not the one that it was: somebody deleted it; look at it, then resume")
    pending = [ordinal for ordinal in record.rollback.get("replicas") or ()
               if any(entry.migrated for entry in record.of_replica(ordinal))]
    if not pending:
        return finish.given_back(cluster, record) or _end(record)
    if gone := list(against(cluster, record, request, (pending[0],), True)):
        return Stop("Resumable", "; ".join(gone))
    if statefulset.retention != KEEP_CLAIMS:
        return SuspendRetention(statefulset.uid, statefulset.retention)
    return _begin(cluster, record, request, pending[0])


def _end(record: Record) -> EndRollback:
    back = sorted({entry.replica for entry in record.volumes if entry.phase == "RolledBack" and entry.new_pv})
    words = f"replica {', '.join(map(str, back))} stands on its old volumes again; the newer ones are kept"
    if migrated(record):
        reason = str(record.rollback.get("reason") or IN_PART)
        # What a human was needed for may have been the replica that is back now.
        solved = reason == "NeedsHuman" and swap.unfinished(record) is None
        return EndRollback(str(record.rollback["phase"]), IN_PART if solved else reason, words)
    return EndRollback(labels.ROLLED_BACK, labels.ROLLED_BACK, words)


def _begin(cluster: Cluster, record: Record, request: Request, ordinal: int) -> BeginRollback:
    known = []
    for entry in record.of_replica(ordinal):
        claim = cluster.claim_of(entry.volume, request.statefulset, ordinal)
        if entry.migrated and claim is not None:
            known.append((entry.volume, {"old_claim_uid": claim.uid, "saved_claim": json.dumps(manifests.saved_claim(claim))}))
    return BeginRollback(ordinal, tuple(known))


def turned_views(cluster: Cluster, record: Record, request: Request, ordinal: int) -> tuple[VolumeView, ...]:
    """The replica's volumes with old and new in each other's place."""
    return views(cluster, record, turned_request(cluster, record, request, ordinal), ordinal)


def views_on_its_way(cluster: Cluster, record: Record, request: Request, ordinal: int) -> tuple[VolumeView, ...]:
    """The replica's volumes as the migration sees them, or the rollback that it is in."""
    return (turned_views if record.rollback else views)(cluster, record, request, ordinal)


def _next_for_replica(cluster: Cluster, record: Record, request: Request, ordinal: int) -> Decision:
    turned = turned_request(cluster, record, request, ordinal)
    volumes = views(cluster, record, turned, ordinal)
    if swap.begun(record, ordinal):
        decision = swap.next_for_swap(cluster, record, turned, ordinal, volumes)
        if isinstance(decision, ReplicaDone):
            return ReplicaRolledBack(decision.replica, decision.volumes, decision.not_ready_seconds)
        if isinstance(decision, Wait) and decision.kind == "starting":
            return replace(decision, reason=decision.reason.replace("its new volumes", "its old volumes"))
        return decision
    if strange := [view for view in volumes if not view.on_original_claim]:
        return AskHuman(f"claim {strange[0].entry.old_claim} is not the one that was recorded: somebody deleted or replaced it")
    if lost := [view for view in volumes if view.new is None or view.new.uid != view.entry.new_pv_uid]:
        return Stop("Resumable", f"the old volume {lost[0].entry.new_pv} is gone")
    if used := [user for view in volumes if view.new is not None and (user := user_of(cluster, view.new))]:
        return Stop("Resumable", f"the old volume of replica {ordinal} is used by claim {used[0]}")
    if unsafe := _keep(volumes, ordinal):
        return unsafe
    return _stop_pod(cluster, record, turned, ordinal, volumes)


def _keep(volumes: tuple[VolumeView, ...], ordinal: int) -> KeepVolume | None:
    """What is in use now becomes what is kept, and must bear our marks as such."""
    for view in volumes:
        for volume, role in ((view.old, labels.ROLE_OLD), (view.new, labels.ROLE_NEW)):
            if volume is not None and not (volume.retained and volume.labels.get(labels.ROLE) == role):
                return KeepVolume(ordinal, view.target.name, volume.name, volume.uid, volume.resource_version, role,
                                  manifests.original_policy(volume))
    return None


def _stop_pod(cluster: Cluster, record: Record, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision:
    pod = cluster.pods.get(ordinal)
    if pod is None:
        return Wait("pod", f"pod of replica {ordinal} is away; its controller brings it back", replica=ordinal)
    if not pod.terminating:
        return hold_or_wait(cluster, request, ordinal, pod, _not_yet(cluster, ordinal, volumes))
    if not pod.held:
        return Wait("pod", f"pod {pod.name} is being deleted without our hold; its successor comes", replica=ordinal)
    if stranger := guest(cluster, volumes):
        return Stop("Resumable", f"{stranger}")
    if not cluster.shut_down(pod):
        grace = float(pod.spec.get("terminationGracePeriodSeconds") or 0)
        return Wait("shut-down", f"pod {pod.name} is shutting down", poll=0.1, replica=ordinal, grace=grace)
    if pod.uid != record.replica(ordinal).pod_uid:
        return Stop("Resumable", f"pod {pod.name} is not the one that was stopped")
    if not record.rollback.get("discard") and not unwritten(record, ordinal, pod):
        return Stop("Resumable", f"pod {pod.name} did start after the exchange; what it wrote would be lost: --discard-newer-data")
    word = f"final:{pod.uid}:rollback"
    if left := tuple(view.target.name for view in volumes if view.entry.verified != word):
        return GiveUpNewerData(ordinal, left, word)
    return swap.begin(cluster, ordinal, pod, volumes)


def _not_yet(cluster: Cluster, ordinal: int, volumes: tuple[VolumeView, ...]) -> Wait | None:
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating:
        return Wait("pod", "the StatefulSet is gone or going", replica=ordinal)
    if missing := others_not_ready(cluster, statefulset, ordinal):
        return Wait("others", f"waiting until {', '.join(missing)} is Ready before replica {ordinal} is stopped", replica=ordinal)
    if in_the_way := guest(cluster, volumes) or held_by_others(cluster, ordinal, volumes):
        return Wait("others", f"replica {ordinal} is not stopped yet: {in_the_way}", replica=ordinal)
    if statefulset.rolling:
        return Wait("rollout", f"StatefulSet {statefulset.name}: {statefulset.rolling}", replica=ordinal)
    own = cluster.pods.get(ordinal)
    if own is not None and own.revision != statefulset.status.get("updateRevision"):
        return Wait("rollout", f"pod {own.name} would come back at another revision (OnDelete)", replica=ordinal)
    return None
