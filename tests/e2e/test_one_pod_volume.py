"""A ReadWriteOncePod claim on a real cluster: the scheduler and the kubelet let the mover in only when the application's pod is shut down."""
from __future__ import annotations

import pytest
from application import Application
from namespaces import Namespace

from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
REFUSED, RESUMABLE = 4, 5


class OnePodApplication(Application):
    def manifest(self, *arguments: object, **named: object) -> Object:
        made = super().manifest(*arguments, **named)  # type: ignore[arg-type]
        made["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] = ["ReadWriteOncePod"]
        return made


@pytest.fixture(scope="module")
def application(namespace: Namespace) -> Application:
    made = OnePodApplication(namespace, replicas=2)
    made.start()
    made.fill(1, "data", 5)
    return made


def test_it_is_refused_until_the_longer_stop_is_accepted(application: Application) -> None:
    before = application.namespace.versions()
    done = application.namespace.volresize("submit", "app", "--volume", "data=32Mi")
    assert done.returncode == REFUSED and "--acknowledge one-pod-volume" in done.stderr
    assert application.namespace.versions() == before


def test_the_data_survives_the_copy_in_the_stop(application: Application) -> None:
    blob = application.sum(1, "data")
    application.namespace.submit("app", "--volume", "data=32Mi", "--acknowledge", "one-pod-volume")
    followed = application.namespace.follow("app")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert application.marks() == application.expected_marks() and application.sum(1, "data") == blob
    for ordinal in range(2):
        claim = application.claim(ordinal)
        assert (claim["status"]["capacity"]["storage"], claim["spec"]["accessModes"]) == ("32Mi", ["ReadWriteOncePod"])
    assert application.namespace.nothing_left() == []


def test_what_does_not_fit_lets_the_replica_go_on(application: Application) -> None:
    """Found out only when it is stopped, and when the replica before it is done: nobody could count beforehand."""
    application.fill(0, "data", 12)
    blob, claim = application.sum(0, "data"), application.claim(0)["metadata"]["uid"]
    application.namespace.submit("app", "--volume", "data=8Mi", "--acknowledge", "one-pod-volume", "--name", "tight")
    followed = application.namespace.follow("vr/tight")
    message = application.namespace.migration("tight")["status"]["message"]
    application.ready()
    assert followed.returncode == RESUMABLE, followed.stdout + followed.stderr
    assert "data-app-0" in message and "does not fit 8Mi" in message
    assert application.sum(0, "data") == blob and application.claim(0)["metadata"]["uid"] == claim
    assert application.namespace.nothing_left() == []
