"""`plan`: what would be done and what speaks against it, and nothing is written."""
from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml
from builders import NAMESPACE, Cluster, three_replicas
from calling import Plugin, written
from fake_api import FakeApi
from submitting import MANIFEST, allow_no_disruption

from kubectl_volresize.plan.fit import TreeCounts

PLAN = ("plan", "web", "--volume", "data=500Mi")


def plan_of(plugin: Plugin, *more: str) -> dict[str, object]:
    answer = plugin(*PLAN, *more, "-o", "json")
    found: dict[str, object] = json.loads(answer.out)
    return found


def test_it_shows_each_volume_in_the_order_of_its_migration(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin(*PLAN)
    assert (answer.code, answer.err, written(api)) == (0, "", [])
    rows = [line.split() for line in answer.out.splitlines()[:4]]
    assert rows[0] == ["REPLICA", "NODE", "VOLUME", "SIZE", "NEW", "CLASS", "NEW-CLASS", "PERSISTENTVOLUME"]
    assert [(row[0], *row[2:7]) for row in rows[1:]] == [(str(replica), "data", "1Gi", "500Mi", "standard", "standard") for replica in (2, 1, 0)]


def test_one_replica_is_shown_and_all_of_them_when_asked(api: FakeApi, plugin: Plugin) -> None:
    short, wide = plugin(*PLAN).out, plugin(*PLAN, "-o", "wide").out
    for replica in range(3):
        assert f"evict   pod/web-{replica}" in wide
    assert "evict   pod/web-2" in short and "pod/web-1 " not in short and "the same for replica 1, 0" in short


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_program_gets_the_same_with_stable_keys(api: FakeApi, plugin: Plugin, output: str, read: Callable[[str], dict[str, object]]) -> None:
    found = read(plugin(*PLAN, "-o", output).out)
    assert list(found) == ["apiVersion", "kind", "statefulSet", "namespace", "migration", "refused", "findings", "volumes", "actions"]
    assert (found["statefulSet"], found["namespace"], found["migration"], found["refused"], found["findings"]) == ("web", NAMESPACE, "web", False, [])
    volumes, actions = found["volumes"], found["actions"]
    assert isinstance(volumes, list) and isinstance(actions, list)
    assert list(volumes[0]) == ["replica", "node", "volume", "claim", "persistentVolume", "size", "newSize", "storageClass", "newStorageClass",
                                "done", "measured"]
    assert list(actions[0]) == ["verb", "object", "replica", "why"]


def test_everything_against_it_is_said_with_its_code_and_its_way_out(api: FakeApi, plugin: Plugin) -> None:
    allow_no_disruption(api)
    before = written(api)
    answer = plugin("plan", "web", "--volume", "data=2Gi")
    assert answer.code == 4 and written(api) == before
    assert answer.out.count("[not-smaller]") == 3 and "[budget]" in answer.out and answer.out.count("    fix: ") == 4


def test_what_is_acknowledged_does_not_refuse_any_more(api: FakeApi, plugin: Plugin) -> None:
    found = api.find("statefulsets", NAMESPACE, "web")
    assert found is not None
    owner = {"apiVersion": "db.example/v1", "kind": "Database", "name": "main", "uid": "u", "controller": True}
    api.faults.stopped.add("garbage")
    api.rest.change("statefulsets", found, lambda new: new["metadata"].update(ownerReferences=[owner]))
    refused, accepted = plan_of(plugin), plan_of(plugin, "--acknowledge", "owned-set")
    assert (refused["refused"], accepted["refused"]) == (True, False)
    assert "accepted: statefulset/web" in plugin(*PLAN, "--acknowledge", "owned-set").out


def test_what_is_done_already_needs_no_plan(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin("plan", "web", "--volume", "data=1Gi")
    assert answer.code == 0 and "nothing to do" in answer.err and "evict" not in answer.out


def test_a_manifest_is_planned_as_it_is_submitted(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin("plan", "-f", "-", "-o", "json", stdin=MANIFEST)
    assert answer.code == 0 and json.loads(answer.out)["migration"] == "shrink"


def test_it_works_before_anything_is_installed_and_says_what_is_missing(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas().without_installation())
    answer = plugin(*PLAN)
    assert answer.code == 4 and written(api) == []
    assert "customresourcedefinition/volumeresizes.storage.maurice.fr is not installed" in answer.out and "evict   pod/web-2" in answer.out


def test_a_set_that_is_not_there_is_the_only_thing_to_say(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin("plan", "wep", "--volume", "data=500Mi")
    assert answer.code == 4 and answer.out.splitlines()[0] == f"refused: statefulset/wep does not exist in namespace {NAMESPACE} [set-missing]"


# -- the data is counted


def test_with_measure_it_is_counted_whether_the_data_fits_and_no_pod_is_left(api: FakeApi, plugin: Plugin) -> None:
    found = plan_of(plugin, "--measure")
    volumes = found["volumes"]
    assert isinstance(volumes, list) and len(volumes) == 3
    for volume in volumes:
        assert volume["measured"]["fits"] is True and 0 < volume["measured"]["neededBytes"] < volume["measured"]["availableBytes"] < 500 << 20
        assert volume["measured"]["inodes"] > 0 and volume["measured"]["copySeconds"] >= 0 and volume["measured"]["stopSeconds"] >= 4
    assert written(api) == ["create pods"] * 3 + ["delete pods"] * 3
    assert [pod["metadata"]["name"] for pod in api.store.all("pods", NAMESPACE)] == ["web-0", "web-1", "web-2"]


def test_data_that_does_not_fit_is_a_reason_with_numbers(api: FakeApi, plugin: Plugin) -> None:
    for volume in api.store.all("persistentvolumes"):
        api.sizes[volume["metadata"]["name"]] = TreeCounts(files=3, directories=1, bytes=600 << 20, allocated=600 << 20, inodes=4)
    answer = plugin(*PLAN, "--measure")
    assert answer.code == 4 and answer.out.count("[does-not-fit]") == 3 and "600Mi" in answer.out
    rows = [line.split() for line in answer.out.splitlines()[:4]]
    assert [row[rows[0].index("FITS")] for row in rows[1:]] == ["no"] * 3


def test_who_may_not_start_pods_is_told_so_and_none_is_left(api: FakeApi, plugin: Plugin) -> None:
    api.denied.add(("create", "pods"))
    answer = plugin(*PLAN, "--measure")
    assert answer.code == 1 and "cannot create resource" in answer.err and "Traceback" not in answer.err


def test_a_pod_of_somebody_who_measures_too_is_left_alone(api: FakeApi, plugin: Plugin) -> None:
    theirs = {"metadata": {"name": "web-measure-1-data", "namespace": NAMESPACE}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    made = api.rest.post("pods", theirs)
    answer = plugin(*PLAN, "--measure")
    assert answer.code == 1 and "is there already" in answer.err
    left = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in api.store.all("pods", NAMESPACE) if "measure" in pod["metadata"]["name"]}
    assert left == {"web-measure-1-data": made["metadata"]["uid"]}
