"""What a user asks of a migration that exists, carried out on the fake cluster: cancel, resume, rollback, cleanup."""
from __future__ import annotations

from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Object
from running import (answer, ask, claim_uids, demand_migrated, demand_nothing_left, demand_nothing_lost, demand_untouched, once_when, reason, run,
                     sizes, status, step_of, template_sizes)

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED
from kubectl_volresize.model import labels


def _migrated(replicas: int = 2, volumes: dict[str, str] | None = None) -> tuple[FakeApi, dict[str, str]]:
    """A cluster whose migration is done, and the volume that each claim had before."""
    api = three_replicas(volumes, replicas=replicas).build()
    before = volume_names(api)
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    return api, before


def volume_names(api: FakeApi) -> dict[str, str]:
    return {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in api.store.all("persistentvolumeclaims", NAMESPACE)}


def _policies(api: FakeApi) -> dict[str, str]:
    return {volume["metadata"]["name"]: volume["spec"]["persistentVolumeReclaimPolicy"] for volume in api.store.all("persistentvolumes")}


def _go_on(api: FakeApi, number: int = 2) -> int:
    with api.connected() as client:
        return run(api, client, identity=f"runner-{number}", job=f"web-runner-{number}")


# -- cancel and resume


def test_cancel_before_the_exchange_leaves_everything_as_it_was() -> None:
    for step in ("copying", "holding"):
        api = three_replicas(replicas=2).build()
        before = claim_uids(api)
        submit(api, {"data": "500Mi"})
        assert_once = once_when(api, lambda api=api, step=step: step_of(api, 1) == step, lambda api=api: ask(api, "cancel"))  # type: ignore[misc]
        with api.connected() as client:
            assert run(api, client) == JOB_DONE
        assert assert_once and status(api)["phase"] == labels.CANCELLED
        assert answer(api)[0] == "done"
        demand_untouched(api, before)


def test_cancel_during_an_exchange_ends_it_first_and_leaves_the_other_replicas_alone() -> None:
    api = three_replicas(replicas=2).build()
    before = claim_uids(api)
    submit(api, {"data": "500Mi"})
    assert_once = once_when(api, lambda: api.find("statefulsets", NAMESPACE, SET) is None, lambda: ask(api, "cancel"))
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert assert_once and status(api)["phase"] == labels.CANCELLED
    demand_nothing_lost(api)
    demand_nothing_left(api)
    assert sizes(api) == {"data-web-0": "1Gi", "data-web-1": "500Mi"}
    assert claim_uids(api)["data-web-0"] == before["data-web-0"]


def test_only_cancel_now_does_not_wait_until_an_exchanged_replica_is_ready() -> None:
    for now in (False, True):
        api = three_replicas(replicas=1).build()
        submit(api, {"data": "500Mi"})
        once_when(api, lambda api=api: step_of(api, 0) == "starting", lambda api=api, now=now: ask(api, "cancel", now=now))  # type: ignore[misc]
        with api.connected() as client:
            assert run(api, client) == JOB_DONE
        assert status(api)["phase"] == labels.CANCELLED
        phases = {entry["phase"] for entry in status(api)["volumeStatuses"]}
        assert phases == ({"Swapped"} if now else {"Done"})
        demand_nothing_lost(api)


def test_resume_after_cancel_migrates_the_rest() -> None:
    for now in (False, True):
        api = three_replicas(replicas=2).build()
        submit(api, {"data": "500Mi"})
        once_when(api, lambda api=api: step_of(api, 1) == "starting", lambda api=api, now=now: ask(api, "cancel", now=now))  # type: ignore[misc]
        with api.connected() as client:
            run(api, client)
        assert status(api)["phase"] == labels.CANCELLED
        ask(api, "resume")
        assert _go_on(api) == JOB_DONE
        assert answer(api)[0] == "done"
        assert status(api)["progress"] == "2/2"
        demand_migrated(api, {"data": "500Mi"})


def test_resume_of_a_cancelled_one_is_refused_when_a_newer_one_exists() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    ask(api, "cancel")
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    api.sleep(2)
    submit(api, {"data": "400Mi"}, name="web-2")
    ask(api, "resume")
    _go_on(api)
    outcome, message = answer(api)
    assert outcome == "refused" and "volumeresize/web-2 is newer" in message
    assert status(api)["phase"] == labels.CANCELLED


def test_a_request_is_carried_out_once() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    ask(api, "cancel", request_id="one")
    with api.connected() as client:
        run(api, client)
    ask(api, "resume", request_id="two")
    assert _go_on(api) == JOB_DONE
    assert _go_on(api, 3) == JOB_DONE
    assert status(api)["phase"] == labels.COMPLETED and status(api)["lastRequest"]["id"] == "two"


