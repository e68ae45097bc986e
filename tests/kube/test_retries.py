"""What the client does when the API server says that it cannot answer now."""
from __future__ import annotations

import pytest
import requests
import responses

from kubectl_volresize.errors import ApiError, Unreachable
from kubectl_volresize.kube.client import Client

_SERVER = "https://cluster.example"
_DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def _client(pauses: list[float]) -> Client:
    return Client(requests.Session(), _SERVER, pause=pauses.append)


@pytest.mark.parametrize("headers, seconds", [
    ({"Retry-After": "7"}, 7.0), ({"Retry-After": "1.5"}, 1.5), ({"Retry-After": "Wed, 21 Oct 2015 07:28:09 GMT", "Date": _DATE}, 9.0),
    ({"Retry-After": "3600"}, 30.0)])
@pytest.mark.parametrize("code", [429, 503])
@responses.activate
def test_a_read_is_tried_again_when_the_server_wants_it_and_within_reason(code: int, headers: dict[str, str], seconds: float) -> None:
    responses.get(f"{_SERVER}/api", status=code, headers=headers, json={})
    responses.get(f"{_SERVER}/api", json={"kind": "Pod"})
    pauses: list[float] = []
    assert _client(pauses).get("/api") == {"kind": "Pod"}
    assert pauses == [seconds]


@pytest.mark.parametrize("wish", ["soon", "-3", "nan", "inf", "", _DATE])
@responses.activate
def test_a_wish_that_cannot_be_read_is_none(wish: str) -> None:
    responses.get(f"{_SERVER}/api", status=503, headers={"Retry-After": wish}, json={})
    responses.get(f"{_SERVER}/api", json={"kind": "Pod"})
    pauses: list[float] = []
    assert _client(pauses).get("/api") == {"kind": "Pod"}
    assert pauses == [0.2]


@responses.activate
def test_a_write_is_not_repeated_and_says_when_to_come_again() -> None:
    asked = responses.post(f"{_SERVER}/api", status=429, headers={"Retry-After": "12"}, json={})
    pauses: list[float] = []
    with pytest.raises(ApiError) as refused:
        _client(pauses).create("/api", {})
    assert (refused.value.retry_after, asked.call_count, pauses) == (12.0, 1, [])


@pytest.mark.parametrize(("asked", "expected"), [(None, (10, 60)), (3.0, (3.0, 3.0)), (90.0, (10, 90.0)), (0.0, (10, None))])
def test_an_answer_is_given_up_after_the_time_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, asked: float | None, expected: object) -> None:
    used: list[object] = []

    def request(*arguments: object, **named: object) -> object:
        used.append(named["timeout"])
        raise requests.ConnectionError("away")
    session = requests.Session()
    monkeypatch.setattr(session, "request", request)
    client = Client(session, "https://x", pause=lambda seconds: None)
    if asked is not None:
        client.give_up_after(asked)
    with pytest.raises(Unreachable):
        client.create("/api/v1/namespaces/a/pods", {})
    assert used == [expected]
