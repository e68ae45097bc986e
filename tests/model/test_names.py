"""Names stay within what Kubernetes allows for label values and host names, and two different objects never get the same one."""
from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kubectl_volresize.model import names

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
ordinals = st.integers(0, 100_000)
MADE: dict[str, Callable[[str, int, str], str]] = {
    "mover": names.mover, "measurer": names.measurer,
    "temporary claim": lambda statefulset, ordinal, volume: names.temporary_claim(volume, statefulset, ordinal),
    "lease": lambda statefulset, ordinal, volume: names.lease(statefulset),
    "job": lambda statefulset, ordinal, volume: names.job(statefulset),
    "later job": lambda statefulset, ordinal, volume: names.job(statefulset, ordinal + 2),
    "migration": lambda statefulset, ordinal, volume: names.migration(statefulset, frozenset()),
    "next migration": lambda statefulset, ordinal, volume: names.migration(statefulset, frozenset({names.migration(statefulset, frozenset())})),
}


@pytest.mark.parametrize("kind", MADE)
@given(statefulset=label, ordinal=ordinals, volume=label)
def test_every_name_is_a_dns_label_of_at_most_63_characters(kind: str, statefulset: str, ordinal: int, volume: str) -> None:
    name = MADE[kind](statefulset, ordinal, volume)
    assert len(name) <= 63
    assert DNS_LABEL.fullmatch(name)


@given(st.text("ab-", min_size=70, max_size=80), st.text("ab-", min_size=1, max_size=80), st.text("ab-", max_size=10))
def test_two_long_names_never_meet(one: str, other: str, end: str) -> None:
    # The same beginning, as the names of one set's objects have it: what is cut off makes the difference.
    long, longer = f"a{one}", f"a{one[:60]}{other}{end}"
    assume(long != longer)
    assert names.fitted(long) != names.fitted(longer)


@given(st.text("abc-", min_size=1, max_size=63))
def test_a_name_that_fits_is_left_alone(name: str) -> None:
    assert names.fitted(name) == name


def test_one_character_too_many_is_cut_and_closed_with_a_hash_of_the_whole() -> None:
    cut = names.fitted("a" * 64)
    assert re.fullmatch(r"a{54}-[0-9a-f]{8}", cut)
    assert cut != names.fitted("a" * 65)


def test_a_cut_never_leaves_two_dashes_or_a_dot_before_the_hash() -> None:
    assert re.fullmatch(r"a{50}-[0-9a-f]{8}", names.fitted("a" * 50 + "-.--" + "b" * 20))


@given(statefulset=label, volume=label, one=ordinals, other=ordinals)
def test_replicas_of_one_set_never_share_a_mover_a_measurer_or_a_temporary_claim(statefulset: str, volume: str, one: int, other: int) -> None:
    assume(one != other)
    for kind in ("mover", "measurer", "temporary claim"):
        assert MADE[kind](statefulset, one, volume) != MADE[kind](statefulset, other, volume)


@given(statefulset=label, ordinal=ordinals, one=label, other=label)
def test_volumes_of_one_replica_never_share_one_either(statefulset: str, ordinal: int, one: str, other: str) -> None:
    assume(one != other)
    for kind in ("mover", "measurer", "temporary claim"):
        assert MADE[kind](statefulset, ordinal, one) != MADE[kind](statefulset, ordinal, other)


@given(statefulset=label, ordinal=ordinals, volume=label)
def test_a_temporary_claim_is_never_taken_for_the_claim_of_a_replica(statefulset: str, ordinal: int, volume: str) -> None:
    temporary = names.temporary_claim(volume, statefulset, ordinal)
    assert temporary != names.claim(volume, statefulset, ordinal)
    assume(len(names.claim(volume, statefulset, ordinal)) <= 59)
    assert names.ordinal_of(temporary, f"{volume}-{statefulset}") is None


@given(volume=label, statefulset=label, ordinal=ordinals)
def test_the_original_claim_is_never_cut_since_the_controller_does_not_cut_it(volume: str, statefulset: str, ordinal: int) -> None:
    assert names.claim(volume, statefulset, ordinal) == f"{volume}-{statefulset}-{ordinal}"


def test_a_sets_first_migration_bears_its_name() -> None:
    assert names.migration("web", frozenset({"other", "web-2"})) == "web"


@given(st.sets(st.integers(2, 12)))
def test_a_later_migration_gets_the_least_free_number(taken: set[int]) -> None:
    used = frozenset({"web"} | {f"web-{number}" for number in taken})
    free = min(set(range(2, 14)) - taken)
    assert names.migration("web", used) == f"web-{free}"


def test_migrations_of_a_set_with_a_long_name_are_numbered_too() -> None:
    taken: frozenset[str] = frozenset()
    for _ in range(4):
        name = names.migration("s" * 70, taken)
        assert len(name) <= 63 and name not in taken
        taken |= {name}


def test_each_resume_gets_a_job_of_its_own() -> None:
    assert [names.job("web"), names.job("web", 2), names.job("web", 10)] == ["web-runner", "web-runner-2", "web-runner-10"]


@given(statefulset=label, ordinal=ordinals)
def test_an_ordinal_is_read_back_from_the_pods_name(statefulset: str, ordinal: int) -> None:
    assert names.ordinal_of(names.pod(statefulset, ordinal), statefulset) == ordinal


@pytest.mark.parametrize("name", ["web", "web-", "web-01", "web-x", "web-1-0", "xweb-1", "web--1", "web-1\n", "we.b-1"])
def test_pods_of_others_have_no_ordinal(name: str) -> None:
    assert names.ordinal_of(name, "web") is None


def test_a_dot_in_the_sets_name_is_a_dot() -> None:
    assert names.ordinal_of("wexb-1", "we.b") is None
    assert names.ordinal_of("we.b-1", "we.b") == 1
