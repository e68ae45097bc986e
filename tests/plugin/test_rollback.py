"""`rollback`: what would be lost is shown, asked for and, without a word of the user, refused."""
from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from builders import NAMESPACE, Cluster, submit, three_replicas
from calling import Answer, Plugin, written
from fake_api import FakeApi, Object
from runner_at_work import request_of, run, with_runners
from running import once_when, step_of
from submitting import SUBMIT, migration, set_status

from kubectl_volresize.model import labels

ROLLBACK = ("rollback", "web", "--timeout", "20")
DISCARD = (*ROLLBACK, "--discard-newer-data")


@pytest.fixture
def migrated(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> FakeApi:
    """Two replicas whose migration was completed 3 h 12 min ago; what was written until then does not count."""
    api = connect(three_replicas(replicas=2))
    plugin("install", "-n", NAMESPACE)
    with_runners(api)
    assert plugin(*SUBMIT).code == 0 and migration(api)["status"]["phase"] == "Completed"
    verified_ago(api, timedelta(hours=3, minutes=12, seconds=30))
    api.calls.clear()
    return api


def verified_ago(api: FakeApi, age: timedelta) -> None:
    at = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = [{**entry, "verifiedAt": at} for entry in migration(api)["status"]["volumeStatuses"]]
    set_status(api, labels.PLURAL, migration(api), volumeStatuses=entries)


def volume_of(api: FakeApi, claim: str) -> str:
    found = api.find("persistentvolumeclaims", NAMESPACE, claim)
    assert found is not None
    return str(found["spec"]["volumeName"])


def entry(api: FakeApi, replica: int) -> Object:
    return next(one for one in migration(api)["status"]["volumeStatuses"] if one["replica"] == replica)


def rows(said: Answer) -> list[list[str]]:
    """The cells of the preview; what was written since is the last."""
    lines = said.err.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("REPLICA "))
    return [line.split(maxsplit=6) for line in lines[start + 1:] if line[:1].isdigit()]


# -- without consent


def test_without_consent_it_is_refused_with_the_age_of_each_old_copy(migrated: FakeApi, plugin: Plugin) -> None:
    said = plugin(*ROLLBACK)
    assert (said.code, said.out, written(migrated)) == (4, "", [])
    for replica in (1, 0):
        assert f"replica {replica} has run on its new volumes, and its old copy is 3h12m old: what was written since would be lost" in said.err
    assert f"kubectl volresize rollback vr/web --discard-newer-data -n {NAMESPACE}" in said.err


def test_the_preview_says_what_goes_where(migrated: FakeApi, plugin: Plugin) -> None:
    assert rows(plugin(*ROLLBACK)) == [[str(replica), "data", "500Mi", "1Gi", entry(migrated, replica)["oldPVName"], "3h12m", "yes, would be lost"]
                                       for replica in (1, 0)]


def test_only_the_replicas_that_are_named_count(migrated: FakeApi, plugin: Plugin) -> None:
    said = plugin(*ROLLBACK, "--replica", "0")
    assert said.code == 4 and "replica 0 has run" in said.err and "replica 1" not in said.err
    assert "rollback vr/web --replica 0 --discard-newer-data" in said.err


