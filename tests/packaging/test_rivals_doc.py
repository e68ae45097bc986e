"""docs/rivals.md has a word on every finding, also on one that is new."""
from __future__ import annotations

import pytest
from test_docs import ROOT, _rows

from kubectl_volresize.plan.findings import CODES

TABLE = _rows((ROOT / "docs" / "rivals.md").read_text(), "Code")


def test_every_finding_has_its_row_and_no_other_has() -> None:
    assert [row[0] for row in TABLE] == [f"`{code}`" for code in CODES]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_each_of_the_three_has_a_plain_answer(row: list[str]) -> None:
    # "not known" is one; a cell that is left empty is none.
    assert len(row) == 5
    assert [cell for cell in row[1:4] if not cell.startswith(("yes", "partly", "no", "n/a: ", "the opposite: "))] == []
