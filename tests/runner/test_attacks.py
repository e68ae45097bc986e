"""Requests at the worst moment, or on volumes that somebody else has by now: no data goes, and there is always a way out."""
from __future__ import annotations

from typing import Any

import pytest
from builders import NAMESPACE, SET, STANDARD, add_namespace, submit, three_replicas
from fake_api import FakeApi, Object
from running import answer, ask, claim_uids, demand_nothing_left, once_when, reason, run, status, step_of

from kubectl_volresize.errors import JOB_DONE
from kubectl_volresize.model import labels


def _migrated(replicas: int = 1) -> tuple[FakeApi, dict[str, str]]:
    """A cluster whose migration is done, and the volume that each claim had before."""
    api = three_replicas(replicas=replicas).build()
    before = _volume_names(api)
    submit(api, {"data": "500Mi"})
    _run(api, 1)
    return api, before


def _run(api: FakeApi, number: int) -> int:
    with api.connected() as client:
        return run(api, client, identity=f"runner-{number}", job=f"web-runner-{number}")


def _volume_names(api: FakeApi) -> dict[str, str]:
    return {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in api.store.all("persistentvolumeclaims", NAMESPACE)}


def _volume(api: FakeApi, name: str) -> Object:
    found = api.find("persistentvolumes", "", name)
    assert found is not None, f"volume {name} is gone"
    return found


def _going_back(api: FakeApi, ordinal: int, step: str) -> bool:
    return bool(status(api).get("rollback")) and step_of(api, ordinal) == step


def _given_to_another_namespace(api: FakeApi, volume: str) -> None:
    add_namespace(api, "restored")
    api.rest.change("persistentvolumes", _volume(api, volume), lambda new: new["spec"].pop("claimRef"))
    api.rest.post("persistentvolumeclaims", {"metadata": {"name": "saved", "namespace": "restored"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": STANDARD, "volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}})
    api.settle()
    assert _volume(api, volume)["spec"]["claimRef"].get("uid")


def test_cleanup_leaves_a_volume_that_a_claim_of_another_namespace_has_by_now() -> None:
    api, before = _migrated()
    old = before["data-web-0"]
    _given_to_another_namespace(api, old)
    ask(api, "cleanup", volumes={old: _volume(api, old)["metadata"]["uid"]})
    _run(api, 2)
    assert answer(api)[0] == "refused" and "used by claim restored/saved" in answer(api)[1]
    assert _volume(api, old)["spec"]["claimRef"]["namespace"] == "restored" and api.lost == []


def test_rollback_onto_a_volume_that_another_namespace_has_by_now_stops_no_pod() -> None:
    api, before = _migrated()
    pod = api.find("pods", NAMESPACE, "web-0")
    assert pod is not None
    _given_to_another_namespace(api, before["data-web-0"])
    ask(api, "rollback", discardNewerData=True)
    _run(api, 2)
    assert answer(api)[0] == "refused" and "used by claim restored/saved" in answer(api)[1]
    assert (api.find("pods", NAMESPACE, "web-0") or {})["metadata"]["uid"] == pod["metadata"]["uid"]


def test_an_old_volume_that_is_given_away_while_the_rollback_waits_stops_no_pod() -> None:
    api, before = _migrated(2)
    pod = api.find("pods", NAMESPACE, "web-1")
    assert pod is not None
    api.faults.unready.add("web-0")
    api.rest.remove("pods", api.find("pods", NAMESPACE, "web-0") or {})
    api.settle()
    ask(api, "rollback", replicas=[1], discardNewerData=True)

    def give_away() -> None:
        _given_to_another_namespace(api, before["data-web-1"])
        api.faults.unready.clear()

    assert_once = once_when(api, lambda: _going_back(api, 1, "holding"), give_away)
    _run(api, 2)
    assert assert_once and answer(api)[0] == "failed" and "used by claim restored/saved" in answer(api)[1]
    assert (api.find("pods", NAMESPACE, "web-1") or {})["metadata"]["uid"] == pod["metadata"]["uid"]
    demand_nothing_left(api)


def test_rollback_onto_a_volume_that_its_provisioner_may_remove_is_refused() -> None:
    api, before = _migrated()
    old, uids = before["data-web-0"], claim_uids(api)

    def give_up(new: Object) -> None:
        new["metadata"]["finalizers"] = ["external-provisioner.volume.kubernetes.io/finalizer"]
        new["spec"]["persistentVolumeReclaimPolicy"] = "Delete"

    api.rest.change("persistentvolumes", _volume(api, old), give_up)
    ask(api, "rollback", discardNewerData=True)
    _run(api, 2)
    assert answer(api)[0] == "refused" and f"the old volume {old} is being removed" in answer(api)[1]
    assert claim_uids(api) == uids


