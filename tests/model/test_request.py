"""A request means what its author wrote, and a wrong one is told everything that is wrong with it, each with its field."""
from __future__ import annotations

from typing import Any

import pytest
from fake_api.schema import wrong
from hypothesis import given
from hypothesis import strategies as st

from kubectl_volresize.errors import BadQuantity, UsageError
from kubectl_volresize.model.request import Request, Target, from_spec, parse_volume_flag
from kubectl_volresize.templates import render

SCHEMA = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
words = st.from_regex(r"[a-c]([-a-c]{0,8}[a-c])?", fullmatch=True)
sizes = st.sampled_from(["500Mi", "1.5Gi", "20G", "1e9", "1"])
targets = st.builds(Target, name=words, size=sizes, storage_class=st.none() | words)
requests = st.builds(
    Request, statefulset=words, targets=st.lists(targets, min_size=1, max_size=3, unique_by=lambda target: target.name).map(tuple),
    head_room=st.integers(0, 1000),
    mover=st.sampled_from([{}, {"image": "x"}, {"image": "x", "runAsUser": 1000},
                           {"tolerations": [{"key": "a"}], "imagePullSecrets": [{"name": "s"}]}]),
    copy=st.sampled_from([{}, {"bandwidth": "50M"}]), acknowledged=st.lists(st.sampled_from(["owned-set", "node-cordoned"]), max_size=2).map(tuple))


@given(requests)
def test_any_request_is_read_back_as_it_was_written(request: Request) -> None:
    assert from_spec(request.to_spec()) == request


@given(requests)
def test_the_schema_accepts_any_request_and_drops_no_field_of_it(request: Request) -> None:
    assert wrong(SCHEMA, request.to_spec()) == []


def test_a_size_stays_as_the_user_wrote_it() -> None:
    assert from_spec({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "1.5Gi"}]}).targets == (Target("data", "1.5Gi"),)
    assert Target("data", "1.5Gi").bytes == 1610612736


def test_a_size_may_be_a_number_of_bytes() -> None:
    assert from_spec({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": 524288000}]}).target("data").bytes == 524288000


def test_head_room_has_the_default_of_the_schema() -> None:
    request = from_spec({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "1Gi"}]})
    assert request.head_room == SCHEMA["properties"]["headRoomPercent"]["default"]


def test_a_head_room_of_null_is_none_that_was_asked_for() -> None:
    assert from_spec({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "1Gi"}], "headRoomPercent": None}).head_room == 10


def test_no_head_room_is_not_taken_for_the_default() -> None:
    assert from_spec({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "1Gi"}], "headRoomPercent": 0}).head_room == 0


ONE_WRONG: dict[str, tuple[Any, str]] = {
    "no set": ({"volumes": [{"name": "data", "newSize": "1Gi"}]}, "spec.statefulSetName is missing"),
    "an empty set": ({"statefulSetName": "", "volumes": [{"name": "data", "newSize": "1Gi"}]}, "spec.statefulSetName is missing"),
    "a set that is no text": ({"statefulSetName": 5, "volumes": [{"name": "data", "newSize": "1Gi"}]}, "spec.statefulSetName is missing"),
    "no volumes": ({"statefulSetName": "web"}, "spec.volumes is empty"),
    "volumes that are no list": ({"statefulSetName": "web", "volumes": "data"}, "spec.volumes is empty"),
    "a volume that is text": ({"statefulSetName": "web", "volumes": ["data"]}, "spec.volumes[0] needs name and newSize"),
    "a name that is no text": ({"statefulSetName": "web", "volumes": [{"name": ["data"], "newSize": "1Gi"}]},
                               "spec.volumes[0] needs name and newSize"),
    "a volume without size": ({"statefulSetName": "web", "volumes": [{"name": "data"}]}, "spec.volumes[0] needs name and newSize"),
    "a size that is none": ({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "big"}]},
                            "spec.volumes[0].newSize: 'big' is not a Kubernetes quantity"),
    "a size of nothing": ({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "0Gi"}]}, "spec.volumes[0].newSize is 0Gi"),
    "a number of nothing": ({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": 0}]}, "spec.volumes[0].newSize is 0"),
    "less than nothing": ({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "-1Gi"}]}, "spec.volumes[0].newSize is -1Gi"),
    "a name twice": ({"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "1Gi"}, {"name": "data", "newSize": "2Gi"}]},
                     "spec.volumes names 'data' twice"),
}


@pytest.mark.parametrize("what", ONE_WRONG)
def test_what_is_wrong_is_said_with_its_field(what: str) -> None:
    spec, sentence = ONE_WRONG[what]
    with pytest.raises(UsageError) as refused:
        from_spec(spec)
    assert sentence in refused.value.message


def test_every_wrong_thing_is_said_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        from_spec({"volumes": [{"name": "data", "newSize": "big"}, {"newSize": "1Gi"}, {"name": "logs", "newSize": "0"},
                               {"name": "logs", "newSize": "1Gi"}]})
    assert len(refused.value.message.split("; ")) == 5, refused.value.message
    for part in ("statefulSetName", "volumes[0].newSize", "volumes[1]", "volumes[2].newSize", "'logs' twice"):
        assert part in refused.value.message


@pytest.mark.parametrize(("text", "target"), [
    ("data=500Mi", Target("data", "500Mi")), ("data=500Mi,storageClass=slow", Target("data", "500Mi", "slow")), ("a-b=1e9", Target("a-b", "1e9"))])
def test_the_flag_reads_name_size_and_class(text: str, target: Target) -> None:
    assert parse_volume_flag(text) == target


@pytest.mark.parametrize("text", ["", "data", "data=", "=500Mi", "data=500Mi,slow", "data=500Mi,storageClass=", "data=500Mi,class=x", "data=500Mi,",
                                  "data=0", "data=-1Gi"])
def test_a_wrong_flag_is_shown_in_the_message(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_volume_flag(text)
    assert repr(text) in refused.value.message


def test_a_flag_with_no_quantity_says_so() -> None:
    with pytest.raises(BadQuantity):
        parse_volume_flag("data=big")
