"""Three databases under load, each on its own volume: all volumes shrink, the runner is killed twice, and whatever a client was told stays true."""
from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from ledger import EVERYTHING, Found, Ledger, differences
from load import Load
from namespaces import Namespace, until
from server import REPLICAS, Database

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
OLD_SIZE, NEW_SIZE = "512Mi", "256Mi"
NEW_MEBIBYTES = 256
# About 12 kB each.
STOCK = 1500
_BESIDE_SECONDS = 3.0  # of load before and after the migration
_FIRST_KILL_SECONDS = 5.0  # after the beginning, at most; earlier than the second replica's hold
_HELD_SECONDS = 300.0  # until one must have been
_SECOND_KILL_SECONDS = 1.0  # after a pod was seen held, at most
_OVER_SECONDS = 300.0  # after the second kill: the next runner comes after 20 s, and one more replica may have to be moved


@dataclass(frozen=True)
class Killed:
    """The uid of a runner's pod; the database's pods that were held just before."""

    uid: str
    held: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """What happened, and what was found afterwards while the databases ran on. Times are time.monotonic's."""

    database: Database
    loads: tuple[Load, ...]
    kills: tuple[Killed, ...]
    began: float
    ended: float
    found: tuple[Found, ...]


@contextmanager
def under(loads: tuple[Load, ...]) -> Iterator[None]:
    with ThreadPoolExecutor(len(loads)) as pool:
        running = [pool.submit(load.run) for load in loads]
        try:
            yield
        finally:
            for load in loads:
                load.stop()
    for each in running:
        each.result()


@contextmanager
def explained(namespace: Namespace) -> Iterator[None]:
    """A failure also says what the migration and its runners said last; the namespace will be gone when somebody asks."""
    try:
        yield
    except AssertionError as error:
        status = {key: value for key, value in namespace.migration("postgres").get("status", {}).items() if key in ("phase", "message", "conditions")}
        pods = namespace.kubectl("get", "pods", "-o", "wide")
        runners = namespace.kubectl("logs", "-l", f"{labels.ROLE}={labels.ROLE_RUNNER}", "--tail=20", "--prefix", "--ignore-errors")
        raise AssertionError(f"{error}\n{status}\n{pods}\n{runners}") from error


def held(namespace: Namespace) -> tuple[str, ...]:
    return tuple(pod["metadata"]["name"] for pod in namespace.objects("pods")
                 if "deletionTimestamp" in pod["metadata"] and labels.HOLD_FINALIZER in pod["metadata"].get("finalizers", ()))


def kill_runner(namespace: Namespace) -> Killed:
    def alive() -> list[Object]:
        return [pod for pod in namespace.objects("pods", "-l", f"{labels.ROLE}={labels.ROLE_RUNNER}")
                if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]]
    runner = until("a runner to kill", alive)[0]["metadata"]
    before = held(namespace)
    namespace.kubectl("delete", "pod", runner["name"], "--grace-period=0", "--force")
    assert namespace.migration("postgres")["status"]["phase"] not in labels.TERMINAL, "it was over before its runner was killed"
    return Killed(runner["uid"], before)


def migrate(namespace: Namespace, draw: random.Random) -> tuple[Killed, ...]:
    """To its end, through two runners that are killed: soon after the beginning, and while one of the two last replicas is held."""
    victim = Database.pod(draw.choice((0, 1)))
    namespace.submit("postgres", "--volume", f"data={NEW_SIZE}")
    with explained(namespace):
        until("the migration has begun", lambda: namespace.migration("postgres").get("status", {}).get("phase") == labels.SYNCING)
        time.sleep(draw.uniform(0, _FIRST_KILL_SECONDS))
        first = kill_runner(namespace)
        until(f"{victim} is held", lambda: victim in held(namespace), _HELD_SECONDS)
        time.sleep(draw.uniform(0, _SECOND_KILL_SECONDS))
        second = kill_runner(namespace)
        until("the migration is over", lambda: namespace.migration("postgres")["status"]["phase"] in labels.TERMINAL, _OVER_SECONDS)
        assert namespace.migration("postgres")["status"]["phase"] == labels.COMPLETED
    return first, second


@pytest.fixture(scope="module")
def story(database: Database, numbers: list[str]) -> Story:
    seed = int(os.environ.get("VOLRESIZE_SEED") or random.randrange(1 << 32))
    numbers.append(f"VOLRESIZE_SEED={seed}")
    draw = random.Random(seed)
    database.start(OLD_SIZE)
    loads = tuple(Load(database, ordinal, Ledger(random.Random(draw.random()))) for ordinal in range(REPLICAS))
    for load in loads:
        load.stock(STOCK)
    with under(loads):
        time.sleep(_BESIDE_SECONDS)
        began = time.monotonic()
        kills = migrate(database.namespace, draw)
        ended = time.monotonic()
        time.sleep(_BESIDE_SECONDS)
    numbers.append(f"migration: {ended - began:.0f} s, runners killed: {len(kills)}, held meanwhile: {[kill.held for kill in kills]}")
    found = tuple(read(database, ordinal) for ordinal in range(REPLICAS))
    for load, there in zip(loads, found):
        lost = differences(load.ledger, there)
        numbers.append(f"{database.pod(load.ordinal)}: {len(load.acknowledged)} transactions acknowledged, {len(load.ledger.items)} rows there, "
                       f"{len(load.ledger.deleted)} deleted, {len(lost)} lost or different; answers cut off: {load.unsure[True]} committed, "
                       f"{load.unsure[False]} not; not available for {load.longest_silence():.1f} s")
    return Story(database, loads, kills, began, ended, found)


