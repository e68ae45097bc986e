"""A queue takes the place of a Job that works: its pod is asked to end, and nobody comes after it for as long as the queue likes. No replica may be
stopped so long. The real queue: tests/e2e/test_kueue.py."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi
from running import Killed, ask, demand_migrated, demand_nothing_lost, engine, once_when, run, step_of

from kubectl_volresize.errors import JOB_DONE, JOB_TERMINATED
from kubectl_volresize.model import labels
from kubectl_volresize.plan.manifests import job_values
from kubectl_volresize.model.request import from_spec
from kubectl_volresize.templates import render

QUEUE = {labels.QUEUE: "batch"}
SWEPT = range(0, 240, 8)  # calls after the hold; the exchange comes in them, and the end


def given(queue: dict[str, str] = QUEUE) -> FakeApi:
    """A migration of one replica, whose Job the queue let go on."""
    api = three_replicas(replicas=1).build()
    migration = submit(api, {"data": "500Mi"})
    job = api.rest.post("jobs", render("job", **job_values(from_spec(migration["spec"]), SET, NAMESPACE, 1, queue)))
    let_go_on(api, job["metadata"]["name"])
    return api


def let_go_on(api: FakeApi, name: str = "web-runner", suspend: bool = False) -> None:
    found = api.find("jobs", NAMESPACE, name)
    assert found is not None
    api.rest.change("jobs", found, lambda new: new["spec"].update(suspend=suspend))


def put_back(api: FakeApi) -> None:
    let_go_on(api, suspend=True)


def serves(api: FakeApi) -> bool:
    api.settle()
    pod, found = api.find("pods", NAMESPACE, f"{SET}-0"), api.find("statefulsets", NAMESPACE, SET)
    return (found is not None and found["status"].get("readyReplicas") == 1 and pod is not None and "deletionTimestamp" not in pod["metadata"]
            and labels.HOLD_FINALIZER not in (pod["metadata"].get("finalizers") or []))


def later(api: FakeApi, calls: int) -> Callable[[], bool]:
    """That many calls after the replica was recorded as held."""
    left = [calls]

    def now() -> bool:
        left[0] -= step_of(api, 0) in ("holding", "swapping", "thawing", "starting")
        return left[0] < 0
    return now


@pytest.mark.parametrize("calls", SWEPT)
def test_whenever_the_place_is_lost_no_replica_stays_stopped_and_the_next_runner_goes_on(calls: int) -> None:
    api = given()
    lost = once_when(api, later(api, calls), lambda: put_back(api))
    with api.connected() as client:
        code = engine(api, client, leaving=lambda: bool(lost)).run()
        assert code == (JOB_TERMINATED if lost else JOB_DONE)
        assert serves(api) or step_of(api, 0) == "starting"
        demand_nothing_lost(api)
        let_go_on(api)
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_what_is_asked_for_meanwhile_changes_nothing_of_that() -> None:
    api = given()
    lost = once_when(api, later(api, 3), lambda: (put_back(api), ask(api, "cancel")))
    with api.connected() as client:
        assert engine(api, client, leaving=lambda: bool(lost)).run() == JOB_TERMINATED
        assert lost and serves(api)
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_nothing_lost(api)


@pytest.mark.parametrize("queue", [QUEUE, {}], ids=["queue", "no-queue"])
def test_where_another_pod_follows_at_once_the_replica_is_not_stopped_a_second_time(queue: dict[str, str]) -> None:
    """A drained node, for example: the Job goes on."""
    api = given(queue)
    lost = once_when(api, later(api, 3), lambda: None)
    with api.connected() as client:
        assert engine(api, client, leaving=lambda: bool(lost)).run() == JOB_TERMINATED
        pod = api.find("pods", NAMESPACE, f"{SET}-0")
        assert pod is not None and labels.HOLD_FINALIZER in pod["metadata"]["finalizers"]
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_a_runner_that_is_killed_before_it_has_let_go_is_followed_as_ever() -> None:
    api = given()
    lost = once_when(api, later(api, 3), lambda: put_back(api))

    def killed(number: int, verb: str, path: str) -> None:
        if lost and number > lost[0] + 1:
            raise Killed
    api.before_call.append(killed)
    with api.connected() as client:
        with pytest.raises(Killed):
            engine(api, client, leaving=lambda: bool(lost)).run()
        api.before_call.remove(killed)
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})
