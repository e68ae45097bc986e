"""Other migrations: which of two goes on, and that nobody is told to delete what another one has at work."""
from __future__ import annotations

import pytest
import states
from states import State, claim_name, running

from kubectl_volresize.plan.preflight import findings

MOVER = "web-2-migrator-2-data"


def codes(state: State) -> list[str]:
    return [finding.code for finding in findings(state.cluster, state.request)]


def test_a_migration_that_ended_or_works_on_another_set_is_in_nobodys_way() -> None:
    over = tuple(states.migration(f"web-{phase}", phase=phase) for phase in ("Completed", "Failed", "Cancelled", "RolledBack"))
    elsewhere = states.migration("db", phase="Syncing", statefulset_name="db")
    assert codes(running().seeing(others=(*over, elsewhere))) == []


@pytest.mark.parametrize(("own", "other"), [("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"), ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")])
def test_of_two_migrations_of_one_set_exactly_one_goes_on(own: str, other: str) -> None:
    first, second = states.migration("web", created=own), states.migration("web-2", created=other)
    assert codes(running().seeing(migration=first, others=(second,))) == []
    assert codes(running().seeing(migration=second, others=(first,))) == ["other-migration"]


def test_a_migration_not_yet_created_waits_for_any_other() -> None:
    assert codes(running().seeing(migration=states.migration(created=""), others=(states.migration("web-2"),))) == ["other-migration"]


@pytest.mark.parametrize(("phase", "guests", "expected"), [
    ("Syncing", (MOVER,), {"other-migration"}), ("Syncing", (MOVER, "backup"), {"other-migration", "claim-in-use"}),
    # What is left of one that is over is in the way, and nobody comes for it.
    ("Completed", (MOVER,), {"claim-in-use"})])
def test_a_mover_at_work_is_no_stranger(phase: str, guests: tuple[str, ...], expected: set[str]) -> None:
    other = states.migration("web-2", phase=phase, created="2025-01-01T00:00:00Z")
    state = running().seeing(others=(other,), guests={claim_name("data"): guests})
    found = findings(state.cluster, state.request)
    assert {finding.code for finding in found} == expected
    assert not any(MOVER in finding.message for finding in found if phase == "Syncing")
