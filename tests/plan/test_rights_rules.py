"""RBAC rules: what is granted, what is missing, and the rule to add."""
from __future__ import annotations

from typing import Any

import pytest
import yaml

from kubectl_volresize.plan.rights import USER_RULES, as_text, missing, of_runner, of_user

PODS: dict[str, Any] = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}


@pytest.mark.parametrize(("granted", "expected"), [
    ([], [("pods", ["get", "list"]), ("pods/log", ["get", "list"])]),
    ([PODS], []),
    ([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}], []),
    ([{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}], [("pods/log", ["get", "list"])]),
    ([{"apiGroups": [""], "resources": ["pods", "*/log"], "verbs": ["get"]}], [("pods", ["list"]), ("pods/log", ["list"])]),
    ([{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]}], [("pods", ["get", "list"]), ("pods/log", ["get", "list"])]),
    ([{**PODS, "resourceNames": ["one"]}], [("pods", ["get", "list"]), ("pods/log", ["get", "list"])]),
    ([{**PODS, "verbs": ["get"]}, {**PODS, "verbs": ["list"]}], [])])
def test_what_is_missing(granted: list[dict[str, Any]], expected: list[tuple[str, list[str]]]) -> None:
    assert [(rule["resources"][0], rule["verbs"]) for rule in missing([PODS], granted)] == expected


def test_the_rule_to_add_can_be_pasted() -> None:
    lacking = missing(USER_RULES, [])
    assert missing(USER_RULES, yaml.safe_load(f"[{as_text(lacking)}]")) == ()


def test_who_lacks_nothing_is_told_nothing_and_who_lacks_something_what_and_for_whom() -> None:
    assert [*of_user((), "prod"), *of_runner((), "prod")] == []
    lacking = missing([PODS], [{**PODS, "resources": ["pods"]}])
    [user], [runner] = of_user(lacking, "prod"), of_runner(lacking, "prod")
    assert (user.code, runner.code) == ("user-rights", "runner-rights")
    for finding in (user, runner):
        assert "get, list pods/log" in finding.message and "[pods/log]" in finding.fix
    assert "serviceaccount/volresize-runner" == runner.object and "install -n prod" in runner.fix
