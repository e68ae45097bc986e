"""`cleanup`: exactly the volumes that were shown and agreed to go, with the Jobs that are over, and nothing while anything speaks against it."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from builders import NAMESPACE, Cluster, three_replicas
from calling import Answer, Plugin, written
from fake_api import FakeApi
from runner_at_work import request_of, with_runners
from submitting import SUBMIT, migration, set_status

from kubectl_volresize.model import labels
from kubectl_volresize.plan.manifests import PROVISIONED_BY

CLEANUP = ("cleanup", "web", "--timeout", "20")


@pytest.fixture
def migrated(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> FakeApi:
    """Two replicas whose migration is completed; what was written until then does not count."""
    api = connect(three_replicas(replicas=2))
    plugin("install", "-n", NAMESPACE)
    with_runners(api)
    assert plugin(*SUBMIT).code == 0 and migration(api)["status"]["phase"] == "Completed"
    api.calls.clear()
    return api


def kept(api: FakeApi) -> dict[str, str]:
    """UID by name of the old volumes that are there."""
    names = {entry["oldPVName"] for entry in migration(api)["status"]["volumeStatuses"]}
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in api.store.all("persistentvolumes") if one["metadata"]["name"] in names}


def rows(said: Answer) -> list[list[str]]:
    lines = said.err.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("PERSISTENTVOLUME "))
    return [line.split() for line in lines[start + 1:] if line.startswith("pvc-")]


def test_what_is_agreed_to_is_removed_and_nothing_else(migrated: FakeApi, plugin: Plugin) -> None:
    old, all_volumes = kept(migrated), {one["metadata"]["name"] for one in migrated.store.all("persistentvolumes")}
    said = plugin(*CLEANUP, terminal=True, stdin="y\n")
    assert said.code == 0, said.err
    assert "Remove these 2 volumes with all data on them (2Gi)? There is no way back then. [y/N] " in said.err
    assert request_of(migrated)["args"] == {"volumes": old}
    assert {one["metadata"]["name"] for one in migrated.store.all("persistentvolumes")} == all_volumes - set(old)
    assert "volumeresize.storage.maurice.fr/web is Completed, cleanup done: 2 volume(s) are gone" in said.err
    assert migrated.lost_bytes() == {}


def test_the_jobs_that_are_over_go_with_them(migrated: FakeApi, plugin: Plugin) -> None:
    said = plugin(*CLEANUP, "--yes")
    assert "job.batch/web-runner deleted" in said.err and "job.batch/web-runner-2 deleted" in said.err
    assert migrated.alive("jobs", NAMESPACE) == []
    deleted = [call.body for call in migrated.calls if call.verb == "delete" and "/jobs/" in call.path]
    assert all(body["propagationPolicy"] == "Background" and body["preconditions"]["uid"] for body in deleted) and len(deleted) == 2


def test_the_list_shows_what_is_kept(migrated: FakeApi, plugin: Plugin) -> None:
    said = plugin(*CLEANUP, terminal=True, stdin="n\n")
    entries = sorted(migration(migrated)["status"]["volumeStatuses"], key=lambda one: -one["replica"])
    shown = rows(said)
    assert [row[:4] + row[5:] for row in shown] == [[one["oldPVName"], str(one["replica"]), "data", "1Gi", "Retain"] for one in entries]
    assert (said.code, said.out, written(migrated)) == (1, "", []) and said.err.endswith("Nothing was changed.\n")


def test_after_a_rollback_the_smaller_ones_are_kept(migrated: FakeApi, plugin: Plugin) -> None:
    newer = {one["replica"]: one["newPVName"] for one in migration(migrated)["status"]["volumeStatuses"]}
    plugin("rollback", "web", "--discard-newer-data", "--yes", "--replica", "1", "--timeout", "20")
    sizes = {row[0]: row[3] for row in rows(plugin(*CLEANUP, terminal=True))}
    assert sizes[newer[1]] == "500Mi" and sorted(sizes.values()) == ["1Gi", "500Mi"]


def test_without_a_terminal_consent_must_be_typed_beforehand(migrated: FakeApi, plugin: Plugin) -> None:
    said = plugin(*CLEANUP, stdin="y\n")
    assert (said.code, written(migrated)) == (2, []) and "no terminal to ask on: Remove these 2 volumes" in said.err


def test_a_volume_that_is_gone_already_is_said(migrated: FakeApi, plugin: Plugin) -> None:
    name = next(iter(kept(migrated)))
    found = migrated.find("persistentvolumes", "", name)
    assert found is not None
    migrated.rest.change("persistentvolumes", found, lambda new: new["metadata"].update(finalizers=[]))
    migrated.rest.remove("persistentvolumes", migrated.find("persistentvolumes", "", name) or {})
    assert [row[-2:] for row in rows(plugin(*CLEANUP, "--yes")) if row[0] == name] == [["gone", "already"]]


def test_afterwards_nothing_is_left_to_do(migrated: FakeApi, plugin: Plugin) -> None:
    plugin(*CLEANUP, "--yes")
    migrated.calls.clear()
    said = plugin(*CLEANUP)
    assert (said.code, written(migrated)) == (0, [])
    assert said.err == "nothing to do: volumeresize.storage.maurice.fr/web keeps no volume\n"


@pytest.mark.parametrize("mode", ["client", "server"])
def test_a_dry_run_asks_and_removes_nothing(migrated: FakeApi, plugin: Plugin, mode: str) -> None:
    said = plugin("cleanup", "web", f"--dry-run={mode}")
    assert said.code == 0 and written(migrated) == [] and len(rows(said)) == 2 and len(kept(migrated)) == 2


# -- what speaks against it


def test_every_reason_is_said_at_once_and_nothing_is_asked_for(migrated: FakeApi, plugin: Plugin) -> None:
    for name in ("web-0", "web-1"):
        migrated.faults.unready.add(name)
        migrated.rest.remove("pods", migrated.find("pods", NAMESPACE, name) or {})
    migrated.settle()
    name = next(iter(kept(migrated)))
    volume = migrated.find("persistentvolumes", "", name)
    assert volume is not None
    migrated.rest.change("persistentvolumes", volume, lambda new: new["metadata"]["annotations"].pop(PROVISIONED_BY))
    said = plugin(*CLEANUP, "--yes")
    assert (said.code, written(migrated)) == (4, [])
    assert "pod web-0 is not Ready" in said.err and f"volume {name} was made by hand" in said.err


def test_a_migration_at_work_needs_its_way_back(migrated: FakeApi, plugin: Plugin) -> None:
    set_status(migrated, labels.PLURAL, migration(migrated), phase="Syncing")
    said = plugin(*CLEANUP, "--yes")
    assert said.code == 4 and "is at work (Syncing); the old volumes are its way back" in said.err


def test_who_may_not_read_volumes_may_clean_up_all_the_same(migrated: FakeApi, plugin: Plugin) -> None:
    old = kept(migrated)
    migrated.denied.add(("get", "persistentvolumes"))
    said = plugin("cleanup", "web", "--yes", "--dry-run=server")
    assert said.code == 0 and {row[-1] for row in rows(said)} == {"unknown"}
    migrated.after_call.clear()
    assert plugin("cleanup", "web", "--yes", "--no-wait").code == 0
    assert request_of(migrated)["args"] == {"volumes": old}


def test_what_was_agreed_to_before_is_gone_on_with_without_asking_again(migrated: FakeApi, plugin: Plugin) -> None:
    migrated.after_call.clear()
    plugin("cleanup", "web", "--yes", "--no-wait")
    asked = request_of(migrated)
    set_status(migrated, labels.PLURAL, migration(migrated), lastRequest={**asked, "outcome": "accepted", "message": "m"})
    said = plugin("cleanup", "web", "--no-wait")
    assert said.code == 0 and request_of(migrated) == asked and "cleanup requested already" in said.out
    # Nothing else may begin before it is done: the rest of it would be forgotten.
    assert plugin("rollback", "web", "--discard-newer-data", "--yes", "--no-wait").code == 4


def test_a_cleanup_that_stopped_half_way_can_be_repeated(migrated: FakeApi, plugin: Plugin) -> None:
    migrated.faults.stopped.add("volumes")
    before = kept(migrated)
    migrated.after_call.clear()
    plugin("cleanup", "web", "--yes", "--no-wait")
    asked = request_of(migrated)
    set_status(migrated, labels.PLURAL, migration(migrated), lastRequest={**asked, "outcome": "failed", "message": "volume x is still there"})
    migrated.faults.stopped.clear()
    with_runners(migrated)
    for job in migrated.store.all("jobs", NAMESPACE):
        migrated.rest.remove("jobs", job)
    assert plugin(*CLEANUP, "--yes").code == 0
    assert request_of(migrated)["id"] != asked["id"] and not set(before) & set(kept(migrated))


def test_release_does_not_go_with_waiting(plugin: Plugin, migrated: FakeApi) -> None:
    assert plugin("cleanup", "web", "--release", "--timeout", "5").code == 2
