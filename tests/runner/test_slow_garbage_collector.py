"""The garbage collector takes the frozen set's name off what it owns. It may be slow, asleep, or overlook something; what it has not done it does
when it wakes, and then nothing may be left that bears the name of a set that is gone."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, SET, three_replicas
from fake_api import FakeApi
from hands import Hand, disturbed, find, frozen, is_held, later, stopped, swapping
from running import demand_migrated, once_when

from kubectl_volresize.errors import JOB_DONE

_COLLECTOR = "garbage"


def asleep(api: FakeApi, ordinal: int) -> None:
    api.faults.stopped.add(_COLLECTOR)


def awake(api: FakeApi, ordinal: int) -> None:
    api.faults.stopped.discard(_COLLECTOR)


def _watched(hand: Hand, released: list[bool]) -> Hand:
    """The hand, and from then on whether the pod was released while something still bore the set's name."""
    def act(api: FakeApi, ordinal: int) -> None:
        hand(api, ordinal)
        set_uid = find(api, "statefulsets", SET)["metadata"]["uid"]  # type: ignore[index]

        def named() -> bool:
            return any(owner["uid"] == set_uid for plural in ("pods", "persistentvolumeclaims", "controllerrevisions")
                       for obj in api.store.all(plural, NAMESPACE) for owner in obj["metadata"].get("ownerReferences") or [])
        once_when(api, lambda: frozen_and_released(api, ordinal), lambda: released.append(named()))
    return act


def frozen_and_released(api: FakeApi, ordinal: int) -> bool:
    found = find(api, "statefulsets", SET)
    return found is not None and "deletionTimestamp" in found["metadata"] and not is_held(api, ordinal)


@pytest.mark.row("collector-slow")
def test_a_collector_that_takes_ten_seconds_is_waited_for() -> None:
    released: list[bool] = []
    end = disturbed(swapping, _watched(asleep, released), replicas=2, then=[(frozen, lambda api, ordinal: None), (later(10), awake)])
    assert end.code == JOB_DONE and released == [False]
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("collector-asleep")
@pytest.mark.parametrize("overlooked", [False, True])
def test_a_collector_that_wakes_long_after_the_exchange_finds_nothing_to_delete(overlooked: bool) -> None:
    released: list[bool] = []

    def blind(api: FakeApi, ordinal: int) -> None:
        """It also has not seen the pods yet when it orphans, and so would delete them later."""
        if overlooked:
            api.faults.overlooked |= {pod["metadata"]["uid"] for pod in api.store.all("pods", NAMESPACE)}
        else:
            asleep(api, ordinal)

    end = disturbed(stopped, _watched(blind, released), replicas=2)
    assert end.code == JOB_DONE and released == [False]
    pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in end.api.store.all("pods", NAMESPACE)}
    awake(end.api, 1)
    end.api.faults.overlooked.clear()
    end.api.settle()
    demand_migrated(end.api, {"data": "500Mi"})
    assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in end.api.store.all("pods", NAMESPACE)} == pods


@pytest.mark.row("collector-asleep")
def test_a_set_that_is_deleted_in_the_foreground_while_the_collector_sleeps_is_not_waited_for_by_the_stopped_pod() -> None:
    def delete(api: FakeApi, ordinal: int) -> None:
        found = find(api, "statefulsets", SET)
        assert found is not None
        api.rest.remove("statefulsets", found, propagationPolicy="Foreground")

    end = disturbed(swapping, asleep, cluster=three_replicas(replicas=2), then=[(frozen, delete)])
    awake(end.api, 1)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})
