"""docs/security.md says what is forbidden to whom. Each of its rows has a test on a real cluster, and each such test a row; what it names exists."""
from __future__ import annotations

import ast
import re

from test_docs import ROOT, _rows

TESTS = ROOT / "tests"
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
TABLE = _rows(DOCUMENT, "Row")


FILES = ("test_security.py", "test_security_of_movers.py")


def _functions() -> dict[str, list[str]]:
    """The rows that each test is about."""
    found: dict[str, list[str]] = {}
    for node in (node for file in FILES for node in ast.parse((TESTS / "e2e" / file).read_text()).body):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            calls = [one for one in node.decorator_list if isinstance(one, ast.Call) and ast.unparse(one.func) == "pytest.mark.security"]
            found[node.name] = [str(ast.literal_eval(one.args[0])) for one in calls]
    return found


def test_every_row_names_its_test_and_every_test_has_its_row() -> None:
    shown = [(cells[0].strip("`"), cells[-1].strip("`")) for cells in TABLE]
    marked = [(row, name) for name, rows in _functions().items() for row in rows]
    assert shown == marked and len(dict(shown)) == len(shown)


def test_every_row_says_to_whom_what_and_by_what() -> None:
    for cells in TABLE:
        assert len(cells) == 6 and all(cells), cells[0]
        assert set(re.findall(r"[A-Za-z]+", cells[4])) <= {"RBAC", "policy", "API", "server", "pod"}, cells[0]


def test_every_test_that_is_named_exists() -> None:
    files = re.findall(r"`(tests/[a-z0-9_/]+\.py)`", DOCUMENT)
    assert files and [file for file in files if not (ROOT / file).exists()] == []
    assert set(re.findall(r"`(test_[a-z_]+)`", DOCUMENT)) <= set(_functions())
