"""Every command in a block of README, how-to or tutorial is in a scene of tests/e2e/test_documents_run.py, or it stands written why not and which
test does the same instead. The other way round nothing is typed there that no document shows."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from scenes import NOT_RUN, SCENES, TUTORIAL
from shown import DOCUMENTS, ROOT, commands

SHOWN = {(document, command) for document in DOCUMENTS for command in commands(document.read_text())}
TYPED = {command for scene in SCENES for command in scene.commands()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_command_is_run_or_it_is_said_why_not(document: Path) -> None:
    assert {command for where, command in SHOWN if where == document} - TYPED - set(NOT_RUN) == set()


def test_nothing_is_typed_that_no_document_shows() -> None:
    assert TYPED | set(NOT_RUN) <= {command for _, command in SHOWN}


def test_what_is_run_needs_no_excuse() -> None:
    assert not TYPED & set(NOT_RUN)


def test_the_tutorial_is_played_in_the_order_in_which_it_is_written() -> None:
    written = commands((ROOT / "docs" / "tutorial.md").read_text())
    assert TUTORIAL.commands() == [command for command in written if command not in NOT_RUN]


@pytest.mark.parametrize("command", NOT_RUN)
def test_what_is_not_run_has_a_test_that_does_the_same(command: str) -> None:
    file, _, name = NOT_RUN[command].test.partition("::")
    assert NOT_RUN[command].why and re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_a_command_is_found_however_it_is_shown() -> None:
    assert commands("""
    indented one   # a comment
    indented two | piped >file

Words of a list,
    which go on.

```bash
# a comment
for A in b; do
  looped "$A"
done
continued \\
  line
```

```console
$ prompted
its answer
```
```
$ also prompted
```
```yaml
key: $ value
```
""") == ["indented one", "indented two | piped >file", 'for A in b; do\n  looped "$A"\ndone', "continued \\\n  line", "prompted", "also prompted"]


def test_a_block_that_bash_does_not_understand_is_found() -> None:
    with pytest.raises(ValueError, match="for A"):
        commands("```bash\nfor A in b; do\n```\n")