def read(database: Database, ordinal: int, after: str = "") -> Found:
    """All that is there; `after` something was done that is undone again."""
    return Found.parsed(database.sql(ordinal, f"BEGIN;\n{after}\n{EVERYTHING}\nROLLBACK;\n"))


def test_whatever_was_acknowledged_is_there_and_nothing_else(story: Story) -> None:
    assert [differences(load.ledger, found) for load, found in zip(story.loads, story.found)] == [[]] * REPLICAS


def test_no_server_ever_gave_a_wrong_answer(story: Story) -> None:
    assert [load.wrong for load in story.loads] == [[]] * REPLICAS


def test_each_database_was_written_to_before_during_and_after_its_own_move(story: Story) -> None:
    for load in story.loads:
        servers = list(dict.fromkeys(commit.server for commit in load.acknowledged))
        assert len(servers) == 2, "each replica is stopped once and no more"
        old, new = ([commit.at for commit in load.acknowledged if commit.server == server] for server in servers)
        assert old[0] < story.began < old[-1] < story.ended, "before the migration, and on the old volume while it was copied"
        assert new[-1] > story.ended, "after the migration"


def test_two_runners_were_killed_one_of_them_while_a_database_was_held(story: Story) -> None:
    assert len({kill.uid for kill in story.kills}) == 2
    assert story.kills[1].held


def test_every_heap_and_index_is_sound(story: Story) -> None:
    for ordinal in range(REPLICAS):
        story.database.run(ordinal, "pg_amcheck", "--all", "--install-missing", "--heapallindexed", "--parent-check", "--rootdescend", "--jobs=2")


def test_each_database_sees_the_new_size(story: Story) -> None:
    for ordinal in range(REPLICAS):
        assert NEW_MEBIBYTES * 3 / 4 < story.database.mebibytes(ordinal) <= NEW_MEBIBYTES


def test_each_server_was_shut_down_before_its_volume_was_exchanged_and_found_nothing_broken(story: Story) -> None:
    # What it could not send or receive is a client's business, who goes when he wants.
    bad = re.compile(r"\bPANIC\b|\bERROR\b|corrupt|invalid page|checksum|not properly shut down|recovery|could not (?!send|receive)", re.IGNORECASE)
    for ordinal in range(REPLICAS):
        log = story.database.log(ordinal)
        assert [line for line in log if bad.search(line)] == []
        starts = [line for line in log if "database system was" in line]
        assert len(starts) == 2 and all("database system was shut down at" in line for line in starts), starts


def test_nothing_of_ours_is_left_behind(story: Story) -> None:
    assert story.database.namespace.nothing_left() == []


@pytest.mark.parametrize("harm, said", [
    ("DELETE FROM items WHERE id = {there}", ["item {there}: acknowledged, and not there"]),
    ("UPDATE items SET body = body || 'x' WHERE id = {there}", ["item {there}: not as it was acknowledged"]),
    ("INSERT INTO items VALUES ({gone}, 1, '{{}}', '', 0)", ["item {gone}: there, and its deletion was acknowledged"]),
    ("INSERT INTO transactions VALUES (-1)", ["transaction -1: there, and nobody was told that it was committed"]),
    ("UPDATE counters SET value = value + 1 WHERE id = 7", ["counter 7: {counted}, acknowledged {counter}"]),
], ids=["lost", "changed", "risen", "alien", "counted twice"])
def test_the_judge_sees_what_was_done_by_hand(story: Story, harm: str, said: list[str]) -> None:
    ledger = story.loads[0].ledger
    names = {"there": max(ledger.items), "gone": min(ledger.deleted), "counter": ledger.counters[7], "counted": ledger.counters[7] + 1}
    harmed = read(story.database, 0, after=harm.format(**names) + ";")
    told = differences(ledger, harmed)
    # What is lost cannot be found by its tags either.
    assert [sentence for sentence in told if " by tag " not in sentence] == [sentence.format(**names) for sentence in said]


# -- and afterwards: this one stops the databases


def test_every_page_of_a_stopped_database_has_its_checksum(story: Story) -> None:
    story.database.stop()
    ended = story.database.on_volumes("pg-checksums", "pg_checksums", "--check")
    assert {ordinal: phase for ordinal, (phase, _) in ended.items()} == {ordinal: "Succeeded" for ordinal in range(REPLICAS)}, ended
    assert all(re.search(r"Bad checksums: +0\b", said) for _, said in ended.values()), ended
