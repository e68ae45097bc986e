"""What a runner may have read and written at one moment, as values: no API, no time. Objects read like the cluster, pod(2, held=True), and a State is
one moment of the migration of replica 2 of StatefulSet web: running, copied, shut_down, verified, swapping, frozen, released, emptied, exchanged."""
from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import Any

from kubectl_volresize.model import labels, names
from kubectl_volresize.model.cluster import Cluster, Mover
from kubectl_volresize.model.objects import Budget, Claim, Node, Object, Pod, StatefulSet, View, Volume
from kubectl_volresize.model.record import Record
from kubectl_volresize.model.request import Request, Target
from kubectl_volresize.plan import manifests, replica_steps, steps, swap_steps
from kubectl_volresize.plan.views import final_word

NAMESPACE, SET, MIGRATION = "prod", "web", "web"
MIGRATION_UID = "uid-of-volumeresize-web"
NODE = "node-1"
NOW = "2026-01-01T00:00:00Z"
OLD_SIZE, NEW_SIZE = "1Gi", "500Mi"
REVISION = "web-7d9f"
REPLICA = 2
ENDED: Object = {"terminated": {"exitCode": 0}}
RUNNING: Object = {"running": {"startedAt": NOW}}
NEVER_STARTED: Object = {"waiting": {"reason": "PodInitializing"}}


def uid_of(name: str) -> str:
    return f"uid-of-{name}"


def _meta(name: str, uid: str = "", **fields: Any) -> Object:
    return {"name": name, "uid": uid or uid_of(name), "resourceVersion": "7", **fields}


def _going(terminating: bool, grace: int = 30) -> Object:
    return {"deletionTimestamp": NOW, "deletionGracePeriodSeconds": grace} if terminating else {}


def container(state: Object, name: str = "app") -> Object:
    """A container status; one that ever ran has an ID."""
    return {"name": name, "state": state, **({} if "waiting" in state else {"containerID": f"containerd://{name}"})}


def pod(ordinal: int, *, ready: bool = True, terminating: bool = False, held: bool = False, uid: str = "", revision: str = REVISION, node: str = NODE,
        phase: str = "Running", grace: int = 30, states: tuple[Object, ...] = (RUNNING,), spec: Object | None = None,
        status: Object | None = None) -> Pod:
    """A pod of the set. `states`: of its containers; `spec` and `status`: more of their fields."""
    return Pod({"metadata": _meta(names.pod(SET, ordinal), uid, labels={"app": SET, "controller-revision-hash": revision},
                                  finalizers=[labels.HOLD_FINALIZER] if held else [], **_going(terminating, grace)),
                "spec": {"nodeName": node, "terminationGracePeriodSeconds": 30, **(spec or {})},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": NOW}],
                           "containerStatuses": [container(state, f"app-{index}") for index, state in enumerate(states)], **(status or {})}})


def stopped_pod(ordinal: int, **fields: Any) -> Pod:
    """Terminating under our hold, with every container ended."""
    return pod(ordinal, **{"ready": False, "terminating": True, "held": True, "phase": "Succeeded", "grace": 0, "states": (ENDED,), **fields})


def claim(name: str, *, pv: str = "", size: str = OLD_SIZE, capacity: str = "", uid: str = "", phase: str = "Bound", terminating: bool = False,
          storage_class: str = "standard", modes: tuple[str, ...] = ("ReadWriteOnce",), owners: tuple[Object, ...] = (),
          annotations: dict[str, str] | None = None, **spec: Any) -> Claim:
    return Claim({"metadata": _meta(name, uid, ownerReferences=list(owners), annotations=annotations or {}, **_going(terminating)),
                  "spec": {"accessModes": list(modes), "storageClassName": storage_class, "resources": {"requests": {"storage": size}},
                           "volumeName": pv, **spec},
                  "status": {"phase": phase, "capacity": {"storage": capacity or size}}})


def our_claim(name: str, ordinal: int = REPLICA, **fields: Any) -> Claim:
    """A claim with the marks of this migration."""
    return claim(name, annotations={labels.MIGRATION_UID: MIGRATION_UID, labels.REPLICA_MARK: str(ordinal)}, **fields)


