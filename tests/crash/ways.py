"""The ways through a migration that the sweep disturbs: by replicas, volumes, pod management policy, and what the user wants in the end."""
from __future__ import annotations

import random
from dataclasses import replace

from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import EAGER, FakeApi
from running import ask, run
from sweep import End, Way, go, play
from troubles import cancel, delete_request

from kubectl_volresize.model.labels import PLURAL

_OLD, _NEW = {"data": "1Gi", "logs": "500Mi"}, {"data": "500Mi", "logs": "100Mi"}
POLICIES = ("OrderedReady", "Parallel")


def fresh(replicas: int, volumes: int, policy: str = "OrderedReady", mode: str = EAGER, seed: int = 0) -> Way:
    """A migration from the beginning to Completed."""
    names = list(_OLD)[:volumes]
    cluster = three_replicas({name: _OLD[name] for name in names}, policy=policy, replicas=replicas)
    return Way(f"{replicas}x{volumes}-{policy}-{mode}-{seed}", cluster, lambda api: _submit(api, names), mode=mode, seed=seed)


def _submit(api: FakeApi, names: list[str]) -> None:
    submit(api, {name: _NEW[name] for name in names}, acknowledge=["one-pod-volume"])


def of_one_pod(way: Way) -> Way:
    """The same with volumes that nobody reads beside the application."""
    return replace(way, name=f"{way.name}-one-pod", cluster=replace(way.cluster, access_mode="ReadWriteOncePod"))


def ends_of(ways: list[Way]) -> tuple[End, ...]:
    """How they end without trouble."""
    found = []
    for way in ways:
        api = way.start()
        with api.directly_connected() as client:
            found.append(play(way, api, client))
    return tuple(found)


def calls_of(way: Way) -> int:
    """How many calls it takes without trouble."""
    end, = ends_of([way])
    return end.calls


def _at_work(way: Way) -> tuple[int, int]:
    """The calls between the one that takes the VolumeResize up and the last one that writes its record. Before, it is gone as soon as it is deleted;
    after, a cancellation comes too late, and is answered by the next runner alone."""
    api = way.start()
    with api.directly_connected() as client:
        go(way, api, client)
    taken_up = next(number for number, call in enumerate(api.calls, 1) if call.verb == "patch" and call.path.endswith(f"/{PLURAL}/{SET}"))
    written = max(number for number, call in enumerate(api.calls, 1) if call.path.endswith(f"/{PLURAL}/{SET}/status"))
    return taken_up + 1, written


def turned(way: Way, moments: int) -> list[Way]:
    """The same, but its user deletes the VolumeResize or cancels at moments spread over it."""
    draw, (first, last) = random.Random(way.name), _at_work(way)
    found = []
    for number in range(moments):
        start, stop = (first + (last - first) * part // moments for part in (number, number + 1))
        moment = draw.randint(start, stop - 1)
        for word, act in (("deleted", delete_request), ("cancelled", cancel)):
            found.append(replace(way, name=f"{way.name}-{word}@{moment}", act=act, moment=moment))
    return found


def rolled_back(way: Way) -> Way:
    """A migration that is done goes back, and gives up what was written since."""
    def begin(api: FakeApi) -> None:
        _migrate(way, api)
        ask(api, "rollback", request_id="00000002", discardNewerData=True)

    return replace(way, name=f"{way.name}-rolled-back", begin=begin, watched=_give_up_new_volumes)


def _migrate(way: Way, api: FakeApi) -> None:
    way.begin(api)
    with api.directly_connected() as client:
        run(api, client)


def _give_up_new_volumes(api: FakeApi) -> None:
    assert api.guard is not None
    api.guard.given_up |= {claim["spec"]["volumeName"] for claim in api.store.all("persistentvolumeclaims", NAMESPACE)}


def resumed(way: Way) -> Way:
    """Cancelled in the middle, and taken up again."""
    middle = calls_of(way) // 2

    def begin(api: FakeApi) -> None:
        way.begin(api)
        cancelled = replace(way, act=cancel, moment=len(api.calls) + middle)
        with api.directly_connected() as client:
            go(cancelled, api, client)
        ask(api, "resume", request_id="00000003")

    return replace(way, name=f"{way.name}-resumed", begin=begin)
