"""Garbage collector and namespace controller. Source: pkg/controller/garbagecollector/garbagecollector.go, pkg/controller/namespace/deletion."""
from __future__ import annotations

from ..resources import BY_KIND, BY_PLURAL
from ..store import Object
from ..world import World, terminating

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"


class GarbageCollector:
    name = "garbage"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest

    def step(self) -> bool:
        every = sorted(self._store.objects.items())
        return any(self._orphan(key[0], obj) or self._foreground(key[0], obj) for key, obj in every if terminating(obj)) or any(
            self._collect(key[0], obj) for key, obj in every if obj["metadata"].get("ownerReferences"))

    def _dependents(self, uid: str) -> list[tuple[str, Object]]:
        return [(key[0], obj) for key, obj in sorted(self._store.objects.items())
                if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or [])]

    def _orphan(self, plural: str, owner: Object) -> bool:
        """One dependent loses its reference; at the end the owner its finalizer."""
        if _ORPHAN not in owner["metadata"].get("finalizers", []):
            return False
        uid = owner["metadata"]["uid"]
        for kind, dependent in self._dependents(uid):
            if dependent["metadata"]["uid"] not in self._world.faults.overlooked:
                self._rest.change(kind, dependent, lambda new: _drop_reference(new, uid))
                return True
        self._rest.change(plural, owner, lambda new: new["metadata"]["finalizers"].remove(_ORPHAN))
        return True

    def _foreground(self, plural: str, owner: Object) -> bool:
        if _FOREGROUND not in owner["metadata"].get("finalizers", []):
            return False
        uid = owner["metadata"]["uid"]
        blocking = [(kind, dependent) for kind, dependent in self._dependents(uid)
                    if any(ref["uid"] == uid and ref.get("blockOwnerDeletion") for ref in dependent["metadata"]["ownerReferences"])]
        for kind, dependent in blocking:
            if not terminating(dependent):
                self._rest.remove(kind, dependent)
                return True
        if blocking:
            return False
        self._rest.change(plural, owner, lambda new: new["metadata"]["finalizers"].remove(_FOREGROUND))
        return True

    def _collect(self, plural: str, obj: Object) -> bool:
        """An object all of whose owners are gone is deleted; one of whose owners are gone loses those."""
        refs = obj["metadata"]["ownerReferences"]
        absent = [ref for ref in refs if self._is_absent(ref, obj)]
        if not absent or terminating(obj):
            return False
        if len(absent) == len(refs):
            self._rest.remove(plural, obj, propagationPolicy="Background")
        else:
            self._rest.change(plural, obj, lambda new: _drop_reference(new, *[ref["uid"] for ref in absent]))
        return True

    def _is_absent(self, ref: Object, dependent: Object) -> bool:
        resource = BY_KIND.get(ref["kind"])
        if resource is None:
            return False
        namespace = dependent["metadata"].get("namespace", "") if resource.namespaced else ""
        owner = self._store.find(resource.plural, namespace, ref["name"])
        return owner is None or owner["metadata"]["uid"] != ref["uid"]


class Namespaces:
    """Empties a namespace that is being deleted; it stays until the last finalizer of its objects is gone."""

    name = "namespace"

    def __init__(self, world: World) -> None:
        self._store, self._rest = world.store, world.rest

    def step(self) -> bool:
        return any(self._empty(namespace) for namespace in self._store.all("namespaces") if terminating(namespace))

    def _empty(self, namespace: Object) -> bool:
        name = namespace["metadata"]["name"]
        inside = [(key[0], obj) for key, obj in sorted(self._store.objects.items()) if key[1] == name and BY_PLURAL[key[0]].namespaced]
        for plural, obj in inside:
            if not terminating(obj):
                self._rest.remove(plural, obj, propagationPolicy="Background")
                return True
        if inside:
            return False
        self._store.remove(("namespaces", "", name))
        return True


def _drop_reference(obj: Object, *uids: str) -> None:
    kept = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] not in uids]
    obj["metadata"]["ownerReferences"] = kept
    if not kept:
        del obj["metadata"]["ownerReferences"]
