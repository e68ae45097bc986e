"""`resume`: a migration that failed, was cancelled or lost its runner goes on."""
from __future__ import annotations

import click

from ...model import labels
from ...model.asked import RESUME, Asked
from ...model.record import DECLINED
from ...model.request import from_spec
from ...plan.request_steps import Answer
from ...plan.requests import next_for_request
from .. import result
from ..answer import Waiting, settled
from ..asking import NotPossible, amended, ask, being_deleted, new_request, persistently, record_of, refused, unchanged, with_runner
from ..completion import targets
from ..life import QUEUED, STARTING, look
from ..lost import RecordLost, find, write_again
from ..options import Where, cluster_options, dry_run_option, output_option, waiting_options
from ..order import codes, copy_with
from ..place import Place, connect
from ..seen import seen
from ..target import migrations
from ..words import done, migration_resource


@click.command("resume", short_help="Go on with a migration that failed, was cancelled or lost its runner")
@click.argument("target", shell_complete=targets)
@click.option("--image", metavar="IMAGE", help="Image of the runner and the pods that copy from now on")
@click.option("--bandwidth", metavar="QUANTITY", help="Upper limit of the copy's speed from now on, in bytes per second, for example 50M")
@click.option("--acknowledge", "acknowledged", multiple=True, metavar="CODE[,CODE]",
              help="Findings that you have read and accept, by their code; may be repeated")
@click.option("--replace-runner", is_flag=True, help="Also when a runner is at work: end it and start another, which goes on where it was")
@waiting_options
@cluster_options
@dry_run_option
@output_option(result.TEXT, result.JSON, result.YAML, result.NAME)
def command(where: Where, target: str, image: str | None, bandwidth: str | None, acknowledged: tuple[str, ...], replace_runner: bool, wait: bool,
            timeout: float | None, dry_run: str, output: str) -> result.Result:
    """Go on with a migration that failed, was cancelled or lost its runner

    TARGET is a StatefulSet (its newest migration), sts/NAME or vr/NAME. A new runner looks at what is there and goes on from it: replicas that were
    migrated stay so, one that was interrupted is continued or begun again. The Job of a runner that died (the Job gave up, its node hangs) is
    suspended first, one of a queue deleted. One that works is left alone, and followed. One whose VolumeResize was deleted by force is written again.

    How to copy may be changed with the options below. What is wanted, the volumes and their sizes, is fixed since the start, so there is no
    --volume here: for other sizes submit a new migration.

    \b
    Exit codes: 0 completed; 4 refused; 5 failed, safe to resume; 6 a human is needed; 124 --timeout passed; 130 ^C.
    """
    waiting = Waiting(wait, timeout, dry_run, output)
    waiting.check()
    accepted = codes(acknowledged)
    spec = {**({"copy": copy_with(bandwidth)} if bandwidth else {}), **({"mover": {"image": image}} if image else {})}
    place = connect(where)

    def amending(present: result.Object) -> result.Object:
        known = [str(code) for code in present.get("acknowledge") or ()]
        return {**spec, **({"acknowledge": list(dict.fromkeys((*known, *accepted)))} if set(accepted) - set(known) else {})}

    def attempt(migration: result.Object) -> result.Result:
        resume = _reopen if record_of(migration).terminal else _go_on
        return resume(place, migration, amending(migration["spec"]), replace_runner, waiting)
    try:
        found = find(place, target)
    except RecordLost as error:
        if error.again is None:
            raise
        return settled(place, write_again(place, error.again, amending(error.again.spec), dry_run), waiting)
    return persistently(place, found, attempt)


def _go_on(place: Place, migration: result.Object, spec: result.Object, replace_runner: bool, waiting: Waiting) -> result.Result:
    """It is not over: a runner alone is wanted."""
    name, runner = migration["metadata"]["name"], look(place, migration)
    # One that waits for its first pod has done nothing yet, and may wait for the very image that is named now. What is being deleted waits in no
    # queue.
    anew = replace_runner or (bool(spec) and runner.state in (STARTING, QUEUED)) or (being_deleted(migration) and runner.state == QUEUED)
    if runner.working and not anew:
        why = {STARTING: f"is starting already: {runner.why or 'its runner'}", QUEUED: f"is submitted already: {runner.why}"}.get(
            runner.state, f"is running already: its runner {runner.why}")
        if spec:
            raise NotPossible(name, why, "a runner reads its options when it starts; to start another in its place add --replace-runner")
        return settled(place, with_runner(place, unchanged(migration, f"{migration_resource(name)} {why}"), runner, waiting.dry_run), waiting)
    sent = unchanged(migration, *((f"The runner of {migration_resource(name)} {runner.why}.",) if runner.jobs and not runner.working else ()))
    if spec or not from_spec(migration["spec"]).image:
        written = amended(place, migration, spec, waiting.dry_run)
        sent = type(sent)(written, None, (result.Change(written, done("configured", waiting.dry_run)),), notes=sent.notes)
    return settled(place, with_runner(place, sent, runner, waiting.dry_run, anew), waiting)


def _reopen(place: Place, migration: result.Object, spec: result.Object, replace_runner: bool, waiting: Waiting) -> result.Result:
    """It is over, as Failed or Cancelled: that is undone by a request."""
    name, phase = migration["metadata"]["name"], record_of(migration).phase
    if phase == labels.COMPLETED:
        note = f"nothing to do: {migration_resource(name)} is completed"
        return result.Changes(output=waiting.output, notes=(note,), changes=unchanged(migration).changes)
    if phase == labels.ROLLED_BACK:
        raise NotPossible(name, f"is over ({phase})", "submit a new migration")
    if being_deleted(migration):
        raise NotPossible(name, "is being deleted", f"to let go of what it still holds: {place.command('cleanup', f'vr/{name}', '--release')}")
    asked = new_request(RESUME)
    if against := [*_others(place, migration), *_runners_reasons(place, migration, asked)]:
        raise refused(name, "resumed", against)
    return settled(place, ask(place, migration, asked, waiting.dry_run, spec), waiting)


def _others(place: Place, migration: result.Object) -> list[str]:
    """Older migrations of the set that are not over; of newer ones the runner's reasons speak."""
    def age(one: result.Object) -> tuple[str, str]:
        return one["metadata"].get("creationTimestamp", ""), one["metadata"]["name"]

    unfinished = [one["metadata"]["name"] for one in migrations(place)
                  if age(one) < age(migration) and not record_of(one).terminal
                  and one["spec"]["statefulSetName"] == migration["spec"]["statefulSetName"]]
    return [f"volumeresize/{one} is older, works on the same StatefulSet and is not finished" for one in sorted(unfinished)]


def _runners_reasons(place: Place, migration: result.Object, asked: Asked) -> list[str]:
    """What the runner would answer."""
    decision = next_for_request(seen(place, migration), record_of(migration), from_spec(migration["spec"]), asked)
    return [decision.message] if isinstance(decision, Answer) and decision.outcome == DECLINED else []
