"""An API server that is away for ten minutes delays a migration, and nothing else: no wait's limit counts time in which nobody could be asked."""
from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Object, Refusal
from fake_api.guard import Guard
from fake_api.world import terminating
from running import demand_migrated, run, status, step_of

from kubectl_volresize.errors import JOB_DONE
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.plan.waits import LIMITS

_AWAY = 600.0  # seconds
_TIMEOUT = 10.0

Moment = Callable[[FakeApi], bool]


def _set(api: FakeApi) -> Object | None:
    return api.find("statefulsets", NAMESPACE, SET)


def _held(api: FakeApi) -> bool:
    pod = api.find("pods", NAMESPACE, "web-1")
    return pod is not None and labels.HOLD_FINALIZER in (pod["metadata"].get("finalizers") or [])


def _frozen(api: FakeApi) -> bool:
    found = _set(api)
    return found is not None and terminating(found)


def _claim_away(api: FakeApi) -> bool:
    return api.find("persistentvolumeclaims", NAMESPACE, "data-web-1") is None


MOMENTS: dict[str, Moment] = {
    "at the start": lambda api: True,
    "while it measures": lambda api: api.find("pods", NAMESPACE, "web-measure-1-data") is not None,
    "while it copies": lambda api: step_of(api, 1) == "copying",
    "with the pod held": _held,
    "in the final pass": lambda api: step_of(api, 1) == "holding" and _held(api) and bool(status(api)["volumeStatuses"][0].get("final")),
    "with the set frozen": _frozen,
    "with the claim gone": _claim_away,
    "with the set absent": lambda api: _set(api) is None,
    "while it starts again": lambda api: step_of(api, 1) == "starting"}


def _away_from(api: FakeApi, moment: Moment, answer: Callable[[], Refusal | None]) -> list[float]:
    """From then on nobody is answered for ten minutes; the cluster's own hands are not idle meanwhile. Returns when it began."""
    began: list[float] = []

    def away(number: int, verb: str, path: str) -> Refusal | None:
        now = api.clock.now.timestamp()
        if not began and moment(api):
            began.append(now)
        return answer() if began and now < began[0] + _AWAY else None

    api.before_call.append(away)
    return began


def _silent(api: FakeApi) -> Callable[[], Refusal | None]:
    def silent() -> Refusal | None:
        api.sleep(_TIMEOUT)
        raise requests.ConnectTimeout("no answer")

    return silent


def _overloaded() -> Refusal | None:
    return Refusal(503, "ServiceUnavailable", "the server is currently unable to handle the request", retry_after=5)


def _logged_out() -> Refusal | None:
    return Refusal(401, "Unauthorized", "Unauthorized")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ["silent", "overloaded", "logged out"])
def test_ten_minutes_without_an_api_server_only_delay(how: str, moment: str) -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})
    api.guard = Guard(api)
    began = _away_from(api, MOMENTS[moment], {"silent": _silent(api), "overloaded": _overloaded, "logged out": _logged_out}[how])
    with api.directly_connected() as client:
        assert run(api, client) == JOB_DONE
    assert began and api.clock.now.timestamp() >= began[0] + _AWAY
    assert api.guard.violations == []
    demand_migrated(api, {"data": "500Mi"})


def test_a_wait_that_was_begun_goes_on_after_the_api_server_was_away() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    api.faults.stopped.add("binder")
    limit = LIMITS["binding"].seconds
    assert limit is not None
    waited: list[float] = []

    def bound_late(api: FakeApi) -> bool:
        claim = api.find("persistentvolumeclaims", NAMESPACE, "data-web-0")
        if claim is not None and claim["status"].get("phase") == "Pending":
            waited.append(api.clock.now.timestamp())
        return bool(waited) and waited[-1] - waited[0] > limit / 6

    _stop_binder_before_the_exchange(api)
    began = _away_from(api, bound_late, _silent(api))

    def bind_again(number: int, verb: str, path: str) -> None:
        if began and api.clock.now.timestamp() > began[0] + _AWAY + limit / 4:
            api.faults.stopped.discard("binder")

    api.before_call.append(bind_again)
    with api.directly_connected() as client:
        assert run(api, client) == JOB_DONE
    assert began
    demand_migrated(api, {"data": "500Mi"})


def _stop_binder_before_the_exchange(api: FakeApi) -> None:
    def stop(number: int, verb: str, path: str) -> None:
        if step_of(api, 0) in ("", "copying", "holding"):
            api.faults.stopped.discard("binder")
        elif not stopped:
            stopped.append(number)
            api.faults.stopped.add("binder")

    stopped: list[int] = []
    api.before_call.append(stop)


def test_the_engine_obeys_retry_after_and_within_reason() -> None:
    for wanted, paused in ((7, 7.0), (3600, 60.0)):
        api = three_replicas(replicas=1).build()
        submit(api, {"data": "500Mi"})
        assert _longest_pause(api, wanted) == paused
        demand_migrated(api, {"data": "500Mi"})


def _longest_pause(api: FakeApi, retry_after: int) -> float:
    """Between a write that is refused with 429 and the next call."""
    refused: list[float] = []
    pauses: list[float] = []

    def refuse(number: int, verb: str, path: str) -> Refusal | None:
        now = api.clock.now.timestamp()
        if len(refused) == 1 and not pauses:
            pauses.append(now - refused[0])
        if verb == "patch" and not refused:
            refused.append(now)
            return Refusal(429, "TooManyRequests", "slow down", retry_after=retry_after)
        return None

    api.before_call.append(refuse)
    with api.directly_connected() as client:
        assert isinstance(client, Client) and run(api, client) == JOB_DONE
    return pauses[0]
