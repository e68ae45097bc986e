"""The runner dies at any call, and then somebody deletes the VolumeResize by force: what its user does about it, `resume` (or `submit` again, while
nothing was touched yet), ends as if nothing had been."""
from __future__ import annotations

import random
from dataclasses import replace

import pytest
from builders import NAMESPACE, SET
from conftest import Sweeping
from fake_api import RANDOM, FakeApi
from running import Killed
from sweep import WRITES, End, Trouble, Way
from ways import ends_of, fresh, resumed, rolled_back

from kubectl_volresize.model import labels
from kubectl_volresize.plugin.lost import RecordLost, find, write_again
from kubectl_volresize.plugin.options import Where
from kubectl_volresize.plugin.place import Place
from kubectl_volresize.plugin.target import NoMigration


def _lose(way: Way) -> tuple[Trouble, ...]:
    def strike(api: FakeApi, draw: random.Random) -> None:
        _delete_by_force(api)
        _go_on(way, api)
        raise Killed

    return (Trouble("record-lost", strike, kills=True),
            Trouble("record-lost-after", strike, after=True, at=lambda verb, path: verb in WRITES, kills=True))


def _delete_by_force(api: FakeApi) -> None:
    """But for one that was over, and is not begun again yet: nothing is half done, and everybody may delete that."""
    found, lease = api.find("volumeresizes", NAMESPACE, SET), api.find("leases", NAMESPACE, f"volresize-{SET}")
    copied = labels.RECORD in ((lease or {"metadata": {}})["metadata"].get("annotations") or {})
    untouched = not any(labels.MIGRATION in (volume["metadata"].get("labels") or {}) for volume in api.store.all("persistentvolumes"))
    if found is not None and (copied or untouched):
        api.rest.change("volumeresizes", found, lambda new: new["metadata"].pop("finalizers", None))
        api.rest.remove("volumeresizes", api.find("volumeresizes", NAMESPACE, SET) or found)


def _go_on(way: Way, api: FakeApi) -> None:
    with api.directly_connected() as client:
        place = Place(client, NAMESPACE, Where())
        try:
            find(place, SET)
        except RecordLost as lost:
            assert lost.kept is not None, lost.message
            write_again(place, lost.kept, {}, "none")
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
    sweep("a record that was lost", way, _lose(way), runs, _ends(way))
