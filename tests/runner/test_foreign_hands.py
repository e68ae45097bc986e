"""Other people work on the cluster too. Whatever they do to a replica that is being migrated, it ends on a volume with every byte."""
from __future__ import annotations

from collections.abc import Callable

import requests
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Object
from running import claim_uids, demand_migrated, demand_nothing_lost, demand_untouched, once_when, reason, run, status, step_of

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED
from kubectl_volresize.model import labels


def _pod(api: FakeApi, ordinal: int) -> Object:
    pod = api.find("pods", NAMESPACE, f"{SET}-{ordinal}")
    assert pod is not None
    return pod


def _without_finalizers(new: Object) -> None:
    new["metadata"]["finalizers"] = []


def test_a_hold_taken_off_by_somebody_before_the_freeze_puts_the_replica_back() -> None:
    api = three_replicas(replicas=2).build()
    before = claim_uids(api)
    submit(api, {"data": "500Mi"})
    done = once_when(api, lambda: step_of(api, 1) == "swapping", lambda: api.rest.change("pods", _pod(api, 1), _without_finalizers))
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert done and reason(api) == "Resumable" and "let go by somebody" in status(api)["message"]
    demand_untouched(api, before)


def test_a_scale_down_of_the_replica_at_work_ends_without_it() -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})
    api.faults.never_done.add("web-migrator-1-data")

    def scale_down() -> None:
        found = api.find("statefulsets", NAMESPACE, SET)
        assert found is not None
        api.rest.change("statefulsets", found, lambda new: new["spec"].update(replicas=1))

    done = once_when(api, lambda: api.find("pods", NAMESPACE, "web-migrator-1-data") is not None, scale_down)
    with api.connected() as client:
        assert run(api, client) == JOB_REFUSED
    assert done and "scaled down" in status(api)["message"]
    api.settle()
    assert api.empty_claims == [] and api.lost_bytes() == {}


def test_a_replica_added_by_a_scale_up_is_migrated_too() -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})

    def scale_up() -> None:
        found = api.find("statefulsets", NAMESPACE, SET)
        assert found is not None
        api.rest.change("statefulsets", found, lambda new: new["spec"].update(replicas=3))

    done = once_when(api, lambda: status(api).get("phase") == labels.SYNCING, scale_up)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    # The new replica's own first claim is the only one that may be made empty.
    assert done and {claim.name for claim in api.empty_claims} == {"data-web-2"}
    api.empty_claims.clear()
    demand_migrated(api, {"data": "500Mi"})


def test_a_budget_that_forbids_the_eviction_is_waited_for_without_a_hold() -> None:
    api = three_replicas(replicas=2).with_budget(max_unavailable=1).build()
    submit(api, {"data": "500Mi"})
    budget = f"{SET}-1"

    def allow(number: int) -> Callable[[], None]:
        def change() -> None:
            found = api.find("poddisruptionbudgets", NAMESPACE, budget)
            assert found is not None
            api.rest.change("poddisruptionbudgets", found, lambda new: new["spec"].update(maxUnavailable=number))
        return change

    forbidden = once_when(api, lambda: step_of(api, 1) == "copying", allow(0))
    start = api.clock.now.timestamp()
    held_meanwhile: list[str] = []

    def look(number: int, verb: str, path: str) -> None:
        if forbidden and not allowed:
            held_meanwhile.extend(pod["metadata"]["name"] for pod in api.store.all("pods", NAMESPACE)
                                  if labels.HOLD_FINALIZER in (pod["metadata"].get("finalizers") or []) and verb == "list")

    allowed = once_when(api, lambda: api.clock.now.timestamp() > start + 300, allow(1))
    api.before_call.append(look)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert forbidden and allowed and held_meanwhile == []
    demand_migrated(api, {"data": "500Mi"})


def test_an_api_server_that_is_away_for_ten_minutes_only_delays() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    start = api.clock.now.timestamp()

    def away(number: int, verb: str, path: str) -> None:
        if number > 120 and api.clock.now.timestamp() < start + 600:
            api.clock.advance(5)
            raise requests.ConnectionError("refused")

    api.before_call.append(away)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_somebodys_edit_while_the_set_is_frozen_is_not_lost() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})

    def frozen() -> bool:
        found = api.find("statefulsets", NAMESPACE, SET)
        return found is not None and labels.FREEZE_FINALIZER in (found["metadata"].get("finalizers") or [])

    def annotate() -> None:
        found = api.find("statefulsets", NAMESPACE, SET)
        assert found is not None
        api.rest.change("statefulsets", found, lambda new: new["metadata"].setdefault("annotations", {}).update(owner="team-a"))

    done = once_when(api, frozen, annotate)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    found = api.find("statefulsets", NAMESPACE, SET)
    assert done and found is not None and found["metadata"]["annotations"]["owner"] == "team-a"
    demand_migrated(api, {"data": "500Mi"})


def test_a_claim_of_a_strangers_making_stops_for_a_human_and_no_byte_is_lost() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})

    def gone() -> bool:
        return step_of(api, 0) == "swapping" and api.find("persistentvolumeclaims", NAMESPACE, "data-web-0") is None

    def create() -> None:
        api.rest.post("persistentvolumeclaims", {"metadata": {"name": "data-web-0", "namespace": NAMESPACE}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}}})

    done = once_when(api, gone, create)
    with api.connected() as client:
        run(api, client)
    assert done and reason(api) == "NeedsHuman"
    kept = status(api)["volumeStatuses"][0]
    for volume in (kept["oldPVName"], kept["newPVName"]):
        assert volume in status(api)["message"]
        assert set(api.disks[volume]) >= set(api.written[(NAMESPACE, "data-web-0")])
    demand_nothing_lost_of(api, kept["newPVName"])


def demand_nothing_lost_of(api: FakeApi, volume: str) -> None:
    found = api.find("persistentvolumes", "", volume)
    assert found is not None and found["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert [lost.name for lost in api.lost] == []


def test_a_dead_node_is_not_taken_for_a_stopped_application() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})

    def die() -> None:
        node = api.find("nodes", "", _pod(api, 0)["spec"]["nodeName"])
        assert node is not None
        api.rest.change("nodes", node, lambda new: new.update(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}), status=True)

    done = once_when(api, lambda: step_of(api, 0) == "holding", die)
    with api.connected() as client:
        run(api, client)
    assert done and reason(api) == "NeedsHuman" and "shutting down" in status(api)["message"]
    assert status(api)["volumeStatuses"][0].get("verified") is None
    demand_nothing_lost(api)
