"""The VolumeResize is deleted by force during the copy, while no runner lives: `resume` goes on with it, or puts back what it began."""
from __future__ import annotations

import json

import pytest
from application import Application
from namespaces import Namespace, until

from kubectl_volresize.model import labels

pytestmark = pytest.mark.cluster


def _dead_while_copying(namespace: Namespace) -> tuple[Application, str]:
    """An application whose migration copies slowly, without its runner and without its record; and the sum of its data."""
    application = Application(namespace)
    application.start()
    before = application.fill(0, "data", 10)
    namespace.submit("app", "--volume", "data=32Mi", "--bandwidth", "1M")
    movers = ("pods", "-l", f"{labels.ROLE}={labels.ROLE_MOVER}")
    until("a mover copies", lambda: any(pod["status"].get("phase") == "Running" for pod in namespace.objects(*movers)))
    until("the new volume is kept", lambda: labels.ROLE_NEW in {one["metadata"].get("labels", {}).get(labels.ROLE) for one in namespace.volumes()})
    namespace.kubectl("patch", "job", "app-runner", "--type", "merge", "--patch", json.dumps({"spec": {"suspend": True}}))
    until("no runner lives", lambda: not namespace.objects("pods", "-l", f"{labels.ROLE}={labels.ROLE_RUNNER}"))
    namespace.kubectl("patch", "vr", "app", "--type", "merge", "--patch", json.dumps({"metadata": {"finalizers": None}}))
    namespace.kubectl("delete", "vr", "app", "--ignore-not-found")
    assert namespace.names("volumeresizes") == set()
    return application, before


def test_the_migration_goes_on_from_the_copy_of_its_record(fresh_namespace: Namespace) -> None:
    application, before = _dead_while_copying(fresh_namespace)
    done = fresh_namespace.volresize("resume", "app", "--bandwidth", "100M")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "write the lost record again" in done.stdout
    assert application.sum(0, "data") == before and application.marks() == application.expected_marks()
    assert application.template_sizes() == {"data": "32Mi"} and fresh_namespace.nothing_left() == []


def test_without_the_copy_what_was_begun_is_put_back(fresh_namespace: Namespace) -> None:
    application, before = _dead_while_copying(fresh_namespace)
    claim = application.claim(0)["metadata"]["uid"]
    fresh_namespace.kubectl("delete", "lease", "volresize-app")
    done = fresh_namespace.volresize("resume", "app")
    assert done.returncode == 0, done.stdout + done.stderr
    assert fresh_namespace.migration("app")["status"]["phase"] == labels.CANCELLED
    assert application.claim(0)["metadata"]["uid"] == claim and application.sum(0, "data") == before
    assert fresh_namespace.nothing_left() == []
    until("only the old volume is left", lambda: len(fresh_namespace.volumes()) == 1)
