"""The findings from what a real API server answered: looks recorded by tests/e2e/test_each_finding.py (RECORD=1), judged without a cluster.

What a real cluster shows beside the one thing that was wrong is part of it: a replica that cannot start has no claim either.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from kubectl_volresize.errors import ApiError, Forbidden, NotFound, Unprocessable
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model.objects import Object
from kubectl_volresize.plugin import submission
from kubectl_volresize.plugin.options import Where
from kubectl_volresize.plugin.order import Flags, order
from kubectl_volresize.plugin.place import Place

RECORDED = Path(__file__).parent / "recorded"
LOOKS = sorted(file.stem for file in RECORDED.glob("*.json"))
_ERRORS: dict[int, type[ApiError]] = {403: Forbidden, 404: NotFound, 422: Unprocessable}


class Recorded(Client):
    """Answers as they were given; what was not asked then is an error."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(requests.Session(), "https://recorded")
        self._answers = answers

    def get(self, path: str, **params: Any) -> Object:
        return self._told("get", path)

    def list(self, path: str, label_selector: str = "", **params: Any) -> Any:
        return self._told("list", path)

    def create(self, path: str, body: Object, dry_run: bool = False, strict: bool = False) -> Object:
        assert dry_run or "/authorization.k8s.io/" in path, f"{path}: a look writes nothing"
        return self._told(f"create {body['kind']} {body['metadata'].get('name', '') if 'metadata' in body else ''}".strip(), path)

    def _told(self, verb: str, path: str) -> Any:
        told = self._answers[f"{verb} {path}"]
        if "answer" in told:
            return told["answer"]
        kind = _ERRORS.get(told["status"], ApiError)
        raise kind(status=told["status"], verb=verb, path=path, message=told["message"], reason=told["reason"])


def read(name: str) -> dict[str, Any]:
    look: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return look


def judged(name: str) -> list[list[str]]:
    """[code, object] of each finding."""
    look, healthy = read(name), read("healthy")
    answers = {**{key: answer for key, answer in healthy["answers"].items() if key not in look["unasked"]}, **look["answers"]}
    place = Place(Recorded(answers), look["namespace"], Where(look["namespace"]))
    wanted = order(Flags(statefulset=look["asked"][0], volumes=tuple(look["asked"][2::2]), image=look["image"]))
    _, found = submission.look(place, submission.manifest(place, wanted, []))
    for finding in found:
        assert finding.message and (finding.fix or finding.severity == "warning"), finding
    return [[finding.code, finding.object] for finding in found]


@pytest.mark.parametrize("name", LOOKS)
def test_what_was_seen_is_judged_as_on_the_day_it_was_recorded(name: str) -> None:
    found = judged(name)
    assert found == read(name)["found"]
    assert (found == []) if name == "healthy" else (name in {code for code, _ in found})


def test_one_answer_that_is_missing_or_another_is_noticed() -> None:
    """What a recording proves: it is not judged by what the test itself says."""
    look, healthy = read("budget"), read("healthy")
    path = next(key for key in look["answers"] if key.endswith("/poddisruptionbudgets"))
    place = Place(Recorded({**healthy["answers"], path: {"answer": []}}), look["namespace"], Where(look["namespace"]))
    wanted = order(Flags(statefulset="app", volumes=("data=32Mi",), image=look["image"]))
    assert submission.look(place, submission.manifest(place, wanted, []))[1] == ()
