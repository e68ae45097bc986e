"""The exchange of a replica's claims, once its copies are verified: freeze the set, release the pod, exchange the claims, thaw. As in replica.py the
order of the questions is the argument; each of them can be asked by a runner that has just started and knows nothing but the record."""
from __future__ import annotations

import json
from typing import Collection

from ..model import labels
from ..model.cluster import Cluster
from ..model.objects import Object, Pod, StatefulSet
from ..model.record import Record
from ..model.request import Request
from . import manifests
from .steps import AskHuman, Decision, KeepVolume, RemovePod, Stop, Wait
from .rollback_steps import ROLLED_BACK
from .swap_steps import (FREEZE, AdoptSet, BeginSwap, CreateClaim, DeleteClaim, DeleteTemporaryClaim, Freeze, Nudge, Recreate, Release,
                         RememberFreshPod, RememberSet, RememberSwapped, ReplicaDone, Reserve, StripOrphanFinalizer, StripReference, Thaw,
                         seconds_between)
from .undo_steps import UNDONE
from .views import VolumeView, guest, held_by_others, others_not_ready

SWAPPING, THAWING, STARTING, DONE = "swapping", "thawing", "starting", "done"
_KINDS = {"pods": "Pod", "claims": "PersistentVolumeClaim", "revisions": "ControllerRevision"}


def begun(record: Record, ordinal: int) -> bool:
    """From here on the record holds all UIDs that the exchange touches."""
    return record.replica(ordinal).step in (SWAPPING, THAWING, STARTING)


def unfinished(record: Record) -> int | None:
    """The replica that was being worked on when the migration ended: only one that needs a human leaves one behind."""
    found = [entry.ordinal for entry in record.replicas if entry.step not in ("", DONE, UNDONE, ROLLED_BACK)]
    return found[0] if found else None


def _freezing(record: Record, ordinal: int) -> bool:
    """Whether we have begun to take the set away; before that, a set that is gone or going was deleted by somebody else."""
    replica = record.replica(ordinal)
    return replica.step in (THAWING, STARTING) or replica.intent.get("step") == FREEZE


def set_may_be_away(record: Record) -> bool:
    """Whether the StatefulSet may be frozen or absent at this moment, by our doing."""
    current = record.current_replica
    return current is not None and record.replica(current).step in (SWAPPING, THAWING) and _freezing(record, current)


def past_return(cluster: Cluster, record: Record, ordinal: int, volumes: tuple[VolumeView, ...]) -> bool:
    """Whether going back would be more dangerous than going on: something that the application stands on was taken away already."""
    statefulset = cluster.statefulset
    stands = statefulset is not None and not statefulset.terminating and statefulset.uid == record.set_uid
    set_is_whole = stands or not _freezing(record, ordinal)
    return begun(record, ordinal) and not (set_is_whole and all(view.on_original_claim for view in volumes))


def begin(cluster: Cluster, ordinal: int, pod: Pod, volumes: tuple[VolumeView, ...]) -> Decision:
    statefulset = cluster.statefulset
    if statefulset is None or statefulset.terminating:
        return Wait("swap-others", "the StatefulSet is gone or going", replica=ordinal)
    if obstacle := _obstacle(cluster, statefulset, ordinal, volumes):
        return obstacle
    entries = [view.entry for view in volumes]
    uids = [uid for entry in entries for uid in (entry.old_claim_uid, entry.new_claim_uid, entry.old_pv_uid, entry.new_pv_uid)]
    return BeginSwap(ordinal, (statefulset.uid, pod.uid, *uids))