def test_a_request_that_nobody_can_read_is_answered_and_changes_nothing() -> None:
    api = three_replicas(replicas=1).build()
    found = submit(api, {"data": "500Mi"})
    api.rest.change("volumeresizes", found, lambda new: new["metadata"].setdefault("annotations", {}).update({labels.REQUESTED: "stop!"}))
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert answer(api)[0] == "refused" and labels.REQUESTED in answer(api)[1]
    demand_migrated(api, {"data": "500Mi"})


def test_resume_goes_on_from_where_a_human_was_needed() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    # A claim that somebody else made in the gap, until he takes it away again.
    stranger: list[Object] = []

    def strange() -> None:
        stranger.append(api.rest.post("persistentvolumeclaims", {"metadata": {"name": "data-web-0", "namespace": NAMESPACE}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}}}))

    once_when(api, lambda: step_of(api, 0) == "swapping" and "data-web-0" not in claim_uids(api), strange)
    with api.connected() as client:
        run(api, client)
    assert stranger and reason(api) == "NeedsHuman"
    api.rest.remove("persistentvolumeclaims", stranger[0])
    api.settle()
    ask(api, "resume")
    assert _go_on(api) == JOB_DONE
    assert template_sizes(api) == {"data": "500Mi"} and sizes(api) == {"data-web-0": "500Mi"}
    assert api.lost_bytes() == {} and status(api)["phase"] == labels.COMPLETED
    demand_nothing_left(api)


# -- rollback


def test_rollback_puts_every_replica_back_on_its_old_volume_and_keeps_the_newer_ones() -> None:
    api, before = _migrated(2, {"data": "1Gi", "logs": "500Mi"})
    newer = volume_names(api)
    ask(api, "rollback", discardNewerData=True)
    assert _go_on(api) == JOB_DONE
    api.settle()
    assert status(api)["phase"] == labels.ROLLED_BACK and answer(api)[0] == "done"
    assert volume_names(api) == before
    assert sizes(api)["data-web-0"] == "1Gi" and template_sizes(api) == {"data": "1Gi", "logs": "500Mi"}
    assert api.empty_claims == [] and api.shared == [] and api.lost == []
    demand_nothing_left(api)
    policies = _policies(api)
    assert {policies[newer[f"data-web-{ordinal}"]] for ordinal in (0, 1)} == {"Retain"}
    assert {policies[name] for name in before.values()} == {"Delete"}
    assert api.find("statefulsets", NAMESPACE, SET)["status"]["readyReplicas"] == 2  # type: ignore[index]


def test_rollback_of_one_replica_leaves_the_templates_at_the_new_size() -> None:
    api, before = _migrated(2)
    ask(api, "rollback", replicas=[1], discardNewerData=True)
    assert _go_on(api) == JOB_DONE
    assert status(api)["phase"] == labels.COMPLETED and answer(api)[0] == "done"
    assert volume_names(api)["data-web-1"] == before["data-web-1"] and volume_names(api)["data-web-0"] != before["data-web-0"]
    assert template_sizes(api) == {"data": "500Mi"}
    ask(api, "rollback", request_id="the other", discardNewerData=True)
    assert _go_on(api, 3) == JOB_DONE
    assert status(api)["phase"] == labels.ROLLED_BACK
    assert volume_names(api) == before and template_sizes(api) == {"data": "1Gi"}
    demand_nothing_left(api)


def test_rollback_of_what_was_written_to_is_refused_without_consent_and_touches_nothing() -> None:
    api, _ = _migrated(2)
    uids = claim_uids(api)
    ask(api, "rollback")
    assert _go_on(api) == JOB_DONE
    outcome, message = answer(api)
    assert outcome == "refused"
    assert "replica 0" in message and "replica 1" in message and "--discard-newer-data" in message
    assert claim_uids(api) == uids and status(api)["phase"] == labels.COMPLETED


def test_rollback_of_a_replica_that_has_not_started_yet_loses_nothing_and_needs_no_consent() -> None:
    api = three_replicas(replicas=1).build()
    before = volume_names(api)
    submit(api, {"data": "500Mi"})
    once_when(api, lambda: step_of(api, 0) == "thawing", lambda: api.faults.unschedulable.update({"web-0": "Insufficient memory"}))
    with api.connected() as client:
        run(api, client)
    assert reason(api) == "NeedsHuman", "the pod should not have found a node"
    ask(api, "rollback")
    once_when(api, lambda: status(api).get("rollback") and step_of(api, 0) == "thawing", api.faults.unschedulable.clear)
    _go_on(api)
    assert answer(api)[0] == "done", answer(api)
    assert volume_names(api) == before and status(api)["phase"] == labels.ROLLED_BACK
    demand_nothing_lost(api)
    demand_nothing_left(api)


