"""Three replicas on all nodes, one after the other, watched by a bystander; and what a user sees of it afterwards with kubectl alone."""
from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from application import Application
from history import History
from namespaces import Namespace

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
_AT_REST = 12.0  # seconds
PODS = ("app-0", "app-1", "app-2")


@dataclass(frozen=True)
class Migrated:
    """`nodes` and `sums` by pod, before; `pods`: every state of the namespace's pods meanwhile; `migration`: the VolumeResize after it."""

    application: Application
    nodes: dict[str, str]
    sums: dict[str, str]
    pods: tuple[dict[str, Object], ...]
    migration: Object


@pytest.fixture(scope="module")
def migrated(namespace: Namespace) -> Migrated:
    application = Application(namespace, replicas=3)
    application.start()
    sums = {name: application.fill(ordinal, "data", 8) for ordinal, name in enumerate(PODS)}
    nodes = nodes_of(application)
    # The mover carries over what it read of files that nobody touched for a while before (--settle, 10 s); fresh ones it reads again.
    time.sleep(_AT_REST)
    with History(namespace, "pods") as history:
        namespace.submit("app", "--volume", "data=32Mi")
        followed = namespace.follow("app")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    return Migrated(application, nodes, sums, tuple(history.states()), namespace.migration("app"))


def nodes_of(application: Application) -> dict[str, str]:
    return {name: application.namespace.get("pod", name)["spec"]["nodeName"] for name in PODS}


def ready(pod: Object | None) -> bool:
    """It serves: Ready, and nobody has told it to stop."""
    if pod is None or "deletionTimestamp" in pod["metadata"]:
        return False
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"].get("conditions", ()))


def successions(migrated: Migrated) -> Iterator[str]:
    """Names of pods in the order in which another one with that name was first seen."""
    known: dict[str, str] = {}
    for state in migrated.pods:
        for name in PODS:
            uid = state[name]["metadata"]["uid"] if name in state else known.get(name, "")
            if known.setdefault(name, uid) != uid:
                yield name
            known[name] = uid


def test_each_replica_keeps_its_own_data(migrated: Migrated) -> None:
    application = migrated.application
    assert application.marks() == application.expected_marks()
    assert {name: application.sum(ordinal, "data") for ordinal, name in enumerate(PODS)} == migrated.sums


def test_each_replica_gets_the_new_size(migrated: Migrated) -> None:
    for ordinal in range(3):
        assert migrated.application.claim(ordinal)["status"]["capacity"]["storage"] == "32Mi"
        assert 24 < migrated.application.mebibytes(ordinal, "data") <= 32
    assert migrated.application.template_sizes() == {"data": "32Mi"}


def test_each_replica_is_replaced_once_the_highest_ordinal_first(migrated: Migrated) -> None:
    assert list(successions(migrated)) == ["app-2", "app-1", "app-0"]


def test_never_is_more_than_one_replica_away(migrated: Migrated) -> None:
    away = [tuple(name for name in PODS if not ready(state.get(name))) for state in migrated.pods]
    assert max(away, key=len) in {(name,) for name in PODS}, "either nobody ever stopped, or two at once did"


def test_no_container_of_the_application_restarts(migrated: Migrated) -> None:
    restarts = {(name, status["restartCount"]) for state in migrated.pods for name in PODS if name in state
                for status in state[name]["status"].get("containerStatuses", ())}
    assert restarts == {(name, 0) for name in PODS}


def test_replicas_on_all_nodes_stay_on_theirs(migrated: Migrated) -> None:
    nodes = migrated.application.namespace.names("nodes")
    assert len(set(migrated.nodes.values())) == min(3, len(nodes))
    assert nodes_of(migrated.application) == migrated.nodes


def test_the_pass_that_stops_the_application_reads_less_than_the_one_beside_it(migrated: Migrated) -> None:
    for entry in migrated.migration["status"]["volumeStatuses"]:
        first, last = entry["passes"][0], entry["passes"][-1]
        # Both sides of 8 MiB in the first one, at least.
        assert first["read_bytes"] >= 8 << 20 and last["read_bytes"] < first["read_bytes"] // 10


def test_nothing_of_ours_is_left_behind(migrated: Migrated) -> None:
    assert migrated.application.namespace.nothing_left() == []
    for ordinal in range(3):
        assert migrated.application.volume_of(ordinal)["spec"]["persistentVolumeReclaimPolicy"] == "Delete"


# -- what kubectl says


def test_get_says_how_far_it_is(migrated: Migrated) -> None:
    header, row = migrated.application.namespace.kubectl("get", "vr").splitlines()
    assert header.split()[:6] == ["NAME", "STATEFULSET", "PHASE", "REPLICA", "VOLUME", "PROGRESS"]
    assert row.split()[:3] == ["app", "app", "Completed"] and "3/3" in row


def test_wait_understands_the_condition_ready(migrated: Migrated) -> None:
    assert "condition met" in migrated.application.namespace.kubectl("wait", "--for=condition=Ready", "vr/app", "--timeout=1s")


def test_describe_tells_the_story_in_events(migrated: Migrated) -> None:
    described = migrated.application.namespace.kubectl("describe", "vr", "app")
    for reason in ("MigrationStarted", "ValidationPassed", "ReplicaStarted", "PodHeld", "StatefulSetFrozen", "StatefulSetRecreated"):
        assert reason in described


def test_describe_of_the_statefulset_says_what_was_done_to_it(migrated: Migrated) -> None:
    """Its events are those of the object that stands there now, which was made when the last replica was exchanged."""
    said = migrated.application.namespace.kubectl("describe", "statefulset", "app")
    told = [line.split() for line in said.partition("Events:")[2].splitlines()]
    reasons = {words[1] for words in told if "volresize-runner" in words and "volumeresize/app:" in words}
    assert {"ReplicaCompleted", "MigrationCompleted"} <= reasons


def test_the_runner_leaves_its_last_words_in_its_pod(migrated: Migrated) -> None:
    pods = migrated.application.namespace.objects("pods", "-l", f"{labels.MIGRATION}=app,{labels.ROLE}={labels.ROLE_RUNNER}")
    (status,) = pods[-1]["status"]["containerStatuses"]
    assert status["state"]["terminated"]["message"].startswith("Completed: ")


def test_explain_knows_every_field_of_the_spec(migrated: Migrated) -> None:
    explained = migrated.application.namespace.kubectl("explain", "vr.spec.volumes", "--recursive=false")
    for words in ("newSize", "storageClass", "must be smaller than what the claims have now"):
        assert words.lower() in " ".join(explained.split()).lower()


def test_status_says_that_it_is_over(migrated: Migrated) -> None:
    said = migrated.application.namespace.volresize("status", "app")
    assert said.returncode == 0 and "Completed" in said.stdout


# -- and afterwards: these change the StatefulSet


def test_the_owner_can_apply_his_manifest_again_with_the_new_size(migrated: Migrated) -> None:
    application = migrated.application
    uids = application.claim_uids()
    # A conflict, if the recreated set had not given the fields back to their managers.
    application.namespace.apply(application.manifest(sizes={"data": "32Mi"}, greeting="hello again"))
    application.ready()
    assert application.run(0, "echo $GREETING").strip() == "hello again"
    assert application.claim_uids() == uids and application.marks() == application.expected_marks()


def test_a_replica_that_is_added_afterwards_gets_a_claim_of_the_new_size(migrated: Migrated) -> None:
    application = migrated.application
    application.namespace.kubectl("scale", "statefulset", "app", "--replicas=4")
    application.ready(4)
    assert application.claim(3)["spec"]["resources"]["requests"]["storage"] == "32Mi"
