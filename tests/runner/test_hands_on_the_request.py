"""Somebody deletes the VolumeResize, politely or by force, or the whole namespace. Nothing stays held, frozen or Terminating; the application has its
data on one side."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from hands import Moment, absent, begun, by_force, claimed, claimless, copying, disturbed, find, frozen, remove, starting, stopped, swapping, verified
from running import demand_nothing_left, demand_nothing_lost, once_when, run, sizes, status

from kubectl_volresize.errors import JOB_DONE
from kubectl_volresize.model import labels

MOMENTS = [begun, copying, stopped, verified, swapping, frozen, claimless, claimed, absent, starting]
_EXCHANGED = {frozen, claimless, claimed, absent, starting}


@pytest.mark.row("request-deleted")
@pytest.mark.parametrize("how", ["Background", "Orphan", "Foreground"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_request_that_is_deleted_is_put_back_or_its_exchange_ended_and_then_goes(moment: Moment, how: str) -> None:
    end = disturbed(moment, remove("volumeresizes", SET, propagationPolicy=how), replicas=2)
    assert end.code == JOB_DONE and find(end.api, "volumeresizes", SET) is None
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert sizes(end.api) == {"data-web-0": "1Gi", "data-web-1": "500Mi" if moment in _EXCHANGED else "1Gi"}


@pytest.mark.row("request-forced")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_request_that_is_deleted_by_force_is_written_again_and_put_back(moment: Moment) -> None:
    end = disturbed(moment, by_force("volumeresizes", SET), replicas=2)
    assert end.code == JOB_DONE and status(end.api)["phase"] == labels.CANCELLED and "deleted by force" in end.message
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert sizes(end.api) == {"data-web-0": "1Gi", "data-web-1": "500Mi" if moment in _EXCHANGED else "1Gi"}


@pytest.mark.row("namespace-deleted")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_namespace_that_is_deleted_goes_and_the_old_volumes_stay(moment: Moment) -> None:
    api = three_replicas(replicas=2).build()
    submit(api, {"data": "500Mi"})
    olds = {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in api.store.all("persistentvolumeclaims", NAMESPACE)}
    came = once_when(api, lambda: moment(api, 1), lambda: remove("namespaces", NAMESPACE)(api, 1))
    with api.directly_connected() as client:
        code = run(api, client)
    api.settle()
    assert came and code == JOB_DONE
    assert find(api, "namespaces", NAMESPACE) is None, [key for key in api.store.objects if key[1] == NAMESPACE]
    assert api.empty_claims == []
    old = olds["data-web-1"]
    # Before that nothing was changed, also not that a deleted namespace takes its volumes with it.
    if moment is not begun:
        assert find(api, "persistentvolumes", old) is not None and api.disks[old]
