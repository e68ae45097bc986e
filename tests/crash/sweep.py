"""One trouble at each of very many moments. A runner goes its way once; before and after each of its calls to the API the process is forked: the
child meets the trouble at exactly this moment and goes on to the end, the parent goes on as if nothing had been. So every child starts from a state
that was really reached, and nothing has to be repeated up to there.

A runner's death at a read is tried only before the read: after it the cluster is the same as before the next call, where it is tried too. And in a
cluster whose controllers do not act at random the same state has the same future, since a new runner knows nothing but the state: what was met before
is counted and not run again, unless the sweep is exhaustive.
"""
from __future__ import annotations

import gc
import os
import pickle
import random
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from builders import NAMESPACE, SET, Cluster
from fake_api import EAGER, FakeApi, Object, Refusal
from fake_api.api import Hook
from fake_api.guard import Guard
from running import Killed, run

from kubectl_volresize.errors import VolresizeError
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels

WRITES = ("create", "replace", "patch", "apply", "delete", "evict")
_MOST_RUNNERS = 6
_MOST_CALLS = 8         # times as many as without trouble
_LONGEST = 4 * 3600     # seconds of the cluster's clock
_REAL_SECONDS = 120     # of a child that makes no call at all


class Stuck(BaseException):
    """It would go on for ever; nothing of the runner may catch this."""


@dataclass(frozen=True)
class Way:
    """A path through a migration. `begin`: what was before its runner; `act`: what a user does before call `moment` of it, 0 for nothing;
    `watched`: what the guard is told; `runner`: one of a given identity to its exit code."""

    name: str
    cluster: Cluster
    begin: Callable[[FakeApi], None]
    act: Callable[[FakeApi], None] = lambda api: None
    moment: int = 0
    mode: str = EAGER
    seed: int = 0
    watched: Callable[[FakeApi], None] = lambda api: None
    runner: Callable[[FakeApi, Client, str], int] = lambda api, client, identity: run(api, client, identity=identity)

    def start(self) -> FakeApi:
        """The cluster at the moment at which the first runner starts."""
        api = self.cluster.build(mode=self.mode, seed=self.seed)
        self.begin(api)
        api.calls.clear()
        api.guard = Guard(api)
        api.oldest_version = api.store.version
        self.watched(api)
        return api


Strike = Callable[[FakeApi, random.Random], "Refusal | None"]


@dataclass(frozen=True)
class Trouble:
    """`strike` raises, or returns what the server answers instead; None when it has only prepared something. It happens before a call, or `after` it
    was done; `at` says which calls it is for. `kills`: what follows depends on nothing but the state of the cluster."""

    name: str
    strike: Strike
    after: bool = False
    at: Callable[[str, str], bool] = lambda verb, path: True
    kills: bool = False


@dataclass(frozen=True)
class End:
    """How it ended: the runner's exit code, what stands in the cluster, and what was lost, in sentences."""

    code: int | None
    stands: Object
    losses: tuple[str, ...]
    calls: int


