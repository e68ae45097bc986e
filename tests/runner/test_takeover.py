"""A runner whose node died holds the Lease for a minute more, perhaps while the StatefulSet is absent: who comes after it waits only for one that may
live."""
from __future__ import annotations

import io
from typing import Any

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi
from running import Killed, demand_migrated, engine, lines, once_when, run, step_of

from kubectl_volresize.errors import JOB_DONE
from kubectl_volresize.kube import paths
from kubectl_volresize.runner.lease import SECONDS

OVER: dict[str, Any] = {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}


def followed(**job: Any) -> tuple[float, str, FakeApi]:
    """A runner that died while the set was frozen, its Job as given, and its successor of another Job: how many seconds that one took to its end, and
    what it said."""
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})

    def die() -> None:
        raise Killed
    once_when(api, lambda: step_of(api, 0) == "thawing", die)
    with api.connected() as client:
        with pytest.raises(Killed):
            run(api, client)
        client.create(paths.jobs(NAMESPACE), {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "web-runner", "namespace": NAMESPACE},
                                              "spec": job.get("spec", {})})
        if "status" in job:
            created = api.find("jobs", NAMESPACE, "web-runner")
            assert created is not None
            api.rest.change("jobs", created, lambda new: new.update(status=job["status"]), status=True)
        began, out = api.clock.now, io.StringIO()
        assert engine(api, client, identity="runner-2", job="web-runner-2", out=out).run() == JOB_DONE
    return (api.clock.now - began).total_seconds(), " ".join(line["message"] for line in lines(out)), api


@pytest.mark.parametrize("job", [{"spec": {"suspend": True}}, OVER], ids=["suspended, as by resume", "over"])
def test_a_runner_whose_job_does_not_run_any_more_is_not_waited_for(job: dict[str, Any]) -> None:
    seconds, said, api = followed(**job)
    assert "is held by" not in said and seconds < SECONDS
    demand_migrated(api, {"data": "500Mi"})


def test_a_runner_that_may_live_is_waited_for_as_long_as_its_lease_lasts() -> None:
    seconds, said, api = followed()
    assert f"lease volresize-{SET} is held by web-runner" in said and seconds > SECONDS
    demand_migrated(api, {"data": "500Mi"})
