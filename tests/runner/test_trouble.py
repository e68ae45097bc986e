"""The runner in trouble: its pod is asked to end, a node does not answer, the cluster's definition is an older one."""
from __future__ import annotations

from typing import Any

import pytest
import requests
from builders import NAMESPACE, SET, set_node_ready, submit, three_replicas
from fake_api import FakeApi
from running import Killed, demand_migrated, demand_nothing_lost, engine, once_when, reason, run, status, step_of

from kubectl_volresize.errors import JOB_DONE, JOB_NEEDS_HUMAN, JOB_TERMINATED
from kubectl_volresize.model import labels
from kubectl_volresize.runner.store import OldDefinition


def _frozen(api: FakeApi) -> bool:
    found = api.find("statefulsets", NAMESPACE, SET)
    return found is None or labels.FREEZE_FINALIZER in (found["metadata"].get("finalizers") or [])


@pytest.mark.parametrize("moment", ["copying", "frozen"])
def test_a_runner_that_is_asked_to_end_leaves_no_set_frozen_and_the_next_one_goes_on(moment: str) -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    asked = once_when(api, lambda: _frozen(api) if moment == "frozen" else step_of(api, 0) == moment, lambda: None)
    with api.connected() as client:
        assert engine(api, client, leaving=lambda: bool(asked)).run() == JOB_TERMINATED
        assert asked and not _frozen(api)
        assert step_of(api, 0) == ("starting" if moment == "frozen" else moment)
        assert run(api, client, identity="runner-2") == JOB_DONE
    demand_migrated(api, {"data": "500Mi"})


def test_a_node_that_hangs_is_told_of_in_time_although_its_logs_never_come() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    start = api.clock.now.timestamp()
    hangs = once_when(api, lambda: step_of(api, 0) == "holding", lambda: [set_node_ready(api, node, False) for node in ("node-1", "node-2")])

    def silent(number: int, verb: str, path: str) -> None:
        if api.clock.now.timestamp() > start + 7200:
            raise Killed
        if hangs and verb == "log":
            api.clock.advance(10)
            raise requests.ReadTimeout("silence")

    api.before_call.append(silent)
    with api.connected() as client:
        assert run(api, client) == JOB_NEEDS_HUMAN
    assert hangs and reason(api) == "NeedsHuman" and "shutting down" in status(api)["message"]
    demand_nothing_lost(api)


def test_a_minute_in_which_a_call_hung_was_no_minute_of_waiting() -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    looks: list[float] = []
    once_when(api, lambda: step_of(api, 0) == "swapping", lambda: api.faults.stopped.add("binder"))

    def deaf(number: int, verb: str, path: str) -> None:
        claim = api.find("persistentvolumeclaims", NAMESPACE, f"data-{SET}-0")
        if claim is None or claim["status"].get("phase") == "Bound" or step_of(api, 0) not in ("swapping", "thawing"):
            return
        looks.append(api.clock.now.timestamp())
        if len(looks) == 20:
            api.clock.advance(70)
        if len(looks) == 60:
            api.faults.stopped.clear()

    api.before_call.append(deaf)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert len(looks) >= 60 and looks[-1] - looks[0] > 60
    demand_migrated(api, {"data": "500Mi"})


def test_a_definition_that_drops_what_a_restart_needs_ends_the_runner_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        replace = client.replace

        def pruned(path: str, body: Any, dry_run: bool = False) -> Any:
            written = replace(path, body, dry_run)
            (written.get("status") or {}).pop("statefulSetUID", None)
            return written

        monkeypatch.setattr(client, "replace", pruned)
        with pytest.raises(OldDefinition) as told:
            run(api, client)
    assert "install" in told.value.advice and step_of(api, 0) == ""
