"""A VolumeResize that is deleted by force while no runner lives: `resume` creates it anew, and its runner takes the record from the Lease."""
from __future__ import annotations

from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Object
from running import (Killed, answer, claim_uids, demand_migrated, demand_nothing_left, demand_untouched, once_when, reason, run, status, step_of)

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.kept import LONGEST, Kept, pack, unpack
from kubectl_volresize.plugin.lost import RecordLost, find, write_again
from kubectl_volresize.plugin.options import Where
from kubectl_volresize.plugin.place import Place

STEPS = ("copying", "holding", "swapping", "thawing", "starting")


def delete_by_force(api: FakeApi) -> None:
    found = api.find("volumeresizes", NAMESPACE, SET)
    assert found is not None
    api.rest.change("volumeresizes", found, lambda new: new["metadata"].pop("finalizers", None))
    api.rest.remove("volumeresizes", api.find("volumeresizes", NAMESPACE, SET) or found)


def dead_at(step: str, replicas: int = 2, **fields: object) -> FakeApi:
    """A cluster whose runner died at this step of the highest replica."""
    api = three_replicas(replicas=replicas).with_set(**fields).build()
    submit(api, {"data": "500Mi"})
    killed = once_when(api, lambda: step_of(api, replicas - 1) == step, _die)
    with api.connected() as client:
        try:
            run(api, client)
        except Killed:
            pass
    assert killed, f"no runner came to {step}"
    return api


def _die() -> None:
    raise Killed


def lost(api: FakeApi, client: Client) -> RecordLost:
    try:
        find(Place(client, NAMESPACE, Where()), SET)
    except RecordLost as error:
        return error
    raise AssertionError("it is not said to be lost")


def resume(api: FakeApi, client: Client) -> int:
    """What the plugin does, and then the runner of the Job that it created."""
    again = lost(api, client).again
    assert again is not None
    sent = write_again(Place(client, NAMESPACE, Where()), again, {}, "none")
    assert [change.object["kind"] for change in sent.changes] == ["VolumeResize", "Job"]
    return run(api, client, identity="runner-2", job="web-runner-2")


def _lease(api: FakeApi) -> Object:
    found = api.find("leases", NAMESPACE, f"volresize-{SET}")
    assert found is not None
    return found


def _change_copy(api: FakeApi, **entry: str) -> None:
    """Another record in the copy: these fields in the entry of its first volume."""
    kept = unpack(_lease(api)["metadata"]["annotations"][labels.RECORD])
    assert kept is not None
    first = kept.record.volumes[0]
    forged = pack(Kept(kept.name, kept.spec, kept.record.with_volume(first.replica, first.volume, **entry)))
    api.rest.change("leases", _lease(api), lambda new: new["metadata"]["annotations"].update({labels.RECORD: forged}))


def test_a_migration_whose_record_is_lost_goes_on_where_it_was() -> None:
    for step in STEPS:
        api = dead_at(step)
        uid = (api.find("volumeresizes", NAMESPACE, SET) or {})["metadata"]["uid"]
        delete_by_force(api)
        with api.connected() as client:
            assert resume(api, client) == JOB_DONE, step
        demand_migrated(api, {"data": "500Mi"})
        assert answer(api)[0] == "done" and status(api)["migrationUID"] == uid, step


def test_what_was_changed_for_the_time_of_the_migration_is_given_back_although_only_the_record_knew_it() -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    api = dead_at("swapping", persistentVolumeClaimRetentionPolicy=policy)
    delete_by_force(api)
    with api.connected() as client:
        assert resume(api, client) == JOB_DONE
    found = api.find("statefulsets", NAMESPACE, SET)
    assert found is not None and found["spec"]["persistentVolumeClaimRetentionPolicy"] == policy
    assert status(api)["originalTemplates"] == {"data": {"size": "1Gi", "storageClass": "standard"}}


def test_a_lost_record_that_is_written_again_can_be_cancelled_and_puts_everything_back() -> None:
    api = dead_at("holding")
    before = {name: uid for name, uid in claim_uids(api).items() if not name.endswith("-new")}
    delete_by_force(api)
    with api.connected() as client:
        again = lost(api, client).again
        assert again is not None
        write_again(Place(client, NAMESPACE, Where()), again, {}, "none")
        at = once_when(api, lambda: step_of(api, 1) == "holding", lambda: _cancel(api))
        assert run(api, client, identity="runner-2", job="web-runner-2") == JOB_DONE
    assert at and status(api)["phase"] == labels.CANCELLED
    demand_untouched(api, before)


def _cancel(api: FakeApi) -> None:
    found = api.find("volumeresizes", NAMESPACE, SET)
    assert found is not None
    asked = '{"id":"later","verb":"cancel","args":{}}'
    api.rest.change("volumeresizes", found, lambda new: new["metadata"]["annotations"].update({labels.REQUESTED: asked}))


def test_one_that_needs_a_human_and_is_deleted_by_force_is_resumed_like_any_other() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    once_when(api, lambda: step_of(api, 0) == "thawing", lambda: api.faults.unschedulable.update({"web-0": "Insufficient memory"}))
    with api.connected() as client:
        run(api, client)
        assert reason(api) == "NeedsHuman"
        delete_by_force(api)
        api.faults.unschedulable.clear()
        assert resume(api, client) == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_no_copy_is_left_when_all_is_done_and_none_is_made_before_anything_is_touched() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    early = once_when(api, lambda: status(api).get("phase") == labels.VALIDATING and bool(api.store.all("leases", NAMESPACE)),
                      lambda: _demand_no_copy(api))
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
        assert early
        delete_by_force(api)
        try:
            find(Place(client, NAMESPACE, Where()), SET)
        except RecordLost as error:
            assert error.again is None and "the old volume" in error.message


