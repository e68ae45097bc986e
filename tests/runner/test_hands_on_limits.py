"""What a cluster may refuse or take away in the middle: an eviction, room under a quota, a node; and a source that has outgrown its new volume."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, SET, set_node_ready, three_replicas
from fake_api import FakeApi, Object
from fake_api.refusal import forbidden
from hands import (Hand, Moment, begun, change, claim_name, claimless, copied, copying, disturbed, find, go_on, is_frozen, is_held, later, mover_name,
                   pod_name, quota, remove, starting, stopped, swapping, verified)
from running import ask, demand_migrated, demand_nothing_lost, demand_untouched, sizes

from kubectl_volresize.errors import JOB_DONE, JOB_NEEDS_HUMAN, JOB_REFUSED

# -- budgets


def forbid(*names: str) -> Hand:
    """PodDisruptionBudgets that allow no disruption at all."""
    def act(api: FakeApi, ordinal: int) -> None:
        for name in names:
            api.rest.post("poddisruptionbudgets", {"metadata": {"name": name, "namespace": NAMESPACE},
                                                   "spec": {"selector": {"matchLabels": {"app": SET}}, "maxUnavailable": 0}})
    return act


@pytest.mark.row("budget-created")
def test_a_budget_that_never_allows_the_stop_ends_the_attempt_after_half_an_hour_with_nothing_held() -> None:
    end = disturbed(copying, forbid("web-1"))
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and f"pod {pod_name(0)} may not be evicted" in end.message
    demand_untouched(end.api, end.before)


@pytest.mark.row("budget-created")
def test_a_second_budget_of_the_same_pod_only_delays_when_it_goes_again() -> None:
    """The Eviction API answers 500 as long as there are two, whatever they allow."""
    cluster = three_replicas(replicas=1).with_budget(max_unavailable=1)
    end = disturbed(copying, forbid("other"), cluster=cluster, then=[(later(120), remove("poddisruptionbudgets", "other"))])
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("budget-stopped")
@pytest.mark.parametrize("moment", [stopped, swapping])
def test_a_budget_that_comes_after_the_stop_does_not_keep_the_replica_away(moment: Moment) -> None:
    end = disturbed(moment, forbid("web-1"))
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


# -- quotas


@pytest.mark.row("quota-temporary")
def test_a_quota_that_forbids_the_temporary_claim_ends_the_attempt_in_the_servers_words() -> None:
    end = disturbed(begun, quota(persistentvolumeclaims="1"))
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "exceeded quota: small" in end.message
    demand_untouched(end.api, end.before)


@pytest.mark.row("quota-mover")
def test_a_quota_that_forbids_the_mover_ends_the_attempt_in_the_servers_words() -> None:
    def no_movers(new: Object) -> None:
        if new["metadata"]["name"] == mover_name(0):
            raise forbidden(f'pods "{mover_name(0)}" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2')

    end = disturbed(begun, lambda api, ordinal: api.rest.webhooks.append(no_movers))
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "exceeded quota: small" in end.message
    demand_untouched(end.api, end.before)


@pytest.mark.row("quota-new-claim")
@pytest.mark.parametrize("moment", [stopped, claimless])
def test_a_quota_that_forbids_the_new_claim_needs_a_human_and_when_it_is_raised_the_exchange_ends(moment: Moment) -> None:
    end = disturbed(moment, quota(persistentvolumeclaims="0"))
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman")
    assert f"claim {claim_name(0)}" in end.message and "exceeded quota: small" in end.message
    assert is_frozen(end.api) and end.api.empty_claims == []
    remove("resourcequotas", "small")(end.api, 0)
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("quota-new-claim")
def test_a_quota_that_is_raised_soon_only_delays_the_exchange() -> None:
    end = disturbed(claimless, quota(persistentvolumeclaims="0"), then=[(later(40), remove("resourcequotas", "small"))])
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


# -- nodes


def cordon(unschedulable: bool = True) -> Hand:
    def act(api: FakeApi, ordinal: int) -> None:
        for node in api.store.all("nodes"):
            change("nodes", node["metadata"]["name"], lambda new: new["spec"].update(unschedulable=unschedulable))(api, ordinal)
    return act


def drain(api: FakeApi, ordinal: int) -> None:
    """`kubectl drain`: cordoned, and every pod with a controller evicted, the movers too."""
    cordon()(api, ordinal)
    for name in (pod_name(ordinal), mover_name(ordinal)):
        if find(api, "pods", name) is not None:
            remove("pods", name)(api, ordinal)


@pytest.mark.row("node-drained")
@pytest.mark.parametrize("moment", [copying, copied])
def test_a_node_that_is_drained_while_it_is_copied_is_waited_for(moment: Moment) -> None:
    end = disturbed(moment, drain, then=[(later(300), cordon(False))])
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("node-drained-stopped")
def test_a_node_that_is_drained_while_its_pod_is_stopped_gets_it_back_when_it_is_open_again() -> None:
    end = disturbed(stopped, drain, then=[(later(300), cordon(False))])
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("node-drained-stopped")
def test_a_replica_whose_node_stays_closed_after_its_exchange_needs_a_human_and_is_resumed() -> None:
    end = disturbed(verified, cordon())
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and "replica 0 is not Ready on its new volumes" in end.message
    assert "Unschedulable" in end.message and sizes(end.api) == {claim_name(0): "500Mi"}
    demand_nothing_lost(end.api)
    cordon(False)(end.api, 0)
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


def silent_node(api: FakeApi, ordinal: int) -> None:
    pod = find(api, "pods", pod_name(ordinal))
    for node in api.store.all("nodes"):
        if pod is None or pod["spec"].get("nodeName") == node["metadata"]["name"]:
            set_node_ready(api, node["metadata"]["name"], False)


def answering_nodes(api: FakeApi, ordinal: int) -> None:
    for node in api.store.all("nodes"):
        set_node_ready(api, node["metadata"]["name"], True)


@pytest.mark.row("node-silent-copying")
def test_a_node_that_falls_silent_while_it_is_copied_is_waited_for_with_nothing_held() -> None:
    end = disturbed(copied, silent_node, then=[(later(300), answering_nodes)])
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("node-silent-stopped")
@pytest.mark.parametrize("moment", [stopped, verified])
def test_a_node_that_falls_silent_under_a_stopped_pod_needs_a_human_and_is_resumed(moment: Moment) -> None:
    end = disturbed(moment, silent_node)
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and pod_name(0) in end.message
    assert end.api.lost_bytes() == {} and end.api.empty_claims == [] and is_held(end.api, 0)
    answering_nodes(end.api, 0)
    end.api.settle()
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("node-silent-starting")
def test_a_node_that_falls_silent_after_the_exchange_needs_a_human_and_the_set_stands() -> None:
    end = disturbed(starting, silent_node, cluster=three_replicas(replicas=2))
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and "is not Ready on its new volumes" in end.message
    assert find(end.api, "statefulsets", SET) is not None and sizes(end.api)[claim_name(1)] == "500Mi"
    answering_nodes(end.api, 1)
    end.api.settle()
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


# -- the source


@pytest.mark.row("source-grew")
@pytest.mark.parametrize("moment", [begun, stopped])
def test_a_source_that_has_outgrown_its_new_volume_stays_where_it_is_in_the_words_of_the_mover(moment: Moment) -> None:
    words = "the data needs 612 MiB, the new volume has 480 MiB"

    def grow(api: FakeApi, ordinal: int) -> None:
        api.faults.fails[mover_name(ordinal)] = (20, words)

    end = disturbed(moment, grow)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and words in end.message and claim_name(0) in end.message
    demand_untouched(end.api, end.before)
