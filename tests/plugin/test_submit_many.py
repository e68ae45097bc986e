"""`submit` of several StatefulSets: a VolumeResize and a Job for each, or, when one of them is refused, for none."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, Cluster, add_set
from calling import Plugin, written
from fake_api import FakeApi

VOLUME = ("--volume", "data=500Mi")


@pytest.fixture
def both(api: FakeApi) -> FakeApi:
    add_set(api, Cluster(name="db", replicas=1))
    for name in ("web", "db"):
        found = api.find("statefulsets", NAMESPACE, name)
        assert found is not None
        api.rest.change("statefulsets", found, lambda new: new["metadata"].update(labels={"team": "storage"}))
    api.settle()
    api.calls.clear()
    return api


@pytest.mark.parametrize("named", [("web", "db"), ("sts/web", "db"), ("-l", "team=storage")])
def test_each_gets_its_own(both: FakeApi, plugin: Plugin, named: tuple[str, ...]) -> None:
    answer = plugin("submit", *named, *VOLUME)
    assert answer.code == 0 and written(both) == ["create volumeresizes", "create jobs"] * 2, answer.err
    for name in ("web", "db"):
        assert f"volumeresize.storage.maurice.fr/{name} created" in answer.out and f"kubectl volresize logs {name} -f" in answer.out


def test_one_that_is_refused_keeps_all_from_starting_and_is_named(both: FakeApi, plugin: Plugin) -> None:
    add_set(both, Cluster(name="small", replicas=1, volumes={"data": "100Mi"}))
    both.calls.clear()
    answer = plugin("submit", "web", "small", "nope", *VOLUME)
    assert (answer.code, written(both)) == (4, [])
    assert "small: refused" in answer.err and "data-small-0 has 100Mi" in answer.err
    assert "nope: refused" in answer.err and "web: refused" not in answer.err


def test_one_that_has_its_size_already_is_said_and_the_rest_goes_on(both: FakeApi, plugin: Plugin) -> None:
    add_set(both, Cluster(name="done", replicas=1, volumes={"data": "500Mi"}))
    both.calls.clear()
    answer = plugin("submit", "done", "db", *VOLUME, "--error-unchanged")
    assert answer.code == 0 and written(both) == ["create volumeresizes", "create jobs"]
    assert "nothing to do: the claims of statefulset/done" in answer.err
    assert plugin("submit", "done", *VOLUME, "--error-unchanged").code == 3


@pytest.mark.parametrize(("arguments", "said"), [
    (("web", "db", "--name", "x", *VOLUME), "-f and --name are for one StatefulSet"), (("web", "-l", "a=b", *VOLUME), "-l names the StatefulSets"),
    (("web", "web", *VOLUME), "web is named twice"), (("web", "db", "--follow", *VOLUME), "--follow takes one StatefulSet, not 2"),
    (("-l", "team=none", *VOLUME), "no StatefulSet in namespace prod has these labels"), (("-l", "team=storage", "--volume", "x"), "NAME=SIZE")])
def test_what_does_not_go_together_creates_nothing(both: FakeApi, plugin: Plugin, arguments: tuple[str, ...], said: str) -> None:
    answer = plugin("submit", *arguments)
    assert (answer.code, written(both)) == (2, []) and said in answer.err
