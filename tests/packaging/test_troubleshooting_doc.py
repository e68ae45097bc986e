"""docs/troubleshooting.md goes by messages: each that it shows is one that the code can say."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_docs import ROOT, _rows

_PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
# What a reader finds by, in pieces: names and numbers stand for what differs.
SHOWN = [message for row in _rows(_PAGE, "Message") for message in re.findall("`([^`]+)`", row[0])]


def _said(folder: Path) -> str:
    """All that the code says, a sentence in one line though it is written in two."""
    forward = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in sorted(folder.rglob("*.py"))))
    # As plan/rollback.py turns the words of the exchange round.
    return forward + forward.replace("its new volumes", "its old volumes")


CODE = _said(ROOT / "kubectl_volresize")


@pytest.mark.parametrize("message", SHOWN)
def test_a_message_that_is_explained_is_one_that_can_be_said(message: str) -> None:
    # Failed (Resumable) is put together from the phase and its reason.
    pieces = re.split(r"\.\.\.|[()]", message) if message.startswith("Failed (") else message.split("...")
    pieces = [piece.strip(" :(") for piece in pieces if re.search("[a-z]{3}", piece)]
    assert [piece for piece in pieces if piece not in CODE] == []
