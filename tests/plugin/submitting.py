"""What tests of `submit`, and of the verbs after it, share: the command, the manifest, and what was made of them."""
from __future__ import annotations

from typing import Any

from builders import NAMESPACE
from fake_api import FakeApi, Object

from kubectl_volresize.model import labels

SUBMIT = ("submit", "web", "--volume", "data=500Mi")
BOTH = ["create volumeresizes", "create jobs"]
MANIFEST = """\
apiVersion: storage.maurice.fr/v1alpha1
kind: VolumeResize
metadata: {name: shrink, labels: {team: storage}}
spec:
  statefulSetName: web
  volumes: [{name: data, newSize: 500Mi}]
"""


def migration(api: FakeApi, name: str = "web") -> Object:
    found = api.find(labels.PLURAL, NAMESPACE, name)
    assert found is not None, f"there is no VolumeResize {name}"
    return found


def job(api: FakeApi, name: str = "web-runner") -> Object:
    found = api.find("jobs", NAMESPACE, name)
    assert found is not None, f"there is no Job {name}"
    return found


def set_status(api: FakeApi, plural: str, found: Object, **status: Any) -> None:
    api.rest.change(plural, found, lambda new: new.update(status={**new.get("status", {}), **status}), status=True)


def end_job(api: FakeApi, name: str = "web-runner", how: str = "Failed") -> None:
    set_status(api, "jobs", job(api, name), conditions=[{"type": how, "status": "True"}])


def allow_no_disruption(api: FakeApi) -> None:
    budget = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 3}
    api.rest.post("poddisruptionbudgets", {"metadata": {"name": "strict", "namespace": NAMESPACE}, "spec": budget})
