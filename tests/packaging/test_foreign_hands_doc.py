"""docs/foreign-hands.md promises an outcome for everything that others may do. Each of its rows has a test, and each such test a row."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from test_docs import ROOT, _rows

TESTS = ROOT / "tests"
ENDS = {"Completed", "Resumable", "NeedsHuman", "Cancelled", "gone"}


def _marked(folder: Path) -> Iterator[str]:
    """The row of each test below the folder that names one."""
    for file in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.row":
                    assert node.name.startswith("test_")
                    yield str(ast.literal_eval(decorator.args[0]))


TABLE = _rows((ROOT / "docs" / "foreign-hands.md").read_text(), "Row")
IDS = [cells[0].strip("`") for cells in TABLE]


def test_every_row_has_a_test_on_the_fake_cluster_and_every_test_a_row() -> None:
    assert set(_marked(TESTS / "runner")) == set(IDS) and len(IDS) == len(set(IDS))


def test_what_is_said_to_be_seen_on_a_real_cluster_has_a_test_there() -> None:
    assert {cells[0].strip("`") for cells in TABLE if cells[-1] == "yes"} == set(_marked(TESTS / "e2e"))
    assert {cells[-1] for cells in TABLE} == {"", "yes"}


def test_every_row_says_how_it_ends_in_a_word_that_is_explained_and_what_to_do() -> None:
    explained = set(re.findall(r"\*\*(\w+)\*\*", (ROOT / "docs" / "foreign-hands.md").read_text().partition("## The StatefulSet")[0]))
    for cells in TABLE:
        assert len(cells) == 7 and all(cells[:6]), cells[0]
        assert set(re.findall(r"\w+", cells[4])) - {"or"} <= ENDS, cells[0]
    assert ENDS <= explained
