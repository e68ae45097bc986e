"""What the runner says to whoever may read logs, Events or the status: what it does, and never what it was trusted with."""
from __future__ import annotations

import io
import json
import runpy
from pathlib import Path

import pytest
import requests
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Refusal
from running import engine

from kubectl_volresize.errors import VolresizeError
from kubectl_volresize.kube import paths
from kubectl_volresize.kube.client import Client

TOKEN, PASSWORD = "eyJhbGciOi.a-token", "hunter2"


def refused(number: int, verb: str, path: str) -> Refusal | None:
    """Of the first writes every third."""
    writes = verb in ("create", "patch", "delete")
    return Refusal(500, "InternalError", "etcdserver: request timed out") if writes and number < 60 and number % 3 == 0 else None


@pytest.fixture
def api() -> FakeApi:
    """With a migration of a set that holds a password where passwords should not be."""
    made = three_replicas(replicas=2).build()
    found = made.find("statefulsets", NAMESPACE, SET)
    assert found is not None
    made.rest.change("statefulsets", found, lambda new: new["metadata"].setdefault("annotations", {}).update({"example.test/password": PASSWORD}))
    submit(made, {"data": "500Mi"})
    return made


def log_of(api: FakeApi) -> str:
    """What a run writes to stdout."""
    out = io.StringIO()
    with api.connected() as client:
        client._session.headers["Authorization"] = f"Bearer {TOKEN}"
        try:
            engine(api, client, out=out).run()
        except VolresizeError as error:
            out.write(f"{error.message} {error.advice}")
    return out.getvalue()


def told(api: FakeApi) -> str:
    """All that a run says."""
    logged = log_of(api)
    record = dict((api.find("volumeresizes", NAMESPACE, SET) or {}).get("status") or {})
    # The set as it was, for whoever may read it where it stood.
    kept = record.pop("savedStatefulSet", "")
    assert TOKEN not in kept
    return logged + json.dumps([record, api.store.all("events", NAMESPACE)])


def test_a_line_has_the_fields_that_the_reference_names(api: FakeApi) -> None:
    known = runpy.run_path(str(Path(__file__).resolve().parents[2] / "hack" / "reference.py"))["LOG_LINE"]
    lines = [json.loads(line) for line in log_of(api).splitlines()]
    assert all({"at", "level", "operation", "phase", "message"} <= set(line) for line in lines)
    assert {field for line in lines for field in line} == set(known)


@pytest.mark.parametrize("trouble", ["none", "a failing copy", "a failing server"])
def test_neither_the_token_nor_what_a_set_holds_is_said(api: FakeApi, trouble: str) -> None:
    if trouble == "a failing copy":
        api.faults.fails["web-migrator-1-data"] = (24, "I/O error")
    if trouble == "a failing server":
        api.before_call.append(refused)
    said = told(api)
    assert "replica" in said
    assert TOKEN not in said and PASSWORD not in said


def test_an_api_server_that_cannot_be_reached_is_named_without_the_credentials() -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    client = Client(session, "https://127.0.0.1:1", pause=lambda seconds: None)
    with pytest.raises(VolresizeError) as told_to_us:
        client.merge_patch(paths.pods("prod", "web-0"), {"metadata": {"annotations": {"password": PASSWORD}}})
    error = told_to_us.value
    assert "127.0.0.1:1" in error.message
    for text in (error.message, error.advice, repr(error), str(vars(error)), str(error.__cause__)):
        assert TOKEN not in text and PASSWORD not in text
