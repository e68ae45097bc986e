"""Which mover or measurer is believed: one of this very migration, and a mover only while it runs where the application's pod is."""
from __future__ import annotations

import states
from states import REPLICA, State, copied, pod, running, shut_down

from kubectl_volresize.model import names
from kubectl_volresize.model.cluster import Mover
from kubectl_volresize.model.record import Record
from kubectl_volresize.plan.replica import next_for_replica
from kubectl_volresize.plan.steps import AskHuman, Decision, RemovePod, Wait
from kubectl_volresize.plan.validate import next_to_validate

MOVER = names.mover(states.MIGRATION, REPLICA, "data")
WAITING = {"event": "waiting"}


def decided(state: State) -> Decision:
    return next_for_replica(state.cluster, state.record, state.request, REPLICA)


def with_mover(state: State, **fields: str) -> State:
    return state.seeing(movers={(REPLICA, "data"): Mover(states.copier_pod(MOVER, REPLICA, **fields), WAITING)})


def test_a_mover_of_an_earlier_request_of_the_same_name_is_removed_and_not_told_to_finish() -> None:
    # Its destination is the volume of that request; swapped to ours, the application would start on an empty one.
    for state in (copied(), shut_down()):
        assert decided(with_mover(state, migration_uid="of the request before")) == RemovePod(MOVER, states.uid_of(MOVER))


def test_a_measurer_of_an_earlier_request_of_the_same_name_is_removed_and_not_believed() -> None:
    state = running(replicas=1)
    measurer = Mover(states.copier_pod("measurer", 0, migration_uid="of the request before"), {"event": "measured", "counts": {"bytes": 1}})
    decision = next_to_validate(state.seeing(measurers={(0, "data"): measurer}).cluster, Record(), state.request)
    assert decision == RemovePod("measurer", states.uid_of("measurer"))


def test_a_measurer_that_was_told_to_go_is_no_measurer_that_failed() -> None:
    # Ours, when a pod was not Ready for a second: it must not become the reason for a refusal after the pod is Ready again.
    state = running(replicas=1)
    measurer = Mover(states.copier_pod("measurer", 0, terminating=True, phase="Failed"), {"event": "failed", "message": "stopped by SIGTERM"})
    assert isinstance(next_to_validate(state.seeing(measurers={(0, "data"): measurer}).cluster, Record(), state.request), Wait)


def test_a_mover_gives_way_to_an_application_that_was_moved_to_another_node() -> None:
    moved = copied().with_pod(REPLICA, pod(REPLICA, node="node-9", ready=False, phase="Pending"))
    assert decided(moved) == RemovePod(MOVER, states.uid_of(MOVER))


def test_a_mover_stays_while_the_application_has_no_node_yet() -> None:
    assert not isinstance(decided(copied().with_pod(REPLICA, pod(REPLICA, node="", ready=False, phase="Pending"))), RemovePod)


def test_a_temporary_claim_of_a_runner_that_slept_is_in_nobodys_way() -> None:
    """It was made when the exchange had begun already, and is bound to nothing that anybody needs; one of somebody else is a riddle."""
    state = states.swapping()
    recorded = next_for_replica(state.cluster, state.record, state.request, states.REPLICA)
    late = states.our_claim(states.temporary_name("data"), uid="late", phase="Pending")
    ours = state.with_claims(late)
    assert next_for_replica(ours.cluster, ours.record, ours.request, states.REPLICA) == recorded
    theirs = state.with_claims(states.claim(states.temporary_name("data"), uid="theirs"))
    assert isinstance(next_for_replica(theirs.cluster, theirs.record, theirs.request, states.REPLICA), AskHuman)
