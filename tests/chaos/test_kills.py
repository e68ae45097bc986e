"""Runners and movers die at random, and the application writes on: the migration ends all the same, and whatever was acknowledged is there."""
from __future__ import annotations

import pytest
import recorder
from application_that_records import RecordingApplication, witness
from conftest import Stage
from disturbed import ENOUGH, Disturbed, Row, by_schedule
from kills import schedule
from namespaces import Namespace

from kubectl_volresize.kube.client import Client

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
