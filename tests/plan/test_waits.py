"""Nobody waits without a row in the table of limits, and no row is for nothing."""
from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kubectl_volresize.model.record import Record
from kubectl_volresize.plan import waits
from kubectl_volresize.plan.steps import Progress, Wait

PACKAGE = Path(waits.__file__).parents[1]
# What names a row: the kind of a Wait, and what an executor gives when a step has to be tried later.
_NAMING = ("Wait", "Postponed")


def _calls() -> list[tuple[str, ast.Call]]:
    files = [*(PACKAGE / "plan").glob("*.py"), *(PACKAGE / "runner").glob("*.py")]
    return [(f"{file.name}:{node.lineno}", node) for file in files for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _NAMING]


def _kinds() -> dict[str, str]:
    """Where each kind is used."""
    return {str(call.args[0].value): where for where, call in _calls() if isinstance(call.args[0], ast.Constant)}


def test_every_wait_names_its_kind_first_and_written_out() -> None:
    # But for the one that passes on what an executor has named.
    unnamed = [ast.unparse(call.args[0]) for _, call in _calls() if not isinstance(call.args[0], ast.Constant)]
    assert unnamed == ["error.kind"]


def test_every_wait_has_a_limit() -> None:
    assert {kind: where for kind, where in _kinds().items() if kind not in waits.LIMITS} == {}


def test_every_limit_is_of_some_wait() -> None:
    assert set(waits.LIMITS) - set(_kinds()) == set()


@pytest.mark.parametrize("kind", waits.LIMITS)
def test_a_limit_has_a_time_and_an_outcome_that_the_engine_knows(kind: str) -> None:
    limit = waits.LIMITS[kind]
    assert limit.then in (waits.STOP, waits.HUMAN, waits.STRIP)
    assert limit.seconds is None or limit.seconds > 0


def test_a_stop_beyond_the_grace_period_is_a_humans_and_never_forced() -> None:
    assert waits.LIMITS["shut-down"] == waits.Limit(600, waits.HUMAN)


def test_once_claims_may_be_gone_no_wait_ends_with_going_back() -> None:
    assert all(waits.LIMITS[kind].then == waits.HUMAN for kind in ("pods-gone", "claims-gone", "binding", "starting"))


def test_what_is_waited_for_is_recorded_with_how_far_each_copy_is() -> None:
    before = Record().with_volume(2, "data", phase="Copying").with_volume(2, "logs", phase="Copying")
    progress = (Progress("data", "42%", {"files": 7}), Progress("logs", "100%"))
    after = Wait("copying", "copying replica 2", replica=2, progress=progress).recorded(before)
    assert after.message == "copying replica 2"
    assert [entry.copied for entry in after.volumes] == [{"files": 7}, {}]
    assert [(entry.progress, entry.phase) for entry in after.volumes] == [("42%", "Copying"), ("100%", "Waiting")]
    assert [(entry.progress, entry.phase) for entry in before.volumes] == [("", "Copying"), ("", "Copying")]