def volume(name: str, *, policy: str = "Retain", size: str = OLD_SIZE, uid: str = "", claim_name: str = "", claim_uid: str = "",
           role: str = "", phase: str = "") -> Volume:
    """A PersistentVolume; `claim_name` alone reserves it for a claim of that name."""
    ref = {"namespace": NAMESPACE, "name": claim_name, **({"uid": claim_uid} if claim_uid else {})} if claim_name else None
    return Volume({"metadata": _meta(name, uid, labels={labels.MIGRATION: MIGRATION, labels.ROLE: role} if role else {},
                                     annotations={labels.ORIGINAL_RECLAIM: "Delete"} if role else {}),
                   "spec": {"persistentVolumeReclaimPolicy": policy, "capacity": {"storage": size}, **({"claimRef": ref} if ref else {})},
                   "status": {"phase": phase} if phase else {}})


def node(name: str, *, ready: bool = True, cordoned: bool = False, labels: dict[str, str] | None = None) -> Node:
    return Node({"metadata": _meta(name, labels=labels or {}), "spec": {"unschedulable": True} if cordoned else {},
                 "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}})


def statefulset(*, volumes: tuple[str, ...] = ("data",), replicas: int = 3, uid: str = "", resource_version: str = "7",
                finalizers: tuple[str, ...] = (), terminating: bool = False, size: str = OLD_SIZE, owners: tuple[Object, ...] = (),
                marks: dict[str, str] | None = None, status: Object | None = None, **spec: Any) -> StatefulSet:
    """StatefulSet web, at rest. `marks`: labels, which stand as annotations too; `spec` and `status`: more of their fields, by their names in
    Kubernetes."""
    templates = [{"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
                                                       "resources": {"requests": {"storage": size}}}} for name in volumes]
    meta = _meta(SET, uid or uid_of("statefulset"), namespace=NAMESPACE, generation=1, ownerReferences=list(owners), finalizers=list(finalizers),
                 labels=marks or {}, annotations=marks or {}, **_going(terminating))
    return StatefulSet({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {**meta, "resourceVersion": resource_version},
                        "spec": {"replicas": replicas, "serviceName": SET, "selector": {"matchLabels": {"app": SET}},
                                 "template": {"metadata": {"labels": {"app": SET}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}},
                                 "volumeClaimTemplates": templates, **spec},
                        "status": {"observedGeneration": 1, "currentRevision": REVISION, "updateRevision": REVISION, **(status or {})}})


def frozen_set(**fields: Any) -> StatefulSet:
    """Terminating with nothing but our finalizer."""
    return statefulset(**{"terminating": True, "finalizers": (labels.FREEZE_FINALIZER,), **fields})


def budget(name: str, allowed: int, selector: Object | None = None) -> Budget:
    return Budget({"metadata": _meta(name), "spec": {"selector": {"matchLabels": {"app": SET}} if selector is None else selector},
                   "status": {"disruptionsAllowed": allowed}})


def migration(name: str = MIGRATION, uid: str = "", phase: str = "", created: str = NOW, statefulset_name: str = SET,
              finalizers: tuple[str, ...] = ()) -> View:
    """A VolumeResize."""
    return View({"metadata": _meta(name, uid or uid_of(f"volumeresize-{name}"), namespace=NAMESPACE, creationTimestamp=created,
                                   finalizers=list(finalizers)),
                 "spec": {"statefulSetName": statefulset_name}, "status": {"phase": phase} if phase else {}})


def request(*volumes: str, size: str = NEW_SIZE, storage_class: str | None = None, **fields: Any) -> Request:
    """These volumes (data alone when none is named) shall have `size`."""
    targets = tuple(Target(name, size, storage_class) for name in volumes or ("data",))
    return Request(statefulset=SET, targets=targets, **{"mover": {"image": "example.test/volmig:1"}, **fields})


def old_pv(name: str, ordinal: int = REPLICA) -> str:
    return f"pv-old-{name}-{ordinal}"


def new_pv(name: str, ordinal: int = REPLICA) -> str:
    return f"pv-new-{name}-{ordinal}"


def claim_name(name: str, ordinal: int = REPLICA) -> str:
    return names.claim(name, SET, ordinal)


def temporary_name(name: str, ordinal: int = REPLICA) -> str:
    return names.temporary_claim(name, SET, ordinal)


def copier_pod(name: str, ordinal: int, migration_uid: str = MIGRATION_UID, **fields: Any) -> Pod:
    """A mover or a measurer of this name, with the marks of its migration."""
    made = pod(ordinal, **fields).raw
    marks = {labels.MIGRATION_UID: migration_uid, labels.REPLICA_MARK: str(ordinal)}
    return Pod({**made, "metadata": {**made["metadata"], "name": name, "uid": uid_of(name), "annotations": marks}})


def mover_pod(name: str, **fields: Any) -> Pod:
    return copier_pod(names.mover(MIGRATION, REPLICA, name), REPLICA, **fields)


@dataclass(frozen=True)
class State:
    """What the runner sees, what it has recorded and what is wanted. Every `with_` gives another State."""

    cluster: Cluster
    record: Record
    request: Request

    @property
    def volumes(self) -> tuple[str, ...]:
        return tuple(target.name for target in self.request.targets)

    def with_claims(self, *claims: Claim) -> State:
        return self._seeing(claims={**self.cluster.claims, **{one.name: one for one in claims}})

    def without_claims(self, *gone: str) -> State:
        return self._seeing(claims={name: one for name, one in self.cluster.claims.items() if name not in gone})

    def with_volumes(self, *volumes: Volume) -> State:
        return self._seeing(volumes={**self.cluster.volumes, **{one.name: one for one in volumes}})

    def without_volumes(self, *gone: str) -> State:
        return self._seeing(volumes={name: one for name, one in self.cluster.volumes.items() if name not in gone})

    def with_pod(self, ordinal: int, one: Pod) -> State:
        return self._seeing(pods={**self.cluster.pods, ordinal: one})

    def without_pod(self, ordinal: int = REPLICA) -> State:
        return self._seeing(pods={other: one for other, one in self.cluster.pods.items() if other != ordinal})

    def with_set(self, one: StatefulSet | None) -> State:
        return self._seeing(statefulset=one)

    def seeing(self, **fields: Any) -> State:
        """More fields of the Cluster."""
        return self._seeing(**fields)

    def recording(self, name: str, **fields: Any) -> State:
        """Other fields in the record of volume `name` of replica 2."""
        return replace(self, record=self.record.with_volume(REPLICA, name, **fields))

    def recording_replica(self, **fields: Any) -> State:
        return replace(self, record=self.record.with_replica(REPLICA, **fields))

    def recording_nothing(self) -> State:
        return replace(self, record=Record())

    def after(self, *done: steps.Step) -> State:
        """With what these steps have the runner record."""
        record = self.record
        for step in done:
            record = step.recorded(record, NOW)
        return replace(self, record=record)

    def _seeing(self, **fields: Any) -> State:
        return replace(self, cluster=replace(self.cluster, **fields))


def running(*volumes: str, replicas: int = 3) -> State:
    """All replicas Ready on their old volumes, nothing recorded; what preflight likes to see. Volume data alone when none is named."""
    wanted = volumes or ("data",)
    claims = [claim(claim_name(name, ordinal), pv=old_pv(name, ordinal)) for name in wanted for ordinal in range(replicas)]
    disks = [volume(one.volume_name, policy="Delete", claim_name=one.name, claim_uid=one.uid) for one in claims]
    cluster = Cluster(namespace=NAMESPACE, migration=migration(), statefulset=statefulset(volumes=wanted, replicas=replicas),
                      pods={ordinal: pod(ordinal) for ordinal in range(replicas)}, claims={one.name: one for one in claims},
                      volumes={one.name: one for one in disks}, movers={}, measurers={}, nodes={NODE: node(NODE)},
                      classes={"standard": {"metadata": {"name": "standard"}}})
    return State(cluster, Record(), request(*wanted))


def copied(*volumes: str) -> State:
    """Replica 2 still runs; its new volumes are filled, and its movers wait for the stop."""
    state = running(*volumes)
    known = []
    for name in state.volumes:
        original = state.cluster.claims[claim_name(name)]
        temporary = our_claim(temporary_name(name), pv=new_pv(name), size=NEW_SIZE)
        state = state.with_claims(temporary).with_volumes(
            volume(old_pv(name), role="old", claim_name=original.name, claim_uid=original.uid),
            volume(new_pv(name), role="new", size=NEW_SIZE, claim_name=temporary.name, claim_uid=temporary.uid))
        known.append((name, {
            "old_claim": original.name, "old_claim_uid": original.uid, "old_pv": old_pv(name), "old_pv_uid": uid_of(old_pv(name)),
            "new_claim": temporary.name, "new_claim_uid": temporary.uid, "new_pv": new_pv(name), "new_pv_uid": uid_of(new_pv(name)),
            "phase": "Waiting", "saved_claim": json.dumps(manifests.saved_claim(original))}))
    movers = {(REPLICA, name): Mover(mover_pod(name), {"event": "waiting"}) for name in state.volumes}
    return state.seeing(movers=movers).after(steps.Begin(uid_of("statefulset")), replica_steps.BeginReplica(REPLICA, tuple(known)))


def shut_down(*volumes: str) -> State:
    """The pod is held and shut down; the final pass is not made yet."""
    state = copied(*volumes)
    held = replica_steps.Hold(REPLICA, names.pod(SET, REPLICA), uid_of("web-2"), {})
    return state.with_pod(REPLICA, stopped_pod(REPLICA)).after(held)


def verified(*volumes: str) -> State:
    """The final pass of every volume was answered."""
    state = shut_down(*volumes)
    said = [replica_steps.RememberVerified(REPLICA, name, final_word(uid_of("web-2"), mover_pod(name)), ()) for name in state.volumes]
    return state.after(*said)


def swapping(*volumes: str) -> State:
    """Movers and temporary claims are gone, the new volumes reserved; the set still stands, its manifest is saved."""
    state = verified(*volumes)
    assert state.cluster.statefulset is not None
    state = state.seeing(movers={}).without_claims(*(temporary_name(name) for name in state.volumes))
    state = state.with_volumes(*(volume(new_pv(name), role="new", size=NEW_SIZE, claim_name=claim_name(name)) for name in state.volumes))
    return state.after(swap_steps.BeginSwap(REPLICA, ())).after(freeze(state))


def freeze(state: State, **fields: Any) -> swap_steps.Freeze:
    """The Freeze of the set as `state` sees it."""
    found = state.cluster.statefulset
    assert found is not None
    saved = json.dumps(manifests.cleaned_for_record(found))
    return replace(swap_steps.Freeze(REPLICA, saved, found.uid, found.resource_version, copy.deepcopy(found.raw)), **fields)


def frozen(*volumes: str) -> State:
    """The set is frozen; the held pod and its claims still stand."""
    state = swapping(*volumes)
    return state.with_set(frozen_set(volumes=state.volumes))


def released(*volumes: str) -> State:
    """The pod object is gone."""
    return frozen(*volumes).without_pod()


def emptied(*volumes: str) -> State:
    """The original claims are gone."""
    state = released(*volumes)
    return state.without_claims(*(claim_name(name) for name in state.volumes))


def exchanged(*volumes: str) -> State:
    """The claims stand again, Bound to the new volumes."""
    state = emptied(*volumes)
    for name in state.volumes:
        successor = our_claim(claim_name(name), pv=new_pv(name), size=NEW_SIZE, uid=uid_of(f"successor-{name}"))
        state = state.with_claims(successor).with_volumes(
            volume(new_pv(name), role="new", size=NEW_SIZE, claim_name=successor.name, claim_uid=successor.uid))
    return state
