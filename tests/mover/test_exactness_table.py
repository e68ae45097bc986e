"""The table in docs/exactness.md says of each case that the mover keeps it: measured here anew, case by case, as hack/bench/fidelity.py measured it
beside other programs."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Callable

import pytest
from cases_of_change import ALL
from keeping import KEPT, OURS, TOOLS, measure

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "exactness.md"


def _table() -> list[list[str]]:
    """Its rows, the head first."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if set("".join(row)) - set("-: ")]


def test_the_table_has_the_cases_of_the_tests_and_no_others() -> None:
    head, *rows = _table()
    assert head == ["Case", *TOOLS]
    assert [row[0] for row in rows] == [case.words for case in ALL]


def test_the_table_says_that_the_mover_keeps_everything() -> None:
    assert {row[1] for row in _table()[1:]} == {KEPT}


def test_no_two_cases_have_one_name() -> None:
    assert len({case.slug for case in ALL}) == len({case.words for case in ALL}) == len(ALL)


@pytest.mark.root
def test_the_mover_keeps_every_case(make_volume: Callable[..., Path]) -> None:
    source, dest = (make_volume(name, 512, "-b", "4096") for name in ("from", "to"))
    found = measure(ALL, OURS, source, dest)
    assert {words: verdict for words, verdict in found.items() if verdict != KEPT} == {}