@dataclass
class Tally:
    """What was tried on the ways so far. `failed`: sentences that begin with the point."""

    ways: int = 0
    points: int = 0
    runs: int = 0
    losses: int = 0
    stuck: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in ("ways", "points", "runs", "losses", "stuck", "seconds", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (f"{self.ways} paths, {self.points:,} points ({self.runs:,} runs), {self.losses} losses, {self.stuck} stuck, "
                f"{self.seconds:.0f} s of one core")


# -- one way to its end


def play(way: Way, api: FakeApi, client: Client, most_calls: int | None = None) -> End:
    """The way to its end, and what it is like there."""
    code, calls = go(way, api, client, most_calls), len(api.calls)
    return End(code, standing(api), losses(api), calls)


def go(way: Way, api: FakeApi, client: Client, most_calls: int | None = None) -> int | None:
    """Runners, one after the other, until one says that it is done. What a Job does with one that dies or gives up: the next one."""
    _act_at(way, api)
    _limit(api, most_calls)
    code: int | None = None
    try:
        for number in range(1, _MOST_RUNNERS + 1):
            try:
                code = way.runner(api, client, f"runner-{number}")
                break
            except (Killed, VolresizeError):
                api.sleep(3)
    except Stuck:
        code = None
    api.before_call.clear()
    api.after_call.clear()
    return code


def _act_at(way: Way, api: FakeApi) -> None:
    def act(number: int, verb: str, path: str) -> None:
        if number == way.moment:
            way.act(api)

    api.before_call.append(act)


def _limit(api: FakeApi, most_calls: int | None) -> None:
    latest = api.clock.now.timestamp() + _LONGEST

    def enough(number: int, verb: str, path: str) -> None:
        if api.clock.now.timestamp() > latest or (most_calls is not None and number > most_calls):
            raise Stuck

    api.before_call.append(enough)


def losses(api: FakeApi) -> tuple[str, ...]:
    """Everything that must never be."""
    api.settle()
    assert api.guard is not None
    missing = [f"claim {name} lacks some of its data" for name, tokens in api.lost_bytes().items()
               if any(api.written_on[token] not in api.guard.given_up for token in tokens)]
    used = [f"volume {one.name} was removed with data of {one.claim[1]}" for one in api.lost
            if one.claim in api.written and not api.guard.may_clean_up]
    return (*dict.fromkeys(api.guard.violations), *missing, *used, *(f"empty claim {one.name} was made" for one in api.empty_claims),
            *(f"volume {volume} was written to by {one} and {other} at once" for volume, one, other in api.shared))


def standing(api: FakeApi) -> Object:
    """What stands in the cluster, without what no two runs have in common: UIDs, versions, times, and when which number of bytes was copied."""
    api.settle()
    found = api.find("statefulsets", NAMESPACE, SET)
    migration = api.find("volumeresizes", NAMESPACE, SET)
    status = (migration or {}).get("status") or {}
    ready = [one["reason"] for one in status.get("conditions") or [] if one["type"] == labels.READY]
    seen: Object = {
        "set": found and {"spec": found["spec"], "labels": found["metadata"].get("labels"),
                          "annotations": found["metadata"].get("annotations") or {},
                          "finalizers": found["metadata"].get("finalizers") or []},
        "pods": {pod["metadata"]["name"]: (pod["status"].get("phase"), pod["metadata"].get("finalizers") or []) for pod in api.store.all("pods")},
        "claims": {claim["metadata"]["name"]: _claim(claim) for claim in api.store.all("persistentvolumeclaims")},
        "volumes": sorted((_volume(api, volume) for volume in api.store.all("persistentvolumes")), key=repr),
        "leases": len(api.store.all("leases", NAMESPACE)),
        "migration": migration and {
            "phase": status.get("phase"), "ready": ready, "finalizers": migration["metadata"].get("finalizers") or [],
            "message": status.get("message"), "stopping": status.get("stopping"), "rollback": status.get("rollback"),
            "outcome": (status.get("lastRequest") or {}).get("outcome")},
        "entries": [(entry["replica"], entry["volumeName"], entry.get("phase")) for entry in status.get("volumeStatuses") or []]}
    masked: Object = pickle.loads(pickle.dumps(seen))
    return _masked(masked)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(one) for one in value]
    return re.sub(r"00000000-0000-4000-8000-\d+", "UID", value) if isinstance(value, str) else value


def _differences(end: End, should: End) -> Iterator[str]:
    if end.code != should.code:
        yield f"exit code {end.code} and not {should.code}"
    yield from _unequal(end.stands, should.stands)


def _unequal(is_now: Any, should: Any, where: str = "") -> Iterator[str]:
    if isinstance(is_now, dict) and isinstance(should, dict):
        for key in {**should, **is_now}:
            yield from _unequal(is_now.get(key), should.get(key), f"{where}.{key}" if where else str(key))
    elif is_now != should:
        yield f"{where} is {is_now!r} and not {should!r}"


def _claim(claim: Object) -> Object:
    meta = claim["metadata"]
    kept = {key: value for key, value in (meta.get("annotations") or {}).items() if key != labels.NUDGE}
    return {"spec": claim["spec"], "labels": meta.get("labels"), "annotations": kept, "finalizers": meta.get("finalizers"),
            "phase": claim["status"].get("phase"), "owners": [ref["kind"] for ref in meta.get("ownerReferences") or []]}


def _volume(api: FakeApi, volume: Object) -> list[Any]:
    meta, spec = volume["metadata"], volume["spec"]
    ours = {key: value for key, value in {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}.items() if key.startswith(labels.GROUP)}
    return [spec["capacity"]["storage"], (spec.get("claimRef") or {}).get("name"), volume["status"].get("phase"),
            spec["persistentVolumeReclaimPolicy"], sorted(ours.items())]


# -- troubles on a way


def _seconds_of_work() -> float:
    """Of this process and its children: what a machine that is busy with other things does not stretch."""
    return sum(os.times()[:4])


Point = tuple[int, str]  # number of the call, name of the trouble


