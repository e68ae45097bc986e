"""The runner dies at any call, and then somebody deletes the VolumeResize by force: what its user does about it, `resume` (or `submit` again, while
nothing was touched yet), ends as if nothing had been."""
from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from builders import NAMESPACE, SET
from fake_api import RANDOM, FakeApi
from running import Killed
from sweep import WRITES, End, Sweep, Sweeping, Trouble, Way
from ways import ends_of, fresh, resumed, rolled_back

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED
from kubectl_volresize.model import labels
from kubectl_volresize.plugin.lost import RecordLost, find, write_again
from kubectl_volresize.plugin.options import Where
from kubectl_volresize.plugin.place import Place
from kubectl_volresize.plugin.target import NoMigration


def _lose(way: Way, lose: Callable[[FakeApi], None]) -> tuple[Trouble, ...]:
    def strike(api: FakeApi, draw: random.Random) -> None:
        lose(api)
        _go_on(way, api)
        raise Killed

    return (Trouble("record-lost", strike, kills=True),
            Trouble("record-lost-after", strike, after=True, at=lambda verb, path: verb in WRITES, kills=True))


def _lose_record(api: FakeApi) -> None:
    """But not one that was over, and is not begun again yet: nothing is half done, and everybody may delete that."""
    lease = api.find("leases", NAMESPACE, f"volresize-{SET}")
    copied = labels.RECORD in ((lease or {"metadata": {}})["metadata"].get("annotations") or {})
    untouched = not any(labels.MIGRATION in (volume["metadata"].get("labels") or {}) for volume in api.store.all("persistentvolumes"))
    if copied or untouched:
        _delete_by_force(api)


def _lose_record_and_copy(api: FakeApi) -> None:
    _delete_by_force(api)
    lease = api.find("leases", NAMESPACE, f"volresize-{SET}")
    if lease is not None:
        api.rest.remove("leases", lease)
    api.settle()


def _delete_by_force(api: FakeApi) -> None:
    found = api.find("volumeresizes", NAMESPACE, SET)
    if found is not None:
        api.rest.change("volumeresizes", found, lambda new: new["metadata"].pop("finalizers", None))
        api.rest.remove("volumeresizes", api.find("volumeresizes", NAMESPACE, SET) or found)


def _go_on(way: Way, api: FakeApi) -> None:
    with api.directly_connected() as client:
        place = Place(client, NAMESPACE, Where())
        try:
            find(place, SET)
        except RecordLost as lost:
            if lost.again is None:
                # Nothing is half done.
                way.begin(api)
            else:
                write_again(place, lost.again, {}, "none")
        except NoMigration:
            way.begin(api)


def _ends(way: Way) -> tuple[End, ...]:
    """As without trouble, but for the answer to a request more: one that comes when all is over is refused."""
    end = ends_of([way])[0]
    return tuple(replace(end, stands={**end.stands, "migration": {**end.stands["migration"], "outcome": outcome}}) for outcome in ("done", "refused"))


_WAYS = [(fresh(1, 1), 1000), (fresh(1, 2, "Parallel"), 40), (fresh(2, 1), 40), (fresh(2, 1, "OrderedReady", RANDOM, 2), 25),
         (rolled_back(fresh(1, 1)), 40), (resumed(fresh(2, 1)), 25)]


@pytest.mark.parametrize(("way", "runs"), _WAYS, ids=[way.name for way, _ in _WAYS])
def test_a_record_that_is_lost_at_any_call_is_written_again_and_ends_the_same(way: Way, runs: int, sweep: Sweeping) -> None:
    sweep("a record that was lost", way, _lose(way, _lose_record), runs, _ends(way))


class _PutBack(Sweep):
    """Put back, submitted again, or refused with everything as it was: but never left half done without a word, and never lost."""

    def _judge(self, end: End) -> tuple[bool, str]:
        stands, migration = end.stands, end.stands["migration"] or {}
        refused = migration.get("outcome") == "refused"
        # A claim that is away in the exchange stays so, and its data on both volumes.
        if losses := [told for told in end.losses if not (refused and told.endswith("lacks some of its data"))]:
            return True, "; ".join(losses)
        if refused:
            named = "is frozen or going" in migration["message"] or "is gone" in migration["message"]
            return False, "" if named and end.code == JOB_REFUSED else f"refused without a reason: {end.code} {migration}"
        left = [name for name in stands["claims"] if name.endswith("-new")]
        left += [name for name, (_, finalizers) in stands["pods"].items() if finalizers]
        found = stands["set"] or {"annotations": {}, "finalizers": ["no set"]}
        # With nothing to do nothing is touched, and the marks of who had done it mean nothing any more.
        nothing_to_do = str(migration.get("message")).startswith("nothing to do")
        left += [name for name in found["annotations"] if labels.GROUP in name and not nothing_to_do] + found["finalizers"]
        if left or stands["leases"] or end.code != JOB_DONE:
            return False, f"left: {left}, {stands['leases']} leases, exit code {end.code}, {migration}"
        return False, ""


@pytest.mark.parametrize(("way", "runs"), [(fresh(1, 1), 1000), (fresh(2, 2, "Parallel"), 60)], ids=["1x1", "2x2"])
def test_with_the_copy_lost_too_what_was_begun_is_put_back_or_named(way: Way, runs: int) -> None:
    tally = _PutBack(way, _lose(way, _lose_record_and_copy), runs).run()
    assert not tally.failed, "\n".join(tally.failed[:5])
