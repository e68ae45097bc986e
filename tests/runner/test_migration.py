"""Whole migrations on the fake cluster, with controllers that act at once, at random or only when waited for."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import EAGER, LAZY, RANDOM
from running import claim_uids, demand_migrated, demand_nothing_left, demand_nothing_lost, demand_untouched, reason, run, status

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED
from kubectl_volresize.model import labels
from kubectl_volresize.plan.fit import TreeCounts


@pytest.mark.parametrize("mode", [EAGER, LAZY, RANDOM])
@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
@pytest.mark.parametrize("immediate", [False, True])
def test_every_replica_ends_on_its_new_volume_with_every_byte(mode: str, policy: str, immediate: bool) -> None:
    api = three_replicas(policy=policy, immediate=immediate).build(mode=mode, seed=7)
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert status(api)["phase"] == labels.COMPLETED
    demand_migrated(api, {"data": "500Mi"})


@pytest.mark.parametrize("seed", range(25))
def test_no_race_between_controllers_loses_a_byte(seed: int) -> None:
    api = three_replicas({"data": "1Gi", "logs": "500Mi"}, replicas=2).with_budget(max_unavailable=1).build(mode=RANDOM, seed=seed)
    submit(api, {"data": "500Mi", "logs": "100Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    demand_migrated(api, {"data": "500Mi", "logs": "100Mi"})


def test_a_second_migration_to_what_is_there_already_changes_nothing() -> None:
    api = three_replicas().build()
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        run(api, client)
        before = claim_uids(api)
        submit(api, {"data": "500Mi"}, name="web-2")
        assert run(api, client, name="web-2", job="web-2-runner") == JOB_DONE
    assert status(api, "web-2")["phase"] == labels.COMPLETED and "nothing to do" in status(api, "web-2")["message"]
    assert claim_uids(api) == before
    demand_nothing_left(api, "web-2")


def test_the_retention_policy_that_would_delete_claims_is_suspended_and_given_back() -> None:
    api = three_replicas().with_retention(deleted="Delete", scaled="Delete").build()
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    found = api.find("statefulsets", NAMESPACE, SET)
    assert found is not None
    assert found["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Delete"}
    demand_migrated(api, {"data": "500Mi"})


def test_one_volume_of_two_leaves_the_other_alone() -> None:
    api = three_replicas({"data": "1Gi", "logs": "500Mi"}).build()
    before = {name: uid for name, uid in claim_uids(api).items() if name.startswith("logs-")}
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert {name: uid for name, uid in claim_uids(api).items() if name.startswith("logs-")} == before
    demand_nothing_lost(api)


@pytest.mark.parametrize("sizes, word", [({"data": "2Gi"}, "not more than"), ({"nope": "1Mi"}, "no volumeClaimTemplate"),
                                         ({"data": ("500Mi", "absent")}, "does not exist")])
def test_the_job_refuses_what_the_plugin_would_refuse_and_touches_nothing(sizes: dict[str, str], word: str) -> None:
    api = three_replicas().build()
    before = claim_uids(api)
    submit(api, sizes)
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert (status(api)["phase"], reason(api)) == (labels.FAILED, "Refused") and word in status(api)["message"]
    demand_untouched(api, before)


def test_data_that_does_not_fit_is_refused_with_numbers_before_anything_changes() -> None:
    api = three_replicas().build()
    before = claim_uids(api)
    volume = next(one["metadata"]["name"] for one in api.store.all("persistentvolumes") if one["spec"]["claimRef"]["name"] == "data-web-1")
    api.sizes[volume] = TreeCounts(files=3, directories=1, bytes=600 << 20, allocated=600 << 20, directory_bytes=4096, inodes=4)
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert reason(api) == "Refused" and "data-web-1: its data does not fit 500Mi: 661.3Mi" in status(api)["message"]
    demand_untouched(api, before)


def test_a_provider_that_rounds_up_to_the_old_size_is_found_out_before_any_pod_is_stopped() -> None:
    api = three_replicas().build()
    api.granularity = 1 << 30
    before = claim_uids(api)
    pods = {pod["metadata"]["uid"] for pod in api.store.all("pods", NAMESPACE)}
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert reason(api) == "Refused" and "rounds sizes up" in status(api)["message"]
    assert {pod["metadata"]["uid"] for pod in api.store.all("pods", NAMESPACE)} == pods
    demand_untouched(api, before)


@pytest.mark.parametrize("mode", [EAGER, RANDOM])
def test_a_mover_that_fails_puts_the_replica_back(mode: str) -> None:
    api = three_replicas().build(mode=mode, seed=3)
    before = claim_uids(api)
    api.faults.fails["web-migrator-2-data"] = (24, "I/O error at data/base")
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert reason(api) == "Resumable" and "I/O error at data/base" in status(api)["message"]
    demand_untouched(api, before)


def test_deleting_the_request_while_it_copies_puts_everything_back() -> None:
    api = three_replicas().build()
    before = claim_uids(api)
    submit(api, {"data": "500Mi"})
    api.faults.never_done.add("web-migrator-2-data")
    seen: list[int] = []

    def delete_while_copying(number: int, verb: str, path: str) -> None:
        found = api.find("volumeresizes", NAMESPACE, SET)
        if not seen and found is not None and (found.get("status") or {}).get("phase") == labels.SYNCING \
                and api.find("pods", NAMESPACE, "web-migrator-2-data") is not None:
            seen.append(number)
            api.rest.remove("volumeresizes", found)

    api.before_call.append(delete_while_copying)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert seen and api.find("volumeresizes", NAMESPACE, SET) is None
    demand_untouched(api, before)


@pytest.mark.row("collector-asleep")
def test_a_sleeping_garbage_collector_only_delays() -> None:
    api = three_replicas().build()
    api.faults.stopped.add("garbage")
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    api.faults.stopped.clear()
    api.settle()
    demand_nothing_lost(api)


def test_a_binder_that_loses_its_race_is_nudged() -> None:
    api = three_replicas().build()
    api.faults.sluggish_binder = True
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})
