"""Two runners of one migration at once, forced by a second Job: the audit log of the API server shows that nothing was done twice."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import audit
import pytest
from application import NAME
from application_that_records import RecordingApplication, witness
from disturbed import Disturbed, Row
from faults import Once, at_step, why_not_here
from kills import running
from namespaces import Namespace, until

from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = [pytest.mark.cluster, pytest.mark.chaos]
SECOND = "app-runner-by-hand"


@pytest.fixture(autouse=True)
def audited(kubeconfig: str) -> None:
    if why := why_not_here(kubeconfig):
        pytest.skip(f"reads the API server's audit log: {why}")


@dataclass(frozen=True)
class Doubled:
    """A migration with two runners; `log`: what the second one said."""

    application: RecordingApplication
    log: str
    row: Row

    @property
    def writes(self) -> list[audit.Write]:
        return audit.writes(self.application.namespace.name)


def second_job(namespace: Namespace, holder: str) -> None:
    """A copy of the Job; `holder` is what its runner calls itself when it asks for the Lease."""
    job = namespace.get("job", "app-runner")
    template = job["spec"]["template"]
    container: Object = template["spec"]["containers"][0]
    container["env"] = [entry if entry["name"] != "JOB_NAME" else {"name": "JOB_NAME", "value": holder} for entry in container["env"]]
    own = {key: value for key, value in job["metadata"]["labels"].items() if key.startswith(labels.GROUP)}
    spec = {key: value for key, value in job["spec"].items() if key != "selector"}
    spec["template"] = {"metadata": {"labels": own}, "spec": template["spec"]}
    namespace.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": SECOND, "labels": own}, "spec": spec})


def doubled(namespace: Namespace, client: Client, row: Row, holder: str) -> Doubled:
    application = RecordingApplication(namespace)
    application.start()
    logs: list[str] = []

    def start(run: Disturbed) -> None:
        second_job(namespace, holder)

    def both(run: Disturbed) -> None:
        logs.append(until("the second one says something", lambda: namespace.kubectl("logs", f"job/{SECOND}")))
    second = Once("a second Job", at_step("copying", 1), start, row.done)
    look = Once("both at work", lambda run: len(running(run.look.pods, labels.ROLE_RUNNER)) == 2, both, row.done)

    def disturbance(run: Disturbed) -> None:
        second(run)
        look(run)
    with witness(application) as watcher:
        Disturbed(watcher, client, NAME, "48Mi").run(row, disturbance)
    assert row.findings == [] and len(row.done) == 2, "the two never ran at once"
    return Doubled(application, logs[0], row)


@pytest.fixture
def waiting(fresh_namespace: Namespace, client: Client, row: Row) -> Iterator[Doubled]:
    """The second one asks for the Lease under its own name."""
    yield doubled(fresh_namespace, client, row, SECOND)


@pytest.fixture
def fenced(fresh_namespace: Namespace, client: Client, row: Row) -> Iterator[Doubled]:
    """The second one believes that the Lease is its own, as one does that wakes up after it was followed."""
    yield doubled(fresh_namespace, client, row, "app-runner")


def nothing_was_done_twice(found: list[audit.Write], replicas: int) -> None:
    assert found, "the audit log has nothing of them"
    assert audit.twice(found, "create", "persistentvolumeclaims") == {}
    assert audit.twice(found, "create", "pods") == {}
    assert audit.twice(found, "create", "statefulsets") == ({NAME: replicas} if replicas > 1 else {})
    assert audit.twice(found, "delete", "statefulsets") == ({NAME: replicas} if replicas > 1 else {})


def test_one_of_two_runners_waits_for_the_other_and_says_so(waiting: Doubled) -> None:
    assert f"lease volresize-{NAME} is held by app-runner" in waiting.log
    found = waiting.writes
    nothing_was_done_twice(found, waiting.application.replicas)
    writers = {one.runner for one in found if one.resource not in ("leases", "jobs", "events")}
    assert len(writers) == 1, f"both wrote: {writers}"


def test_two_runners_that_both_think_they_are_chosen_do_nothing_twice(fenced: Doubled) -> None:
    found = fenced.writes
    nothing_was_done_twice(found, fenced.application.replicas)
    assert len({one.runner for one in found if one.resource == "volumeresizes/status"}) >= 2, "only one ever wrote: nobody was fenced"
    fenced.row.done.append(f"{len(audit.late(found))} writes of a runner that was followed")
