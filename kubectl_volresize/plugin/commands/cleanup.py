"""`cleanup`: the volumes that were kept as the way back are removed; with --release, what a migration holds when no runner can run."""
from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click

from ...errors import Conflict, Forbidden, NotFound, UsageError
from ...kube import paths
from ...model.asked import CLEANUP
from ...model.cluster import Cluster
from ...model.quantity import human, parse_bytes
from ...model.record import Record
from ...model.request import from_spec
from ...plan.cleanup import against_discarding, kept
from .. import result
from ..answer import Waiting, settled
from ..asking import NotPossible, ask, being_deleted, new_request, persistently, record_of, refused
from ..completion import targets
from ..job import job_end, runner_jobs
from ..lost import find
from ..options import Where, cluster_options, dry_run_option, output_option, waiting_options, yes_option
from ..place import Place, connect
from ..releasing import release
from ..render import consent
from ..seen import VOLUMES, age, data_of, seen
from ..words import migration_resource

_HEADER = ("PERSISTENTVOLUME", "REPLICA", "VOLUME", "SIZE", "KEPT-FOR", "POLICY")


@click.command("cleanup", short_help="Remove the volumes that were kept as the way back")
@click.argument("target", shell_complete=targets)
@click.option("--release", "releasing", is_flag=True, help="Remove no volume; take off what a migration holds when no runner can run")
@yes_option
@waiting_options
@cluster_options
@dry_run_option
@output_option(result.TEXT, result.JSON, result.YAML, result.NAME)
def command(where: Where, target: str, releasing: bool, yes: bool, wait: bool, timeout: float | None, dry_run: str, output: str) -> result.Result:
    """Remove the volumes that were kept as the way back

    TARGET is a StatefulSet (its newest migration), sts/NAME or vr/NAME. Lists the old volumes of migrated replicas (after a rollback the smaller
    ones), asks, and removes exactly these with all their data; there is no rollback then. Refused for as long as a replica is not Ready on the
    volume that is used instead. Afterwards the migration's finished Jobs and their logs are deleted; its VolumeResize stays.

    With --release nothing of that is done. It is for a migration whose runner cannot run any more (its rights were taken away, its image is
    gone): shows the pod, the StatefulSet and the VolumeResize that are still held by a finalizer, asks, and takes off what is safe. Use `resume`
    or `cancel` wherever a runner can run.

    \b
    Exit codes: 0 done, or nothing to do; 1 you did not agree; 4 refused; 5 failed, safe to repeat; 6 with --release: something is left that
    a human must look at; 124 --timeout passed; 130 ^C.
    """
    waiting = Waiting(wait, timeout, dry_run, output)
    waiting.check()
    place = connect(where)
    migration = find(place, target)
    if releasing:
        if timeout is not None or not wait or dry_run == "server":
            raise UsageError("--release waits for nothing and changes several objects in turn: --timeout, --no-wait and --dry-run=server do not fit")
        return release(place, migration, yes, dry_run, output)
    return persistently(place, migration, lambda migration: _cleanup(place, migration, yes, waiting))


def _cleanup(place: Place, migration: result.Object, yes: bool, waiting: Waiting) -> result.Result:
    name, record = migration["metadata"]["name"], record_of(migration)
    if being_deleted(migration):
        raise NotPossible(name, "is being deleted")
    if not record.terminal:
        raise NotPossible(name, f"is at work ({record.phase}); the old volumes are its way back",
                          f"wait for its end, or cancel it: {place.command('cancel', f'vr/{name}')}")
    if (under_way := record.open_request).get("verb") == CLEANUP:
        # Agreed to already: what is left of it.
        return _go_on(place, migration, under_way.get("args") or {}, waiting)
    volumes = {one.name: one.uid for one in kept(record)}
    if not volumes:
        note = f"nothing to do: {migration_resource(name)} keeps no volume"
        return result.Changes(output=waiting.output, notes=(note,), changes=(result.Change(migration, "unchanged"),))
    cluster = seen(place, migration)
    consent.show(_preview(record, cluster, time.time()))
    request = from_spec(migration["spec"])
    if against := [reason for pv, uid in volumes.items() for reason in against_discarding(cluster, record, request, pv, uid)]:
        raise refused(name, "cleaned up", against)
    if waiting.dry_run == "none" and not consent.given(_question(record), yes):
        return result.Changes(output=waiting.output, notes=("Nothing was changed.",), exit_code=1)
    return _go_on(place, migration, {"volumes": volumes}, waiting)


def _go_on(place: Place, migration: result.Object, args: dict[str, Any], waiting: Waiting) -> result.Result:
    sent = ask(place, migration, new_request(CLEANUP, **args), waiting.dry_run)
    return settled(place, sent, waiting, afterwards=lambda: _jobs_gone(place, sent.name))


def _sizes(record: Record) -> dict[str, str]:
    """Size by volume: the old one's, or after a rollback the new one's."""
    return {one.name: one.entry.new_size if one.entry.phase == "RolledBack" else one.entry.old_size for one in kept(record)}


def _preview(record: Record, cluster: Cluster, now: float) -> result.Preview:
    sizes, unknown = _sizes(record), VOLUMES in cluster.unreadable
    rows = []
    for one in kept(record):
        volume = cluster.volumes.get(one.name)
        same = volume is not None and volume.uid == one.uid
        policy = "unknown" if unknown else volume.policy if same and volume is not None else "gone already"
        since = record.completion_time if one.entry.phase == "RolledBack" else data_of(record, one.entry)
        rows.append((one.name, str(one.entry.replica), one.entry.volume, sizes[one.name], age(since, now), policy))
    notes = ("The volumes are shown as recorded, since you may not read persistentvolumes.",) if unknown else ()
    return result.Preview(header=_HEADER, rows=tuple(rows), notes=notes)


def _question(record: Record) -> str:
    sizes = _sizes(record)
    total = human(sum(parse_bytes(size) for size in sizes.values() if size))
    which = "this volume" if len(sizes) == 1 else f"these {len(sizes)} volumes"
    return f"Remove {which} with all data on {'it' if len(sizes) == 1 else 'them'} ({total})? There is no way back then."


def _jobs_gone(place: Place, name: str) -> Iterator[result.Notice]:
    for job in runner_jobs(place, name):
        if job_end(job) is None:
            continue
        try:
            place.client.delete(paths.jobs(place.namespace, job.name), uid=job.uid, propagation="Background")
        except (Conflict, NotFound):
            # Its time to live had passed just then, or it is another one already.
            continue
        except Forbidden as error:
            yield result.Notice(f"job.batch/{job.name} stays: {error.fields['message']}")
            continue
        yield result.Notice(f"job.batch/{job.name} deleted")
