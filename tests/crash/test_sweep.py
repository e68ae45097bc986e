"""A runner may die anywhere, and the API may say or withhold anything: whoever goes on ends in the same state, and nothing is lost on the way. What
must never happen is judged at every write by the fake itself (fake_api/guard.py)."""
from __future__ import annotations

import pytest
from fake_api import EAGER, RANDOM
from sweep import Sweeping, Way
from troubles import DEATHS, DEATHS_AND_TURNS, REFUSED_READS, REFUSED_WRITES, SLEEP, STALE, TWO_DEATHS
from ways import POLICIES, ends_of, fresh, of_one_pod, resumed, rolled_back, turned

_SIZES = [(replicas, volumes) for replicas in (1, 2, 3) for volumes in (1, 2)]
_MOMENTS = 8  # at which a user turns away, for one way
# Runs for one way; the larger ways take longer, and their replicas do the same one after the other.
_MOST = {(1, 1): 100, (1, 2): 40, (2, 1): 25, (2, 2): 12, (3, 1): 12, (3, 2): 6}
_FRESH = [fresh(replicas, volumes, policy) for replicas, volumes in _SIZES for policy in POLICIES]
_ONE_POD = [of_one_pod(fresh(1, 2, "Parallel")), of_one_pod(fresh(2, 1)), of_one_pod(fresh(2, 1, "OrderedReady", RANDOM, 5))]
_SMALL = [fresh(1, 1), fresh(1, 2, "Parallel"), fresh(2, 1)]
_AT_RANDOM = [fresh(replicas, volumes, policy, RANDOM, seed) for seed, (replicas, volumes, policy) in
              enumerate([(1, 1, "OrderedReady"), (1, 2, "Parallel"), (2, 1, "OrderedReady"), (3, 1, "Parallel")])]


def _named(way: object) -> str:
    return way.name if isinstance(way, Way) else str(way)


def _most(way: Way) -> int:
    return _MOST[(way.cluster.replicas, len(way.cluster.volumes))]


@pytest.mark.parametrize("way", _FRESH, ids=_named)
def test_a_runner_that_dies_at_any_call_is_followed_by_one_that_ends_the_same(way: Way, sweep: Sweeping) -> None:
    sweep("one death", way, DEATHS, _most(way))


@pytest.mark.parametrize("way", _ONE_POD, ids=_named)
def test_so_it_is_when_the_copy_is_made_in_the_stop(way: Way, sweep: Sweeping) -> None:
    sweep("one death, volumes of one pod", way, DEATHS, 40)


@pytest.mark.parametrize("way", _ONE_POD[:2], ids=_named)
@pytest.mark.parametrize("number", range(_MOMENTS))
def test_who_turns_away_then_is_obeyed_too(way: Way, number: int, sweep: Sweeping) -> None:
    for turn in turned(way, _MOMENTS)[2 * number:2 * number + 2]:
        sweep("turned away, volumes of one pod", turn, DEATHS, 4)


@pytest.mark.parametrize("way", _AT_RANDOM, ids=_named)
def test_so_it_is_when_controllers_controllers_act_late_and_in_any_order(way: Way, sweep: Sweeping) -> None:
    sweep("one death, controllers at random", way, DEATHS, 15)


@pytest.mark.parametrize("way", [*_SMALL, _AT_RANDOM[2]], ids=_named)
def test_the_next_runner_may_die_too(way: Way, sweep: Sweeping) -> None:
    sweep("two deaths", way, TWO_DEATHS, 20)


@pytest.mark.parametrize("number", range(_MOMENTS))
@pytest.mark.parametrize("way", _SMALL, ids=_named)
def test_a_user_who_turns_away_at_any_moment_is_obeyed_although_the_runner_dies(way: Way, number: int, sweep: Sweeping) -> None:
    for turn in turned(way, _MOMENTS)[2 * number:2 * number + 2]:
        sweep("turned away, and one death", turn, DEATHS, 4)


@pytest.mark.parametrize("way", [fresh(1, 1), fresh(2, 1), fresh(1, 2, "Parallel")], ids=_named)
def test_a_rollback_survives_the_death_of_its_runner(way: Way, sweep: Sweeping) -> None:
    sweep("rollback, and one death", rolled_back(way), DEATHS, 30)


@pytest.mark.parametrize("way", [fresh(2, 1)], ids=_named)
def test_what_was_cancelled_and_is_resumed_survives_the_death_of_its_runner(way: Way, sweep: Sweeping) -> None:
    sweep("resume, and one death", resumed(way), DEATHS, 30)


@pytest.mark.parametrize("way", _SMALL, ids=_named)
def test_a_write_that_is_refused_or_whose_answer_is_lost_is_looked_after(way: Way, sweep: Sweeping) -> None:
    sweep("refused writes and lost answers", way, REFUSED_WRITES, 120 if way is _SMALL[0] else 40)


@pytest.mark.parametrize("way", _SMALL, ids=_named)
def test_a_read_that_fails_for_longer_than_the_client_tries_only_delays(way: Way, sweep: Sweeping) -> None:
    sweep("refused reads", way, REFUSED_READS, 20)


@pytest.mark.parametrize("way", [*_SMALL, _AT_RANDOM[2]], ids=_named)
def test_an_answer_from_the_past_loses_nothing(way: Way, sweep: Sweeping) -> None:
    sweep("answers from the past", way, STALE, 30)


@pytest.mark.parametrize("way", [*_SMALL, rolled_back(fresh(1, 1))], ids=_named)
def test_a_runner_that_slept_while_another_one_went_on_does_no_harm(way: Way, sweep: Sweeping) -> None:
    sweep("a runner that slept", way, SLEEP, 35)


@pytest.mark.parametrize("way", [fresh(1, 1), fresh(2, 1)], ids=_named)
def test_a_user_who_turns_away_while_no_runner_lives_is_obeyed(way: Way, sweep: Sweeping) -> None:
    sweep("turned away between two runners", way, DEATHS_AND_TURNS, 50, ends_of(turned(way, 3 * _MOMENTS)))


def test_the_sweep_is_of_controllers_that_act_at_once_and_of_such_that_do_not() -> None:
    assert {way.mode for way in (*_FRESH, *_AT_RANDOM)} == {EAGER, RANDOM}
