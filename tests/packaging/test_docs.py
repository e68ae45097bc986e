"""What the documents say, against what the code does: a table that is shown must be the one that counts, a link must lead somewhere. The commands
that they show are in test_commands_in_docs.py."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from kubectl_volresize.plan.waits import LIMITS
from kubectl_volresize.plugin.cli import VERBS, cli
from kubectl_volresize.templates import render

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = (README, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "hack" / "localcluster" / "README.md")


def _rows(text: str, first_cell: str) -> list[list[str]]:
    """The cells of every row of the tables whose head begins with `first_cell`."""
    rows, inside = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0] == first_cell:
            inside = True
        elif not cells:
            inside = False
        elif inside and set("".join(cells)) - set("-"):
            rows.append(cells)
    return rows


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_described_where_its_verb_is(verb: str) -> None:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    # What all verbs take is said once, between the chapter's heading and its first verb.
    common, *verbs = re.split(r"^### ", re.split(r"^## ", README.read_text().partition("\n## Use\n")[2], flags=re.MULTILINE)[0], flags=re.MULTILINE)
    section = common + "".join(text for text in verbs if verb in text.splitlines()[0].split(", "))
    missing = [option for parameter in command.params if isinstance(parameter, click.Option) for option in parameter.opts
               if option.startswith("--") and f"`{option}" not in section]
    assert not missing


def test_the_table_of_waits_is_the_one_that_counts() -> None:
    shown = {row[0]: (row[1], row[2]) for row in _rows((ROOT / "docs" / "waits.md").read_text(), "Wait")}
    assert shown == {kind: ("", "") if limit.seconds is None else (f"{limit.seconds:g}", limit.then) for kind, limit in LIMITS.items()}


def test_every_word_for_an_outcome_of_a_wait_is_explained() -> None:
    explained = set(re.findall(r"^- \*\*(\w+)\*\*", (ROOT / "docs" / "waits.md").read_text(), re.MULTILINE))
    assert explained == {limit.then for limit in LIMITS.values()}


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The path of every field below a schema, `[]` behind a list. Where others may stand too the fields are a pod's, which Kubernetes describes."""
    for name, field in schema.get("properties", {}).items():
        inner, here = field, f"{path}{name}"
        if field.get("type") == "array":
            inner, here = field["items"], f"{here}[]"
        yield here
        if not inner.get("x-kubernetes-preserve-unknown-fields"):
            yield from _fields(inner, f"{here}.")


def _described(heads: tuple[str, ...]) -> set[str]:
    rows = [cells for head in heads for cells in _rows(README.read_text(), head)]
    return {name for cells in rows for name in re.findall("`([^`]+)`", cells[0])}


def _schema(part: str) -> dict[str, Any]:
    schema: dict[str, Any] = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
    return schema


def test_every_field_of_the_spec_is_described() -> None:
    described = _described(("Field",))
    # Of one that is nothing but its fields, such as copy, these say enough.
    missing = [field for field in _fields(_schema("spec")) if field not in described and not any(one.startswith(f"{field}.") for one in described)]
    assert not missing


def test_every_field_of_the_status_is_described() -> None:
    status = _schema("status")["properties"]
    assert {name + "[]" * (field.get("type") == "array") for name, field in status.items()} - _described(("Field",)) == set()
    for part in ("volumeStatuses", "replicas"):
        fields = {name + "[]" * (field.get("type") == "array") for name, field in status[part]["items"]["properties"].items()}
        assert fields == _described((f"Field of `{part}[]`",))
    assert all(f"`{name}`" in README.read_text() for name in status["conditions"]["items"]["properties"])


def test_no_field_is_described_that_does_not_exist() -> None:
    known = {*_fields(_schema("spec")), *_fields(_schema("status"))}
    assert _described(("Field",)) - known == set()


def test_every_make_target_that_is_named_exists_and_the_other_way_round() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)`", document.read_text())}
    assert named == targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
        file, _, anchor = target.partition("#")
        there = (document.parent / file).resolve() if file else document
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target
