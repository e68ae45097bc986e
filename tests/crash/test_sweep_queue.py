"""The Job of a runner may lose its place in a queue, or be deleted, at any call, and whoever comes then may come in hours: nothing is lost, it ends
as it would have ended, and no replica stays stopped meanwhile."""
from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from builders import NAMESPACE, SET
from fake_api import RANDOM, FakeApi
from queued_job import QUEUE, create_job, let_go_on, put_back, runner_job
from running import Killed, engine
from sweep import Strike, Sweeping, Trouble, Way
from troubles import cancel, delete_request, die_later, turn_away
from ways import ends_of, fresh, of_one_pod, rolled_back, turned

from kubectl_volresize.errors import JOB_TERMINATED
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.labels import PLURAL


def _may_run(api: FakeApi) -> bool:
    """Otherwise its pod is asked to end."""
    job = runner_job(api)
    return job is not None and not job["spec"]["suspend"]


def _has_a_place(api: FakeApi) -> None:
    migration = api.find(PLURAL, NAMESPACE, SET)
    if migration is None:
        return
    if runner_job(api) is None:
        create_job(api, migration, QUEUE)
    let_go_on(api)


def _put_back(api: FakeApi) -> None:
    if runner_job(api) is not None:
        put_back(api)


def _delete(api: FakeApi) -> None:
    job = runner_job(api)
    if job is not None:
        api.rest.remove("jobs", job)


def _runner(api: FakeApi, client: Client, identity: str) -> int:
    """Of a Job that the queue has let go on. One that leaves has nobody after it for as long as the queue likes."""
    _has_a_place(api)
    code = engine(api, client, identity=identity, leaving=lambda: not _may_run(api)).run()
    if code == JOB_TERMINATED:
        api.settle()
        assert not _stopped(api), f"nobody comes, and what it left is {_stopped(api)}"
        raise Killed
    return code


def _stopped(api: FakeApi) -> list[str]:
    held = [f"pod {pod['metadata']['name']}, held" for pod in api.store.all("pods", NAMESPACE)
            if labels.HOLD_FINALIZER in (pod["metadata"].get("finalizers") or [])]
    found = api.find("statefulsets", NAMESPACE, SET)
    return held if found is not None and "deletionTimestamp" not in found["metadata"] else [*held, "the set, frozen or absent"]


def _queued(way: Way) -> Way:
    def begin(api: FakeApi) -> None:
        way.begin(api)
        _has_a_place(api)

    return replace(way, name=f"{way.name}-queued", begin=begin, runner=_runner)


# -- what happens to it


Loss = Callable[[FakeApi], None]
_LOSSES: tuple[tuple[str, Loss], ...] = (("put-back", _put_back), ("deleted", _delete))


def _lost(lose: Loss, then: Callable[[FakeApi, random.Random], None] = lambda api, draw: None) -> Strike:
    def strike(api: FakeApi, draw: random.Random) -> None:
        lose(api)
        then(api, draw)

    return strike


def _dies_soon(api: FakeApi, draw: random.Random) -> None:
    die_later(api, draw, (1, 2, 3, 5, 8, 13, 21))


def _loses_it_again(api: FakeApi, draw: random.Random) -> None:
    at = len(api.calls) + draw.choice((20, 40, 60, 80, 100, 130, 160))

    def again(number: int, verb: str, path: str) -> None:
        if number == at:
            _put_back(api)

    api.before_call.append(again)


_LOST = tuple(Trouble(word, _lost(lose)) for word, lose in _LOSSES)
_LOST_AND_DIES = tuple(Trouble(f"{word}-and-dies", _lost(lose, _dies_soon)) for word, lose in _LOSSES)
_LOST_TWICE = tuple(Trouble(f"{word}-twice", _lost(lose, _loses_it_again)) for word, lose in _LOSSES)
_LOST_AND_TURNED = (Trouble("put-back-and-cancelled", _lost(_put_back, lambda api, draw: turn_away(api, cancel))),
                    Trouble("put-back-and-deleted", _lost(_put_back, lambda api, draw: turn_away(api, delete_request))))

_SMALL = [fresh(1, 1), fresh(2, 1), of_one_pod(fresh(1, 2, "Parallel"))]
_WAYS = [*_SMALL, rolled_back(fresh(1, 1)), fresh(2, 1, "OrderedReady", RANDOM, 2)]


def _named(way: Way) -> str:
    return way.name


@pytest.mark.parametrize("way", _WAYS, ids=_named)
def test_whoever_loses_its_place_leaves_nothing_stopped_and_the_next_one_ends_the_same(way: Way, sweep: Sweeping) -> None:
    sweep("place lost", _queued(way), _LOST, 25)


@pytest.mark.parametrize("way", _SMALL, ids=_named)
def test_so_it_is_when_it_dies_while_it_lets_go(way: Way, sweep: Sweeping) -> None:
    sweep("place lost, and one death", _queued(way), _LOST_AND_DIES, 15)


@pytest.mark.parametrize("way", _SMALL, ids=_named)
def test_so_it_is_when_the_next_one_loses_its_place_too(way: Way, sweep: Sweeping) -> None:
    sweep("place lost twice", _queued(way), _LOST_TWICE, 15)


@pytest.mark.parametrize("way", _SMALL[:2], ids=_named)
def test_who_turns_away_then_is_obeyed(way: Way, sweep: Sweeping) -> None:
    sweep("place lost, and turned away", _queued(way), _LOST_AND_TURNED, 20, ends_of([_queued(turn) for turn in turned(way, 24)]))