# -- cleanup


def _kept(api: FakeApi, before: dict[str, str]) -> dict[str, str]:
    return {volume["metadata"]["name"]: volume["metadata"]["uid"] for volume in api.store.all("persistentvolumes")
            if volume["metadata"]["name"] in before.values()}


def test_cleanup_removes_exactly_the_old_volumes_that_were_confirmed() -> None:
    api, before = _migrated(2)
    kept = _kept(api, before)
    first = before["data-web-0"]
    ask(api, "cleanup", volumes={first: kept[first]})
    assert _go_on(api) == JOB_DONE
    assert answer(api)[0] == "done" and status(api)["phase"] == labels.COMPLETED
    assert first not in _policies(api) and _policies(api)[before["data-web-1"]] == "Retain"
    ask(api, "cleanup", request_id="second", volumes={before["data-web-1"]: kept[before["data-web-1"]]})
    assert _go_on(api, 3) == JOB_DONE
    assert set(_policies(api)) == set(volume_names(api).values())
    assert api.lost_bytes() == {}


def test_cleanup_is_refused_while_the_application_does_not_run_on_the_new_volume() -> None:
    api, before = _migrated(1)
    kept = _kept(api, before)
    api.faults.unready.add("web-0")
    api.rest.remove("pods", api.find("pods", NAMESPACE, "web-0") or {})
    api.settle()
    ask(api, "cleanup", volumes={**kept, "pv-of-somebody": "x"})
    _go_on(api)
    outcome, message = answer(api)
    assert outcome == "refused" and "web-0 is not Ready" in message and "pv-of-somebody is not kept" in message
    assert set(_policies(api)) >= set(kept)


def test_a_volume_that_was_cleaned_up_is_no_way_back() -> None:
    api, before = _migrated(1)
    ask(api, "cleanup", volumes=_kept(api, before))
    assert _go_on(api) == JOB_DONE
    ask(api, "rollback", discardNewerData=True)
    assert _go_on(api, 3) in (JOB_DONE, JOB_REFUSED)
    outcome, message = answer(api)
    assert outcome == "refused" and f"the old volume {before['data-web-0']} of replica 0 is gone" in message
    demand_migrated_but_cleaned(api)


def demand_migrated_but_cleaned(api: FakeApi) -> None:
    demand_nothing_lost(api)
    demand_nothing_left(api)
    assert set(sizes(api).values()) == {"500Mi"}


# -- a record that is lost


def test_a_record_that_is_deleted_by_force_is_written_again_and_everything_is_put_back() -> None:
    for step in ("copying", "holding", "swapping", "thawing", "starting"):
        api = three_replicas(replicas=2).build()
        before = claim_uids(api)
        submit(api, {"data": "500Mi"})

        def force(api: FakeApi = api) -> None:
            found = api.find("volumeresizes", NAMESPACE, SET)
            assert found is not None
            api.rest.change("volumeresizes", found, lambda new: new["metadata"].pop("finalizers"))
            api.rest.remove("volumeresizes", api.find("volumeresizes", NAMESPACE, SET) or {})

        happened = once_when(api, lambda api=api, step=step: step_of(api, 1) == step, force)  # type: ignore[misc]
        with api.connected() as client:
            assert run(api, client) == JOB_DONE
        assert happened and status(api)["phase"] == labels.CANCELLED, step
        demand_nothing_left(api)
        if step in ("copying", "holding", "swapping"):
            demand_untouched(api, before)
        else:
            demand_nothing_lost(api)
            assert sizes(api) == {"data-web-0": "1Gi", "data-web-1": "500Mi"}


def test_a_replica_that_does_not_start_on_its_old_volume_is_not_turned_round_again_but_goes_on_once_it_can() -> None:
    api, before = _migrated(1)
    ask(api, "rollback", discardNewerData=True)
    once_when(api, lambda: bool(status(api).get("rollback")) and step_of(api, 0) == "starting", lambda: api.faults.unready.add("web-0"))
    api.faults.unready.add("web-0")
    _go_on(api)
    assert reason(api) == "NeedsHuman" and volume_names(api) == before
    ask(api, "rollback", request_id="again", discardNewerData=True)
    _go_on(api, 3)
    assert answer(api)[0] == "refused" and "on its way back already" in answer(api)[1]
    api.faults.unready.clear()
    ask(api, "resume", request_id="resume")
    assert _go_on(api, 4) == JOB_DONE
    assert status(api)["phase"] == labels.ROLLED_BACK and volume_names(api) == before
    demand_nothing_left(api)
