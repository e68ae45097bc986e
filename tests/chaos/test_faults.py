"""Nodes and servers fail while a migration is under way, for as long as the cluster takes to notice. On a cluster of hack/localcluster only, whose
parts can be stopped."""
from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from application import NAME
from application_that_records import RecordingApplication, Witness, witness
from disturbed import Disturbed, Row
from faults import Once, absent, at_step, away_for, back_again, fault, no_statefulset_may_be_created, number_of, ready, why_not_here
from kills import running
from namespaces import Namespace, until

from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels

pytestmark = [pytest.mark.cluster, pytest.mark.chaos]
LONG = 60.0  # seconds; longer than a node may be silent until its controller calls it NotReady
FIRST = 1  # the replica that comes first


@pytest.fixture(autouse=True)
def ours_to_stop(kubeconfig: str) -> None:
    if why := why_not_here(kubeconfig):
        pytest.skip(why)


@pytest.fixture
def watcher(fresh_namespace: Namespace) -> Iterator[Witness]:
    application = RecordingApplication(fresh_namespace)
    application.start()
    with witness(application) as made, back_again(fresh_namespace):
        yield made


def migrate(watcher: Witness, client: Client, row: Row, disturbance: Once) -> None:
    """To the end, and everything acknowledged is there."""
    Disturbed(watcher, client, "app", "48Mi").run(row, disturbance)
    assert len(row.done) >= 1 and row.findings == []
    assert watcher.application.template_sizes() == {"data": "48Mi"} and watcher.application.namespace.nothing_left() == []


def node_of(watcher: Witness, ordinal: int) -> str:
    return str(watcher.application.pod(ordinal)["spec"]["nodeName"])


@pytest.mark.parametrize("verb, step, seconds", [("pause", "copying", LONG), ("pause", "holding", LONG), ("kill", "copying", 5.0)])
def test_a_kubelet_that_is_away_only_delays(watcher: Witness, client: Client, row: Row, verb: str, step: str, seconds: float) -> None:
    number = number_of(node_of(watcher, FIRST))
    away = away_for(seconds, ("kubelet", number, verb), ("kubelet", number, "start"))
    migrate(watcher, client, row, Once(f"kubelet {verb} for {seconds:g} s", at_step(step, FIRST), away, row.done))


@pytest.mark.parametrize("verb", ["pause", "kill"])
def test_an_api_server_that_is_away_while_a_replica_is_stopped_only_delays(watcher: Witness, client: Client, row: Row, verb: str) -> None:
    away = away_for(LONG, ("apiserver", verb), ("apiserver", "start"))
    migrate(watcher, client, row, Once(f"API server {verb} for {LONG:g} s", at_step("holding", FIRST), away, row.done))


@pytest.mark.parametrize("verb", ["pause", "kill"])
def test_an_api_server_that_is_away_while_the_set_is_absent_only_delays(watcher: Witness, client: Client, row: Row, verb: str) -> None:
    with no_statefulset_may_be_created(watcher.application.namespace, NAME) as lift:
        def away(run: Disturbed) -> None:
            away_for(LONG, ("apiserver", verb), ("apiserver", "start"))(run)
            lift()
            back = time.monotonic()
            until("the StatefulSet stands", lambda: watcher.application.namespace.names("statefulset", NAME))
            row.done.append(f"the set stood {time.monotonic() - back:.1f} s after it was allowed to")
        migrate(watcher, client, row, Once(f"API server {verb} for {LONG:g} s", absent, away, row.done))


@pytest.mark.parametrize("where", ["the node of the replica", "the other node"])
def test_a_node_that_dies_with_the_runner_while_the_set_is_absent_is_not_waited_for(watcher: Witness, client: Client, row: Row, where: str) -> None:
    namespace = watcher.application.namespace
    of_replica = node_of(watcher, FIRST)
    (other,) = namespace.names("nodes") - {of_replica}
    node, spared = (of_replica, other) if where == "the node of the replica" else (other, of_replica)
    # So that the runner's pod goes to the one that is to die.
    namespace.kubectl("cordon", spared)
    try:
        with no_statefulset_may_be_created(namespace, NAME) as lift:
            def die(run: Disturbed) -> None:
                (runner,) = running(run.look.pods, labels.ROLE_RUNNER)
                assert runner["spec"]["nodeName"] == node
                fault("node", number_of(node), "kill")
                until(f"node {node} is NotReady", lambda: not ready(namespace.get("node", node)))
                namespace.kubectl("uncordon", spared)
                lift()
                asked = time.monotonic()
                run.resume()
                until("the StatefulSet stands again", lambda: namespace.names("statefulset", NAME))
                row.done.append(f"the set stood {time.monotonic() - asked:.1f} s after resume")
                assert runner["metadata"]["name"] in namespace.names("pods"), "the dead node let go of its pod, so it proves nothing"
                waits_for = until("the migration says what it waits for", lambda: why_it_waits(namespace))
                row.done.append(f"then: {waits_for}")
                fault("node", number_of(node), "start")
            migrate(watcher, client, row, Once(f"node {node} killed", absent, die, row.done))
    finally:
        namespace.kubectl("uncordon", spared)


def why_it_waits(namespace: Namespace) -> str:
    """The message of the migration, once it speaks of something that the dead node alone has."""
    message = str(namespace.migration("app")["status"].get("message", ""))
    return message if "not Ready" in message or "not there" in message else ""
