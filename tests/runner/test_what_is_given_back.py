"""The end, whichever it is: what is said of it is true, nothing of ours is left, and what was only made safe has its own policy again."""
from __future__ import annotations

from dataclasses import replace

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Object
from running import claim_uids, demand_migrated, demand_nothing_left, demand_nothing_lost, once_when, reason, run, status, step_of, template_sizes

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED, UsageError
from kubectl_volresize.model import labels
from kubectl_volresize.runner import engine


def _set(api: FakeApi) -> Object:
    found = api.find("statefulsets", NAMESPACE, SET)
    assert found is not None
    return found


def _scale(api: FakeApi, replicas: int) -> None:
    api.rest.change("statefulsets", _set(api), lambda new: new["spec"].update(replicas=replicas))


def _policies(api: FakeApi) -> dict[str, str]:
    """By the claim that the volume is, or was, for."""
    return {f"{volume['spec']['claimRef']['name']} {volume['status']['phase']}": volume["spec"]["persistentVolumeReclaimPolicy"]
            for volume in api.store.all("persistentvolumes")}


@pytest.mark.row("scaled-to-nothing")
def test_a_set_that_was_scaled_to_nothing_is_not_called_migrated() -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})
    done = once_when(api, lambda: status(api).get("phase") == labels.SYNCING and step_of(api, 1) == "", lambda: _scale(api, 0))
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert done and reason(api) == "Resumable" and "was scaled down" in status(api)["message"]
    assert template_sizes(api) == {"data": "1Gi"} and set(_policies(api).values()) == {"Delete"}


def test_the_old_volume_of_a_replica_that_was_scaled_away_before_its_turn_has_its_policy_again() -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})
    done = once_when(api, lambda: "Retain" in _policies(api).values() and step_of(api, 1) == "", lambda: _scale(api, 1))
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert done
    assert _policies(api) == {"data-web-0 Bound": "Delete", "data-web-0 Released": "Retain", "data-web-1 Bound": "Delete"}


def test_a_request_that_is_deleted_after_its_first_replica_leaves_no_mark() -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})

    def call_off() -> None:
        found = api.find("volumeresizes", NAMESPACE, SET)
        assert found is not None
        api.rest.remove("volumeresizes", found)

    done = once_when(api, lambda: step_of(api, 0) == "copying", call_off)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert done and template_sizes(api) == {"data": "500Mi"}
    demand_nothing_lost(api)
    demand_nothing_left(api)


def test_an_attempt_that_is_undone_leaves_no_disk_behind_also_of_a_class_that_retains() -> None:
    api = replace(three_replicas(replicas=1), reclaim_policy="Retain").build()
    before = claim_uids(api)
    api.faults.fails["web-migrator-0-data"] = (24, "I/O error")
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    api.settle()
    assert claim_uids(api) == before and _policies(api) == {"data-web-0 Bound": "Retain"}
    demand_nothing_lost(api)


def test_a_long_min_ready_seconds_is_no_failure() -> None:
    api = three_replicas(replicas=1).with_set(minReadySeconds=1800).build()
    api.sleep(2000)
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


@pytest.mark.row("claim-edited")
def test_what_somebody_writes_on_a_claim_while_it_is_copied_is_on_its_successor() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})

    def label() -> None:
        found = api.find("persistentvolumeclaims", NAMESPACE, "data-web-0")
        assert found is not None
        api.rest.change("persistentvolumeclaims", found, lambda new: new["metadata"].setdefault("labels", {}).update(backup="gold"))

    done = once_when(api, lambda: step_of(api, 0) == "holding", label)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    found = api.find("persistentvolumeclaims", NAMESPACE, "data-web-0")
    assert done and found is not None and found["metadata"]["labels"]["backup"] == "gold"
    demand_migrated(api, {"data": "500Mi"})


def test_a_second_and_smaller_request_of_the_same_name_is_not_confused_by_what_the_first_one_left() -> None:
    api = three_replicas(replicas=2).build()
    with api.connected() as client:
        for number, size in enumerate(("500Mi", "300Mi")):
            submit(api, {"data": size})
            assert run(api, client, identity=f"runner-{number}") == JOB_DONE
            demand_migrated(api, {"data": size})
            found = api.find("volumeresizes", NAMESPACE, SET)
            assert found is not None
            api.rest.remove("volumeresizes", found)
    policies = [volume["spec"]["persistentVolumeReclaimPolicy"] for volume in api.store.all("persistentvolumes")]
    assert sorted(policies) == ["Delete"] * 2 + ["Retain"] * 4


def test_a_claim_that_goes_while_it_is_nudged_does_not_end_the_runner() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    once_when(api, lambda: step_of(api, 0) == "swapping", lambda: api.faults.stopped.add("binder"))
    gone: list[int] = []

    def take_away(number: int, verb: str, path: str) -> None:
        if gone or verb != "patch" or not path.endswith("/persistentvolumeclaims/data-web-0"):
            return
        gone.append(number)
        for _ in range(2):
            found = api.find("persistentvolumeclaims", NAMESPACE, "data-web-0")
            if found is not None:
                api.rest.change("persistentvolumeclaims", found, lambda new: new["metadata"].update(finalizers=[]))
                api.rest.remove("persistentvolumeclaims", found)
        api.faults.stopped.clear()

    api.before_call.append(take_away)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert gone
    demand_migrated(api, {"data": "500Mi"})


def test_a_request_that_this_version_cannot_read_says_so_in_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(spec: Object) -> None:
        raise UsageError("spec.volumes[0].newSize: of a later version")

    monkeypatch.setattr(engine, "from_spec", unreadable)
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert (status(api)["phase"], reason(api)) == (labels.FAILED, "Refused") and "of a later version" in status(api)["message"]
    assert api.store.all("leases", NAMESPACE) == []
