"""Migrations as text: one line each in a list, or one with everything that its record says."""
from __future__ import annotations

from collections.abc import Sequence

from ...model import labels
from ...model.asked import unanswered
from ...model.objects import View
from ...model.record import ACCEPTED, DECLINED, FAILED, Record, VolumeRecord, from_status
from .. import result
from ..outcome import reason
from ..words import instant, span

NONE, REMOVED = "<none>", "<removed>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, three spaces between them, as kubectl prints; no blanks at the ends of lines."""
    lines = [list(header), *([cell or NONE for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def phase_of(record: Record) -> str:
    why = reason(record)
    return f"{record.phase}({why})" if why else record.phase


def listing(found: result.Listing) -> str:
    """Empty when there is nothing to list."""
    if not found.migrations:
        return ""
    wide = found.output == result.WIDE
    header = ["NAME", "STATEFULSET", "PHASE", "REPLICA", "VOLUME", "PROGRESS", "AGE"]
    header = [*(["NAMESPACE"] if found.everywhere else []), *header, *(["MESSAGE"] if wide else [])]
    return table(header, [_row(migration, found, wide) for migration in found.migrations])


def _row(migration: result.Object, found: result.Listing, wide: bool) -> list[str]:
    meta, record = migration["metadata"], from_status(migration.get("status") or {})
    replica = "" if record.current_replica is None else str(record.current_replica)
    age = span(found.now - instant(meta["creationTimestamp"])) if meta.get("creationTimestamp") else ""
    row = [meta["name"], migration["spec"]["statefulSetName"], phase_of(record), replica, record.current_volume, record.progress, age]
    return [*([meta["namespace"]] if found.everywhere else []), *row, *([record.message] if wide else [])]


def message_of(record: Record, coming: bool) -> str:
    """What it says of itself; the kind's own words, that nobody has taken it up, not where its runner is coming."""
    return "its runner has not taken it up yet" if coming and record.phase in ("", labels.PENDING) else record.message


def details(shown: result.Details) -> str:
    assert shown.migration is not None
    migration, record = shown.migration, from_status(shown.migration.get("status") or {})
    lines = [f"{name + ':':<14}{value}" for name, value in _facts(migration, record, shown) if value]
    if record.volumes:
        lines += ["", _volumes(record, shown.output == result.WIDE, shown.now)]
    return "\n".join(lines)


def _facts(migration: result.Object, record: Record, shown: result.Details) -> list[tuple[str, str]]:
    meta, spec = migration["metadata"], migration["spec"]
    wanted = ", ".join(f"{volume['name']} to {volume['newSize']}" + (f" in class {volume['storageClass']}" if volume.get("storageClass") else "")
                       for volume in spec["volumes"])
    at_work = "" if record.current_replica is None else f", replica {record.current_replica}"
    return [("VolumeResize", meta["name"]), ("Namespace", meta["namespace"]), ("StatefulSet", spec["statefulSetName"]), ("Wanted", wanted),
            ("Phase", phase_of(record) + at_work + (f", volume {record.current_volume}" if record.current_volume else "")),
            ("Progress", f"{record.progress} replicas" if record.progress else ""), ("Message", message_of(record, shown.coming)),
            ("Request", _request(migration, record)), ("Runner", shown.waiting),
            ("Time", _time(record, shown.now)),
            ("Image", str((spec.get("mover") or {}).get("image", "")))]


def _request(migration: result.Object, record: Record) -> str:
    """What a user asked for and has not had, or not been granted; what was done says the phase."""
    if (asked := unanswered(View(migration), record)) is not None:
        return f"{asked.verb}, not answered yet"
    answer = record.last_request
    return f"{answer['verb']}: {answer['outcome']}: {answer['message']}" if answer.get("outcome") in (ACCEPTED, DECLINED, FAILED) else ""


def _time(record: Record, now: float) -> str:
    if not record.start_time:
        return ""
    begun = instant(record.start_time)
    if not record.completion_time:
        return f"started {record.start_time}, {span(now - begun)} ago"
    return f"started {record.start_time}, took {span(instant(record.completion_time) - begun)}"


def _volumes(record: Record, wide: bool, now: float) -> str:
    header = ["REPLICA", "VOLUME", "OLD", "NEW", "PHASE", "PROGRESS", "STOP", "OLD-VOLUME"]
    header += ["NEW-VOLUME", "BYTES", "FILES", "MESSAGE"] if wide else []
    ordered = sorted(record.volumes, key=lambda entry: (-entry.replica, entry.volume))
    return table(header, [_volume_row(record, entry, wide, now) for entry in ordered])


def stop(record: Record, ordinal: int, now: float) -> str:
    """For how long the replica was, or is, not Ready because of us."""
    replica = record.replica(ordinal)
    if replica.not_ready_seconds is not None:
        return span(replica.not_ready_seconds)
    return f"{span(now - instant(replica.held_at))} so far" if replica.held_at and replica.step not in ("", "undone") else ""


def _volume_row(record: Record, entry: VolumeRecord, wide: bool, now: float) -> list[str]:
    back = entry.phase == "RolledBack"
    row = [str(entry.replica), entry.volume, entry.old_size, entry.new_size, entry.phase, entry.progress,
           stop(record, entry.replica, now), REMOVED if entry.cleaned and not back else entry.old_pv]
    figures = ["" if count is None else str(count) for count in (entry.bytes, entry.files)]
    return row + ([REMOVED if entry.cleaned and back else entry.new_pv, *figures, entry.message] if wide else [])
