"""A migration that is disturbed in the middle of its copy: its runner dies, its user turns away, or it is called off."""
from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from application import Application
from history import History
from namespaces import Namespace, until

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
# What makes the copy take some ten seconds.
MEBIBYTES, BANDWIDTH = 10, "1M"


def start(namespace: Namespace) -> tuple[Application, str]:
    """One replica whose copy takes a while, and the sum of its data."""
    application = Application(namespace)
    application.start()
    return application, application.fill(0, "data", MEBIBYTES)


def submit_and_wait_for_the_copy(namespace: Namespace) -> None:
    """Until the new volume is there and a mover writes to it."""
    namespace.submit("app", "--volume", "data=32Mi", "--bandwidth", BANDWIDTH)

    def copying() -> bool:
        status = namespace.migration("app").get("status", {})
        entries = status.get("volumeStatuses", ())
        return (status.get("phase") == labels.SYNCING and any(entry.get("newPVUID") for entry in entries)
                and any(pod["status"].get("phase") == "Running" for pod in namespace.objects("pods", "-l", f"{labels.ROLE}={labels.ROLE_MOVER}")))
    until("a mover copies", copying)


def runners(namespace: Namespace) -> list[Object]:
    return namespace.objects("pods", "-l", f"{labels.ROLE}={labels.ROLE_RUNNER}")


def users(state: dict[str, Object], claim: str) -> set[str]:
    """Pods that mount the claim and have not ended."""
    return {name for name, pod in state.items() if pod["status"].get("phase") in ("Pending", "Running")
            and any(volume.get("persistentVolumeClaim", {}).get("claimName") == claim for volume in pod["spec"]["volumes"])}


def test_a_runner_that_dies_during_the_copy_is_followed_by_one_that_ends_it(fresh_namespace: Namespace) -> None:
    namespace = fresh_namespace
    application, before = start(namespace)
    with History(namespace, "pods") as pods, History(namespace, "persistentvolumeclaims") as claims:
        submit_and_wait_for_the_copy(namespace)
        first = runners(namespace)[0]["metadata"]
        namespace.kubectl("delete", "pod", first["name"], "--grace-period=0", "--force")
        assert namespace.migration("app")["status"]["phase"] == labels.SYNCING, "it was over before its runner was killed"
        followed = namespace.follow("app")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert first["uid"] not in {pod["metadata"]["uid"] for pod in runners(namespace)}

    temporary = [{name: claim["metadata"]["uid"] for name, claim in state.items() if name.endswith("-new")} for state in claims.states()]
    assert {name for state in temporary for name in state} == {"data-app-0-new"}
    assert len({uid for state in temporary for uid in state.values()}) == 1, "the second runner made a temporary claim of its own"
    states = list(pods.states())
    assert max(len(users(state, "data-app-0-new")) for state in states) == 1
    assert max(len(users(state, "data-app-0") - {"app-0"}) for state in states) == 1

    assert application.sum(0, "data") == before and application.marks() == application.expected_marks()
    assert application.claim(0)["status"]["capacity"]["storage"] == "32Mi"
    assert namespace.nothing_left() == []


def test_whoever_stops_following_changes_nothing_and_can_follow_again(fresh_namespace: Namespace) -> None:
    namespace = fresh_namespace
    application, before = start(namespace)
    submit_and_wait_for_the_copy(namespace)
    command = namespace.plugin("logs", "app", "-f")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=namespace.environment) as terminal:
        assert terminal.stdout is not None and terminal.stdout.readline()
        terminal.kill()
    status = namespace.migration("app")["status"]
    assert status["phase"] == labels.SYNCING and not status.get("stopping")
    followed = namespace.follow("app")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    # From its beginning, not from where the other one stopped.
    assert "begin with replica 0" in followed.stdout
    assert application.sum(0, "data") == before and application.template_sizes() == {"data": "32Mi"}


@pytest.fixture(scope="module")
def called_off(namespace: Namespace) -> Iterator[tuple[Application, dict[str, Object]]]:
    """An application whose migration was deleted during the copy, and its objects from before."""
    application, _ = start(namespace)
    before = {"claim": application.claim(0), "volume": application.volume_of(0), "pod": application.pod(0), "set": application.the_set()}
    submit_and_wait_for_the_copy(namespace)
    assert "data-app-0-new" in namespace.names("persistentvolumeclaims")
    namespace.kubectl("delete", "vr", "app", "--timeout=90s")
    yield application, before


CalledOff = tuple[Application, dict[str, Object]]


def test_deleting_the_migration_removes_what_was_made_for_it(called_off: CalledOff) -> None:
    application, before = called_off
    namespace, old = application.namespace, before["volume"]["metadata"]["name"]
    assert namespace.names("volumeresizes") == set()
    assert namespace.nothing_left() == []
    until("only the old volume is left", lambda: {volume["metadata"]["name"] for volume in namespace.volumes()} == {old})


def test_deleting_the_migration_leaves_the_application_running_on_its_volume(called_off: CalledOff) -> None:
    application, before = called_off
    assert application.claim(0)["metadata"]["uid"] == before["claim"]["metadata"]["uid"]
    assert application.claim(0)["spec"] == before["claim"]["spec"]
    pod = application.pod(0)
    assert pod["metadata"]["uid"] == before["pod"]["metadata"]["uid"] and "deletionTimestamp" not in pod["metadata"]
    assert application.the_set()["metadata"]["uid"] == before["set"]["metadata"]["uid"]
    assert application.marks() == application.expected_marks()


def test_deleting_the_migration_gives_the_old_volume_its_reclaim_policy_back(called_off: CalledOff) -> None:
    application, before = called_off
    volume = application.volume_of(0)
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == before["volume"]["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert not [key for key in (*volume["metadata"].get("labels", {}), *volume["metadata"].get("annotations", {})) if key.startswith(labels.GROUP)]
