"""Finding the migration that a user means; of one whose VolumeResize was deleted by force, what is left of it, and how `resume` goes on with it."""
from __future__ import annotations

import os
from dataclasses import dataclass

from ..errors import AlreadyExists, Forbidden, NeedsHuman
from ..kube import paths
from ..model import labels, names
from ..model.asked import RESUME
from ..model.objects import Claim, Pod, View, Volume
from ..model.kept import Kept
from . import target
from .asking import NotPossible, Sent, new_request, with_runner
from .image import image
from .life import ALIVE, look
from .place import Place
from .result import Change, Object
from .words import done, migration_resource


@dataclass(frozen=True)
class Again:
    """What a lost VolumeResize is written again with: its name, what it had asked for, and what its runner is told beside."""

    name: str
    spec: Object
    args: Object


class RecordLost(NeedsHuman):
    """{message}"""

    hint = "{what_to_do}"

    def __init__(self, message: str, what_to_do: str, again: Again | None) -> None:
        self.again = again
        super().__init__(message, what_to_do=what_to_do)


def find(place: Place, text: str) -> Object:
    """As target.find. Raises RecordLost when its VolumeResize is gone and something of it is left, with what it can be written again from."""
    try:
        return target.find(place, text)
    except target.NoMigration as error:
        wanted = target.parse(text)
        kept, left = _kept(place, wanted), _left_of(place, wanted)
        again = Again(kept.name, kept.spec, {"rebuild": True}) if kept is not None else _from_marks(place, wanted.name) if left else None
        if kept is not None:
            left.append(f"lease/{names.lease(_set_of(kept))}: a copy of its record ({kept.record.phase})")
        if left:
            raise RecordLost(f"{error.message}, but something of a migration is left:\n" + "\n".join(f"  {line}" for line in left),
                             _advice(place, text, kept, again), again) from error
        raise


def _advice(place: Place, text: str, kept: Kept | None, again: Again | None) -> str:
    if again is not None:
        return f"{'it goes on' if kept is not None else 'what was begun is put back'} with: {place.command(RESUME, text)}"
    return "delete nothing of it: docs/recovery.md, The record is lost, says how each of these is put right"


def write_again(place: Place, again: Again, spec: Object, dry_run: str) -> Sent:
    """The VolumeResize anew with what it had asked for, but for the fields in `spec`, and a runner: it finds the record.
    Raises NotPossible, NoRunner, Forbidden."""
    from ..templates import render

    mover = {**(again.spec.get("mover") or {}), **(spec.get("mover") or {})}
    wanted = {**again.spec, **spec, "mover": {**mover, "image": image(None, mover.get("image"), os.environ).name}}
    migration: Object = render("volumeresize", name=again.name, namespace=place.namespace, spec=wanted)
    runner, asked = look(place, migration), new_request(RESUME, **again.args)
    if runner.state == ALIVE:
        raise NotPossible(again.name, f"was deleted, and its runner {runner.why}",
                          "a runner that lives writes its record again by itself and puts back what it began: look again in a minute")
    migration["metadata"]["annotations"] = {labels.REQUESTED: asked.to_annotation()}
    if dry_run != "client":
        try:
            migration = place.client.create(paths.migrations(place.namespace), migration, dry_run=dry_run == "server")
        except AlreadyExists as error:
            raise NotPossible(again.name, "was written again just now by somebody else", "run the same command again") from error
    note = f"{migration_resource(again.name)} was deleted by force; it is written again from what is left of it."
    return with_runner(place, Sent(migration, asked, (Change(migration, done("created", dry_run)),), notes=(note,)), runner, dry_run)


# -- from the copy


def _set_of(kept: Kept) -> str:
    return str(kept.spec.get("statefulSetName"))


def _kept(place: Place, wanted: target.Target) -> Kept | None:
    """The copy of the record of a migration of this set, or of this name."""
    # Brings requests with it, which --help must not pay.
    from ..kube.observe import kept_in

    for lease in _listed(place, paths.leases(place.namespace)) or []:
        kept = kept_in(lease)
        if kept is not None and lease["metadata"]["name"] == names.lease(_set_of(kept)):
            if (wanted.kind != target.MIGRATION and _set_of(kept) == wanted.name) or (wanted.kind != target.SET and kept.name == wanted.name):
                return kept
    return None


