"""docs/reference/ says what the code says, and docs/kube-state-metrics.yaml asks for what there is."""
from __future__ import annotations

import runpy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from test_docs import README, ROOT, _rows

from kubectl_volresize import errors
from kubectl_volresize.model import labels
from kubectl_volresize.plugin import cli, follow
from kubectl_volresize.plugin.commands import submit
from kubectl_volresize.templates import render

REFERENCE = runpy.run_path(str(ROOT / "hack" / "reference.py"))
RESOURCE = yaml.safe_load((ROOT / "docs" / "kube-state-metrics.yaml").read_text())["spec"]["resources"][0]


@pytest.mark.parametrize("name", REFERENCE["PAGES"])
def test_the_page_is_the_one_that_is_generated(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text() == REFERENCE["PAGES"][name](), "python hack/reference.py"


def test_there_is_no_page_that_nobody_generates_or_finds() -> None:
    assert sorted(file.name for file in (ROOT / "docs" / "reference").iterdir()) == sorted(REFERENCE["PAGES"])
    assert [name for name in REFERENCE["PAGES"] if f"(docs/reference/{name})" not in README.read_text()] == []


def test_nothing_is_explained_that_is_not_there() -> None:
    # The other way round the page could not be made.
    assert set(REFERENCE["EVENTS"]) == {reason for _, reason in REFERENCE["emitted"]()}
    assert all(hasattr(labels, name) for name in REFERENCE["MARKS"])


def _below(kind: type[errors.VolresizeError]) -> Iterator[type[errors.VolresizeError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


def test_every_exit_code_that_is_used_is_explained() -> None:
    used = {0, errors.VolresizeError.exit_code, submit._UNCHANGED, cli.INTERRUPTED, follow.TimedOut.exit_code}
    assert used | {kind.exit_code for kind in _below(errors.VolresizeError)} == set(errors.EXIT_CODES)
    assert {value for name, value in vars(errors).items() if name.startswith("JOB_") and isinstance(value, int)} == set(errors.JOB_CODES)
    assert {int(row[0]) for row in _rows(README.read_text(), "Code")} == set(errors.EXIT_CODES)


# -- kube-state-metrics. Source: its docs/metrics/extend/customresourcestate-metrics.md

def _field(path: list[str], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of what is at the path; of a list that of its entries, as a metric is made of each. KeyError when there is none."""
    for segment in path:
        schema = schema["properties"][segment]
        schema = schema["items"] if schema["type"] == "array" else schema
    return schema


def _whole() -> dict[str, Any]:
    schema: dict[str, Any] = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    # Which every object has, and no definition describes.
    metadata = {"type": "object", "properties": {name: {"type": "string"} for name in ("name", "namespace")}}
    return {**schema, "properties": {**schema["properties"], "metadata": metadata}}


def test_the_metrics_are_of_our_kind() -> None:
    assert RESOURCE["groupVersionKind"] == {"group": labels.GROUP, "version": labels.VERSION, "kind": labels.KIND}
    assert all(_field(path, _whole())["type"] == "string" for path in RESOURCE["labelsFromPath"].values())


@pytest.mark.parametrize("metric", RESOURCE["metrics"], ids=lambda metric: str(metric["name"]))
def test_a_metric_is_made_of_fields_that_exist(metric: dict[str, Any]) -> None:
    kind = metric["each"]["type"]
    [made] = [value for key, value in metric["each"].items() if key != "type" and key.lower() == kind.lower()]
    there = _field(made["path"], _whole())
    for path in made.get("labelsFromPath", {}).values():
        assert _field(path, there)["type"] in ("string", "integer")
    if kind == "StateSet":
        assert made["list"] == there["enum"] == list(labels.PHASES)
    if kind == "Gauge":
        # What it makes numbers of: a number, a time, true and false, "45%".
        value = _field(made.get("valueFrom", []), there)
        assert value["type"] == "integer" or value.get("format") == "date-time" or value.get("enum") == ["True", "False", "Unknown"] \
            or "percent" in value["description"], value