def test_a_rollback_that_failed_between_two_replicas_goes_on_with_resume() -> None:
    api, before = _migrated(2)
    ask(api, "rollback", discardNewerData=True)
    once_when(api, lambda: _going_back(api, 0, "thawing"), lambda: api.faults.unready.add("web-0"))
    _run(api, 2)
    assert reason(api) == "NeedsHuman" and step_of(api, 1) == "rolled-back"
    api.faults.unready.clear()
    ask(api, "resume")
    assert _run(api, 3) == JOB_DONE
    assert status(api)["phase"] == labels.ROLLED_BACK and _volume_names(api) == before
    demand_nothing_left(api)


def test_a_rollback_that_was_cancelled_while_its_replica_started_is_ended_by_resume_and_by_nothing_else() -> None:
    api, before = _migrated(2)
    ask(api, "rollback", discardNewerData=True)
    once_when(api, lambda: _going_back(api, 1, "starting"), lambda: ask(api, "cancel", now=True))
    _run(api, 2)
    assert status(api)["phase"] == labels.CANCELLED
    migrated = _volume_names(api)
    assert migrated["data-web-1"] == before["data-web-1"] and migrated["data-web-0"] != before["data-web-0"]
    ask(api, "resume")
    assert _run(api, 3) == JOB_DONE
    assert answer(api)[0] == "done" and _volume_names(api) == migrated
    ask(api, "rollback", request_id="the other", discardNewerData=True)
    assert _run(api, 4) == JOB_DONE
    assert status(api)["phase"] == labels.ROLLED_BACK and _volume_names(api) == before
    demand_nothing_left(api)


def test_the_old_volume_of_a_rollback_that_was_cancelled_bears_the_marks_of_an_old_one() -> None:
    for step in ("holding", "swapping"):
        api, before = _migrated()
        uids, old = claim_uids(api), before["data-web-0"]
        ask(api, "rollback", discardNewerData=True)
        marked = once_when(api, lambda api=api, step=step, old=old: _going_back(api, 0, step)  # type: ignore[misc]
                           and _volume(api, old)["metadata"]["labels"][labels.ROLE] == labels.ROLE_NEW, lambda api=api: ask(api, "cancel"))
        _run(api, 2)
        assert marked and status(api)["phase"] == labels.CANCELLED and claim_uids(api) == uids
        assert _volume(api, old)["metadata"]["labels"][labels.ROLE] == labels.ROLE_OLD
        assert _volume(api, old)["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        demand_nothing_left(api)


def _back_in_part() -> FakeApi:
    """Replica 0 did not start on its new volume and is back on its old one; replica 1 stays migrated."""
    api = three_replicas(replicas=2).with_retention(deleted="Delete").build()
    submit(api, {"data": "500Mi"})
    once_when(api, lambda: step_of(api, 0) == "thawing", lambda: api.faults.unready.add("web-0"))
    _run(api, 1)
    assert reason(api) == "NeedsHuman"
    ask(api, "rollback", replicas=[0], discardNewerData=True)
    once_when(api, lambda: _going_back(api, 0, "holding"), api.faults.unready.clear)
    _run(api, 2)
    assert answer(api)[0] == "done"
    return api


def test_no_human_is_needed_once_the_replica_that_needed_one_is_back() -> None:
    api = _back_in_part()
    assert reason(api) == "RolledBackInPart"
    demand_nothing_left(api)


def test_cancel_of_what_has_ended_leaves_the_retention_policy_that_its_owner_has_set_since() -> None:
    api = _back_in_part()
    wanted = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    api.rest.change("statefulsets", api.find("statefulsets", NAMESPACE, SET) or {},
                    lambda new: new["spec"].update(persistentVolumeClaimRetentionPolicy=wanted))
    ask(api, "cancel")
    _run(api, 3)
    statefulset = api.find("statefulsets", NAMESPACE, SET)
    assert statefulset is not None and status(api)["phase"] == labels.CANCELLED
    assert statefulset["spec"]["persistentVolumeClaimRetentionPolicy"] == wanted


@pytest.mark.parametrize("verb, args", [("rollback", {"replicas": ["a"]}), ("rollback", {"replicas": 5}), ("rollback", {"replicas": [None]}),
                                        ("cleanup", {"volumes": ["pv"]}), ("cleanup", {"volumes": "pv"})])
def test_arguments_that_nobody_can_read_are_refused_and_end_no_runner(verb: str, args: dict[str, Any]) -> None:
    api, _ = _migrated()
    uids = claim_uids(api)
    ask(api, verb, **args)
    assert _run(api, 2) == JOB_DONE
    assert answer(api)[0] == "refused" and f"args.{next(iter(args))}" in answer(api)[1]
    assert claim_uids(api) == uids
