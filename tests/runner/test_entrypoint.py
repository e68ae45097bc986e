"""How the runner's process ends: the exit code that its supervisor and its Job act on, and what becomes of the Job."""
from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import IMAGE, NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi
from running import once_when, reason, step_of

from kubectl_volresize.errors import JOB_DONE, JOB_FENCED, JOB_NEEDS_HUMAN, JOB_REFUSED, JOB_TERMINATED
from kubectl_volresize.model import labels
from kubectl_volresize.runner import __main__ as entrypoint
from kubectl_volresize.templates import render

JOB = f"{SET}-runner"
Main = Callable[[], int]
LastWords = Callable[[], str]


@pytest.fixture
def api() -> FakeApi:
    """With a migration and its Job."""
    made = three_replicas(replicas=1).build()
    submit(made, {"data": "500Mi"})
    made.rest.post("jobs", render("job", name=JOB, namespace=NAMESPACE, labels={}, queue={}, migration=SET, image=IMAGE, tolerations=[],
                                  pull_secrets=[]))
    return made


@pytest.fixture
def main(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Main:
    """The runner's `main` in its pod, with the cluster's time."""
    monkeypatch.setenv("POD_NAME", f"{JOB}-abcde")
    monkeypatch.setenv("JOB_NAME", JOB)
    monkeypatch.setattr(entrypoint.time, "sleep", api.sleep)

    def run() -> int:
        before = signal.getsignal(signal.SIGTERM)
        try:
            with api.connected() as client:
                monkeypatch.setattr(entrypoint, "in_cluster", lambda: client)
                return entrypoint.main(["--namespace", NAMESPACE, "--name", SET])
        finally:
            signal.signal(signal.SIGTERM, before)
    return run


@pytest.fixture
def last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LastWords:
    """What the container leaves as its termination message."""
    file = tmp_path / "termination-log"
    file.touch()
    monkeypatch.setattr(entrypoint, "_TERMINATION_LOG", str(file))
    return file.read_text


def seconds_to_live(api: FakeApi) -> Any:
    job = api.find("jobs", NAMESPACE, JOB)
    assert job is not None
    return job["spec"].get("ttlSecondsAfterFinished")


def at(api: FakeApi, step: str, act: Callable[[], object]) -> list[int]:
    return once_when(api, lambda: step_of(api, 0) == step, act)


def test_a_job_that_has_done_its_work_goes_after_a_week(api: FakeApi, main: Main, last_words: LastWords) -> None:
    assert main() == JOB_DONE
    assert last_words().startswith("Completed: ")
    assert seconds_to_live(api) == 7 * 24 * 3600


def test_a_job_that_was_refused_stays_with_its_log(api: FakeApi, main: Main, last_words: LastWords) -> None:
    found = api.find(labels.PLURAL, NAMESPACE, SET)
    assert found is not None
    api.rest.change(labels.PLURAL, found, lambda new: new["spec"]["volumes"][0].update(name="no-such-volume"))
    assert main() == JOB_REFUSED and reason(api) == "Refused"
    assert seconds_to_live(api) is None
    assert last_words().startswith("Failed (Refused): ") and "no-such-volume" in last_words()


def test_a_job_that_needs_a_human_stays_with_its_log(api: FakeApi, main: Main) -> None:
    before = api.find("statefulsets", NAMESPACE, SET)
    assert before is not None
    body = {"metadata": {"name": SET, "namespace": NAMESPACE}, "spec": before["spec"]}
    created = once_when(api, lambda: api.find("statefulsets", NAMESPACE, SET) is None, lambda: api.rest.post("statefulsets", body))
    assert main() == JOB_NEEDS_HUMAN and reason(api) == "NeedsHuman" and created
    assert seconds_to_live(api) is None


def test_a_job_whose_pod_is_asked_to_end_stays_for_the_next_pod(api: FakeApi, main: Main, last_words: LastWords) -> None:
    asked = at(api, "copying", lambda: signal.raise_signal(signal.SIGTERM))
    assert main() == JOB_TERMINATED and asked
    assert "the next pod goes on" in last_words()
    assert seconds_to_live(api) is None


def test_a_runner_that_was_followed_by_another_says_so_to_its_supervisor(api: FakeApi, main: Main, last_words: LastWords,
                                                                         capsys: pytest.CaptureFixture[str]) -> None:
    # Started again, it would take the migration away from the other one, and be followed by that one in turn.
    def follow() -> None:
        found = api.find(labels.PLURAL, NAMESPACE, SET)
        assert found is not None
        api.rest.change(labels.PLURAL, found, lambda new: new["status"].update(runner="another-runner"), status=True)

    followed = at(api, "copying", follow)
    assert main() == JOB_FENCED and followed
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["level"], last["operation"]) == ("error", "Stopped") and "another-runner" in last["message"]
    assert last_words() == last["message"]
