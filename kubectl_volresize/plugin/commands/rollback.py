"""`rollback`: migrated replicas go back to the volumes that they had before."""
from __future__ import annotations

import time

import click

from ...model.asked import ROLLBACK
from ...model.cluster import Cluster
from ...model.record import Record, VolumeRecord
from ...model.request import Request, from_spec
from ...plan import rollback
from .. import result
from ..answer import Waiting, settled
from ..asking import NotPossible, ask, being_deleted, new_request, persistently, record_of, refused
from ..completion import targets
from ..lost import find
from ..options import Where, cluster_options, dry_run_option, output_option, waiting_options, yes_option
from ..place import Place, connect
from ..render import consent
from ..seen import VOLUMES, age, data_of, seen
from ..target import migrations

_HEADER = ("REPLICA", "VOLUME", "NOW", "BACK-TO", "OLD-VOLUME", "AGE-OF-COPY", "WRITTEN-SINCE")
_QUESTION = "Discard what was written since?"


@click.command("rollback", short_help="Put migrated replicas back on the volumes that they had before")
@click.argument("target", shell_complete=targets)
@click.option("--replica", "replicas", type=click.IntRange(min=0), multiple=True, metavar="N",
              help="Ordinal of a replica that shall go back; may be repeated  [default: all that were migrated]")
@click.option("--discard-newer-data", "discard", is_flag=True,
              help="Also replicas that have run on their new volumes: what they wrote there is not taken along")
@yes_option
@waiting_options
@cluster_options
@dry_run_option
@output_option(result.TEXT, result.JSON, result.YAML, result.NAME)
def command(where: Where, target: str, replicas: tuple[int, ...], discard: bool, yes: bool, wait: bool, timeout: float | None, dry_run: str,
            output: str) -> result.Result:
    """Put migrated replicas back on the volumes that they had before

    TARGET is a StatefulSet (its newest migration), sts/NAME or vr/NAME. The old volumes hold the data of the moment at which each replica was
    stopped; nothing is copied back. What the application wrote since is not on them, so without --discard-newer-data only replicas go back that
    have never started on their new volumes. The new, smaller volumes are kept until `cleanup`.

    One replica at a time is stopped and exchanged, as in the migration. If replicas hold data that must agree, take back all of them.

    \b
    Exit codes: 0 done; 1 you did not agree; 4 refused; 5 failed, safe to repeat; 6 a human is needed; 124 --timeout passed; 130 ^C.
    """
    waiting = Waiting(wait, timeout, dry_run, output)
    waiting.check()
    place = connect(where)
    return persistently(place, find(place, target), lambda migration: _rollback(place, migration, replicas, discard, yes, waiting))


def _rollback(place: Place, migration: result.Object, replicas: tuple[int, ...], discard: bool, yes: bool, waiting: Waiting) -> result.Result:
    name, record = migration["metadata"]["name"], record_of(migration)
    if being_deleted(migration):
        raise NotPossible(name, "is being deleted")
    if not record.terminal and record.open_request.get("verb") != ROLLBACK:
        raise NotPossible(name, f"is at work ({record.phase})", f"cancel it first: {place.command('cancel', f'vr/{name}')}")
    wanted: result.Object = {"replicas": sorted(set(replicas), reverse=True)} if replicas else {}
    wanted |= {"discardNewerData": True} if discard else {}
    asked = new_request(ROLLBACK, **wanted)
    if record.terminal:
        chosen = tuple(wanted.get("replicas") or rollback.migrated(record))
        cluster, request, now = seen(place, migration), from_spec(migration["spec"]), time.time()
        written = [ordinal for ordinal in chosen if not rollback.unwritten(record, ordinal, cluster.pods.get(ordinal))]
        consent.show(_preview(record, cluster, chosen, written, now))
        reasons = _reasons(place, migration, cluster, request, chosen)
        if losses := [] if discard else _losses(record, written, chosen, now):
            options = [word for ordinal in replicas for word in ("--replica", str(ordinal))]
            consented = place.command("rollback", f"vr/{name}", *options, "--discard-newer-data")
            raise refused(name, "rolled back", [*reasons, *losses], "" if reasons else f"to go back all the same: {consented}")
        if reasons:
            raise refused(name, "rolled back", reasons)
        if written and waiting.dry_run == "none" and not consent.given(_QUESTION, yes):
            return result.Changes(output=waiting.output, notes=("Nothing was changed.",), exit_code=1)
    return settled(place, ask(place, migration, asked, waiting.dry_run), waiting)


def _entries(record: Record, ordinal: int) -> list[VolumeRecord]:
    return [entry for entry in record.of_replica(ordinal) if entry.migrated]


def _preview(record: Record, cluster: Cluster, chosen: tuple[int, ...], written: list[int], now: float) -> result.Preview:
    rows = [(str(ordinal), entry.volume, entry.new_size, entry.old_size, entry.old_pv, age(data_of(record, entry), now),
             "yes, would be lost" if ordinal in written else "no, it never started")
            for ordinal in chosen for entry in _entries(record, ordinal)]
    notes = ["The volumes are shown as recorded, since you may not read persistentvolumes."] if VOLUMES in cluster.unreadable else []
    if stay := _not_migrated(record, cluster):
        # An application that keeps one truth on two volumes may refuse to start on two ages of it.
        notes.append(f"Not part of the migration, so not put back: {', '.join(stay)}. What was written there since stays, newer than the rest.")
    return result.Preview(header=_HEADER, rows=tuple(rows), notes=tuple(notes))


def _not_migrated(record: Record, cluster: Cluster) -> list[str]:
    """The set's other volumes."""
    migrated = {entry.volume for entry in record.volumes}
    return sorted(set(cluster.statefulset.templates if cluster.statefulset else ()) - migrated)


def _reasons(place: Place, migration: result.Object, cluster: Cluster, request: Request, chosen: tuple[int, ...]) -> list[str]:
    """What speaks against it even when newer data may be discarded."""
    others = [one["metadata"]["name"] for one in migrations(place)
              if one["metadata"]["name"] != migration["metadata"]["name"] and not record_of(one).terminal
              and one["spec"]["statefulSetName"] == request.statefulset]
    return [*(f"volumeresize/{other} works on the same StatefulSet and is not finished" for other in sorted(others)),
            *rollback.against(cluster, record_of(migration), request, chosen, True)]


def _losses(record: Record, written: list[int], chosen: tuple[int, ...], now: float) -> list[str]:
    """What would be lost, a replica each."""
    found = []
    for ordinal in chosen:
        ages = [age(data_of(record, entry), now) for entry in _entries(record, ordinal)]
        if ordinal in written and ages:
            found.append(f"replica {ordinal} has run on its new volumes, and its old copy is {ages[0] or 'of unknown age'} old: "
                         "what was written since would be lost")
    return found
