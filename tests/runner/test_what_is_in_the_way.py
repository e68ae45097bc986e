"""What would stop an exchange half-way, or write behind our back, is found while the application still runs: pods of others on its claims, finalizers
of others, a StatefulSet that is not the one that was begun with."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Object
from running import claim_uids, demand_migrated, demand_nothing_left, demand_nothing_lost, demand_untouched, once_when, reason, run, status, step_of

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED
from kubectl_volresize.model import labels


def _set(api: FakeApi) -> Object:
    found = api.find("statefulsets", NAMESPACE, SET)
    assert found is not None
    return found


def _backup(api: FakeApi, phase: str = "") -> None:
    """A pod of somebody else on the claim of replica 0; finished when a phase is given."""
    api.rest.post("pods", {"metadata": {"name": "backup", "namespace": NAMESPACE}, "spec": {
        "nodeName": "node-1", "restartPolicy": "Never", "containers": [{"name": "backup", "image": "example.test/backup:1"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]}})
    api.settle()
    if phase:
        found = api.find("pods", NAMESPACE, "backup")
        assert found is not None
        api.rest.change("pods", found, lambda new: new["status"].update(phase=phase), status=True)


def _remove_backup(api: FakeApi) -> None:
    found = api.find("pods", NAMESPACE, "backup")
    assert found is not None
    api.rest.remove("pods", found, gracePeriodSeconds=0)


def _forgive_sharing(api: FakeApi) -> None:
    """Only the backup and the application, which are meant to use one volume, did so."""
    assert {pod for _, *pods in api.shared for pod in pods} <= {"backup", "web-0"}
    api.shared.clear()


@pytest.mark.row("claim-used")
@pytest.mark.parametrize("phase", ["", "Succeeded"])
def test_a_claim_that_a_pod_of_somebody_else_uses_is_refused_also_when_that_pod_has_finished(phase: str) -> None:
    api = three_replicas(replicas=1).build()
    before = claim_uids(api)
    submit(api, {"data": "500Mi"})
    _backup(api, phase)
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert reason(api) == "Refused" and "data-web-0: is used by pod backup" in status(api)["message"]
    _remove_backup(api)
    _forgive_sharing(api)
    demand_untouched(api, before)


@pytest.mark.row("claim-used")
def test_the_application_is_not_stopped_while_a_backup_reads_its_volume() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    came = once_when(api, lambda: step_of(api, 0) == "copying", lambda: _backup(api, "Succeeded"))
    start = api.clock.now.timestamp()
    waited: list[str] = []

    def gone() -> None:
        waited.append(step_of(api, 0))
        _remove_backup(api)

    once_when(api, lambda: api.clock.now.timestamp() > start + 900, gone)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert came and waited == ["copying"]
    _forgive_sharing(api)
    demand_migrated(api, {"data": "500Mi"})


@pytest.mark.row("claim-used-stopped")
@pytest.mark.parametrize("moment", ["holding", "swapping"])
def test_a_pod_that_may_write_after_the_last_copy_puts_the_replica_back(moment: str) -> None:
    api = three_replicas(replicas=1).build()
    before = claim_uids(api)
    submit(api, {"data": "500Mi"})
    came = once_when(api, lambda: step_of(api, 0) == moment, lambda: _backup(api))
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert came and reason(api) == "Resumable" and "pod backup, which is no replica, uses claim data-web-0" in status(api)["message"]
    _remove_backup(api)
    _forgive_sharing(api)
    demand_untouched(api, before)


FINALIZED = [("statefulsets", SET), ("persistentvolumeclaims", "data-web-0"), ("pods", "web-0")]


def _finalize(api: FakeApi, plural: str, name: str, add: bool) -> None:
    found = api.find(plural, NAMESPACE, name)
    assert found is not None
    others = [finalizer for finalizer in found["metadata"].get("finalizers") or [] if finalizer != "db.example/cleanup"]
    api.rest.change(plural, found, lambda new: new["metadata"].update(finalizers=[*others, "db.example/cleanup"] if add else others))


@pytest.mark.row("finalizer-added")
@pytest.mark.parametrize(("plural", "name"), FINALIZED)
def test_what_somebodys_finalizer_would_keep_for_ever_is_refused_before_anything_is_stopped(plural: str, name: str) -> None:
    api = three_replicas(replicas=1).build()
    before = claim_uids(api)
    _finalize(api, plural, name, add=True)
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert reason(api) == "Refused" and f"{name}: has the finalizer db.example/cleanup" in status(api)["message"]
    demand_untouched(api, before)


@pytest.mark.row("finalizer-added")
@pytest.mark.parametrize("moment", ["copying", "swapping"])
@pytest.mark.parametrize(("plural", "name"), FINALIZED[:2])
def test_a_finalizer_that_comes_later_is_waited_for_before_the_set_is_frozen(plural: str, name: str, moment: str) -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    came = once_when(api, lambda: step_of(api, 0) == moment, lambda: _finalize(api, plural, name, add=True))
    start = api.clock.now.timestamp()
    frozen: list[bool] = []

    def gone() -> None:
        frozen.append(labels.FREEZE_FINALIZER in (_set(api)["metadata"].get("finalizers") or []))
        _finalize(api, plural, name, add=False)

    once_when(api, lambda: bool(came) and api.clock.now.timestamp() > start + 100, gone)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert came and frozen == [False]
    demand_migrated(api, {"data": "500Mi"})


def _recreate_set(api: FakeApi) -> None:
    """delete --cascade=orphan and apply, as for any field that cannot be changed."""
    old = _set(api)
    body = {"metadata": {"name": SET, "namespace": NAMESPACE, "labels": old["metadata"]["labels"]}, "spec": old["spec"]}
    api.rest.remove("statefulsets", old, propagationPolicy="Orphan")
    api.settle()
    api.rest.post("statefulsets", body)


@pytest.mark.row("created-again")
@pytest.mark.parametrize("moment", ["copying", "swapping"])
def test_a_set_that_was_created_again_meanwhile_is_found_out_and_its_replica_put_back(moment: str) -> None:
    api = three_replicas(replicas=2).build()
    before = claim_uids(api)
    submit(api, {"data": "500Mi"})
    done = once_when(api, lambda: step_of(api, 1) == moment, lambda: _recreate_set(api))
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert done and reason(api) == "Resumable" and "deleted" in status(api)["message"] and "by somebody" in status(api)["message"]
    demand_untouched(api, before)


@pytest.mark.row("set-deleted")
def test_a_set_that_is_deleted_before_it_was_frozen_is_not_created_again_from_an_old_manifest() -> None:
    api = three_replicas(replicas=1).build()
    before = claim_uids(api)
    submit(api, {"data": "500Mi"})
    done = once_when(api, lambda: step_of(api, 0) == "swapping", lambda: api.rest.remove("statefulsets", _set(api), propagationPolicy="Orphan"))
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert done and reason(api) == "Resumable" and api.find("statefulsets", NAMESPACE, SET) is None
    pods = [pod["metadata"] for pod in api.store.all("pods", NAMESPACE)]
    assert [meta["name"] for meta in pods if meta.get("finalizers")] == [] and claim_uids(api) == before
    assert api.lost_bytes() == {}


def _in_the_exchange(api: FakeApi) -> bool:
    """The set is frozen, and the claim of replica 0 was taken away."""
    found = api.find("statefulsets", NAMESPACE, SET)
    terminating = found is not None and bool(found["metadata"].get("deletionTimestamp"))
    return terminating and api.find("persistentvolumeclaims", NAMESPACE, "data-web-0") is None


@pytest.mark.row("freeze-removed")
def test_a_freeze_that_somebody_takes_off_in_the_middle_still_ends_on_the_new_volume() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    done = once_when(api, lambda: _in_the_exchange(api),
                     lambda: api.rest.change("statefulsets", _set(api), lambda new: new["metadata"].update(finalizers=[])))
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert done
    demand_migrated(api, {"data": "500Mi"})


@pytest.mark.row("scaled-down-done")
def test_a_migrated_replica_that_is_scaled_away_with_its_claim_does_not_leave_the_set_frozen() -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})

    def scale_down_and_tidy_up() -> None:
        api.rest.change("statefulsets", _set(api), lambda new: new["spec"].update(replicas=1))
        api.settle()
        claim = api.find("persistentvolumeclaims", NAMESPACE, "data-web-1")
        assert claim is not None
        api.rest.remove("persistentvolumeclaims", claim)
        api.written.pop((NAMESPACE, "data-web-1"))

    done = once_when(api, lambda: step_of(api, 1) == "done" and step_of(api, 0) == "copying", scale_down_and_tidy_up)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert done
    demand_nothing_lost(api)
    demand_nothing_left(api)
