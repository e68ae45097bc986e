"""How a migration ended and what to do next: the one place that turns phases and reasons into exit codes and advice."""
from __future__ import annotations

from ..errors import NeedsHuman, Refused, Resumable, VolresizeError
from ..model import labels
from ..model.record import Record, from_status
from ..plan.cleanup import kept
from ..plan.rollback import migrated
from .place import Place
from .result import Object, Outcome
from .words import migration_resource

_BY_REASON: dict[str, type[VolresizeError]] = {"Refused": Refused, "Resumable": Resumable, "NeedsHuman": NeedsHuman}


def reason(record: Record) -> str:
    """Why it failed: Refused, Resumable or NeedsHuman; empty when it did not."""
    return record.reason if record.phase == labels.FAILED else ""


def outcome(place: Place, migration: Object) -> Outcome | None:
    """None while it is not over."""
    record = from_status(migration.get("status") or {})
    if not record.terminal:
        return None
    why = reason(record)
    word = f"{record.phase} ({why})" if why else record.phase
    code = _BY_REASON.get(why, VolresizeError).exit_code if record.phase == labels.FAILED else 0
    message = f"{migration_resource(migration['metadata']['name'])} {word}: {record.message}"
    return Outcome(code, message, advice(place, migration))


def advice(place: Place, migration: Object) -> tuple[str, ...]:
    """What the user does next, a line each."""
    record, name = from_status(migration.get("status") or {}), migration["metadata"]["name"]
    if not record.terminal:
        return (f"Follow it: {place.command('logs', f'vr/{name}', '-f')}",)
    if record.phase == labels.FAILED:
        return _after_failure(place, migration, record)
    goes_on = (f"To go on with the rest: {place.command('resume', f'vr/{name}')}",) if record.phase == labels.CANCELLED else ()
    return goes_on + _kept_volumes(place, name, record)


def _kept_volumes(place: Place, name: str, record: Record) -> tuple[str, ...]:
    """Their names stand in the message and in the table already."""
    if not kept(record):
        return ()
    back = ("To go back to the old volumes:", f"  {place.command('rollback', f'vr/{name}')}") if migrated(record) else ()
    return ("The volumes that were replaced keep their data (reclaim policy Retain) until you clean up:",
            f"  {place.command('cleanup', f'vr/{name}')}", *back)


def _after_failure(place: Place, migration: Object, record: Record) -> tuple[str, ...]:
    name = migration["metadata"]["name"]
    volumes = [word for volume in migration["spec"]["volumes"] for word in ("--volume", _flag(volume))]
    again = place.command("submit", migration["spec"]["statefulSetName"], *volumes)
    look = place.kubectl("get", f"{labels.PLURAL}.{labels.GROUP}", name, "-o", "yaml")
    resume = f"  {place.command('resume', f'vr/{name}')}"
    return {
        "Refused": ("Nothing was touched. Remove the causes, then submit again:", f"  {again}"),
        "Resumable": ("No data is lost; the replica at work is back on its old volumes. Remove the cause, then go on with the rest:", resume),
        "NeedsHuman": ("It stopped and left everything as it stands; the old volumes are kept. What was done and under which names:", f"  {look}",
                       "Once the cause is removed, go on from there:", resume),
    }.get(reason(record), (f"Look at the record: {look}",))


def _flag(volume: Object) -> str:
    storage_class = f",storageClass={volume['storageClass']}" if volume.get("storageClass") else ""
    return f"{volume['name']}={volume['newSize']}{storage_class}"
