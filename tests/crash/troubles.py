"""What can go wrong at one moment: the runner dies, its user turns away meanwhile, the API answers no, not at all, late or with what was true before,
or the runner sleeps while another one takes over."""
from __future__ import annotations

import io
import random
from collections.abc import Callable

import requests
from builders import NAMESPACE, SET
from fake_api import FakeApi, Refusal
from running import Killed, ask, engine
from sweep import WRITES, Strike, Trouble

from kubectl_volresize.errors import Conflict, Unreachable
from kubectl_volresize.model.labels import TERMINAL

_LONGER_THAN_A_CLIENT_TRIES = 8  # calls
_NEVER = 1_000_000


def _writes(verb: str, path: str) -> bool:
    return verb in WRITES


def _reads(verb: str, path: str) -> bool:
    return verb not in WRITES


def _state(verb: str, path: str) -> bool:
    """Reads of what a runner decides from."""
    return verb in ("get", "list")


# -- death


def _die(api: FakeApi, draw: random.Random) -> None:
    raise Killed


def die_later(api: FakeApi, draw: random.Random, calls: tuple[int, ...]) -> None:
    """Before or after a call that is one of so many away."""
    at = len(api.calls) + draw.choice(calls)
    hooks = draw.choice((api.before_call, api.after_call))

    def again(number: int, verb: str, path: str) -> None:
        if number == at:
            raise Killed

    hooks.append(again)


def _die_twice(api: FakeApi, draw: random.Random) -> None:
    die_later(api, draw, (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233))
    raise Killed


def delete_request(api: FakeApi) -> None:
    """The user deletes the VolumeResize."""
    found = api.find("volumeresizes", NAMESPACE, SET)
    if found is not None:
        api.rest.remove("volumeresizes", found)


def cancel(api: FakeApi) -> None:
    """The user asks for the end of it, unless it is over: then that is all the answer."""
    found = api.find("volumeresizes", NAMESPACE, SET)
    if found is not None and (found.get("status") or {}).get("phase") not in TERMINAL:
        ask(api, "cancel", request_id="00000001")


def turn_away(api: FakeApi, turn: Callable[[FakeApi], None]) -> None:
    """Once it was taken up: before, it is gone at once, and all that may stay is a Lease of a Job that is over, which everybody may take."""
    found = api.find("volumeresizes", NAMESPACE, SET)
    if found is not None and found["metadata"].get("finalizers"):
        turn(api)


def _die_and(turn: Callable[[FakeApi], None]) -> Strike:
    """Its user turns away while no runner lives."""
    def strike(api: FakeApi, draw: random.Random) -> None:
        turn_away(api, turn)
        raise Killed

    return strike


DEATHS_AND_TURNS = (Trouble("dies-and-is-deleted", _die_and(delete_request), kills=True),
                    Trouble("dies-and-is-cancelled", _die_and(cancel), kills=True))
DEATHS = (Trouble("dies-before", _die, kills=True), Trouble("dies-after", _die, after=True, at=_writes, kills=True))
TWO_DEATHS = (Trouble("dies-twice", _die_twice),)


# -- answers


def _answered(make: Callable[[], Refusal | None], calls: int = 1) -> Strike:
    """This call and the next ones until there were so many."""
    def strike(api: FakeApi, draw: random.Random) -> Refusal | None:
        last = len(api.calls) + calls - 1
        if calls > 1:
            api.before_call.append(lambda number, verb, path: make() if number <= last else None)
        return make()

    return strike


def _conflict() -> Refusal:
    return Refusal(409, "Conflict", "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version")


def _busy() -> Refusal:
    return Refusal(429, "TooManyRequests", "Too many requests, please try again later.", retry_after=7)


def _broken() -> Refusal:
    return Refusal(500, "InternalError", "etcdserver: request timed out")


def _reset() -> None:
    raise requests.ConnectionError("Connection reset by peer")


REFUSED_WRITES = (
    Trouble("409", _answered(_conflict), at=_writes), Trouble("429", _answered(_busy), at=_writes), Trouble("500", _answered(_broken), at=_writes),
    Trouble("reset-before", _answered(_reset), at=_writes), Trouble("reset-after", _answered(_reset), after=True, at=_writes))
REFUSED_READS = (
    Trouble("429", _answered(_busy, _LONGER_THAN_A_CLIENT_TRIES), at=_reads),
    Trouble("500", _answered(_broken, _LONGER_THAN_A_CLIENT_TRIES), at=_reads),
    Trouble("reset", _answered(_reset, _LONGER_THAN_A_CLIENT_TRIES), at=_reads))


# -- the past


def _stale(calls: int) -> Strike:
    """This call and the next ones are answered from the state as it was some writes ago."""
    def strike(api: FakeApi, draw: random.Random) -> None:
        last = len(api.calls) + calls - 1
        api.seen_at = max(api.oldest_version, api.store.version - draw.choice((1, 2, 3, 5, 8, 13)))

        def now(number: int, verb: str, path: str) -> None:
            if number > last:
                api.seen_at = None

        api.before_call.append(now)

    return strike


STALE = (Trouble("stale", _stale(1), at=_state), Trouble("lagging", _stale(30), at=_state))


# -- two runners


def _sleep_through(api: FakeApi, draw: random.Random) -> None:
    """Another runner takes so many steps, or all, before this call reaches the server."""
    with api.directly_connected() as client:
        awake = engine(api, client, identity="runner-awake", out=io.StringIO())
        for _ in range(draw.choice((1, 2, 4, 8, 16, 32, 64, _NEVER))):
            try:
                if awake.step() is not None:
                    return
            except (Conflict, Unreachable):
                api.sleep(0.1)


SLEEP = (Trouble("sleeps", _sleep_through, at=_writes),)
