"""What to do next for one replica, from what *is*. The order of the questions is the safety argument: each step is only reached when everything
before it is seen to be true (invariants.py holds the same argument as assertions). Up to the verified copy here; the exchange stands in swap.py."""
from __future__ import annotations

import json

from ..model import labels
from ..model.cluster import Cluster
from ..model.objects import Node, Object, Pod, StatefulSet, Volume
from ..model.quantity import human
from ..model.record import Record
from ..model.request import Request
from . import manifests, swap
from .findings import Finding
from .replica_steps import BeginReplica, CreateTarget, Hold, RememberTarget, RememberVerified, StartMover, TellMover
from .steps import AskHuman, Decision, KeepVolume, Progress, RemovePod, Step, Stop, Wait
from .swap_steps import Release
from .views import VolumeView, final_word, guest, held_by_others, others_not_ready, views, word_is_of


_DOES_NOT_FIT = 20  # exit code of the mover


def next_for_replica(cluster: Cluster, record: Record, request: Request, ordinal: int) -> Decision:
    """The next step for this replica; Done never: the last step of a replica is ReplicaDone."""
    volumes = views(cluster, record, request, ordinal)
    if any(not view.entry.old_claim_uid for view in volumes):
        return _begin(volumes, ordinal)
    if swap.begun(record, ordinal):
        return swap.next_for_swap(cluster, record, request, ordinal, volumes)
    if gone := [view for view in volumes if view.claim is None or view.claim.uid != view.entry.old_claim_uid]:
        return AskHuman(gone[0].not_as_recorded)
    if lost := [view for view in volumes if view.old is None or view.old.uid != view.entry.old_pv_uid]:
        return AskHuman(f"volume {lost[0].entry.old_pv} of claim {lost[0].entry.old_claim} is gone")
    if going := swap.going_volume(volumes):
        return Stop("Resumable", going)
    if cluster.statefulset is None or cluster.statefulset.terminating:
        return Stop("Resumable", f"StatefulSet {request.statefulset} was deleted by somebody; its claims stand: create it again, then resume")
    if cluster.statefulset.uid != record.set_uid:
        return Stop("Resumable", f"StatefulSet {request.statefulset} was deleted and created again by somebody else; look at it, then resume")
    if ordinal not in cluster.statefulset.ordinals:
        return Stop("Resumable", f"StatefulSet {request.statefulset} was scaled down: it has no replica {ordinal} any more")
    for decide in (_keep_old, _targets, _movers, _new_volumes, _failures):
        if decision := decide(cluster, request, ordinal, volumes):
            return decision
    return _stop_and_verify(cluster, record, request, ordinal, volumes)


def _begin(volumes: tuple[VolumeView, ...], ordinal: int) -> Decision:
    known = []
    for view in volumes:
        if view.claim is None or not view.claim.bound or view.claim.terminating or view.old is None:
            if view.claim is not None and view.claim.terminating:
                return Stop("Resumable", f"claim {view.claim.name} is being deleted by somebody, and goes when its pod stops; its data stays on "
                                         f"volume {view.claim.volume_name}")
            name = view.claim.name if view.claim else f"of volume {view.target.name}, replica {ordinal}"
            return Wait("pod", f"claim {name} is not there, or not Bound", replica=ordinal)
        known.append((view.target.name, {
            "phase": "Pending", "old_claim": view.claim.name, "old_claim_uid": view.claim.uid, "old_pv": view.old.name, "old_pv_uid": view.old.uid,
            "old_size": human(view.claim.capacity), "saved_claim": json.dumps(manifests.saved_claim(view.claim))}))
    return BeginReplica(ordinal, tuple(known))


