"""Whoever changes objects on their way in is found before anything is touched: what would come back is not what was taken away."""
from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from application import Application
from namespaces import Namespace, until
from webhook import serving

from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
REFUSED = 4


@pytest.fixture(scope="module")
def application(namespace: Namespace) -> Application:
    made = Application(namespace)
    made.start()
    return made


@contextmanager
def altering(application: Application, group: str, resource: str, patch: list[Object], folder: Path) -> Iterator[None]:
    """A webhook that answers creations in the namespace, from the moment on when the API server asks it."""
    namespace, name = application.namespace, f"altering-{application.namespace.name}"
    with serving(namespace, patch, folder) as reached:
        hook = {"name": "altering.example.test", "sideEffects": "None", "admissionReviewVersions": ["v1"], "clientConfig": reached,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
                "rules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}]}
        namespace.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name},
                         "webhooks": [hook]})
        try:
            yield
        finally:
            namespace.kubectl("delete", "mutatingwebhookconfiguration", name)


def until_said(application: Application, words: str) -> str:
    """What submit says when it says these words too: a webhook is asked some moments after it was created."""
    def said() -> str:
        before = application.namespace.versions()
        done = application.namespace.volresize("submit", "app", "--volume", "data=32Mi", "--dry-run=server")
        assert application.namespace.versions() == before
        return done.stderr if done.returncode == REFUSED and words in done.stderr else ""
    return until(f"it says: {words}", said, 30)


def test_a_sidecar_that_would_restart_every_pod(application: Application, tmp_path: Path) -> None:
    sidecar = {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "proxy", "image": "busybox:1.36"}}
    with altering(application, "apps", "statefulsets", [sidecar], tmp_path):
        said = until_said(application, "statefulset/app would not be the same when it is created again: something changes spec.template")
    assert "1 reason:" in said and "exempt the StatefulSet" in said


def test_a_size_that_is_inflated(application: Application, tmp_path: Path) -> None:
    size = {"op": "replace", "path": "/spec/resources/requests/storage", "value": "48Mi"}
    with altering(application, "", "persistentvolumeclaims", [size], tmp_path):
        said = until_said(application, f"namespace/{application.namespace.name} makes a claim of 48Mi of one of 32Mi")
    assert "1 reason:" in said and "fix:" in said


def test_one_that_does_not_answer(application: Application, tmp_path: Path) -> None:
    """The StatefulSet could not be created again: it is not taken away."""
    with altering(application, "apps", "statefulsets", [], tmp_path):
        name = f"altering-{application.namespace.name}"
        nowhere = [{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": "https://127.0.0.1:1/"}]
        application.namespace.kubectl("patch", "mutatingwebhookconfiguration", name, "--type=json", "--patch", json.dumps(nowhere))
        said = until_said(application, "does not admit the StatefulSet when it is created again")
    assert "failed calling webhook" in said
