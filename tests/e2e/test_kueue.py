"""Migrations in a queue of a real Kueue, with room for one: one after the other, over two namespaces, and one that loses its place on the way. The
label and the suspended Job without a cluster: tests/plugin/test_queue.py."""
from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from application import Application
from kueue import QUEUE_LABEL, Queue, at_work
from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
WAITING = "waiting in queue migrations"
_MEBIBYTES = 12


@pytest.fixture(scope="module")
def queue(new_namespace: Callable[[], Namespace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    namespaces = new_namespace(), new_namespace()
    with at_work(namespaces, tmp_path_factory.mktemp("kueue")) as made:
        yield made
    for namespace in namespaces:
        namespace.abandon()


@pytest.fixture(scope="module")
def applications(queue: Queue) -> tuple[Application, Application]:
    first, second = (Application(namespace) for namespace in queue.namespaces)
    for one in (first, second):
        one.start()
    return first, second


def job(namespace: Namespace) -> Object:
    """That of the migration; there is one."""
    [found] = namespace.objects("jobs", "-l", QUEUE_LABEL)
    return found


def submit(application: Application, *arguments: str) -> None:
    # Slow enough that the other one waits, and that a place can be taken away while it copies.
    application.namespace.submit("app", "--queue", "migrations", "--bandwidth", "2Mi", *arguments)


def suspended(namespace: Namespace) -> None:
    until("its Job is suspended, without a pod", lambda: job(namespace)["spec"]["suspend"] and not job(namespace)["status"].get("active"))


def copying(application: Application, name: str) -> bool:
    status = application.namespace.migration(name)["status"]
    return any(one.get("progress", "100%") not in ("0%", "100%") for one in status.get("volumeStatuses", ()))


def plain_job(name: str) -> Object:
    container = {"name": "it", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3"],
                 "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {QUEUE_LABEL: "migrations"}},
            "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}


def test_the_queue_is_one_that_lets_one_job_in_and_the_next_when_that_has_ended(queue: Queue) -> None:
    """What the other tests are about must be there: with Jobs that are none of ours."""
    namespace = queue.namespace
    namespace.create(plain_job("first"))
    until("the first is admitted", lambda: queue.admitted(namespace, "first"))
    namespace.create(plain_job("second"))
    for name in ("first", "second"):
        namespace.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=60s")
    ended, began = namespace.get("job", "first")["status"]["completionTime"], namespace.get("job", "second")["status"]["startTime"]
    namespace.kubectl("delete", "job", "first", "second")
    assert ended <= began


@dataclass(frozen=True)
class Waited:
    """What was seen of the second of two migrations while the first was at work; `log`: what `logs -f` said from then to its end."""

    first: Application
    second: Application
    sums: tuple[str, str]
    status: str
    again: subprocess.CompletedProcess[str]
    resumed: subprocess.CompletedProcess[str]
    suspended: Object
    log: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def waited(queue: Queue, applications: tuple[Application, Application]) -> Waited:
    first, second = applications
    sums = first.fill(0, "data", _MEBIBYTES), second.fill(0, "data", _MEBIBYTES)
    submit(first, "--volume", "data=48Mi")
    until("the first copies", lambda: copying(first, "app"))
    submit(second, "--volume", "data=48Mi")
    other = second.namespace
    status = other.volresize("status", "app").stdout
    again = other.volresize("submit", "app", "--queue", "migrations", "--bandwidth", "2Mi", "--volume", "data=48Mi")
    resumed, suspended = other.volresize("resume", "app", "--no-wait"), job(other)
    return Waited(first, second, sums, status, again, resumed, suspended, other.follow("app"))


def test_the_second_migration_starts_when_the_first_is_over(waited: Waited) -> None:
    assert waited.log.returncode == 0, waited.log.stdout + waited.log.stderr
    first, second = waited.first.namespace, waited.second.namespace
    assert job(second)["status"]["startTime"] >= job(first)["status"]["completionTime"]
    assert second.migration("app")["status"]["startTime"] >= first.migration("app")["status"]["completionTime"]


def test_both_are_completed_with_their_data_intact(waited: Waited) -> None:
    for application, before in zip((waited.first, waited.second), waited.sums, strict=True):
        assert application.namespace.migration("app")["status"]["phase"] == "Completed"
        assert application.marks() == application.expected_marks() and application.sum(0, "data") == before
        assert application.claim(0)["status"]["capacity"]["storage"] == "48Mi" and application.namespace.nothing_left() == []


def test_while_it_waits_status_and_logs_say_so(waited: Waited) -> None:
    assert WAITING in waited.status and "no Job works on it" not in waited.status
    assert WAITING in waited.log.stdout + waited.log.stderr


def test_what_waits_is_not_started_a_second_time(waited: Waited) -> None:
    assert waited.suspended["spec"]["suspend"] is True and "startTime" not in waited.suspended["status"]
    for tried in (waited.again, waited.resumed):
        assert tried.returncode == 0, tried.stdout + tried.stderr
    assert job(waited.second.namespace)["metadata"]["uid"] == waited.suspended["metadata"]["uid"]


@pytest.mark.usefixtures("waited")
def test_a_migration_that_loses_its_place_while_it_copies_goes_on_when_it_has_one(queue: Queue, applications: tuple[Application, ...]) -> None:
    application, _ = applications
    before, namespace, the_pod = application.sum(0, "data"), application.namespace, application.pod(0)["metadata"]["uid"]
    namespace.kubectl("delete", "jobs", "-l", QUEUE_LABEL)
    submit(application, "--volume", "data=40Mi", "--name", "drained")
    until("it copies", lambda: copying(application, "drained"))
    first = namespace.migration("drained")["status"]["runner"]
    queue.hold("HoldAndDrain")
    try:
        suspended(namespace)
        its = job(namespace)["metadata"]["uid"]
        assert WAITING in namespace.volresize("status", "vr/drained").stdout
        # The application has noticed nothing.
        assert application.pod(0)["metadata"]["uid"] == the_pod and application.sum(0, "data") == before
    finally:
        queue.hold("None")
    followed = namespace.follow("vr/drained")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert job(namespace)["metadata"]["uid"] == its and namespace.migration("drained")["status"]["runner"] != first
    assert application.marks() == application.expected_marks() and application.sum(0, "data") == before
    assert application.claim(0)["status"]["capacity"]["storage"] == "40Mi" and namespace.nothing_left() == []


def stopped(application: Application, queue: Queue, name: str) -> None:
    """A migration whose Job lost its place while the replica was stopped, which is not left so."""
    namespace = application.namespace
    namespace.kubectl("delete", "jobs", "-l", QUEUE_LABEL)
    submit(application, "--volume", "data=40Mi", "--name", name)
    until("it is stopped", lambda: any(one.get("heldAt") for one in namespace.migration(name)["status"].get("replicas", ())))
    queue.activate(namespace, f"{name}-runner", False)
    suspended(namespace)
    assert WAITING in namespace.volresize("status", f"vr/{name}").stdout
    # It has no place yet, and serves.
    application.ready()
    assert job(namespace)["spec"]["suspend"] and application.marks() == application.expected_marks()


@pytest.mark.usefixtures("waited")
def test_a_replica_whose_stop_loses_the_place_serves_and_can_be_left_as_it_was(queue: Queue, applications: tuple[Application, ...]) -> None:
    _, application = applications
    before, namespace, claim = application.sum(0, "data"), application.namespace, application.claim(0)["metadata"]["uid"]
    stopped(application, queue, "given-up")
    cancelled = namespace.volresize("cancel", "vr/given-up")
    assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
    application.ready()
    assert namespace.migration("given-up")["status"]["phase"] == "Cancelled" and application.claim(0)["metadata"]["uid"] == claim
    assert application.marks() == application.expected_marks() and application.sum(0, "data") == before and namespace.nothing_left() == []


@pytest.mark.usefixtures("waited")
def test_a_replica_whose_stop_loses_the_place_serves_until_it_is_stopped_again(queue: Queue, applications: tuple[Application, ...]) -> None:
    _, application = applications
    before, namespace = application.sum(0, "data"), application.namespace
    stopped(application, queue, "stopped")
    first = namespace.migration("stopped")["status"]["runner"]
    queue.activate(namespace, "stopped-runner", True)
    followed = namespace.follow("vr/stopped")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    application.ready()
    assert namespace.migration("stopped")["status"]["runner"] != first
    assert application.marks() == application.expected_marks() and application.sum(0, "data") == before
    assert application.claim(0)["status"]["capacity"]["storage"] == "40Mi" and namespace.nothing_left() == []


@pytest.mark.usefixtures("waited")
def test_what_waits_can_be_cancelled_without_a_place(queue: Queue, applications: tuple[Application, ...]) -> None:
    application, _ = applications
    namespace = application.namespace
    queue.hold("Hold")
    try:
        submit(application, "--volume", "data=32Mi", "--name", "unwanted")
        cancelled = namespace.volresize("cancel", "vr/unwanted")
        assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
        assert namespace.migration("unwanted")["status"]["phase"] == "Cancelled"
    finally:
        queue.hold("None")
    assert application.claim(0)["status"]["capacity"]["storage"] != "32Mi" and namespace.nothing_left() == []
