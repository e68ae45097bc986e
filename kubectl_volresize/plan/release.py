"""Letting go without a runner: which pod, set and record a migration still holds, and what of it can be taken off without harm.

The order of what is held is the order in which it is let go: the pod, then the StatefulSet, the record last, since it names everything else.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..model import labels, names
from ..model.cluster import Cluster
from ..model.objects import Claim, Object, Pod, StatefulSet
from ..model.record import Record, VolumeRecord
from ..model.request import Request
from . import leave, manifests, swap, swap_steps, undo_steps
from .steps import LetGo, RemovePod, Step

_OLD, _NEW = "old", "new"


@dataclass(frozen=True)
class Held:
    """`object` such as pod/web-1, `state` in words. `step` lets go of it; None while that is not safe: `against` says why, and what comes first."""

    object: str
    state: str
    step: Step | None
    against: tuple[str, ...] = ()

    @property
    def does(self) -> str:
        """What letting go does, in words."""
        return _DOES.get(type(self.step), "the finalizer is taken off") if self.step is not None else "not now"


_DOES: dict[type[Step], str] = {
    RemovePod: "deleted",
    swap_steps.Thaw: "let go, and created again at once", swap_steps.Recreate: "created again from the record",
    swap_steps.StripReference: "its pods are taken off it first; then let go, and created again at once"}


def held(cluster: Cluster, record: Record, request: Request) -> tuple[Held, ...]:
    """All that the migration holds; the set is among it when we took it away and it is absent."""
    before = (*_copiers(cluster), *_pods(cluster, record, request), *_set(cluster, record, request))
    return (*before, *_record(cluster, before))


# -- the pods


def _copiers(cluster: Cluster) -> Iterator[Held]:
    """First of all: a claim that admits a single pod is not the application's for as long as one of them has it."""
    for copier in (*cluster.movers.values(), *cluster.measurers.values()):
        if not copier.pod.terminating:
            yield Held(f"pod/{copier.pod.name}", "copies, or waits for a runner's word", RemovePod(copier.pod.name, copier.pod.uid))


def _pods(cluster: Cluster, record: Record, request: Request) -> Iterator[Held]:
    for ordinal, pod in sorted(cluster.pods.items()):
        if not pod.held:
            continue
        step: Step = swap_steps.Release.of(ordinal, pod)
        if cluster.namespace_going:
            step = leave.LeavePod.of(ordinal, pod)
            yield Held(f"pod/{pod.name}", "held, in a namespace that is being deleted", step)
        elif not pod.terminating:
            yield Held(f"pod/{pod.name}", "runs, and would be held if somebody deleted it", step)
        else:
            against = tuple(_against_release(cluster, record, request, ordinal, pod))
            yield Held(f"pod/{pod.name}", "stopped and held", None if against else step, against)


def _against_release(cluster: Cluster, record: Record, request: Request, ordinal: int, pod: Pod) -> Iterator[str]:
    """A pod that goes is followed by another wherever a set is at work, and that one starts on the claims as they are."""
    against = list(_against_start(cluster, record, request, ordinal, _templates(cluster, record, request)))
    yield from against
    if against and cluster.statefulset is not None and not cluster.statefulset.terminating:
        yield (f"StatefulSet {request.statefulset} is at work and would make an empty claim for each that is missing: take it away, "
               f"kubectl delete statefulset {request.statefulset} --cascade=orphan, then put the claims right (docs/recovery.md, case 2)")


# -- the StatefulSet


def _set(cluster: Cluster, record: Record, request: Request) -> Iterator[Held]:
    statefulset, name = cluster.statefulset, f"statefulset/{request.statefulset}"
    if statefulset is None:
        if _taken_away(record) and record.saved_set and not cluster.namespace_going:
            yield _absent(cluster, record, request)
        return
    if not statefulset.frozen:
        return
    remaining = statefulset.finalizers_without(labels.FREEZE_FINALIZER)
    if cluster.namespace_going or not statefulset.terminating:
        state = "frozen, in a namespace that is being deleted" if cluster.namespace_going else "at work, and would be frozen if somebody deleted it"
        yield Held(name, state, undo_steps.Unfreeze(statefulset.uid, statefulset.resource_version, remaining))
        return
    against = tuple(_against_thaw(cluster, record, request, statefulset))
    yield Held(name, "frozen: does nothing, and is gone as soon as it is let go",
               None if against else _thaw(cluster, record, request, statefulset), against)


def _against_thaw(cluster: Cluster, record: Record, request: Request, statefulset: StatefulSet) -> Iterator[str]:
    if statefulset.foreign_finalizers:
        yield f"StatefulSet {statefulset.name} has the finalizer {statefulset.foreign_finalizers[0]} of somebody else, who has to take it off first"
    elif not statefulset.inert:
        yield f"the garbage collector still takes StatefulSet {statefulset.name} off its pods: run this again in a minute"
    yield from _against_set(cluster, record, request, statefulset)


def _thaw(cluster: Cluster, record: Record, request: Request, statefulset: StatefulSet) -> Step:
    owned = (("Pod", cluster.pods.values()), ("PersistentVolumeClaim", cluster.claims.values()), ("ControllerRevision", cluster.revisions))
    for kind, objects in owned:
        for obj in objects:
            if obj.owned_by(statefulset.uid):
                # With its owner gone the garbage collector would delete it (pkg/controller/garbagecollector, attemptToDeleteItem).
                return swap_steps.StripReference(kind, obj.name, obj.uid, statefulset.uid)
    ordinal = _ordinal(record)
    return swap_steps.Thaw(ordinal, manifests.saved_set(statefulset), statefulset.uid, statefulset.resource_version,
                           _successor(cluster, record, request, statefulset.raw, ordinal))


