"""What the runner's Job promises: what counts as the end, what is tried again, how long a runner may finish what it does, and that its log stays."""
from __future__ import annotations

import importlib.util

import pytest

from kubectl_volresize.errors import JOB_DONE, JOB_FENCED, JOB_NEEDS_HUMAN, JOB_REFUSED, JOB_TERMINATED
from kubectl_volresize.model.objects import Object
from kubectl_volresize.plan import waits
from kubectl_volresize.templates import render


@pytest.fixture
def job() -> Object:
    return render("job", name="web-runner", namespace="shop", labels={}, queue={}, migration="web", image="registry.example/volmig:1", tolerations=[],
                  pull_secrets=[])


def test_the_runner_is_supervised(job: Object) -> None:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    python, option, module = container["command"]
    assert (python, option, module) == ("python3", "-m", "kubectl_volresize.runner.supervisor")
    assert importlib.util.find_spec(module) is not None


def test_what_another_try_does_not_change_fails_the_job_and_nothing_else_does(job: Object) -> None:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    rules = job["spec"]["podFailurePolicy"]["rules"]
    (final,) = [rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob"]
    assert final == {"containerName": container["name"], "operator": "In", "values": [JOB_REFUSED, JOB_NEEDS_HUMAN]}
    assert not {JOB_DONE, JOB_FENCED, JOB_TERMINATED} & set(final["values"])


def test_a_runner_whose_node_is_drained_is_not_counted_as_failed(job: Object) -> None:
    (ignored,) = [rule for rule in job["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "Ignore"]
    assert ignored["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_two_pods_of_one_job_never_run_at_once(job: Object) -> None:
    # The Lease is held by the Job, not by the pod.
    spec = job["spec"]
    assert (spec["parallelism"], spec["completions"], spec["podReplacementPolicy"]) == (1, 1, "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_runner_that_is_asked_to_end_may_wait_for_the_end_of_its_exchange(job: Object) -> None:
    longest = sum(waits.LIMITS[kind].seconds or 0 for kind in ("orphaning", "binding"))
    assert longest and job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > longest


def test_no_deadline_of_the_job_takes_its_log_away_or_stops_it_in_the_gap(job: Object) -> None:
    assert not {"ttlSecondsAfterFinished", "activeDeadlineSeconds"} & set(job["spec"])
    assert "activeDeadlineSeconds" not in job["spec"]["template"]["spec"]
