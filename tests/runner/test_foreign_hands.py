"""Other people work on the cluster too. Whatever they do to a replica that is being migrated, it ends on a volume with every byte."""
from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from builders import NAMESPACE, SET, submit, three_replicas
from running import demand_migrated, once_when, run, status, step_of

from kubectl_volresize.errors import JOB_DONE
from kubectl_volresize.model import labels


@pytest.mark.row("scaled-up")
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


@pytest.mark.row("budget-created")
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


@pytest.mark.row("rollout-frozen")
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
