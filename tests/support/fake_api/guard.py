"""The judge of every write that a client makes: tried, looked at, and refused when data could be lost by it. It knows the truth that no client knows,
what is on which disk and which processes run, and nothing of the product but the names of its finalizers and labels. What controllers and a test's
own hands do is not judged."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from kubectl_volresize.model import labels

from .refusal import forbidden
from .resources import Target
from .store import Key, Object
from .world import Place, World, claim_names, pod_ready, terminating

Objects = Mapping[Key, Object]
_T = TypeVar("_T")
# A claim's requests and class, within a template.
_MAY_CHANGE = ("resources", "storageClassName")


class Guard:
    """Of one cluster. `violations`: what was refused, in sentences. `given_up`: PVs of which the user gives up what was written on them (a rollback);
    `may_clean_up`: the user wants the volumes gone that nobody uses any more."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[str] = []
        self.given_up: set[str] = set()
        self.may_clean_up = False
        self._used: set[str] = set()            # PVs that an application has written to
        self._last_set: dict[Place, Object] = {}  # a StatefulSet as it was when it went

    def watch(self, verb: str, target: Target, body: Any, write: Callable[[], _T]) -> _T:
        """Do `write`, unless it would break a promise. Raises Refusal 403, which no client may take for anything but its own fault."""
        store = self._world.store
        self._used |= {name for process in self._world.processes.values() if not process.role for name in process.mounts.values()}
        before = dict(store.objects)
        with store.undone(True):
            write()
            broken = [*_unfenced(verb, target, body), *self._broken(verb, target, body, before, store.objects)]
        if broken:
            told = f"{verb} {target.resource.plural}/{target.name or (body.get('metadata') or {}).get('name', '')}: " + "; ".join(broken)
            self.violations.append(told)
            raise forbidden(f"data could be lost: {told}")
        done = write()
        self._remember(target, before, store.objects)
        return done

    def _broken(self, verb: str, target: Target, body: Any, before: Objects, after: Objects) -> Iterator[str]:
        judge = {"persistentvolumeclaims": self._claim, "pods": self._pod, "statefulsets": self._set, "persistentvolumes": self._volume,
                 labels.PLURAL: self._record}.get(target.resource.plural)
        for key in {key for key in (*before, *after) if before.get(key) is not after.get(key)} if judge else ():
            if key[0] == target.resource.plural and judge is not None:
                yield from judge(verb, body, before, after, before.get(key), after.get(key))
        for place in self._world.written:
            if not self._is_safe(after, place):
                yield f"no volume that is sure to stay would hold all data of claim {place[1]}"

    def _remember(self, target: Target, before: Objects, after: Objects) -> None:
        for key in before if target.resource.plural == "statefulsets" else ():
            if key[0] == "statefulsets" and key not in after:
                self._last_set[key[1:]] = before[key]

    # -- the truth

    def wanted(self, place: Place) -> list[str]:
        """What the application ever wrote to the claim, but for what its user gives up."""
        written = self._world.written.get(place, [])
        return [token for token in written if self._world.written_on[token] not in self.given_up] if self.given_up else written

    def _holds_all(self, volume: Object, place: Place) -> bool:
        present, wanted = self._world.disks.get(volume["metadata"]["name"], []), self.wanted(place)
        return len(present) >= len(wanted) and set(present).issuperset(wanted)

    def _is_safe(self, objects: Objects, place: Place) -> bool:
        """Whether a volume with everything that was ever written to the claim outlives any deletion of claims that has not happened yet."""
        for key, volume in objects.items():
            if key[0] == "persistentvolumes" and (_retained(volume) or _bound_to(objects, volume) is not None) and self._holds_all(volume, place):
                return True
        return False

    # -- claims

    def _claim(self, verb: str, body: Any, before: Objects, after: Objects, old: Object | None, new: Object | None) -> Iterator[str]:
        one = old or new
        assert one is not None
        place = (one["metadata"]["namespace"], one["metadata"]["name"])
        if place not in self._world.written:
            return
        if old is not None and not terminating(old) and (new is None or terminating(new)):
            yield from self._claim_deleted(before, old, place)
        if old is None and new is not None:
            yield from self._claim_created(before, new, place)

    def _claim_deleted(self, before: Objects, claim: Object, place: Place) -> Iterator[str]:
        if _live_set_of(before, place) is not None:
            yield "its StatefulSet is neither frozen nor absent, and would create an empty one"
        if users := [pod for pod in _all(before, "pods", place[0]) if place[1] in claim_names(pod).values()]:
            yield f"pod {users[0]['metadata']['name']} still names it"
        if writers := [process for process in self._world.processes.values() if place in process.claims.values() and not process.role]:
            yield f"a process of pod {writers[0].pod[1]} still writes to it"
        own = before.get(("persistentvolumes", "", claim["spec"].get("volumeName", "")))
        if own is None or not _retained(own):
            yield "its volume is not Retain"
        successors = [volume for volume in _all(before, "persistentvolumes") if _reserved(volume, place)]
        if not any(_retained(volume) and self._holds_all(volume, place) for volume in successors):
            yield "no volume with all its data is reserved for its successor"

    def _claim_created(self, before: Objects, claim: Object, place: Place) -> Iterator[str]:
        if _live_set_of(before, place) is not None:
            yield "its StatefulSet is neither frozen nor absent"
        volume = before.get(("persistentvolumes", "", claim["spec"].get("volumeName", "")))
        if volume is None or not (_retained(volume) and _reserved(volume, place) and self._holds_all(volume, place)):
            yield "it would not stand on a reserved volume with all its data that is Retain"

    def _whole(self, objects: Objects, place: Place) -> bool:
        """Whether an application that starts on this claim finds everything."""
        claim = objects.get(("persistentvolumeclaims", *place))
        volume = objects.get(("persistentvolumes", "", claim["spec"].get("volumeName", ""))) if claim is not None else None
        if claim is None or volume is None or terminating(claim) or claim["status"].get("phase") != "Bound":
            return False
        return volume["spec"].get("claimRef", {}).get("uid") == claim["metadata"]["uid"] and self._holds_all(volume, place)

    # -- pods

    def _pod(self, verb: str, body: Any, before: Objects, after: Objects, old: Object | None, new: Object | None) -> Iterator[str]:
        if old is None or labels.ROLE in (old["metadata"].get("labels") or {}):
            return
        places = [(old["metadata"]["namespace"], name) for name in claim_names(old).values()]
        if not any(place in self._world.written for place in places):
            return
        if not terminating(old) and (new is None or terminating(new)):
            yield from self._pod_stopped(verb, before, old, places)
        live = _live_set_of(after, places[0]) is not None
        if _holds(old) and (new is None or not _holds(new)) and live and not all(self._whole(after, place) for place in places):
            yield "released while its StatefulSet is live and its claims are not whole: it would start on something else"

    def _pod_stopped(self, verb: str, before: Objects, pod: Object, places: list[Place]) -> Iterator[str]:
        if verb != "evict":
            yield "a pod of the application is deleted and not evicted"
        if not _holds(pod):
            yield "evicted without the hold: the StatefulSet would start it again at once"
        if not all(self._whole(before, place) for place in places):
            yield "evicted although its claims are not whole"
        owner = _live_set_of(before, places[0])
        wanted = owner["spec"]["replicas"] if owner is not None else 0
        ready = [other for other in _all(before, "pods", places[0][0]) if other is not pod and pod_ready(other) and not terminating(other)
                 and labels.ROLE not in (other["metadata"].get("labels") or {})]
        if owner is None or len(ready) < wanted - 1:
            yield "evicted while another replica is not Ready"

    # -- the set

    def _set(self, verb: str, body: Any, before: Objects, after: Objects, old: Object | None, new: Object | None) -> Iterator[str]:
        if old is None and new is not None:
            yield from self._set_created(before, new)
            return
        assert old is not None
        if not terminating(old) and (new is None or terminating(new)):
            yield from self._set_deleted(body, before, old)
        elif new is None:
            yield from self._saved(before, old)
            yield from self._startable(before, old)
        elif _spec_but_retention(old) != _spec_but_retention(new):
            yield "a spec that is not ours is changed"

    def _set_deleted(self, body: Any, before: Objects, old: Object) -> Iterator[str]:
        if labels.FREEZE_FINALIZER not in (old["metadata"].get("finalizers") or []):
            yield "deleted without being frozen"
        if body.get("propagationPolicy") != "Orphan":
            yield "deleted with its pods"
        if (body.get("preconditions") or {}).get("resourceVersion") != old["metadata"]["resourceVersion"]:
            yield "deleted without the resourceVersion of what was saved"
        yield from self._saved(before, old)

    def _saved(self, before: Objects, old: Object) -> Iterator[str]:
        """Nobody's edit may go with the set: what is in the record is what goes."""
        namespace, name = old["metadata"]["namespace"], old["metadata"]["name"]
        texts = [(one.get("status") or {}).get("savedStatefulSet") for one in _all(before, labels.PLURAL, namespace)
                 if one["spec"]["statefulSetName"] == name]
        if not any(text and _same_wish(json.loads(text), old) for text in texts):
            yield "its manifest as it is now is in no record"

    def _set_created(self, before: Objects, new: Object) -> Iterator[str]:
        yield from self._startable(before, new)
        last = self._last_set.get((new["metadata"]["namespace"], new["metadata"]["name"]))
        if last is not None and not _same_wish(last, new):
            yield "it differs from the one that went by more than sizes, classes and our marks"

    def _startable(self, objects: Objects, raw: Object) -> Iterator[str]:
        """Each claim of each replica that it will start has everything on it."""
        for place in self._world.written:
            ordinal = _ordinal(raw, place)
            if ordinal is not None and ordinal < raw["spec"]["replicas"] and not self._whole(objects, place):
                yield f"it would start on claim {place[1]}, which is not whole"

    # -- volumes and the record

    def _volume(self, verb: str, body: Any, before: Objects, after: Objects, old: Object | None, new: Object | None) -> Iterator[str]:
        if old is None or new is None:
            yield "volumes are made and removed by their provisioner alone"
            return
        name = old["metadata"]["name"]
        user = _bound_to(before, old)
        if _retained(old) and not _retained(new) and name in self._used and user is None and not self.may_clean_up:
            yield "an application's volume that nothing is bound to any more would be removed"
        if user is not None and (old["spec"].get("claimRef") or {}).get("uid") != (new["spec"].get("claimRef") or {}).get("uid"):
            yield f"it would be taken from claim {user['metadata']['name']}, which is bound to it"

    def _record(self, verb: str, body: Any, before: Objects, after: Objects, old: Object | None, new: Object | None) -> Iterator[str]:
        if old is not None and new is not None and old["spec"] != new["spec"]:
            yield "the user's request is changed"