class Sweep:
    """`runs`: how many points are tried at most, drawn from the way's name; None for all, also in states that were met before. `only`: the name
    of one point. `ends`: how it may end, beside as it does without trouble."""

    def __init__(self, way: Way, troubles: tuple[Trouble, ...], runs: int | None, only: str = "", ends: tuple[End, ...] = ()) -> None:
        self._way, self._troubles, self._runs, self._only, self._ends = way, troubles, runs, only, ends
        self._alike: dict[Any, list[Point]] = {}
        self._chosen: dict[Point, int] = {}  # with the number of points that it stands for
        self._parent: int | None = None      # in a child the pipe to it
        self._tally = Tally(ways=1)
        self._expected = End(None, {}, (), 0)

    def run(self) -> Tally:
        """Raises AssertionError when the way itself, without any trouble, does not end well."""
        began = _seconds_of_work()
        self._expected = self._go(self._remember)
        assert not self._expected.losses and self._expected.code is not None, f"{self._way.name}: {self._expected}"
        self._choose()
        gc.collect()
        gc.freeze()
        end = self._go(self._meet)
        gc.unfreeze()
        assert end == self._expected, "the same seed gave another run"
        self._tally.seconds = _seconds_of_work() - began
        return self._tally

    def _go(self, at_each: Callable[[FakeApi, int, Trouble, str], Refusal | None]) -> End:
        api = self._way.start()
        for hooks, after in ((api.before_call, False), (api.after_call, True)):
            hooks.append(self._hook(api, after, at_each))
        with api.directly_connected() as client:
            return self._play_or_report(api, client)

    def _hook(self, api: FakeApi, after: bool, at_each: Callable[[FakeApi, int, Trouble, str], Refusal | None]) -> Hook:
        def hook(number: int, verb: str, path: str) -> Refusal | None:
            if self._parent is None and number > self._way.moment - after:
                for trouble in self._troubles:
                    if trouble.after is after and trouble.at(verb, path) and (answer := at_each(api, number, trouble, f"{verb} {path}")):
                        return answer
            return None

        return hook

    def _remember(self, api: FakeApi, number: int, trouble: Trouble, call: str) -> None:
        state = (api.store.version, api.clock.now, len(api.processes), sum(map(len, api.logs.values())))
        same = trouble.kills and self._way.mode == EAGER and self._runs is not None
        self._alike.setdefault((trouble.name, state if same else number), []).append((number, trouble.name))

    def _choose(self) -> None:
        classes = [points for points in self._alike.values() if not self._only or self._only in map(self._name, points)]
        drawn = classes if self._runs is None else random.Random(self._way.name).sample(classes, min(self._runs, len(classes)))
        self._chosen = {points[0]: len(points) for points in drawn}

    def _name(self, point: Point) -> str:
        return f"{self._way.name}/{point[0]}/{point[1]}"

    def _meet(self, api: FakeApi, number: int, trouble: Trouble, call: str) -> Refusal | None:
        point = (number, trouble.name)
        if self._parent is None and point in self._chosen and self._fork(self._name(point), call, self._chosen[point]):
            return trouble.strike(api, random.Random(self._name(point)))
        return None

    def _fork(self, point: str, call: str, stands_for: int) -> bool:
        """True in the child."""
        self._tally.runs += 1
        self._tally.points += stands_for
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            self._parent = write
            signal.alarm(_REAL_SECONDS)
            return True
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        lost, told = pickle.loads(said) if said else (False, f"no word from it within {_REAL_SECONDS} s")
        if told:
            self._tally.losses += lost
            self._tally.stuck += not lost
            self._tally.failed.append(f"{point} ({call}): {told}")
        return False

    def _play_or_report(self, api: FakeApi, client: Client) -> End:
        """Never returns in a child."""
        try:
            end = play(self._way, api, client, self._expected.calls * _MOST_CALLS or None)
            said = self._judge(end) if self._parent is not None else (False, "")
        except BaseException:
            if self._parent is None:
                raise
            said = (False, traceback.format_exc())
        if self._parent is not None:
            with os.fdopen(self._parent, "wb") as pipe:
                pipe.write(pickle.dumps(said))
            # Not sys.exit: the test session is the parent's to end.
            os._exit(0)
        return end

    def _judge(self, end: End) -> tuple[bool, str]:
        """Whether something was lost, and what is wrong in words; "" when nothing is."""
        if end.losses:
            return True, "; ".join(end.losses)
        if end.code is None:
            return False, f"it did not come to an end in {end.calls} calls: {end.stands['migration']}"
        # How far the record got before its user turned away may be any.
        left_out = "entries " if self._ends else "nothing"
        changes = [[told for told in _differences(end, may) if not told.startswith(left_out)] for may in (self._expected, *self._ends)]
        if all(changes):
            return False, "it ended otherwise than without trouble: " + "; ".join(min(changes, key=len))
        return False, ""


class Sweeping(Protocol):
    """What the fixture `sweep` gives a test, see conftest.py."""

    def __call__(self, word: str, way: Way, troubles: tuple[Trouble, ...], runs: int, ends: tuple[End, ...] = ()) -> None: ...
