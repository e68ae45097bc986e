"""Finding the migration that a user means; of one whose VolumeResize was deleted by force, what is left of it, and how `resume` goes on with it."""
from __future__ import annotations

import os

from ..errors import AlreadyExists, Forbidden, NeedsHuman
from ..kube import paths
from ..model import labels, names
from ..model.asked import RESUME
from ..model.cluster import Pod, View
from ..model.kept import Kept
from . import target
from .asking import NotPossible, Sent, new_request, with_runner
from .image import image
from .life import ALIVE, look
from .place import Place
from .result import Change, Object
from .words import done, migration_resource


class RecordLost(NeedsHuman):
    """{message}"""

    hint = "{what_to_do}"

    def __init__(self, message: str, what_to_do: str, kept: Kept | None) -> None:
        self.kept = kept
        super().__init__(message, what_to_do=what_to_do)


def find(place: Place, text: str) -> Object:
    """As target.find. Raises RecordLost, with the copy of the record if there is one, when its VolumeResize is gone and something of it is left."""
    try:
        return target.find(place, text)
    except target.NoMigration as error:
        wanted = target.parse(text)
        kept, left = _kept(place, wanted), _left_of(place, wanted)
        if kept is not None:
            left.append(f"lease/{names.lease(_set_of(kept))}: a copy of its record ({kept.record.phase})")
        if left:
            what_to_do = (f"it goes on with: {place.command(RESUME, text)}" if kept is not None else
                          "delete nothing of it: docs/recovery.md, The record is lost, says how each of these is put right")
            lines = "\n".join(f"  {line}" for line in left)
            raise RecordLost(f"{error.message}, but something of a migration is left:\n{lines}", what_to_do, kept) from error
        raise


def write_again(place: Place, kept: Kept, spec: Object, dry_run: str) -> Sent:
    """The VolumeResize anew with what it had asked for, but for the fields in `spec`, and a runner: it takes the record from the copy.
    Raises NotPossible, NoRunner, Forbidden."""
    from ..templates import render

    mover = {**(kept.spec.get("mover") or {}), **(spec.get("mover") or {})}
    wanted = {**kept.spec, **spec, "mover": {**mover, "image": image(None, mover.get("image"), os.environ).name}}
    migration: Object = render("volumeresize", name=kept.name, namespace=place.namespace, spec=wanted)
    runner, asked = look(place, migration), new_request(RESUME, rebuild=True)
    if runner.state == ALIVE:
        raise NotPossible(kept.name, f"was deleted, and its runner {runner.why}",
                          "a runner that lives writes its record again by itself and puts back what it began: look again in a minute")
    migration["metadata"]["annotations"] = {labels.REQUESTED: asked.to_annotation()}
    if dry_run != "client":
        try:
            migration = place.client.create(paths.migrations(place.namespace), migration, dry_run=dry_run == "server")
        except AlreadyExists as error:
            raise NotPossible(kept.name, "was written again just now by somebody else", "run the same command again") from error
    note = f"{migration_resource(kept.name)} was deleted by force; its record is written again from the copy on its lease."
    return with_runner(place, Sent(migration, asked, (Change(migration, done("created", dry_run)),), notes=(note,)), runner, dry_run)


def _set_of(kept: Kept) -> str:
    return str(kept.spec.get("statefulSetName"))


def _kept(place: Place, wanted: target.Target) -> Kept | None:
    """The copy of the record of a migration of this set, or of this name."""
    # Brings requests with it, which --help must not pay.
    from ..kube.observe import kept_in

    for lease in _listed(place, paths.leases(place.namespace)):
        kept = kept_in(lease)
        if kept is not None and lease["metadata"]["name"] == names.lease(_set_of(kept)):
            if (wanted.kind != target.MIGRATION and _set_of(kept) == wanted.name) or (wanted.kind != target.SET and kept.name == wanted.name):
                return kept
    return None


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
