"""Finding the migration that a user means, and saying what is left of one whose record is gone."""
from __future__ import annotations

from ..errors import Forbidden, NeedsHuman
from ..kube import paths
from ..model import labels, names
from ..model.cluster import Pod, View
from . import target
from .place import Place
from .result import Object


class RecordLost(NeedsHuman):
    """{message}"""

    hint = "delete nothing of it: docs/recovery.md says how each of these is put right by hand"


def find(place: Place, text: str) -> Object:
    """As target.find. Raises RecordLost when its VolumeResize is gone and something of it is still there."""
    try:
        return target.find(place, text)
    except target.NoMigration as error:
        if left := _left_of(place, target.parse(text)):
            raise RecordLost(f"{error.message}, but something of a migration is left:\n" + "\n".join(f"  {line}" for line in left)) from error
        raise


def _left_of(place: Place, wanted: target.Target) -> list[str]:
    """Held pods and a frozen set of this name, and what bears the label of a migration of this name. What the user may not read is left out."""
    found = []
    for raw in _listed(place, paths.pods(place.namespace)):
        pod = Pod(raw)
        if pod.held and names.ordinal_of(pod.name, wanted.name) is not None:
            found.append(f"pod/{pod.name} is held by the finalizer {labels.HOLD_FINALIZER}")
    for raw in _listed(place, paths.statefulsets(place.namespace)):
        if raw["metadata"]["name"] == wanted.name and labels.FREEZE_FINALIZER in View(raw).finalizers:
            found.append(f"statefulset/{wanted.name} is held by the finalizer {labels.FREEZE_FINALIZER}")
    for kind, path in (("persistentvolumeclaim", paths.claims(place.namespace)), ("persistentvolume", paths.volumes())):
        for raw in _listed(place, path, f"{labels.MIGRATION}={wanted.name}"):
            one = View(raw)
            if kind == "persistentvolume" and (raw["spec"].get("claimRef") or {}).get("namespace") != place.namespace:
                continue
            role = {labels.ROLE_OLD: "the old volume", labels.ROLE_NEW: "the new volume"}.get(one.labels.get(labels.ROLE, ""), "belongs to it")
            found.append(f"{kind}/{one.name}: {role} of replica {one.labels.get(labels.REPLICA, '?')}, {one.labels.get(labels.VOLUME, '?')}")
    return found if any("finalizer" in line or "persistentvolume/" in line for line in found) else []


def _listed(place: Place, path: str, selector: str = "") -> list[Object]:
    try:
        return place.client.list(path, selector)
    except Forbidden:
        return []