# -- from labels


def _from_marks(place: Place, name: str) -> Again | None:
    """What the claims and volumes of a migration of this name tell of it. None when nothing of it is half done, when they tell too little, or when
    the user may not list volumes."""
    listed = _listed(place, paths.volumes(), f"{labels.MIGRATION}={name}")
    claims = [Claim(raw) for raw in _listed(place, paths.claims(place.namespace), f"{labels.MIGRATION}={name}") or []]
    volumes = [volume for volume in map(Volume, listed or []) if volume.claim_ref.get("namespace") == place.namespace]
    half_done = [*(volume for volume in volumes if volume.labels.get(labels.ROLE) == labels.ROLE_NEW),
                 *(claim for claim in claims if labels.FULL_NAME in claim.annotations)]
    wanted: dict[str, Object] = {}
    for one in (*_news(volumes), *_news(claims)):
        asked = (one.spec.get("resources") or {}).get("requests") or one.spec.get("capacity") or {}
        wanted[one.labels.get(labels.VOLUME, "")] = {"newSize": str(asked.get("storage")), "storageClass": one.spec.get("storageClassName")}
    sets = {found for volume in volumes if (found := _set_behind(volume))}
    if listed is None or len(sets) != 1 or not half_done:
        return None
    asked_for = [{"name": volume, **{key: value for key, value in fields.items() if value}} for volume, fields in sorted(wanted.items())]
    return Again(name, {"statefulSetName": sets.pop(), "volumes": asked_for},
                 {"rebuild": True, "volumes": sorted(volume.name for volume in volumes)})


def _news(found: list[Claim] | list[Volume]) -> list[View]:
    return [one for one in found if one.labels.get(labels.ROLE) == labels.ROLE_NEW]


def _set_behind(volume: Volume) -> str:
    """Of the claim <volume>-<set>-<ordinal> that an old volume is, or was, for; "" of a new one."""
    claim, replica = str(volume.claim_ref.get("name")), volume.labels.get(labels.REPLICA, "")
    prefix, suffix = f"{volume.labels.get(labels.VOLUME, '')}-", f"-{replica}"
    fits = volume.labels.get(labels.ROLE) == labels.ROLE_OLD and claim.startswith(prefix) and claim.endswith(suffix)
    return claim[len(prefix):-len(suffix)] if fits else ""


def _left_of(place: Place, wanted: target.Target) -> list[str]:
    """Held pods and a frozen set of this name, and what bears the label of a migration of this name. What the user may not read is left out."""
    found = []
    for raw in _listed(place, paths.pods(place.namespace)) or []:
        pod = Pod(raw)
        if pod.held and names.ordinal_of(pod.name, wanted.name) is not None:
            found.append(f"pod/{pod.name} is held by the finalizer {labels.HOLD_FINALIZER}")
    for raw in _listed(place, paths.statefulsets(place.namespace)) or []:
        if raw["metadata"]["name"] == wanted.name and labels.FREEZE_FINALIZER in View(raw).finalizers:
            found.append(f"statefulset/{wanted.name} is held by the finalizer {labels.FREEZE_FINALIZER}")
    for kind, path in (("persistentvolumeclaim", paths.claims(place.namespace)), ("persistentvolume", paths.volumes())):
        for raw in _listed(place, path, f"{labels.MIGRATION}={wanted.name}") or []:
            one = View(raw)
            if kind == "persistentvolume" and (raw["spec"].get("claimRef") or {}).get("namespace") != place.namespace:
                continue
            role = {labels.ROLE_OLD: "the old volume", labels.ROLE_NEW: "the new volume"}.get(one.labels.get(labels.ROLE, ""), "belongs to it")
            found.append(f"{kind}/{one.name}: {role} of replica {one.labels.get(labels.REPLICA, '?')}, {one.labels.get(labels.VOLUME, '?')}")
    return found if any("finalizer" in line or "persistentvolume/" in line for line in found) else []


def _listed(place: Place, path: str, selector: str = "") -> list[Object] | None:
    """None when the user may not."""
    try:
        return place.client.list(path, selector)
    except Forbidden:
        return None