def _obstacle(cluster: Cluster, statefulset: StatefulSet, ordinal: int, volumes: tuple[VolumeView, ...]) -> Wait | Stop | None:
    if statefulset.rolling and statefulset.observed:
        # Not waited for: the stopped pod is one that it would wait for, for as long as it is stopped.
        return Stop("Resumable", f"StatefulSet {statefulset.name}: {statefulset.rolling}; replica {ordinal} goes back, resume when it is over")
    if statefulset.rolling:
        return Wait("swap-others", f"StatefulSet {statefulset.name}: {statefulset.rolling}", poll=0.5, replica=ordinal)
    if missing := others_not_ready(cluster, statefulset, ordinal, stopped=True):
        return Wait("swap-others", f"waiting until {', '.join(missing)} is Ready before the claims are exchanged", poll=0.5, replica=ordinal)
    if in_the_way := held_by_others(cluster, ordinal, volumes):
        return Wait("swap-others", f"the claims are not exchanged yet: {in_the_way}", poll=0.5, replica=ordinal)
    return None


def next_for_swap(cluster: Cluster, record: Record, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision:
    safe_to_return = not past_return(cluster, record, ordinal, volumes)
    if strange := _strange_volume(volumes):
        return Stop("Resumable", strange) if safe_to_return else AskHuman(strange)
    if safe_to_return and (going := going_volume(volumes)):
        return Stop("Resumable", going)
    if record.replica(ordinal).step == STARTING:
        return _start(cluster, record, ordinal, volumes)
    for decide in (_keep_both, _movers_gone, _temporary_claims_gone, _reserved):
        if decision := decide(cluster, ordinal, volumes):
            return decision
    return _around_the_set(cluster, record, request, ordinal, volumes)


def _strange_volume(volumes: tuple[VolumeView, ...]) -> str:
    for view in volumes:
        wanted = [(view.new, view.entry.new_pv, view.entry.new_pv_uid)]
        if view.claim is not None and view.claim.uid == view.entry.old_claim_uid:
            # Afterwards it is only the way back, and whoever removed it did without that.
            wanted.append((view.old, view.entry.old_pv, view.entry.old_pv_uid))
        for volume, name, uid in wanted:
            if volume is None or volume.uid != uid:
                return f"volume {name} is gone or is not the one that was recorded"
    return ""


def going_volume(volumes: tuple[VolumeView, ...]) -> str:
    """Which volume somebody has deleted, in words. It stays while a claim has it, so that the exchange would be the end of it."""
    for view in volumes:
        for volume, claim in ((view.old, view.entry.old_claim), (view.new, view.entry.new_claim)):
            if volume is not None and volume.terminating:
                return f"volume {volume.name} is being deleted by somebody, and goes as soon as claim {claim} does"
    return ""


def _keep_both(cluster: Cluster, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    for view in volumes:
        for volume, role in ((view.old, labels.ROLE_OLD), (view.new, labels.ROLE_NEW)):
            if volume is not None and not volume.retained:
                return KeepVolume(ordinal, view.target.name, volume.name, volume.uid, volume.resource_version, role,
                                  manifests.original_policy(volume))
    return None


def _movers_gone(cluster: Cluster, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    # Claims stay Terminating as long as any pod object names them, also a finished mover's (facts: podUsesPVC), or a measurer that was started by a
    # runner which slept until its data had been counted by the next one.
    late = [measurer for (counted, _), measurer in cluster.measurers.items() if counted == ordinal]
    movers = [*(view.mover for view in volumes if view.mover is not None), *late]
    for mover in movers:
        if not mover.pod.terminating:
            # "verified" was its last word, after syncfs; the application need not wait up to 2 s more until the kubelet has reported the end.
            return RemovePod(mover.pod.name, mover.pod.uid, grace=0 if mover.event == "verified" else None)
    if movers:
        return Wait("pods-gone", f"mover {movers[0].pod.name} is being removed", poll=0.1, replica=ordinal)
    return None


def _temporary_claims_gone(cluster: Cluster, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    # One of our marks that was not recorded came from a runner that slept while another one went on: it is in nobody's way, and goes at the end.
    present = [view for view in volumes if view.temporary is not None and not (
        view.temporary.uid != view.entry.new_claim_uid and manifests.is_ours(view.temporary, cluster.migration.uid, ordinal))]
    for view in present:
        assert view.temporary is not None
        if view.temporary.terminating:
            continue
        if view.temporary.uid != view.entry.new_claim_uid:
            return AskHuman(f"claim {view.temporary.name} is not the temporary claim that was recorded")
        return DeleteTemporaryClaim(ordinal, view.target.name, view.temporary.name, view.temporary.uid)
    going = [view.temporary.name for view in present if view.temporary is not None]
    return Wait("claims-gone", f"temporary claim {going[0]} is being deleted", poll=0.1, replica=ordinal) if going else None


def _reserved(cluster: Cluster, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    for view in volumes:
        assert view.new is not None
        ref = view.new.claim_ref
        bound_to_successor = view.claim is not None and view.claim.uid != view.entry.old_claim_uid and ref.get("uid") == view.claim.uid
        if not bound_to_successor and not view.new.reserved_for(cluster.namespace, view.entry.old_claim):
            if user := _user(cluster, view):
                return AskHuman(f"volume {view.new.name} is bound to claim {user}")
            if ref.get("uid") and ref.get("name") == view.entry.old_claim and view.new.phase != "Released":
                # Claims are read before volumes: its successor is there by now, made by a runner that was faster; the binder writes its UID before
                # the phase. One that went leaves it Released.
                bound = f"volume {view.new.name} is bound to a claim {ref['name']} that was not there yet"
                return Wait("claims-gone", bound, poll=0.1, replica=ordinal)
            return Reserve(ordinal, view.target.name, view.new.name, view.new.uid, view.new.resource_version, view.entry.old_claim)
    return None


def _user(cluster: Cluster, view: VolumeView) -> str:
    """A claim that has the new volume and is neither the one that it was made through nor the one that gets it; empty when there is none."""
    assert view.new is not None
    ref = view.new.claim_ref
    bound = ref.get("namespace") not in (None, cluster.namespace) or (view.claim is not None and ref.get("uid") == view.claim.uid)
    users = [claim.name for claim in cluster.claims.values() if claim.volume_name == view.new.name and claim.uid != view.entry.new_claim_uid]
    return users[0] if users else f"{ref.get('namespace')}/{ref.get('name')}" if bound else ""


def _around_the_set(cluster: Cluster, record: Record, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision:
    statefulset, migration = cluster.statefulset, cluster.migration
    if not _freezing(record, ordinal) and (statefulset is None or statefulset.terminating or statefulset.uid != record.set_uid):
        # What was saved may be hours old, and whoever deleted the set may not want it back.
        return Stop("Resumable", f"StatefulSet {request.statefulset} was deleted by somebody before its claims were exchanged")
    if statefulset is None:
        successor = manifests.successor_set(record.saved, request, migration.uid, ordinal)
        return _exchange(cluster, record, ordinal, volumes) or Recreate(ordinal, successor)
    if statefulset.uid != record.set_uid:
        if statefulset.marked_by(migration.uid, ordinal):
            managers = manifests.foreign_managed_fields(record.saved)
            if managers and labels.ADOPTED not in statefulset.annotations:
                return AdoptSet(statefulset.uid, managers)
            return RememberSet(statefulset.uid)
        claims = ", ".join(f"{view.entry.old_claim} (new volume {view.entry.new_pv}, old volume {view.entry.old_pv})" for view in volumes)
        return AskHuman(f"StatefulSet {statefulset.name} was created by somebody else while it was away; its claims: {claims}. See that nobody "
                        f"creates it, delete it with --cascade=orphan (its pods and claims stay), then resume: it is created again as it was")
    if not statefulset.terminating:
        if record.replica(ordinal).step == THAWING:
            return RememberSwapped(ordinal, tuple(view.target.name for view in volumes))
        return _stop_unless_held(cluster, record, ordinal, volumes) or _freeze(cluster, statefulset, request, ordinal, volumes)
    if not statefulset.frozen:
        return Wait("orphaning", f"StatefulSet {statefulset.name} is being deleted by somebody else", poll=0.1, replica=ordinal)
    if not statefulset.inert:
        return _orphaning(statefulset, ordinal)
    if reference := _reference_left(cluster, statefulset):
        return reference
    return _exchange(cluster, record, ordinal, volumes) or _thaw(statefulset, request, migration.uid, ordinal)


def _stop_unless_held(cluster: Cluster, record: Record, ordinal: int, volumes: tuple[VolumeView, ...]) -> AskHuman | Stop | None:
    pod = cluster.pods.get(ordinal)
    if gone := [view for view in volumes if not view.has_original_claim]:
        return AskHuman(f"{gone[0].not_as_recorded}, and its verified copy on {gone[0].entry.new_pv}")
    if stranger := guest(cluster, volumes):
        return Stop("Resumable", f"{stranger}, and may have written since its last copy")
    if pod is not None and pod.held and pod.terminating and pod.uid == record.replica(ordinal).pod_uid:
        return None
    return Stop("Resumable", f"the pod of replica {ordinal} was let go by somebody, and may have written since its last copy")


def _freeze(cluster: Cluster, statefulset: StatefulSet, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision:
    if obstacle := _obstacle(cluster, statefulset, ordinal, volumes):
        return obstacle
    successor = manifests.successor_set(statefulset.raw, request, cluster.migration.uid, ordinal)
    return Freeze(ordinal, manifests.saved_set(statefulset), statefulset.uid, statefulset.resource_version, successor)


def _orphaning(statefulset: StatefulSet, ordinal: int) -> Decision:
    foreign = set(statefulset.finalizers) - {labels.FREEZE_FINALIZER, *labels.COLLECTOR_FINALIZERS}
    if foreign:
        return AskHuman(f"StatefulSet {statefulset.name} is held by the finalizer {', '.join(sorted(foreign))}; "
                        "it cannot be recreated before that is gone")
    remaining = statefulset.finalizers_without(*labels.COLLECTOR_FINALIZERS)
    # The garbage collector may sleep; what it would do is done by us then: references are stripped in any case before the hold is released.
    strip = StripOrphanFinalizer(statefulset.uid, statefulset.resource_version, remaining)
    if labels.FOREGROUND_FINALIZER in statefulset.finalizers:
        # Somebody's deletion in the foreground: the collector would wait for the held pod, and the held pod for the collector.
        return strip
    return Wait("orphaning", "the garbage collector orphans the StatefulSet's pods", poll=0.02, replica=ordinal, fallback=strip)


def _reference_left(cluster: Cluster, statefulset: StatefulSet) -> Decision | None:
    owned = {"pods": cluster.pods.values(), "claims": cluster.claims.values(), "revisions": cluster.revisions}
    for kind, objects in owned.items():
        for obj in objects:
            if obj.owned_by(statefulset.uid):
                return StripReference(_KINDS[kind], obj.name, obj.uid, statefulset.uid)
    return None


def _exchange(cluster: Cluster, record: Record, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    """From the held pod to claims that are Bound to the new volumes; None when they are. The set is frozen or absent."""
    for decision in (_pod_gone(cluster, record, ordinal, volumes), _claims_gone(ordinal, volumes)):
        if decision is not None:
            return decision
    for view in volumes:
        if view.claim is None:
            saved = json.loads(view.entry.saved_claim)
            return CreateClaim(ordinal, view.target.name, manifests.successor_claim(
                saved, view.target, view.entry.new_pv, cluster.migration.name, cluster.migration.uid, ordinal))
        if not (manifests.is_ours(view.claim, cluster.migration.uid, ordinal) and view.claim.volume_name == view.entry.new_pv):
            return AskHuman(f"claim {view.claim.name} was created by somebody else; "
                            f"the data is on volume {view.entry.new_pv} (and on {view.entry.old_pv})")
    for view in volumes:
        if not view.on_new_volume:
            assert view.claim is not None
            return Wait("binding", f"claim {view.claim.name} is not Bound to {view.entry.new_pv} yet", poll=0.05, replica=ordinal,
                        meanwhile=Nudge(view.claim.name, view.claim.uid))
    return None


def _pod_gone(cluster: Cluster, record: Record, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    pod = cluster.pods.get(ordinal)
    if pod is None or (pod.uid != record.replica(ordinal).pod_uid and all(view.on_new_volume for view in volumes)):
        # The latter is one that somebody else's set has started, on what it was to start on.
        return None
    if pod.uid != record.replica(ordinal).pod_uid:
        return AskHuman(f"pod {pod.name} is not the one that was stopped: somebody started it while its claims are exchanged")
    if pod.held:
        return Release.of(ordinal, pod)
    return Wait("pods-gone", f"pod {pod.name} is going", poll=0.02, replica=ordinal)


def _claims_gone(ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    going = []
    for view in volumes:
        if view.claim is not None and view.claim.uid == view.entry.old_claim_uid:
            if not view.claim.terminating:
                return DeleteClaim(ordinal, view.target.name, view.claim.name, view.claim.uid, json.dumps(manifests.saved_claim(view.claim)))
            going.append(view.claim.name)
    return Wait("claims-gone", f"claim {', '.join(going)} is being deleted", poll=0.02, replica=ordinal) if going else None


def _thaw(statefulset: StatefulSet, request: Request, migration_uid: str, ordinal: int) -> Decision:
    successor = manifests.successor_set(statefulset.raw, request, migration_uid, ordinal)
    return Thaw(ordinal, manifests.saved_set(statefulset), statefulset.uid, statefulset.resource_version, successor)


def _start(cluster: Cluster, record: Record, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision:
    statefulset, pod = cluster.statefulset, cluster.pods.get(ordinal)
    if statefulset is None:
        return Wait("starting", "the StatefulSet was deleted by somebody; its claims stand: create it again with the new size, then resume",
                    replica=ordinal)
    if strange := [view for view in volumes if not view.on_new_volume]:
        return AskHuman(f"claim {strange[0].entry.old_claim} is not on its new volume {strange[0].entry.new_pv} any more")
    if ordinal not in statefulset.ordinals:
        return _replica_done(cluster, record, ordinal, volumes, 0)
    if pod is not None and not record.replica(ordinal).fresh_pod:
        return RememberFreshPod(ordinal, pod.uid if pod.never_started and not pod.terminating else "-")
    steady = float(statefulset.min_ready_seconds)
    if pod is None or not pod.ready:
        why = f" ({pod.why_not_running})" if pod is not None and pod.why_not_running else ""
        return Wait("starting", f"replica {ordinal} is not Ready on its new volumes yet{why}", poll=0.2, replica=ordinal, grace=steady)
    status: Object = statefulset.status
    if statefulset.min_ready_seconds and int(status.get("availableReplicas") or 0) < int(status.get("replicas") or 0):
        return Wait("starting", f"replica {ordinal} is Ready, and must stay so for minReadySeconds", replica=ordinal, grace=steady)
    held_at = record.replica(ordinal).held_at
    return _replica_done(cluster, record, ordinal, volumes, seconds_between(held_at, pod.ready_since))


def progress(record: Record, pending: Collection[int]) -> str:
    """Replicas done and in all, when `pending` ordinals are to be migrated; one that was exchanged and has not started yet is neither."""
    exchanged = [entry for entry in record.replicas if entry.ordinal not in pending and entry.step in (SWAPPING, THAWING, STARTING, DONE)]
    return f"{sum(1 for entry in exchanged if entry.step == DONE)}/{len(exchanged) + len(pending)}"


def _replica_done(cluster: Cluster, record: Record, ordinal: int, volumes: tuple[VolumeView, ...], seconds: int) -> Decision:
    finished = 1 + sum(1 for entry in record.replicas if entry.step == DONE)
    total = record.progress.partition("/")[2] or "?"
    return ReplicaDone(ordinal, tuple(view.target.name for view in volumes), seconds, f"{finished}/{total}")
