"""What another migration of the set has at work is said with it, and nobody is told to delete it."""
from __future__ import annotations

import pytest
import states
from states import claim_name, running

from kubectl_volresize.plan.preflight import findings

MOVER = "web-2-migrator-2-data"


@pytest.mark.parametrize(("phase", "guests", "expected"), [
    ("Syncing", (MOVER,), {"other-migration"}), ("Syncing", (MOVER, "backup"), {"other-migration", "claim-in-use"}),
    # What is left of one that is over is in the way, and nobody comes for it.
    ("Completed", (MOVER,), {"claim-in-use"})])
def test_a_mover_at_work_is_no_stranger(phase: str, guests: tuple[str, ...], expected: set[str]) -> None:
    other = states.migration("web-2", phase=phase, created="2025-01-01T00:00:00Z")
    state = running().seeing(others=(other,), guests={claim_name("data"): guests})
    found = [finding for finding in findings(state.cluster, state.request)]
    assert {finding.code for finding in found} == expected
    assert not any(MOVER in finding.message for finding in found if phase == "Syncing")
