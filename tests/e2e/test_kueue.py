"""Migrations in a queue of Kueue, a real one: one at a time, and one that loses its place on the way."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from kueue import QUEUE_LABEL, Queue, at_work
from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def queue(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with at_work(namespace, tmp_path_factory.mktemp("kueue")) as made:
        yield made


def job(name: str, queue: Queue) -> Object:
    container = {"name": "it", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3"],
                 "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {QUEUE_LABEL: queue.name}},
            "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}


def test_the_queue_is_one_that_lets_one_job_in_and_the_next_when_that_has_ended(queue: Queue) -> None:
    """What the other tests are about must be there: with Jobs that are none of ours."""
    namespace = queue.namespace
    namespace.create(job("first", queue))
    until("the first is admitted", lambda: queue.admitted("first"))
    namespace.create(job("second", queue))
    namespace.kubectl("wait", "--for=condition=Complete", "job/first", "--timeout=60s")
    namespace.kubectl("wait", "--for=condition=Complete", "job/second", "--timeout=60s")
    ended, began = namespace.get("job", "first")["status"]["completionTime"], namespace.get("job", "second")["status"]["startTime"]
    assert ended <= began
