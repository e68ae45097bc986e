"""Which nodes a volume can be reached from, as the scheduler decides it."""
from __future__ import annotations

from typing import Any

import pytest

from kubectl_volresize.model.selector import node_matches, topology_allows

NODE = {"zone": "a", "disks": "4"}


def rule(operator: str, *values: str, key: str = "zone") -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def selector(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"nodeSelectorTerms": list(terms)}


@pytest.mark.parametrize(("terms", "holds"), [
    ([{"matchExpressions": [rule("In", "a", "b")]}], True), ([{"matchExpressions": [rule("In", "b")]}], False),
    ([{"matchExpressions": [rule("NotIn", "b")]}], True), ([{"matchExpressions": [rule("Exists", key="gpu")]}], False),
    ([{"matchExpressions": [rule("DoesNotExist", key="gpu")]}], True),
    ([{"matchExpressions": [rule("In", "a"), rule("Exists", key="gpu")]}], False),
    ([{"matchExpressions": [rule("In", "b")]}, {"matchExpressions": [rule("In", "a")]}], True),
    ([{"matchExpressions": [rule("Gt", "3", key="disks")]}], True), ([{"matchExpressions": [rule("Gt", "4", key="disks")]}], False),
    ([{"matchExpressions": [rule("Lt", "4", key="disks")]}], False), ([{"matchExpressions": [rule("Lt", "5", key="disks")]}], True),
    ([{"matchExpressions": [rule("Lt", "5", key="zone")]}], False),
    ([{"matchFields": [rule("In", "node-1", key="metadata.name")]}], True), ([{"matchFields": [rule("In", "node-2", key="metadata.name")]}], False),
    # Nothing asked for is never met (api/core/v1, NodeSelector: a null or empty term matches no objects).
    ([{}], False), ([], False)])
def test_a_node_selector(terms: list[dict[str, Any]], holds: bool) -> None:
    assert node_matches(selector(*terms), "node-1", NODE) is holds


@pytest.mark.parametrize(("terms", "allowed"), [
    ([], True), ([{"matchLabelExpressions": [{"key": "zone", "values": ["a", "c"]}]}], True),
    ([{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}], False),
    ([{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}, {"key": "rack", "values": ["1"]}]}], False),
    ([{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}, {"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}], True)])
def test_the_topologies_of_a_class(terms: list[dict[str, Any]], allowed: bool) -> None:
    assert topology_allows(terms, NODE) is allowed
