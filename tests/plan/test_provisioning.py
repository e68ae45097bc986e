"""Where the new volume is made, and what happens when its mover cannot run there."""
from __future__ import annotations

import pytest
import states
from builders import NAMESPACE, SET, submit, three_replicas
from running import run

from kubectl_volresize.model.cluster import Mover
from kubectl_volresize.plan import waits
from kubectl_volresize.plan.replica import next_for_replica
from kubectl_volresize.plan.replica_steps import CreateTarget
from kubectl_volresize.plan.steps import Stop, Wait

SELECTED_NODE = "volume.kubernetes.io/selected-node"


def temporary_claim_annotations(mode: str | None) -> dict[str, str]:
    """Of the claim that is made for a replica whose pod runs on node-1, in a class of this binding mode."""
    storage_class = {"metadata": {"name": "standard"}, **({"volumeBindingMode": mode} if mode else {})}
    state = states.copied().seeing(classes={"standard": storage_class}, movers={})
    state = state.without_claims(states.temporary_name("data")).recording("data", new_claim="", new_claim_uid="", new_pv="", new_pv_uid="")
    step = next_for_replica(state.cluster, state.record, state.request, states.REPLICA)
    assert isinstance(step, CreateTarget)
    annotations: dict[str, str] = step.values["annotations"]
    return annotations


@pytest.mark.parametrize("mode", ["Immediate", None])
def test_an_immediate_volume_is_made_where_the_replica_runs(mode: str | None) -> None:
    assert temporary_claim_annotations(mode)[SELECTED_NODE] == states.NODE


def test_a_volume_that_waits_for_its_consumer_is_left_to_the_scheduler() -> None:
    assert SELECTED_NODE not in temporary_claim_annotations("WaitForFirstConsumer")


def test_replicas_with_immediate_volumes_stay_on_their_nodes() -> None:
    api = three_replicas(immediate=True).build()
    before = {name: api.find("pods", NAMESPACE, name)["spec"]["nodeName"] for name in (f"{SET}-{ordinal}" for ordinal in range(3))}
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        run(api, client)
    api.settle()
    assert {name: api.find("pods", NAMESPACE, name)["spec"]["nodeName"] for name in before} == before


@pytest.mark.parametrize(("zone", "mode", "reason"), [("b", "Immediate", "Refused"), ("b", "WaitForFirstConsumer", "Resumable"),
                                                      ("a", "Immediate", "")])
def test_a_volume_that_was_made_elsewhere_ends_it_before_the_replica_is_stopped(zone: str, mode: str, reason: str) -> None:
    """By a provisioner that goes its own ways; or the pod was moved since, and resume makes another."""
    made = states.copied()
    new = made.cluster.volumes[states.new_pv("data")]
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}
    new.raw["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
    state = made.with_volumes(new).seeing(nodes={states.NODE: states.node(states.NODE, labels={"zone": "a"})},
                                          classes={"standard": {"metadata": {"name": "standard"}, "volumeBindingMode": mode}})
    decision = next_for_replica(state.cluster, state.record, state.request, states.REPLICA)
    assert (decision.reason if isinstance(decision, Stop) else "") == reason
    assert not isinstance(decision, Stop) or "cannot reach" in decision.message


def test_a_held_pod_on_a_node_that_is_gone_is_not_waited_for_for_ever() -> None:
    """Its mover went with the node, and nobody reports the end of its containers."""
    going = states.pod(states.REPLICA, ready=False, terminating=True, held=True)
    state = states.shut_down().with_pod(states.REPLICA, going).seeing(movers={}, nodes={})
    wait = next_for_replica(state.cluster, state.record, state.request, states.REPLICA)
    assert isinstance(wait, Wait) and wait.kind == "shut-down" and waits.LIMITS[wait.kind].seconds is not None


def test_a_mover_that_cannot_be_scheduled_is_not_waited_for_as_if_it_copied() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"}
    pending = states.mover_pod("data", phase="Pending", states=(), status={"conditions": [unschedulable]})
    state = states.copied().seeing(movers={(states.REPLICA, "data"): Mover(pending)})
    wait = next_for_replica(state.cluster, state.record, state.request, states.REPLICA)
    assert isinstance(wait, Wait) and "0/2 nodes are available" in wait.reason
    assert waits.LIMITS[wait.kind] == waits.Limit(600, waits.STOP)


def test_a_pod_that_would_come_back_at_another_revision_is_not_stopped() -> None:
    """OnDelete: somebody changed the template meanwhile, and did not delete the pod."""
    state = states.copied().with_pod(states.REPLICA, states.pod(states.REPLICA, revision="web-old"))
    state = state.with_set(states.statefulset(updateStrategy={"type": "OnDelete"}))
    wait = next_for_replica(state.cluster, state.record, state.request, states.REPLICA)
    assert isinstance(wait, Wait) and wait.kind == "rollout" and "another revision" in wait.reason