def _demand_no_copy(api: FakeApi) -> None:
    assert labels.RECORD not in (_lease(api)["metadata"].get("annotations") or {})


def test_a_copy_that_names_a_volume_of_somebody_else_is_not_believed() -> None:
    # Who may write an annotation in his namespace must not get the runner to reserve another one's volume.
    api = dead_at("swapping", replicas=1)
    delete_by_force(api)
    theirs = api.rest.post("persistentvolumes", {"metadata": {"name": "theirs"}, "spec": {
        "capacity": {"storage": "500Mi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "other", "name": "data-db-0", "uid": "x"}}})
    _change_copy(api, new_pv="theirs", new_pv_uid=theirs["metadata"]["uid"])
    with api.connected() as client:
        assert resume(api, client) == JOB_REFUSED
    outcome, message = answer(api)
    assert outcome == "refused" and "volume theirs is not the one that the copy names" in message
    assert (api.find("persistentvolumes", "", "theirs") or {})["spec"]["claimRef"]["namespace"] == "other"
    assert status(api)["phase"] == labels.FAILED and labels.RECORD in _lease(api)["metadata"]["annotations"]


def test_without_a_copy_nothing_is_begun_in_place_of_the_lost_migration() -> None:
    for spoil in (lambda new: new["metadata"].pop("annotations"), lambda new: new["metadata"]["annotations"].update({labels.RECORD: "H4sI"})):
        api = dead_at("copying")
        with api.connected() as client:
            delete_by_force(api)
            again = lost(api, client).again
            assert again is not None
            api.rest.change("leases", _lease(api), spoil)
            write_again(Place(client, NAMESPACE, Where()), again, {}, "none")
            before = claim_uids(api)
            assert run(api, client, identity="runner-2", job="web-runner-2") == JOB_REFUSED
        assert answer(api)[0] == "refused" and "no copy of it" in answer(api)[1]
        assert claim_uids(api) == before


def test_another_migration_that_is_refused_does_not_take_the_copy_with_it() -> None:
    api = dead_at("swapping", replicas=1)
    delete_by_force(api)
    submit(api, {"data": "400Mi"}, name="web-2")
    with api.connected() as client:
        assert run(api, client, name="web-2", identity="runner-2", job="web-2-runner") == JOB_REFUSED
        found = api.find("volumeresizes", NAMESPACE, "web-2")
        assert found is not None
        api.rest.remove("volumeresizes", found)
        assert resume(api, client) == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_a_record_too_long_for_an_annotation_is_gone_on_without_and_no_older_copy_is_left() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    noise = "".join(f"{number * 7919 % 1000003:x}" for number in range(2 * LONGEST // 3))
    made = once_when(api, lambda: step_of(api, 0) == "holding", lambda: _annotate_set(api, noise))
    kept_at: list[bool] = []
    once_when(api, lambda: step_of(api, 0) == "thawing",
              lambda: kept_at.append(labels.RECORD in (_lease(api)["metadata"].get("annotations") or {})))
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert made and kept_at == [False]
    demand_migrated(api, {"data": "500Mi"})
    demand_nothing_left(api)


def _annotate_set(api: FakeApi, text: str) -> None:
    found = api.find("statefulsets", NAMESPACE, SET)
    assert found is not None
    api.rest.change("statefulsets", found, lambda new: new["metadata"].setdefault("annotations", {}).update({"example.test/noise": text}))


# -- the copy is gone too


def _delete_lease(api: FakeApi) -> None:
    found = api.find("leases", NAMESPACE, f"volresize-{SET}")
    if found is not None:
        api.rest.remove("leases", found)
    api.settle()


def _standing(api: FakeApi) -> Object:
    """What a refusal must leave alone."""
    pods = {pod["metadata"]["name"]: pod["metadata"].get("finalizers") for pod in api.store.all("pods", NAMESPACE)}
    found = api.find("statefulsets", NAMESPACE, SET)
    volumes = {one["metadata"]["name"]: one["spec"].get("claimRef") for one in api.store.all("persistentvolumes")}
    return {"pods": pods, "claims": claim_uids(api), "volumes": volumes, "set": found and found["metadata"]["resourceVersion"]}


def test_with_the_lease_gone_too_what_was_begun_is_put_back_while_the_set_stands() -> None:
    for step in ("holding", "swapping"):
        api = dead_at(step)
        before = {name: uid for name, uid in claim_uids(api).items() if not name.endswith("-new")}
        delete_by_force(api)
        _delete_lease(api)
        with api.connected() as client:
            assert resume(api, client) == JOB_DONE, step
        assert status(api)["phase"] == labels.CANCELLED and "submit again" in status(api)["message"], step
        demand_untouched(api, before)


def test_with_the_lease_gone_too_a_set_that_is_away_is_left_as_it_is_and_named() -> None:
    api = dead_at("thawing")
    delete_by_force(api)
    _delete_lease(api)
    before = _standing(api)
    with api.connected() as client:
        assert resume(api, client) == JOB_REFUSED
    outcome, message = answer(api)
    assert outcome == "refused" and "StatefulSet web is frozen or going" in message and "docs/recovery.md" in message
    assert _standing(api) == before
