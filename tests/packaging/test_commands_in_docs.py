"""Every `kubectl volresize ...` that a document shows is taken apart by the real commands, as if it had been typed, and not run: a verb or an option
that is renamed makes a document wrong, and this fail. What the documents say otherwise is in test_docs.py."""
from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from test_docs import DOCUMENTS, ROOT

from kubectl_volresize.plugin.cli import PROGRAM, VERBS, cli

_FENCED = re.compile(r"^ *```.*?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}(.+)$", re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")
_OPERATORS = set("|&;<>()")


def _code(text: str) -> Iterator[str]:
    """What a document shows as code: blocks between fences, indented lines, words between backticks, which may go over the end of a line."""
    for block in _FENCED.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    rest = _FENCED.sub("", text)
    yield from _INDENTED.findall(rest)
    for span in _INLINE.findall(_INDENTED.sub("", rest)):
        yield span.replace("\n", " ").replace("\\|", "|")


def _commands(text: str) -> Iterator[tuple[str, ...]]:
    """The words behind `kubectl volresize`, wherever that stands in code, up to a comment, a pipe or a redirection. The name alone is none."""
    for line in _code(text):
        for said in line.split(f"{PROGRAM} ")[1:]:
            lexer = shlex.shlex(said, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = []
            for word in lexer:
                if set(word) <= _OPERATORS:
                    break
                words.append(word)
            if words:
                yield tuple(words)


def _parse(command: tuple[str, ...]) -> None:
    """Raises click.UsageError for what it does not know."""
    verb, *arguments = command
    found = cli.get_command(click.Context(cli), verb)
    if found is None:
        raise click.UsageError(f"there is no verb {verb}")
    try:
        found.make_context(verb, arguments, parent=click.Context(cli))
    except click.exceptions.Exit as done:
        # --help has been printed.
        assert done.exit_code == 0


SHOWN = sorted({(str(document.relative_to(ROOT)), command) for document in DOCUMENTS for command in _commands(document.read_text())})


@pytest.mark.parametrize(("document", "command"), SHOWN, ids=lambda given: " ".join(given) if isinstance(given, tuple) else given)
def test_a_command_that_is_shown_is_understood(document: str, command: tuple[str, ...]) -> None:
    _parse(command)


def test_the_documents_show_every_verb() -> None:
    assert {command[0] for _, command in SHOWN} == set(VERBS)


# -- That it can fail: commands that were never right, and every way in which a document may show one

@pytest.mark.parametrize("command", ["shrink my-set --volume data=500Mi", "submit my-set --volumes data=500Mi", "submit my-set --volume",
                                     "status my-set another", "rollback my-set --replica last", "plan my-set -o table", "logs"])
def test_a_command_that_is_wrong_is_found(command: str) -> None:
    with pytest.raises(click.UsageError):
        _parse(tuple(command.split()))


def test_a_command_is_found_however_it_is_shown() -> None:
    document = """
    kubectl volresize indented one   # a comment
    kubectl volresize piped -o yaml | kubectl apply -f -
1. In a list:

       kubectl volresize listed >file

Between words: `kubectl volresize` and `kubectl volresize inline -A`, also over the
end of a line: `kubectl volresize broken
--wait`.

```console
$ kubectl volresize prompted 'two words'
to go on: kubectl volresize answered vr/one
$ A=b kubectl volresize continued \\
    --volume data=1Gi && kubectl volresize chained
```
"""
    assert {" ".join(words) for words in _commands(document)} == {
        "indented one", "piped -o yaml", "listed", "inline -A", "broken --wait", "prompted two words", "answered vr/one",
        "continued --volume data=1Gi", "chained"}
