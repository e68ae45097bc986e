"""What a watch saw of one namespace, in the words in which two clusters can be compared: for each object the sequence of its states, without times,
UIDs and whatever else is never twice the same."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object
from kubectl_volresize.model.quantity import parse_bytes

Event = tuple[str, Object]  # ADDED, MODIFIED or DELETED; the object
Sequences = dict[str, list[Any]]
GONE = "gone"
Parts = Callable[[Object], dict[str, Any]]  # the states of an object, by what of it; "" for the whole


class _Numbers:
    """UIDs as numbers in the order of their appearance, for each name."""

    def __init__(self) -> None:
        self._seen: dict[str, list[str]] = {}

    def of(self, name: str, uid: str) -> int:
        known = self._seen.setdefault(name, [])
        if uid not in known:
            known.append(uid)
        return known.index(uid)


def sequences(events: Iterable[Event], parts: Parts, name: Callable[[Object], str]) -> Sequences:
    """The states of each object in order; one that follows an equal one is left out."""
    numbers, found = _Numbers(), Sequences()
    for kind, item in events:
        key = name(item)
        number = numbers.of(key, item["metadata"]["uid"])
        for part, state in parts(item).items():
            found.setdefault(f"{key} {part}".strip(), []).append((number, GONE if kind == "DELETED" else state))
    return {key: [one for one, _ in itertools.groupby(states)] for key, states in sorted(found.items())}


def _meta(item: Object, *finalizers: str) -> tuple[Any, ...]:
    kept = item["metadata"].get("finalizers") or []
    return ("terminating" if item["metadata"].get("deletionTimestamp") else "there", *(one for one in finalizers if one in kept))


def statefulset(item: Object) -> dict[str, Any]:
    sizes = [parse_bytes(one["spec"]["resources"]["requests"]["storage"]) for one in item["spec"]["volumeClaimTemplates"]]
    marked = labels.MIGRATION_UID in (item["metadata"].get("annotations") or {})
    return {"": (*_meta(item, labels.FREEZE_FINALIZER, labels.ORPHAN_FINALIZER), tuple(sizes), "marked" if marked else "")}


def pod(item: Object) -> dict[str, Any]:
    return {"": _meta(item, labels.HOLD_FINALIZER)}


def claim(item: Object) -> dict[str, Any]:
    bound = item.get("status", {}).get("phase") == "Bound"
    asked = parse_bytes(item["spec"]["resources"]["requests"]["storage"])
    marked = labels.MIGRATION_UID in (item["metadata"].get("annotations") or {})
    return {"": (*_meta(item), asked, "Bound" if bound else "", "marked" if marked else "")}


def volume(item: Object) -> dict[str, Any]:
    ref = item["spec"].get("claimRef") or {}
    return {"": (item["spec"]["persistentVolumeReclaimPolicy"], ref.get("name", ""), "" if ref.get("uid") else "reserved",
                 (item["metadata"].get("labels") or {}).get(labels.ROLE, ""))}


def migration(item: Object) -> dict[str, Any]:
    """The whole, each replica and each volume by itself: two volumes are copied in whichever order. How far a copy is, is a matter of time."""
    status = item.get("status") or {}
    seen: dict[str, Any] = {"": (*_meta(item, labels.FINALIZER), status.get("phase", ""), (status.get("lastRequest") or {}).get("outcome", ""))}
    for entry in status.get("replicas") or ():
        seen[f"replica {entry['ordinal']}"] = entry.get("step", "")
    for entry in status.get("volumeStatuses") or ():
        seen[f"replica {entry['replica']} {entry['volumeName']}"] = entry.get("phase", "").replace("Waiting", "Copying")
    return seen


STATES: dict[str, Parts] = {
    "statefulsets": statefulset, "pods": pod, "persistentvolumeclaims": claim, "persistentvolumes": volume, "volumeresizes": migration}


def by_name(item: Object) -> str:
    return str(item["metadata"]["name"])


class FirstClaim:
    """A volume's name is random; it is called after the first claim that it was made for."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, item: Object) -> str:
        first = (item["spec"].get("claimRef") or {}).get("name", "")
        return self._names.setdefault(item["metadata"]["uid"], f"volume of {first}")


def differences(real: dict[str, Sequences], fake: dict[str, Sequences]) -> list[str]:
    """Each object whose states were not the same in both clusters, in words."""
    found = []
    for kind in sorted(real.keys() | fake.keys()):
        for name in sorted(real.get(kind, {}).keys() | fake.get(kind, {}).keys()):
            seen, told = real.get(kind, {}).get(name, []), fake.get(kind, {}).get(name, [])
            if seen != told:
                at = next((index for index, (one, other) in enumerate(zip(seen, told)) if one != other), min(len(seen), len(told)))
                found.append(f"{kind} {name}: state {at} of {len(seen)}/{len(told)}: real {seen[at:at + 3]}, fake {told[at:at + 3]}")
    return found