def _absent(cluster: Cluster, record: Record, request: Request) -> Held:
    saved, ordinal = record.saved, _ordinal(record)
    against = tuple(_against_set(cluster, record, request, StatefulSet(saved)))
    step = None if against else swap_steps.Recreate(ordinal, _successor(cluster, record, request, saved, ordinal))
    return Held(f"statefulset/{request.statefulset}", "taken away, and not created again yet", step, against)


def _against_set(cluster: Cluster, record: Record, request: Request, statefulset: StatefulSet) -> Iterator[str]:
    for ordinal in statefulset.ordinals:
        yield from _against_start(cluster, record, request, ordinal, tuple(statefulset.templates))


def _successor(cluster: Cluster, record: Record, request: Request, saved: Object, ordinal: int) -> Object:
    """With the new sizes in its templates only when a replica has them: templates that ask for less than the claims have are at rest, but those who
    are back on their old volumes altogether asked for nothing of it."""
    migrated = any(entry.migrated for entry in record.volumes) or _side_of(cluster, record, request, ordinal) == _NEW
    wanted = request if migrated and not record.rollback else replace(request, templates=())
    return manifests.successor_set(saved, wanted, cluster.migration.uid, ordinal)


def _ordinal(record: Record) -> int:
    """The replica whose exchange is under way."""
    found = record.current_replica if record.current_replica is not None else swap.unfinished(record)
    return -1 if found is None else found


def _taken_away(record: Record) -> bool:
    """By us and not by its owner."""
    return swap.set_may_be_away(replace(record, current_replica=_ordinal(record)))


# -- the record


def _record(cluster: Cluster, before: tuple[Held, ...]) -> Iterator[Held]:
    migration = cluster.migration
    if labels.FINALIZER not in migration.finalizers:
        return
    remaining = migration.finalizers_without(labels.FINALIZER)
    # It names everything that is held.
    step = None if any(one.step is None for one in before) else LetGo(remaining, migration.resource_version)
    yield Held(f"volumeresize/{migration.name}", "kept as the record of what is held", step)


# -- claims


def _templates(cluster: Cluster, record: Record, request: Request) -> tuple[str, ...]:
    if cluster.statefulset is not None:
        return tuple(cluster.statefulset.templates)
    return tuple(StatefulSet(record.saved).templates) if record.saved_set else tuple(target.name for target in request.targets)


def _against_start(cluster: Cluster, record: Record, request: Request, ordinal: int, volumes: tuple[str, ...]) -> Iterator[str]:
    """Why this replica must not be started: each of its claims is Bound to a volume that the record names, and all to the same side."""
    sides = {}
    for volume in volumes:
        entry, claim = record.volume(ordinal, volume), cluster.claim_of(volume, request.statefulset, ordinal)
        if wrong := _wrong_with(cluster, entry, claim, names.claim(volume, request.statefulset, ordinal)):
            yield wrong
        elif claim is not None and (side := _side(entry, claim)):
            sides[claim.name] = side
    if len(set(sides.values())) > 1:
        where = ", ".join(f"{claim} on its {side} volume" for claim, side in sorted(sides.items()))
        yield f"the claims of replica {ordinal} do not belong together ({where}): put all of them on the same side first (docs/recovery.md, case 2)"


def _wrong_with(cluster: Cluster, entry: VolumeRecord, claim: Claim | None, name: str) -> str:
    known = [volume for volume in (entry.old_pv, entry.new_pv) if volume]
    if claim is None:
        where = f" on volume {known[0]}" if known else ""
        return f"claim {name} is missing: create it{where} first (docs/recovery.md, case 2, step 3)"
    if claim.terminating:
        wanted = entry.old_pv or claim.volume_name
        return f"claim {name} is being deleted: once it is gone, create it on volume {wanted} (docs/recovery.md, case 2, step 3)"
    if not claim.bound:
        return f"claim {name} is not Bound"
    if known and claim.volume_name not in known:
        return f"claim {name} is Bound to volume {claim.volume_name}, and the record names {' and '.join(known)}"
    return _wrong_with_volume(cluster, entry, claim)


def _wrong_with_volume(cluster: Cluster, entry: VolumeRecord, claim: Claim) -> str:
    if "persistentvolumes" in cluster.unreadable:
        # Bound is what the binder says of both; more a user who may not read volumes cannot know.
        return ""
    volume = cluster.volumes.get(claim.volume_name)
    recorded = {entry.old_pv: entry.old_pv_uid, entry.new_pv: entry.new_pv_uid}.get(claim.volume_name, "")
    if volume is None:
        return f"claim {claim.name} is Bound to volume {claim.volume_name}, which is gone"
    if recorded and volume.uid != recorded:
        return f"volume {volume.name} of claim {claim.name} is not the one that was recorded (UID {recorded})"
    if volume.claim_ref.get("uid") != claim.uid:
        return f"volume {volume.name} does not belong to claim {claim.name}"
    return ""


def _side(entry: VolumeRecord, claim: Claim) -> str:
    """Empty for a volume that takes no part."""
    return {entry.old_pv: _OLD, entry.new_pv: _NEW}.get(claim.volume_name, "") if claim.volume_name else ""


def _side_of(cluster: Cluster, record: Record, request: Request, ordinal: int) -> str:
    found = [_side(entry, claim) for entry in record.of_replica(ordinal)
             if (claim := cluster.claim_of(entry.volume, request.statefulset, ordinal)) is not None]
    return found[0] if found else ""
