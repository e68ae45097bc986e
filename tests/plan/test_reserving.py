"""A new volume is reserved for the claim that gets it, and never taken from one that has it already."""
from __future__ import annotations

import pytest
from states import NEW_SIZE, REPLICA, State, claim_name, emptied, new_pv, volume

from kubectl_volresize.plan.steps import Decision, Wait
from kubectl_volresize.plan.swap import next_for_swap
from kubectl_volresize.plan.swap_steps import Reserve
from kubectl_volresize.plan.views import views

SUCCESSOR = "uid-of-a-claim-that-was-not-listed"


def with_new(phase: str) -> State:
    """The original claim is gone, and the new volume has a claim of its name."""
    return emptied("data").with_volumes(volume(new_pv("data"), role="new", size=NEW_SIZE, claim_name=claim_name("data"), claim_uid=SUCCESSOR,
                                               phase=phase))


def next_of(state: State) -> Decision:
    return next_for_swap(state.cluster, state.record, state.request, REPLICA, views(state.cluster, state.record, state.request, REPLICA))


@pytest.mark.parametrize("phase", ["Available", "Bound"])
def test_a_volume_that_a_claim_got_between_two_looks_is_left_to_it(phase: str) -> None:
    """Claims are read before volumes. The binder writes the claim's UID first and the phase afterwards (pkg/controller/volume/persistentvolume)."""
    state = with_new(phase)
    decision = next_of(state)
    assert isinstance(decision, Wait) and "was not there yet" in decision.reason


def test_a_volume_whose_claim_is_gone_is_reserved_again() -> None:
    state = with_new("Released")
    assert isinstance(next_of(state), Reserve)
