"""`cleanup --release`: what plan/release.py finds safe is let go here, since no runner can. Every write carries the version of what was seen."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..errors import AlreadyExists, Conflict, Forbidden, NeedsHuman, Unprocessable, VolresizeError
from ..kube import paths
from ..model import labels
from ..model.cluster import Cluster
from ..model.request import from_spec
from ..plan import leave, manifests, swap_steps, undo_steps
from ..plan.release import Held, held
from ..plan.steps import LetGo, RemovePod, Step
from . import result
from .asking import NotPossible, record_of
from .job import may_work, retired
from .life import ALIVE, look
from .place import Place
from .render import consent
from .result import Change, Object
from .words import done, migration_resource

_MOST_STEPS = 500
_ABSENT_AT_MOST = 10.0  # seconds of trying to create the set while the API still knows the old one
_TRY_AGAIN_AFTER = 0.02
_HEADER = ("OBJECT", "STATE", "WOULD-BE")


class StillHeld(NeedsHuman):
    """{name} still holds something that is not safe to let go:
{message}"""

    hint = "put that right (docs/recovery.md), then run the same command again"


class SetAbsent(NeedsHuman):
    """statefulset/{name} is absent, and could not be created again: {message}"""

    hint = "remove the cause, then run the same command again: it creates the StatefulSet from the record"


class WouldChange(NeedsHuman):
    """recreating statefulset/{name} would change {message}: something in the cluster alters StatefulSets when they are created"""

    hint = "find the mutating webhook or admission policy, exempt this StatefulSet from it, then run the same command again"


def release(place: Place, migration: Object, yes: bool, dry_run: str, output: str) -> result.Result:
    """Raises NotPossible while a runner is at work, StillHeld when something is left."""
    name = migration["metadata"]["name"]
    runner = look(place, migration)
    if runner.state == ALIVE:
        raise NotPossible(name, f"has a runner at work, which {runner.why}",
                          f"let it work, or cancel: {place.command('cancel', f'vr/{name}')}; if it hangs, delete its Job first: "
                          f"{place.kubectl('delete', f'job/{runner.jobs[-1].name}')}")
    found = _held(place, migration)
    if not found:
        note = f"nothing to do: {migration_resource(name)} holds nothing"
        return result.Changes(output=output, notes=(note,), changes=(Change(migration, "unchanged"),))
    if not any(one.step for one in found):
        consent.show(replace(_preview(found), notes=()))
        raise _still_held(name, found)
    consent.show(_preview(found))
    if dry_run == "client":
        return result.Changes(output=output, notes=_reasons(found), changes=(Change(migration, done("unchanged", dry_run)),))
    if not consent.given("Let go of what can be let go? The migration stands still where it is then.", yes):
        return result.Changes(output=output, notes=("Nothing was changed.",), exit_code=1)
    changes = [retired(place, job) for job in runner.jobs if may_work(job)]
    changes += _let_go(place, name)
    left = _held(place, migration) if place.client.find(paths.migrations(place.namespace, name)) else ()
    if left:
        raise _still_held(name, left)
    return result.Changes(output=output, changes=tuple(changes), next_steps=_afterwards(place, name))


def _held(place: Place, migration: Object) -> tuple[Held, ...]:
    now = place.client.find(paths.migrations(place.namespace, migration["metadata"]["name"]))
    return () if now is None else held(_cluster(place, now), record_of(now), from_spec(now["spec"]))


def _cluster(place: Place, migration: Object) -> Cluster:
    # Brings requests with it, which --help must not pay.
    from ..kube.observe import observe_permitted

    cluster = observe_permitted(place.client, migration)
    try:
        namespace = place.client.find(paths.namespaces(place.namespace))
    except Forbidden:
        return cluster
    return replace(cluster, namespace_going=bool(namespace and namespace["metadata"].get("deletionTimestamp")))


def _preview(found: tuple[Held, ...]) -> result.Preview:
    rows = tuple((one.object, one.state, one.does) for one in found)
    return result.Preview(lines=("This migration still holds:",), header=_HEADER, rows=rows, notes=_reasons(found))


def _reasons(found: tuple[Held, ...]) -> tuple[str, ...]:
    return tuple(f"{one.object}: {reason}" for one in found for reason in one.against)


def _still_held(name: str, found: tuple[Held, ...]) -> StillHeld:
    return StillHeld("\n".join(f"  {reason}" for reason in _reasons(found) or tuple(one.object for one in found)), name=migration_resource(name))


def _let_go(place: Place, name: str) -> list[Change]:
    """One thing after the other, looking again before each: what was let go may free the next."""
    changes: list[Change] = []
    for _ in range(_MOST_STEPS):
        migration = place.client.find(paths.migrations(place.namespace, name))
        step = None if migration is None else next((one.step for one in _held(place, migration) if one.step is not None), None)
        if migration is None or step is None:
            break
        try:
            changed = _DO[type(step)](place, step, migration)
        except AlreadyExists:
            raise
        except Conflict:
            # Somebody changed it between our look and our write.
            continue
        if changed is not None:
            changes.append(changed)
    return changes


def _without_finalizer(place: Place, path: str, remaining: tuple[str, ...], version: str) -> Object:
    return place.client.merge_patch(path, {"metadata": {"resourceVersion": version, "finalizers": list(remaining)}})


def _pod(place: Place, step: swap_steps.Release | leave.LeavePod, migration: Object) -> Change:
    return Change(_without_finalizer(place, paths.pods(place.namespace, step.pod), step.remaining, step.resource_version), "released")


def _copier(place: Place, step: RemovePod, migration: Object) -> Change | None:
    path = paths.pods(place.namespace, step.pod)
    found = place.client.find(path)
    if found is None:
        return None
    place.client.delete(path, uid=step.uid, grace_seconds=0)
    return Change(found, "deleted")


def _unfreeze(place: Place, step: undo_steps.Unfreeze, migration: Object) -> Change:
    path = paths.statefulsets(place.namespace, migration["spec"]["statefulSetName"])
    return Change(_without_finalizer(place, path, step.remaining, step.resource_version), "released")


def _strip(place: Place, step: swap_steps.StripReference, migration: Object) -> None:
    path = {"Pod": paths.pods, "PersistentVolumeClaim": paths.claims, "ControllerRevision": paths.revisions}[step.kind](place.namespace, step.name)
    meta = place.client.get(path)["metadata"]
    kept = [owner for owner in meta.get("ownerReferences") or [] if owner["uid"] != step.owner_uid]
    place.client.merge_patch(path, {"metadata": {"uid": step.uid, "resourceVersion": meta["resourceVersion"], "ownerReferences": kept}})


def _thaw(place: Place, step: swap_steps.Thaw, migration: Object) -> Change:
    name = step.successor["metadata"]["name"]
    rehearsed = place.client.create(paths.statefulsets(place.namespace), manifests.rehearsal(step.successor), dry_run=True)
    if changed := manifests.rehearsal_differences(step.successor, rehearsed):
        raise WouldChange(", ".join(changed), name=name)
    # Its last finalizer: with it the set is gone.
    frozen = _without_finalizer(place, paths.statefulsets(place.namespace, name), (), step.resource_version)
    made = _created(place, step.successor)
    return Change(_given_back(place, made, frozen), "created")


def _recreate(place: Place, step: swap_steps.Recreate, migration: Object) -> Change:
    return Change(_given_back(place, _created(place, step.successor), record_of(migration).saved), "created")


def _created(place: Place, successor: Object) -> Object:
    tried = 0.0
    while True:
        try:
            return place.client.create(paths.statefulsets(place.namespace), successor)
        except AlreadyExists as error:
            # "object is being deleted" is told as AlreadyExists too.
            tried += _TRY_AGAIN_AFTER
            if tried > _ABSENT_AT_MOST:
                raise SetAbsent(error.fields["message"], name=successor["metadata"]["name"]) from error
            time.sleep(_TRY_AGAIN_AFTER)
        except VolresizeError as error:
            raise SetAbsent(error.fields.get("message") or error.message, name=successor["metadata"]["name"]) from error


def _given_back(place: Place, made: Object, before: Object) -> Object:
    """Its fields to their managers, or the next server-side apply of their owner gets a conflict."""
    managers = manifests.foreign_managed_fields(before)
    if not managers:
        return made
    adopted = f"/metadata/annotations/{labels.ADOPTED.replace('/', '~1')}"
    try:
        return place.client.json_patch(paths.statefulsets(place.namespace, made["metadata"]["name"]), [
            {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": list(managers)}, {"op": "add", "path": adopted, "value": "true"}])
    except (Unprocessable, Conflict):
        # It costs the owner a forced apply, not data.
        return made


def _record(place: Place, step: LetGo, migration: Object) -> Change:
    path = paths.migrations(place.namespace, migration["metadata"]["name"])
    return Change(_without_finalizer(place, path, step.remaining, step.resource_version), "released")


_DO: dict[type[Step], Callable[[Place, Any, Object], Change | None]] = {
    RemovePod: _copier,
    swap_steps.Release: _pod, leave.LeavePod: _pod, undo_steps.Unfreeze: _unfreeze, swap_steps.StripReference: _strip, swap_steps.Thaw: _thaw,
    swap_steps.Recreate: _recreate, LetGo: _record}


def _afterwards(place: Place, name: str) -> tuple[str, ...]:
    selector = f"{labels.MIGRATION}={name}"
    return ("Nothing is held any more. What was made for the copy may be left; see docs/recovery.md, \"Afterwards\":",
            f"  {place.kubectl('get', 'pods,pvc', '-l', selector)}",
            "Once its names are not needed any more, delete the record; until then another migration of the set is refused:",
            f"  {place.kubectl('delete', 'volumeresize', name)}")
