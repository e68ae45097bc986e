"""`cancel`: a migration stops at the next safe point."""
from __future__ import annotations

import click

from ...model import labels
from ...model.asked import CANCEL
from .. import result
from ..answer import Waiting, settled
from ..asking import NotPossible, ask, being_deleted, new_request, persistently, record_of, unchanged, with_runner
from ..completion import targets
from ..life import look
from ..lost import find
from ..options import Where, cluster_options, dry_run_option, output_option, waiting_options
from ..place import Place, connect
from ..words import migration_resource


@click.command("cancel", short_help="Stop a migration at the next safe point")
@click.argument("target", shell_complete=targets)
@click.option("--now", is_flag=True, help="Do not wait until a replica that was exchanged already is Ready")
@waiting_options
@cluster_options
@dry_run_option
@output_option(result.TEXT, result.JSON, result.YAML, result.NAME)
def command(where: Where, target: str, now: bool, wait: bool, timeout: float | None, dry_run: str, output: str) -> result.Result:
    """Stop a migration at the next safe point

    TARGET is a StatefulSet (its newest migration), sts/NAME or vr/NAME. A replica that is being copied or was stopped goes back to its old
    volumes at once. The exchange of a replica's claims takes about a second and is never interrupted: it is ended, and the replica is waited for
    until it is Ready. Replicas that were migrated before keep their new volumes; `rollback` puts them back, `resume` goes on.

    With --now the migration ends as soon as the StatefulSet stands again, whether or not that replica starts on its new volumes.

    \b
    Exit codes: 0 cancelled, now or before; 4 refused, it is over; 5 or 6 it failed meanwhile; 124 --timeout passed; 130 ^C.
    """
    waiting = Waiting(wait, timeout, dry_run, output)
    waiting.check()
    place = connect(where)
    return persistently(place, find(place, target), lambda migration: _cancel(place, migration, now, waiting))


def _cancel(place: Place, migration: result.Object, now: bool, waiting: Waiting) -> result.Result:
    name, phase = migration["metadata"]["name"], record_of(migration).phase
    if phase == labels.CANCELLED:
        note = f"nothing to do: {migration_resource(name)} is cancelled already"
        return result.Changes(output=waiting.output, notes=(note,), changes=unchanged(migration).changes)
    if phase in (labels.COMPLETED, labels.ROLLED_BACK):
        advice = f"to go back to the old volumes: {place.command('rollback', f'vr/{name}')}" if phase == labels.COMPLETED else ""
        raise NotPossible(name, f"is over ({phase})", advice)
    if being_deleted(migration):
        # Its runner stops for that, and reads no request any more.
        going = unchanged(migration, f"{migration_resource(name)} is being deleted, which cancels it.")
        return settled(place, with_runner(place, going, look(place, migration), waiting.dry_run), waiting)
    args = {"now": True} if now else {}
    return settled(place, ask(place, migration, new_request(CANCEL, **args), waiting.dry_run), waiting)