def _keep_old(cluster: Cluster, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    for view in volumes:
        if view.old and not (view.old.retained and view.old.labels.get(labels.ROLE) == labels.ROLE_OLD):
            return _keep(view.old, ordinal, view.target.name, labels.ROLE_OLD)
    return None


def _keep(volume: Volume, ordinal: int, name: str, role: str) -> Step:
    return KeepVolume(ordinal, name, volume.name, volume.uid, volume.resource_version, role, manifests.original_policy(volume))


def _targets(cluster: Cluster, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    for view in volumes:
        if view.temporary is None:
            if view.entry.new_claim_uid:
                return Stop("Resumable", f"temporary claim {view.entry.new_claim} is gone: somebody deleted it")
            assert view.claim is not None
            if view.claim.one_pod and not ((pod := cluster.pods.get(ordinal)) and pod.node):
                return Wait("pod", f"pod of replica {ordinal} is not there, or on no node", replica=ordinal)
            node = _node_to_provision_at(cluster, ordinal, view)
            return CreateTarget(ordinal, view.target.name, manifests.target_values(
                request, view.target, view.claim, cluster.migration.name, cluster.migration.uid, ordinal, cluster.namespace, node))
        if not manifests.is_ours(view.temporary, cluster.migration.uid, ordinal):
            return Stop("Refused", f"claim {view.temporary.name} exists and is not ours: delete it or rename it, then submit again")
        if view.entry.new_claim_uid and view.entry.new_claim_uid != view.temporary.uid:
            return Stop("Resumable", f"temporary claim {view.temporary.name} is not the one that was recorded: somebody replaced it")
        if not view.entry.new_claim_uid:
            known = {"new_claim": view.temporary.name, "new_claim_uid": view.temporary.uid}
            return RememberTarget(ordinal, view.target.name, known, "Provisioned")
    return None


def _node_to_provision_at(cluster: Cluster, ordinal: int, view: VolumeView) -> str:
    """The pod's node, for a class that binds before there is a pod: its provisioner would choose any node or zone, and the mover has to reach both
    volumes (seen: Pending for ever). Provisioners obey the annotation in either binding mode; in the other one the scheduler writes it, for a pod
    that comes only when the replica is stopped if no second one may have the claim: too late to find out that there is no room.
    Source: sig-storage-lib-external-provisioner, provisionClaimOperation."""
    assert view.claim is not None
    pod = cluster.pods.get(ordinal)
    return pod.node if (_is_immediate(cluster, view) or view.claim.one_pod) and pod is not None else ""


def _is_immediate(cluster: Cluster, view: VolumeView) -> bool:
    known = cluster.classes.get(view.target.storage_class or (view.claim.storage_class if view.claim is not None else None) or "")
    return known is not None and known.get("volumeBindingMode", "Immediate") == "Immediate"


def _movers(cluster: Cluster, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    pod = cluster.pods.get(ordinal)
    for view in volumes:
        if view.mover is not None:
            if view.mover.pod.terminating:
                return Wait("pods-gone", f"mover {view.mover.pod.name} is being deleted", replica=ordinal)
            if _must_go(cluster, ordinal, view.mover.pod, pod) or _is_spent(view, pod):
                return RemovePod(view.mover.pod.name, view.mover.pod.uid)
            continue
        if _is_for_the_stop(view) and not (pod is not None and pod.terminating and pod.held and cluster.shut_down(pod)):
            continue
        # Two movers must never write to one volume, and no mover may read a volume that is neither in use by a live pod nor shut down.
        if pod is not None and pod.terminating and pod.held and not cluster.shut_down(pod):
            return _shutting_down(pod, ordinal)
        if pod is None or (pod.terminating and not (pod.held and cluster.shut_down(pod))):
            return Wait("pod", f"pod of replica {ordinal} is not there, or is going", replica=ordinal)
        return StartMover(ordinal, view.target.name, manifests.mover_values(request, view.entry, pod, cluster.migration))
    return None


def _must_go(cluster: Cluster, ordinal: int, mover: Pod, pod: Pod | None) -> bool:
    """A mover of an earlier VolumeResize of this name writes to that one's volume. One that runs elsewhere than the application's pod, which was
    moved, keeps it from starting: the volume is attached to the mover's node (Multi-Attach error)."""
    stray = not manifests.is_ours(mover, cluster.migration.uid, ordinal)
    apart = pod is not None and not pod.held and bool(pod.node and mover.node) and pod.node != mover.node
    return stray or apart


def _is_for_the_stop(view: VolumeView) -> bool:
    """Its mover can have the claim only while the application's pod is shut down."""
    return view.claim is not None and view.claim.one_pod


def _is_spent(view: VolumeView, pod: Pod | None) -> bool:
    """Its one last pass was for a stop that is over: somebody has let that pod go, and another one writes by now, or waits for the claim."""
    assert view.mover is not None
    held = pod is not None and pod.held and pod.terminating
    if _is_for_the_stop(view) and not held:
        return True
    # One that failed in it, since that pod's successor wrote, says nothing of the volume.
    word = view.mover.said.get("final") if view.mover.event == "verified" else view.mover.pod.annotations.get(labels.FINAL)
    over = view.mover.event == "verified" or (view.mover.event == "failed" and bool(word))
    return over and not (held and pod is not None and word_is_of(str(word), pod.uid))


def _new_volumes(cluster: Cluster, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    for view in volumes:
        assert view.temporary is not None
        if not view.temporary.bound:
            why = view.mover.pod.why_not_running if view.mover is not None else ""
            return Wait("provisioning", f"claim {view.temporary.name} is not Bound yet" + (f" ({why})" if why else ""), poll=0.5, replica=ordinal)
        if view.new is None:
            return Wait("provisioning", f"volume {view.temporary.volume_name} is not there yet", poll=0.5, replica=ordinal)
        # Recorded first: a volume that is kept and that nobody knows of would stay for ever.
        if not view.entry.new_pv_uid:
            known = {"new_pv": view.new.name, "new_pv_uid": view.new.uid, "new_size": human(view.new.capacity)}
            return RememberTarget(ordinal, view.target.name, known, "Copying")
        if not (view.new.retained and view.new.labels.get(labels.ROLE) == labels.ROLE_NEW):
            return _keep(view.new, ordinal, view.target.name, labels.ROLE_NEW)
        if view.old is not None and view.new.capacity >= view.old.capacity:
            return Stop("Refused", f"the new volume {view.new.name} has {human(view.new.capacity)}, not less than the {human(view.old.capacity)} "
                                   f"of {view.old.name}: the provider rounds sizes up; choose another newSize")
        if unreachable := _unreachable(cluster, ordinal, view):
            return unreachable
    for mover in (view.mover.pod for view in volumes if view.mover is not None):
        if mover.phase == "Pending":
            why = f" ({mover.why_not_running})" if mover.why_not_running else ""
            return Wait("provisioning", f"mover {mover.name} does not run yet{why}", poll=0.5, replica=ordinal)
    return None


def _unreachable(cluster: Cluster, ordinal: int, view: VolumeView) -> Stop | None:
    """Of an Immediate class whose provisioner chose another place than it was told; or the pod was moved since."""
    pod, new = cluster.pods.get(ordinal), view.new
    node = cluster.nodes.get(pod.node) if pod is not None else None
    if node is None or new is None or new.reachable_from(node):
        return None
    if not _is_immediate(cluster, view):
        return Stop("Resumable", f"replica {ordinal} was moved to node {node.name}, which cannot reach its new volume {new.name}: resume makes "
                                 "another")
    return Stop("Refused", str(_made_elsewhere(new, node, ordinal)))


def _made_elsewhere(new: Volume, node: Node, ordinal: int) -> Finding:
    return Finding("unreachable-volume", f"persistentvolume/{new.name}", f"was made where node {node.name}, on which replica {ordinal} runs, cannot "
                   "reach it", "choose a StorageClass with volumeBindingMode WaitForFirstConsumer", path="spec.nodeAffinity")


def _failures(cluster: Cluster, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision | None:
    for view in volumes:
        mover = view.mover
        if mover is None or mover.event == "verified":
            continue
        if mover.event == "failed" or mover.pod.phase in ("Failed", "Succeeded"):
            said = mover.said.get("message") or f"it ended with exit code {mover.pod.exit_code} and no report"
            if _is_for_the_stop(view) and _DOES_NOT_FIT in (mover.pod.exit_code, mover.said.get("code")):
                # Of the others this was known before.
                return Stop("Refused", f"{view.entry.old_claim}: its data does not fit {view.target.size}: {said}")
            return Stop("Resumable", f"the copy of claim {view.entry.old_claim} failed: {said}")
    return None


def _stop_and_verify(cluster: Cluster, record: Record, request: Request, ordinal: int, volumes: tuple[VolumeView, ...]) -> Decision:
    pod = cluster.pods.get(ordinal)
    if pod is None:
        return Wait("pod", f"pod of replica {ordinal} is away; its controller brings it back", replica=ordinal)
    if not pod.terminating:
        return hold_or_wait(cluster, request, ordinal, pod, _not_yet(cluster, cluster.statefulset, ordinal, volumes))
    if not pod.held:
        return Wait("pod", f"pod {pod.name} is being deleted without our hold; its successor comes", replica=ordinal)
    if stranger := guest(cluster, volumes):
        return Stop("Resumable", f"{stranger}, and may write to it after the last copy")
    if not cluster.shut_down(pod):
        return _shutting_down(pod, ordinal)
    return _final_pass(cluster, record, ordinal, pod, volumes)


def _shutting_down(pod: Pod, ordinal: int) -> Wait:
    """Not for ever: a node that is gone reports no end."""
    grace = float(pod.spec.get("terminationGracePeriodSeconds") or 0)
    return Wait("shut-down", f"pod {pod.name} is shutting down", poll=0.1, replica=ordinal, grace=grace)


def hold_or_wait(cluster: Cluster, request: Request, ordinal: int, pod: Pod, obstacle: Wait | None) -> Decision:
    """Stop the pod, on either way, unless there is an `obstacle`: then it is waited for with nothing held."""
    statefulset = cluster.statefulset
    if obstacle is None and statefulset is not None:
        return Hold(ordinal, pod.name, pod.uid, manifests.successor_set(statefulset.raw, request, cluster.migration.uid, ordinal))
    if pod.held:
        # Of a runner that died between the hold and the eviction: whoever deletes this pod now must not find it held by nobody.
        return Release.of(ordinal, pod)
    assert obstacle is not None
    return obstacle


def _not_yet(cluster: Cluster, statefulset: StatefulSet | None, ordinal: int, volumes: tuple[VolumeView, ...]) -> Wait | None:
    if any(view.mover is not None and view.mover.event != "waiting" for view in volumes):
        progress = _progress(volumes)
        words = ", ".join(f"{one.volume} {one.word}" for one in progress)
        return Wait("copying", f"copying replica {ordinal} while it runs: {words}", replica=ordinal, progress=progress)
    if statefulset is None or statefulset.terminating:
        return Wait("pod", "the StatefulSet is gone or going", replica=ordinal)
    if statefulset.rolling:
        return Wait("rollout", f"StatefulSet {statefulset.name}: {statefulset.rolling}", replica=ordinal)
    own = cluster.pods.get(ordinal)
    if own is not None and own.revision != statefulset.status.get("updateRevision"):
        return Wait("rollout", f"pod {own.name} would come back at another revision (OnDelete)", replica=ordinal)
    # Its own pod too: on a node that is silent it would never be seen to stop, and what does not start now would not start on the new volumes either.
    missing = ((own.name,) if own is not None and not own.ready else ()) + others_not_ready(cluster, statefulset, ordinal)
    if missing:
        return Wait("others", f"waiting until {', '.join(missing)} is Ready before replica {ordinal} is stopped", replica=ordinal)
    if in_the_way := guest(cluster, volumes) or held_by_others(cluster, ordinal, volumes):
        return Wait("others", f"replica {ordinal} is not stopped yet: {in_the_way}", replica=ordinal)
    return None


# From the mover's words to those of the record.
_FIGURES = {"bytes": "bytes", "total_bytes": "totalBytes", "files": "files", "rate": "bytesPerSecond", "eta": "secondsLeft"}


def _progress(volumes: tuple[VolumeView, ...]) -> tuple[Progress, ...]:
    found = []
    for view in volumes:
        said = view.mover.said if view.mover else {}
        copied = {name: int(said[key]) for key, name in _FIGURES.items() if isinstance(said.get(key), (int, float))}
        found.append(Progress(view.target.name, _how_far(said), copied))
    return tuple(found)


def _how_far(said: Object) -> str:
    if said.get("event") == "waiting":
        return "100%"
    if said.get("total_bytes"):
        return f"{min(99, 100 * int(said.get('bytes') or 0) // int(said['total_bytes']))}%"
    return str(said.get("phase") or "starting")


def _final_pass(cluster: Cluster, record: Record, ordinal: int, pod: Pod, volumes: tuple[VolumeView, ...]) -> Decision:
    for view in volumes:
        assert view.mover is not None
        word = final_word(pod.uid, view.mover.pod)
        if view.entry.final != word or view.mover.pod.annotations.get(labels.FINAL) != word:
            if view.mover.event == "waiting" or view.entry.final == word:
                return TellMover(ordinal, view.target.name, view.mover.pod.name, view.mover.pod.uid, word)
    for view in volumes:
        assert view.mover is not None
        word = final_word(pod.uid, view.mover.pod)
        if view.mover.event == "verified" and view.mover.said.get("final") == word and view.entry.verified != word:
            report = view.mover.said.get("report") or {}
            lost = ", ".join(f"{one['kind']} of {one['count']} ({one['example']}: {one['reason']})" for one in report.get("not_kept") or ())
            return RememberVerified(ordinal, view.target.name, word, tuple(report.get("passes") or ()), lost)
    behind = tuple(view for view in volumes if view.mover is not None and view.mover.event not in ("waiting", "verified"))
    if behind and all(_is_for_the_stop(view) and not view.entry.final for view in behind):
        progress = _progress(behind)
        words = ", ".join(f"{one.volume} {one.word}" for one in progress)
        return Wait("final", f"copying replica {ordinal}, which is stopped: {words}", poll=0.1, replica=ordinal, progress=progress)
    unverified = [view.target.name for view in volumes if view.mover and view.entry.verified != final_word(pod.uid, view.mover.pod)]
    if unverified:
        return Wait("final", f"final pass of replica {ordinal}: {', '.join(unverified)}", poll=0.1, replica=ordinal)
    return swap.begin(cluster, ordinal, pod, volumes)
