"""docs/findings.md says what the code says."""
from __future__ import annotations

import runpy

from test_docs import ROOT


def test_the_page_is_the_one_that_is_generated() -> None:
    page = runpy.run_path(str(ROOT / "hack" / "findings.py"))["page"]()
    assert (ROOT / "docs" / "findings.md").read_text() == page, "python hack/findings.py > docs/findings.md"
