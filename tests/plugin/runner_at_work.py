"""Runners for tests of the verbs that ask for something: the real one, started as soon as a Job for it is created; or what one would have written."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from builders import NAMESPACE, SET
from fake_api import FakeApi, Object
from running import engine
from submitting import migration, set_status

from kubectl_volresize.model import labels


def with_runners(api: FakeApi) -> None:
    """From now on each Job that is created is carried out to its end, before its creator has his answer."""
    started: set[str] = set()

    def carry_out(number: int, verb: str, path: str) -> None:
        if (verb, path.rsplit("/", 1)[1]) != ("create", "jobs"):
            return
        for name in {job["metadata"]["name"] for job in api.store.all("jobs", NAMESPACE)} - started:
            started.add(name)
            run(api, name)
    api.after_call.append(carry_out)


def run(api: FakeApi, job: str) -> None:
    """The Job's runner from start to end."""
    found = api.find("jobs", NAMESPACE, job)
    assert found is not None
    name = found["metadata"]["labels"][labels.MIGRATION]
    with api.directly_connected() as client:
        code = engine(api, client, name=name, identity=f"{job}-pod", job=job).run()
    end(api, job, "Complete" if code == 0 else "Failed")


def end(api: FakeApi, job: str, how: str = "Complete", **more: str) -> None:
    found = api.find("jobs", NAMESPACE, job)
    assert found is not None
    set_status(api, "jobs", found, conditions=[{"type": how, "status": "True", **more}])


def add_pod(api: FakeApi, job: str, phase: str = "Running", node: str = "node-1") -> Object:
    """The pod of a Job; no controller of Jobs is at work here."""
    owner = api.find("jobs", NAMESPACE, job)
    assert owner is not None
    api.faults.stopped.add("kubelet")
    marks = {**owner["metadata"]["labels"], "batch.kubernetes.io/job-name": job}
    made = api.rest.post("pods", {"metadata": {"name": f"{job}-x", "namespace": NAMESPACE, "labels": marks},
                                  "spec": {"nodeName": node, "containers": [{"name": "runner", "image": "x"}]}})
    return api.rest.change("pods", made, lambda new: new.update(status={"phase": phase}), status=True)


def answer(api: FakeApi, outcome: str, message: str, /, name: str = SET, **status: Any) -> None:
    """What a runner writes when it has read the request."""
    found = migration(api, name)
    asked = json.loads(found["metadata"]["annotations"][labels.REQUESTED])
    set_status(api, labels.PLURAL, found, lastRequest={**asked, "outcome": outcome, "message": message}, **status)


def request_of(api: FakeApi, name: str = SET) -> Object:
    """What stands in the annotation; {} when nothing does."""
    text = (migration(api, name)["metadata"].get("annotations") or {}).get(labels.REQUESTED)
    asked: Object = json.loads(text) if text else {}
    return asked


def once_asked(api: FakeApi, react: Callable[[], object]) -> None:
    """Do it when the plugin has asked, and looks for the answer."""
    looked: list[int] = []

    def hook(number: int, verb: str, path: str) -> None:
        if verb == "list" and path.endswith("/jobs") and request_of(api):
            looked.append(number)
            # The first look is for a runner.
            if len(looked) == 2:
                react()
    api.before_call.append(hook)


def renew_lease(api: FakeApi, holder: str, at: str) -> None:
    """The Lease of the set, renewed `at` (RFC 3339)."""
    body = {"metadata": {"name": f"volresize-{SET}", "namespace": NAMESPACE},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 60, "acquireTime": at, "renewTime": at}}
    api.rest.post("leases", body)
