"""A runner may die anywhere. Whoever comes next knows nothing but what is in the cluster, and must end in the same state, with every byte."""
from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from builders import NAMESPACE, SET, Cluster, submit, three_replicas
from fake_api import EAGER, RANDOM, FakeApi
from running import claim_uids, demand_migrated, demand_untouched, engine, lines, run

from kubectl_volresize.errors import JOB_DONE

_WRITES = ("create", "replace", "patch", "apply", "delete", "evict")
_MOST_RUNNERS = 400

ONE = three_replicas(replicas=1)
TWO_VOLUMES = three_replicas({"data": "1Gi", "logs": "500Mi"}, replicas=1)
TWO = three_replicas(replicas=2)


def _wanted(cluster: Cluster) -> dict[str, str]:
    return dict(zip(cluster.volumes, ("500Mi", "100Mi")))


def _steps(out: io.StringIO) -> list[tuple[str, Any, Any, Any]]:
    """What was done to which object, without what was waited for."""
    waiting = ("Waiting", "Progress", "LookAgain", "Done", "ApiUnavailable")
    return [(line["operation"], re.sub("00000000-.*", "", line.get("object", "")), line.get("replica"), line.get("volume"))
            for line in lines(out) if line["operation"] not in waiting]


@pytest.mark.parametrize("cluster", [ONE, TWO_VOLUMES, TWO], ids=["one", "two-volumes", "two-replicas"])
def test_every_plan_survives_being_replanned_after_its_first_step(cluster: Cluster) -> None:
    whole, stepwise = io.StringIO(), io.StringIO()
    api = cluster.build()
    submit(api, _wanted(cluster))
    with api.connected() as client:
        assert engine(api, client, out=whole).run() == JOB_DONE

    api = cluster.build()
    submit(api, _wanted(cluster))
    with api.connected() as client:
        for number in range(_MOST_RUNNERS):
            # Each a new runner of the same Job that takes one step and is gone.
            if engine(api, client, identity=f"runner-{number // 2}", out=stepwise).step() is not None:
                break
    demand_migrated(api, _wanted(cluster))
    assert _steps(stepwise) == _steps(whole)


def _writes_of(cluster: Cluster, prepare: Callable[[FakeApi], None]) -> list[int]:
    """Numbers of the calls that change something, in an undisturbed run."""
    api = cluster.build()
    prepare(api)
    before = len(api.calls)
    with api.connected() as client:
        run(api, client)
    return [number for number, call in enumerate(api.calls[before:], 1) if call.verb in _WRITES and "dryRun" not in call.path]


def _submitted(cluster: Cluster) -> Callable[[FakeApi], None]:
    return lambda api: submit(api, _wanted(cluster)) and None


def _delete_when(api: FakeApi, moment: int) -> None:
    """Somebody deletes the VolumeResize just before call `moment`."""
    calls = 0

    def delete(_: int, verb: str, path: str) -> None:
        nonlocal calls
        calls += 1
        found = api.find("volumeresizes", NAMESPACE, SET)
        if calls == moment and found is not None:
            api.rest.remove("volumeresizes", found)

    api.before_call.append(delete)


@pytest.mark.parametrize("mode", [EAGER, RANDOM])
def test_the_request_may_be_deleted_at_any_write(mode: str) -> None:
    ends = set()
    for number in _writes_of(ONE, _submitted(ONE)):
        api = ONE.build(mode=mode, seed=number)
        before = claim_uids(api)
        submit(api, {"data": "500Mi"})
        _delete_when(api, number)
        with api.connected() as client:
            assert run(api, client) == JOB_DONE, f"deleted at call {number}"
        assert api.find("volumeresizes", NAMESPACE, SET) is None, f"deleted at call {number}"
        ends.add("back" if claim_uids(api) == before else "forward")
        if claim_uids(api) == before:
            demand_untouched(api, before)
        else:
            _demand_new_side(api)
    assert ends == {"back", "forward"}


def _demand_new_side(api: FakeApi) -> None:
    api.settle()
    assert api.lost_bytes() == {} and api.empty_claims == []
    assert api.store.all("leases", NAMESPACE) == []
    statefulset = api.find("statefulsets", NAMESPACE, SET)
    assert statefulset is not None and statefulset["status"]["readyReplicas"] == 1
