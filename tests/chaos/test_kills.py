"""Runners and movers die at random, and the application writes on: the migration ends all the same, and whatever was acknowledged is there."""
from __future__ import annotations

import time

import pytest
import recorder
from application import NAME
from application_that_records import RecordingApplication, witness
from disturbed import ENOUGH, Disturbed, Row, by_schedule
from faults import Once, absent, no_statefulset_may_be_created
from kills import CONTAINER, DELETION, PROCESS, Killer, running, schedule
from namespaces import Namespace, until
from stage import Stage

from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels

pytestmark = pytest.mark.cluster


def test_no_acknowledged_record_is_lost_whoever_dies(seed: int, stage: Stage, client: Client, row: Row) -> None:
    watcher, killer, name, size = stage.next()
    run = Disturbed(watcher, client, name, size)
    try:
        run.run(row, by_schedule(schedule(seed), killer, row))
        assert row.done, "nobody was killed: the run does not count"
        assert row.findings == []
        application = watcher.application
        assert application.template_sizes() == {"data": size}
        assert {application.claim(ordinal)["status"]["capacity"]["storage"] for ordinal in range(application.replicas)} == {size}
        assert application.namespace.nothing_left() == []
    except BaseException:
        # What is broken must not be taken for the next run's doing.
        stage.clear()
        raise


@pytest.mark.chaos
@pytest.mark.parametrize("how", [PROCESS, CONTAINER, DELETION])
def test_a_runner_that_dies_while_the_set_is_absent_is_followed_by_one_that_creates_it(fresh_namespace: Namespace, client: Client, row: Row,
                                                                                       how: str) -> None:
    namespace = fresh_namespace
    application, killer = RecordingApplication(namespace), Killer(namespace, client)
    killer.start()
    application.start()
    with witness(application) as watcher, no_statefulset_may_be_created(namespace, NAME) as lift:
        def die(run: Disturbed) -> None:
            (runner,) = running(run.look.pods, labels.ROLE_RUNNER)
            died = time.monotonic()
            assert killer.kill(runner, how)
            lift()
            until("the StatefulSet stands again", lambda: namespace.names("statefulset", NAME))
            row.done.append(f"the set stood {time.monotonic() - died:.1f} s later")
        Disturbed(watcher, client, "app", "48Mi").run(row, Once(f"runner ({how}) killed", absent, die, row.done))
    assert len(row.done) == 2 and row.findings == [] and namespace.nothing_left() == []


def test_a_loss_that_was_planted_is_found_and_nothing_else(fresh_namespace: Namespace) -> None:
    application = RecordingApplication(fresh_namespace, volumes={"data": "32Mi"}, replicas=1)
    application.start()
    with witness(application) as watcher:
        watcher.wait_for_all(5 * ENOUGH)
        assert watcher.findings() == []
        # Its own hand must not be faster than ours.
        application.run(0, "kill -USR1 1; until [ -e /tmp/paused ]; do sleep 0.1; done")
        files, links = (application.run(0, f"ls /data/{folder}").split() for folder in (recorder.FILES, recorder.LINKS))
        created = {one.record.subject for one in watcher.of(0) if one.record.operation == recorder.CREATE}
        path = next(f"{recorder.FILES}/{name}" for name in files if f"{recorder.FILES}/{name}" in created and name not in links)
        application.run(0, f"rm /data/{path}")
        assert watcher.findings() == [f"replica 0: lost: {path}"]