def _unfenced(verb: str, target: Target, body: Any) -> Iterator[str]:
    """Every mutating call carries a UID or a resourceVersion."""
    if verb in ("delete", "evict"):
        options = body if verb == "delete" else body.get("deleteOptions") or {}
        if not (options or {}).get("preconditions", {}).get("uid"):
            yield "without a UID precondition"
    elif verb in ("replace", "patch") and isinstance(body, dict):
        if not ({"uid", "resourceVersion"} & set(body.get("metadata") or {})):
            yield "without UID or resourceVersion"
    elif verb == "patch":
        if not any(op["op"] == "test" and op["path"] in ("/metadata/uid", "/metadata/resourceVersion") for op in body):
            yield "without a test of UID or resourceVersion"
    if target.sub == "status" and not (body.get("metadata") or {}).get("resourceVersion"):
        yield "a record is written without resourceVersion"


def _all(objects: Objects, plural: str, namespace: str = "") -> list[Object]:
    return [obj for key, obj in objects.items() if key[0] == plural and namespace in ("", key[1])]


def _holds(pod: Object) -> bool:
    return labels.HOLD_FINALIZER in (pod["metadata"].get("finalizers") or [])


def _retained(volume: Object) -> bool:
    return bool(volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain") and not terminating(volume)


def _reserved(volume: Object, place: Place) -> bool:
    ref = volume["spec"].get("claimRef") or {}
    return (ref.get("namespace"), ref.get("name")) == place and not ref.get("uid")


def _bound_to(objects: Objects, volume: Object) -> Object | None:
    """The claim that stands on the volume and that nobody deletes."""
    ref = volume["spec"].get("claimRef") or {}
    claim = objects.get(("persistentvolumeclaims", ref.get("namespace", ""), ref.get("name", "")))
    if claim is None or terminating(claim) or claim["metadata"]["uid"] != ref.get("uid"):
        return None
    return claim if claim["spec"].get("volumeName") == volume["metadata"]["name"] else None


def _ordinal(raw: Object, place: Place) -> int | None:
    """Of the claim in this set, None for a claim that is none of its."""
    for template in raw["spec"].get("volumeClaimTemplates") or []:
        prefix = f"{template['metadata']['name']}-{raw['metadata']['name']}-"
        rest = place[1].removeprefix(prefix)
        if raw["metadata"]["namespace"] == place[0] and place[1].startswith(prefix) and rest.isdigit():
            return int(rest)
    return None


def _live_set_of(objects: Objects, place: Place) -> Object | None:
    """The StatefulSet whose controller would act on the claim: there, and not terminating with our finalizer alone."""
    for raw in _all(objects, "statefulsets", place[0]):
        inert = terminating(raw) and raw["metadata"].get("finalizers") == [labels.FREEZE_FINALIZER]
        if _ordinal(raw, place) is not None and not inert:
            return raw
    return None


def _spec_but_retention(raw: Object) -> Object:
    return {key: value for key, value in raw["spec"].items() if key != "persistentVolumeClaimRetentionPolicy"}


def _same_wish(one: Object, other: Object) -> bool:
    """Equal but for the sizes and classes in its volumeClaimTemplates and for our marks."""
    return bool(_wish(one) == _wish(other))


def _wish(raw: Object) -> Object:
    spec, meta = dict(raw["spec"]), raw["metadata"]
    templates = [{**template, "status": None, "spec": {key: value for key, value in template["spec"].items() if key not in _MAY_CHANGE}}
                 for template in spec.pop("volumeClaimTemplates", None) or []]
    marks = {key: value for key, value in (meta.get("annotations") or {}).items() if not key.startswith(f"{labels.GROUP}/")}
    return {"spec": spec, "templates": templates, "labels": meta.get("labels") or {}, "annotations": marks, "name": meta["name"]}
