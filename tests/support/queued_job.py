"""The runner's Job as a queue treats it: it lets it go on, and takes its place away again."""
from __future__ import annotations

from builders import NAMESPACE, SET
from fake_api import FakeApi, Object

from kubectl_volresize.model import labels
from kubectl_volresize.model.request import from_spec
from kubectl_volresize.plan.manifests import job_values
from kubectl_volresize.templates import render

QUEUE = {labels.QUEUE: "batch"}
JOB = f"{SET}-runner"


def runner_job(api: FakeApi) -> Object | None:
    return api.find("jobs", NAMESPACE, JOB)


def create_job(api: FakeApi, migration: Object, queue: dict[str, str]) -> None:
    """As `submit` does."""
    api.rest.post("jobs", render("job", **job_values(from_spec(migration["spec"]), SET, NAMESPACE, 1, queue)))


def set_suspended(api: FakeApi, suspend: bool) -> None:
    """Of the Job that is there."""
    job = runner_job(api)
    assert job is not None
    api.rest.change("jobs", job, lambda new: new["spec"].update(suspend=suspend))


def let_go_on(api: FakeApi) -> None:
    set_suspended(api, False)


def put_back(api: FakeApi) -> None:
    set_suspended(api, True)