def test_the_time_of_the_stop_stands_in_for_that_of_the_copy(migrated: FakeApi, plugin: Plugin) -> None:
    held = (datetime.now(UTC) - timedelta(days=2, hours=1, minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = migration(migrated)["status"]
    set_status(migrated, labels.PLURAL, migration(migrated), replicas=[{**one, "heldAt": held} for one in status["replicas"]],
               volumeStatuses=[{key: value for key, value in one.items() if key != "verifiedAt"} for one in status["volumeStatuses"]])
    assert "its old copy is 2d1h old" in plugin(*ROLLBACK).err


def test_a_replica_that_never_started_loses_nothing_and_needs_no_consent(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas(replicas=1))
    plugin("install", "-n", NAMESPACE)
    before = volume_of(api, "data-web-0")
    plugin(*SUBMIT)
    once_when(api, lambda: step_of(api, 0) == "thawing", lambda: api.faults.unschedulable.update({"web-0": "Insufficient memory"}))
    run(api, "web-runner")
    assert migration(api)["status"]["phase"] == "Failed", "the pod should not have found a node"
    with_runners(api)
    once_when(api, lambda: bool(migration(api)["status"].get("rollback")) and step_of(api, 0) == "thawing", api.faults.unschedulable.clear)
    said = plugin(*ROLLBACK)
    assert said.code == 0 and rows(said)[0][-1] == "no, it never started"
    assert request_of(api)["args"] == {} and volume_of(api, "data-web-0") == before


# -- with it


def test_whoever_agrees_on_the_terminal_gets_all_replicas_back(migrated: FakeApi, plugin: Plugin) -> None:
    old = [entry(migrated, replica)["oldPVName"] for replica in (0, 1)]
    said = plugin(*DISCARD, terminal=True, stdin="y\n")
    assert said.code == 0 and "Discard what was written since? [y/N] " in said.err
    assert [volume_of(migrated, f"data-web-{replica}") for replica in (0, 1)] == old
    assert request_of(migrated)["args"] == {"discardNewerData": True}
    assert "volumeresize.storage.maurice.fr/web is RolledBack, rollback done: " in said.err
    assert f"kubectl volresize cleanup vr/web -n {NAMESPACE}" in said.err


@pytest.mark.parametrize("typed", ["n\n", "\n", "", "yess\n"])
def test_whoever_does_not_changes_nothing(migrated: FakeApi, plugin: Plugin, typed: str) -> None:
    said = plugin(*DISCARD, terminal=True, stdin=typed)
    assert (said.code, said.out, written(migrated)) == (1, "", []) and said.err.endswith("Nothing was changed.\n")


def test_without_a_terminal_consent_must_be_typed_beforehand(migrated: FakeApi, plugin: Plugin) -> None:
    said = plugin(*DISCARD, stdin="y\n")
    assert (said.code, written(migrated)) == (2, []) and "no terminal to ask on: Discard what was written since? Agree with --yes" in said.err
    assert plugin(*DISCARD, "--yes").code == 0


def test_one_replica_alone(migrated: FakeApi, plugin: Plugin) -> None:
    old, new = entry(migrated, 1)["oldPVName"], volume_of(migrated, "data-web-0")
    assert plugin(*DISCARD, "--yes", "--replica", "1").code == 0
    assert (volume_of(migrated, "data-web-1"), volume_of(migrated, "data-web-0")) == (old, new)
    assert request_of(migrated)["args"] == {"replicas": [1], "discardNewerData": True}


def test_a_dry_run_shows_and_asks_nothing(migrated: FakeApi, plugin: Plugin) -> None:
    said = plugin("rollback", "web", "--discard-newer-data", "--dry-run=client")
    assert said.code == 0 and written(migrated) == [] and len(rows(said)) == 2
    assert "rollback requested (dry run)" in said.out


# -- what cannot go back


def test_every_reason_is_said_at_once(migrated: FakeApi, plugin: Plugin) -> None:
    gone = entry(migrated, 0)["oldPVName"]
    found = migrated.find("persistentvolumes", "", gone)
    assert found is not None
    migrated.rest.change("persistentvolumes", found, lambda new: new["metadata"].update(finalizers=[]))
    migrated.rest.remove("persistentvolumes", migrated.find("persistentvolumes", "", gone) or {})
    said = plugin(*DISCARD, "--yes", "--replica", "0", "--replica", "7")
    assert (said.code, written(migrated)) == (4, [])
    assert f"the old volume {gone} of replica 0 is gone" in said.err and "replica 7 was not migrated, or is back already" in said.err


def test_a_migration_at_work_is_to_be_cancelled_first(migrated: FakeApi, plugin: Plugin) -> None:
    set_status(migrated, labels.PLURAL, migration(migrated), phase="Syncing")
    said = plugin(*DISCARD, "--yes")
    assert said.code == 4 and f"is at work (Syncing)\ncancel it first: kubectl volresize cancel vr/web -n {NAMESPACE}" in said.err


def test_another_migration_of_the_set_at_work_is_in_the_way(migrated: FakeApi, plugin: Plugin) -> None:
    migrated.clock.advance(60)
    submit(migrated, {"data": "400Mi"}, name="web-2")
    said = plugin("rollback", "vr/web", "--discard-newer-data", "--yes")
    assert said.code == 4 and "volumeresize/web-2 works on the same StatefulSet and is not finished" in said.err


def test_a_rollback_under_way_is_gone_on_with_without_asking_again(migrated: FakeApi, plugin: Plugin) -> None:
    migrated.after_call.clear()
    assert plugin("rollback", "web", "--discard-newer-data", "--yes", "--no-wait").code == 0
    asked = request_of(migrated)
    set_status(migrated, labels.PLURAL, migration(migrated), phase="Syncing", lastRequest={**asked, "outcome": "accepted", "message": "m"})
    said = plugin("rollback", "web", "--discard-newer-data", "--no-wait")
    assert said.code == 0 and request_of(migrated) == asked and "rollback requested already" in said.out


def test_who_may_not_read_volumes_is_told_what_is_recorded(migrated: FakeApi, plugin: Plugin) -> None:
    migrated.denied.add(("get", "persistentvolumes"))
    said = plugin("rollback", "web", "--discard-newer-data", "--yes", "--dry-run=client")
    assert said.code == 0 and "shown as recorded, since you may not read persistentvolumes" in said.err
