"""Somebody scales, edits, deletes or creates the StatefulSet while its volumes are exchanged. The set is what everything hangs on: it stands at the
end, as its owner wants it, and no replica ever starts on an empty claim."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, SET, three_replicas
from fake_api import FakeApi
from hands import (Hand, Moment, absent, begun, claimed, claimless, copying, disturbed, done, find, frozen, go_on, images, remove, roll_out, scale,
                   starting, stopped, swapping, verified)
from running import ask, demand_migrated, demand_nothing_left, demand_nothing_lost, demand_untouched, sizes, status, template_sizes

from kubectl_volresize.errors import JOB_DONE, JOB_NEEDS_HUMAN, JOB_REFUSED


def _create(size: str = "1Gi") -> Hand:
    """What an operator does that finds no set: its manifest, with the size that it knows."""
    return lambda api, ordinal: api.rest.post("statefulsets", three_replicas({"data": size}, replicas=ordinal + 1).statefulset())


def _new_claims_may_be_empty(api: FakeApi, *names: str) -> None:
    """The first claims of replicas that somebody added."""
    assert {claim.name for claim in api.empty_claims} == set(names)
    api.empty_claims.clear()


# -- scaled


@pytest.mark.row("scaled-up-stopped")
@pytest.mark.parametrize("moment", [stopped, swapping])
def test_a_replica_that_can_come_only_after_the_stopped_one_is_not_waited_for(moment: Moment) -> None:
    end = disturbed(moment, scale(2), patience=120)
    assert end.code == JOB_DONE
    _new_claims_may_be_empty(end.api, "data-web-1")
    assert find(end.api, "statefulsets", SET)["status"]["readyReplicas"] == 2  # type: ignore[index]
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)


@pytest.mark.row("scaled-up-stopped")
def test_a_replica_that_comes_beside_the_stopped_one_is_waited_for_before_the_exchange() -> None:
    end = disturbed(stopped, scale(2), cluster=three_replicas(replicas=1, policy="Parallel"))
    assert end.code == JOB_DONE
    _new_claims_may_be_empty(end.api, "data-web-1")
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("scaled-down-before")
def test_a_replica_that_was_scaled_away_before_its_turn_is_named_at_the_end_with_its_claim() -> None:
    end = disturbed(begun, scale(1), replicas=2)
    assert (end.code, end.end) == (JOB_DONE, "Completed") and "data-web-1" in end.message and "keeps its old size" in end.message
    assert sizes(end.api) == {"data-web-0": "500Mi", "data-web-1": "1Gi"}
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)


@pytest.mark.row("scaled-down-copied")
@pytest.mark.parametrize("moment", [copying, stopped, verified])
def test_a_replica_that_is_scaled_away_before_its_exchange_goes_and_keeps_its_old_claim(moment: Moment) -> None:
    end = disturbed(moment, scale(1), replicas=2)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "it has no replica 1 any more" in end.message
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert sizes(end.api) == {"data-web-0": "1Gi", "data-web-1": "1Gi"} and find(end.api, "pods", "web-1") is None


@pytest.mark.row("scaled-down-exchanged")
@pytest.mark.parametrize("moment", [frozen, claimless, claimed, starting])
def test_a_replica_that_is_scaled_away_in_its_exchange_gets_its_new_claim_first(moment: Moment) -> None:
    end = disturbed(moment, scale(1), replicas=2)
    assert end.code == JOB_DONE
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert sizes(end.api) == {"data-web-0": "500Mi", "data-web-1": "500Mi"} and find(end.api, "pods", "web-1") is None
    assert find(end.api, "statefulsets", SET)["spec"]["replicas"] == 1  # type: ignore[index]


@pytest.mark.row("scaled-down-exchanged")
def test_a_set_that_is_scaled_to_nothing_in_an_exchange_is_not_said_to_run() -> None:
    end = disturbed(frozen, scale(0), replicas=2)
    assert end.code == JOB_DONE and "claim data-web-0" in end.message and "keeps its old size" in end.message
    assert sizes(end.api) == {"data-web-0": "1Gi", "data-web-1": "500Mi"}
    demand_nothing_lost(end.api)


# -- edited


@pytest.mark.row("rollout-copying")
def test_a_rollout_that_comes_before_the_stop_is_waited_for() -> None:
    end = disturbed(copying, roll_out(), replicas=2)
    assert end.code == JOB_DONE and images(end.api) == {"example.test/app:2"}
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("rollout-stopped")
@pytest.mark.parametrize("moment", [stopped, verified, swapping])
def test_a_rollout_that_the_stopped_pod_keeps_from_ending_is_let_go_on_at_once(moment: Moment) -> None:
    end = disturbed(moment, roll_out(), replicas=2, patience=120)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "a rollout is in progress" in end.message
    demand_untouched(end.api, end.before)
    assert images(end.api) == {"example.test/app:2"}
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("rollout-frozen")
@pytest.mark.parametrize("moment", [frozen, claimless, claimed])
def test_a_template_that_is_edited_on_the_frozen_set_is_rolled_out_after_the_thaw_on_the_right_claims(moment: Moment) -> None:
    end = disturbed(moment, roll_out(), replicas=2)
    assert end.code == JOB_DONE and images(end.api) == {"example.test/app:2"}
    demand_migrated(end.api, {"data": "500Mi"})


# -- deleted


DELETIONS = ("Background", "Foreground", "Orphan")


@pytest.mark.row("set-deleted")
@pytest.mark.parametrize("how", DELETIONS)
@pytest.mark.parametrize("moment", [copying, stopped, swapping])
def test_a_set_that_is_deleted_before_it_was_frozen_is_not_waited_for_and_its_claims_stand(how: str, moment: Moment) -> None:
    end = disturbed(moment, remove("statefulsets", SET, propagationPolicy=how), patience=120)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "deleted by somebody" in end.message
    end.api.settle()
    assert find(end.api, "statefulsets", SET) is None and sizes(end.api) == {"data-web-0": "1Gi"}
    demand_nothing_lost(end.api)
    _create()(end.api, 0)
    end.api.settle()
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("set-deleted-frozen")
@pytest.mark.parametrize("how", DELETIONS)
@pytest.mark.parametrize("moment", [frozen, claimed])
def test_a_frozen_set_that_is_deleted_once_more_is_created_again_with_its_claims(how: str, moment: Moment) -> None:
    end = disturbed(moment, remove("statefulsets", SET, propagationPolicy=how), replicas=2)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("set-deleted-started")
def test_a_set_that_is_deleted_after_an_exchange_is_waited_for_and_resumed_when_it_is_there_again() -> None:
    end = disturbed(starting, remove("statefulsets", SET, propagationPolicy="Background"), replicas=2)
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and "create it again with the new size" in end.message
    assert sizes(end.api) == {"data-web-0": "1Gi", "data-web-1": "500Mi"}
    _create("500Mi")(end.api, 1)
    end.api.settle()
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("set-deleted")
def test_a_set_that_is_deleted_between_two_replicas_is_not_created_again() -> None:
    end = disturbed(done, remove("statefulsets", SET, propagationPolicy="Orphan"), replicas=2)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "create it again" in end.message
    assert find(end.api, "statefulsets", SET) is None and sizes(end.api) == {"data-web-0": "1Gi", "data-web-1": "500Mi"}
    assert end.api.lost_bytes() == {}


# -- created by somebody else


@pytest.mark.row("created-in-gap")
@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_a_set_that_an_operator_creates_in_the_gap_starts_on_full_claims_and_a_human_is_told_of_it(policy: str) -> None:
    end = disturbed(absent, _create(), cluster=three_replicas(replicas=2, policy=policy))
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman")
    kept = [status(end.api)["volumeStatuses"][0][key] for key in ("oldPVName", "newPVName", "oldPVCName")]
    assert all(name in end.message for name in kept)
    demand_nothing_lost(end.api)
    assert find(end.api, "statefulsets", SET)["status"]["readyReplicas"] == 2  # type: ignore[index]
    assert sizes(end.api) == {"data-web-0": "1Gi", "data-web-1": "500Mi"} and template_sizes(end.api) == {"data": "1Gi"}


@pytest.mark.row("created-in-gap")
def test_an_operator_that_tries_to_create_the_set_all_the_time_finds_no_moment_at_which_data_is_lost() -> None:
    """At every call of the whole migration, as a loop of `kubectl create` does."""
    refused = []

    def insist(api: FakeApi, ordinal: int) -> bool:
        if find(api, "statefulsets", SET) is not None:
            refused.append(1)
            return False
        return True

    end = disturbed(insist, _create())
    assert end.end == "NeedsHuman" and refused
    demand_nothing_lost(end.api)
    assert [pod["metadata"]["name"] for pod in end.api.store.all("pods", NAMESPACE) if pod["metadata"].get("finalizers")] == []


@pytest.mark.row("created-in-gap")
def test_after_an_operators_set_was_deleted_without_its_pods_the_saved_one_is_created_again() -> None:
    end = disturbed(absent, _create(), replicas=2)
    remove("statefulsets", SET, propagationPolicy="Orphan")(end.api, 1)
    end.api.settle()
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})
