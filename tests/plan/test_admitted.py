"""What the API server says to a write that is only tried, and what it means: one finding, said once, with the words of whoever refused."""
from __future__ import annotations

import copy
from typing import Any

import pytest
import requests
from states import running

from kubectl_volresize.errors import ApiError
from kubectl_volresize.kube.client import Client
from kubectl_volresize.kube.rehearse import rehearse
from kubectl_volresize.model import labels
from kubectl_volresize.model.cluster import Answer, Surroundings
from kubectl_volresize.model.objects import View
from kubectl_volresize.plan.findings import Finding
from kubectl_volresize.plan.preflight import findings
from kubectl_volresize.plan.rehearsals import CLAIM, JOB, MOVER, RUNNER, STATEFULSET, job_rehearsals, pod_of, rehearsals
from kubectl_volresize.templates import render

CLAIM_BODY: dict[str, Any] = {"spec": {"resources": {"requests": {"storage": "500Mi"}}}}
SET_BODY: dict[str, Any] = {"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}, "volumeClaimTemplates": []}}
POD_SECURITY = ('pods "x" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities (container "mover" must not include '
                '"CHOWN" in securityContext.capabilities.add)')
TOO_MANY = 'persistentvolumeclaims "x" is forbidden: exceeded quota: of-a-scope, requested: count/x=1, used: count/x=3, limited: count/x=3'
TOO_SMALL = 'persistentvolumeclaims "x" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi'
NO_RIGHT = 'pods is forbidden: User "me" cannot create resource "pods" in API group "" in the namespace "prod"'


def told(*answers: Answer, **surroundings: Any) -> list[Finding]:
    return list(findings(running().seeing(surroundings=Surroundings(answers=answers, **surroundings)).cluster, running().request))


def refused(of: str, message: str, status: int = 403) -> Answer:
    return Answer(of, {}, status=status, message=message)


@pytest.mark.parametrize(("answer", "code", "words"), [
    (refused(MOVER, POD_SECURITY), "pod-security", 'PodSecurity "restricted:latest"'),
    (refused(CLAIM, TOO_MANY), "quota", "limited: count/x=3"),
    (refused(CLAIM, TOO_SMALL), "limit-range", "is 1Gi"),
    (refused(MOVER, 'admission webhook "deny.example" denied the request: no root here'), "admission", "no root here"),
    (refused(JOB, 'jobs.batch "x" is forbidden: ValidatingAdmissionPolicy says no', 422), "admission", "the Job"),
    (refused(STATEFULSET, 'Internal error occurred: failed calling webhook "a.b": connection refused', 500), "admission", "created again")])
def test_a_refusal_is_one_finding_in_its_own_words(answer: Answer, code: str, words: str) -> None:
    [finding] = told(answer)
    assert (finding.code, bool(finding.fix)) == (code, True)
    assert words in finding.message


@pytest.mark.parametrize(("of", "user", "offered"), [(MOVER, 0, True), (MOVER, 1000, False), (JOB, 65532, False)])
def test_where_root_is_not_admitted_a_user_may_copy(of: str, user: int, offered: bool) -> None:
    [finding] = told(Answer(of, {"spec": {"securityContext": {"runAsUser": user}}}, status=403, message=POD_SECURITY))
    assert "enforce=baseline" in finding.fix
    assert ("--run-as-user UID" in finding.fix, "must be root" in finding.message) == (offered, offered)


def test_what_was_found_without_asking_is_not_said_twice() -> None:
    small = View({"metadata": {"name": "claims"}, "spec": {"limits": [{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}]}})
    assert [finding.code for finding in told(refused(CLAIM, TOO_SMALL), limit_ranges=(small,))] == ["limit-range"]
    full = View({"metadata": {"name": "of-a-scope"}, "status": {"hard": {"persistentvolumeclaims": "3"}, "used": {"persistentvolumeclaims": "3"}}})
    assert [finding.code for finding in told(refused(CLAIM, TOO_MANY), quotas=(full,))] == ["quota"]


def test_two_volumes_that_are_told_the_same_are_one_finding() -> None:
    assert len(told(refused(MOVER, POD_SECURITY), refused(MOVER, POD_SECURITY))) == 1


def test_who_may_not_create_what_the_job_creates_has_no_wrong_request() -> None:
    assert told(refused(MOVER, NO_RIGHT), refused(STATEFULSET, NO_RIGHT)) == []


def test_what_comes_back_as_it_was_sent_is_admitted() -> None:
    canonical = {"spec": {"resources": {"requests": {"storage": "0.48828125Gi"}}}}
    assert told(Answer(CLAIM, CLAIM_BODY, canonical), Answer(STATEFULSET, SET_BODY, copy.deepcopy(SET_BODY)), Answer(MOVER, {}, {})) == []


def test_a_webhook_that_inflates_a_claim_is_seen() -> None:
    [finding] = told(Answer(CLAIM, CLAIM_BODY, {"spec": {"resources": {"requests": {"storage": "530Mi"}}}}))
    assert finding.code == "altered-by-admission" and "530Mi" in finding.message and "500Mi" in finding.message


def test_a_webhook_that_would_restart_every_pod_is_seen() -> None:
    altered = copy.deepcopy(SET_BODY)
    altered["spec"]["template"]["spec"]["containers"].append({"name": "proxy"})
    [finding] = told(Answer(STATEFULSET, SET_BODY, altered))
    assert finding.code == "altered-by-admission" and finding.path == "spec.template"


def test_the_first_replica_in_turn_is_tried_under_names_that_nobody_has() -> None:
    state = running("data", "logs")
    tried = rehearsals(state.cluster, state.request)
    assert [one.of for one in tried] == [CLAIM, MOVER, CLAIM, MOVER, STATEFULSET]
    named = [str(one.values["metadata"]["name"] if not one.template else one.values["name"]) for one in tried]
    assert len(set(named)) == 5 and all(name.startswith("volresize-rehearsal-") for name in named)
    assert tried[1].values["source_claim"] == "data-web-2" and tried[1].values["target_claim"] == "data-web-2-new"


def test_a_job_is_tried_and_the_pod_that_would_be_made_of_it() -> None:
    state = running("data")
    of_job, of_pod = job_rehearsals(state.request, state.cluster.migration)
    assert (of_job.of, of_pod.of) == (JOB, RUNNER) and of_job.values["migration"] == of_pod.values["migration"] == "web"
    job = render("job", **of_job.values)
    pod = pod_of(job)
    assert pod["kind"] == "Pod" and pod["metadata"]["name"] == job["metadata"]["name"]
    assert pod["metadata"]["ownerReferences"][0]["controller"] is True
    assert pod["spec"] == job["spec"]["template"]["spec"] and pod["spec"]["serviceAccountName"] == labels.RUNNER_ACCOUNT


DENIED = ("pods \"volresize-rehearsal-1\" is forbidden: ValidatingAdmissionPolicy 'volresize-runner-account' with binding 'volresize-runner-account' "
          "denied request: ")


@pytest.mark.parametrize(("said", "message", "fix"), [
    ("the runner runs an image of a/b, not c; an admin of the cluster allows others: kubectl volresize install -n shop --image PREFIX",
     "does not admit the runner's pod: the runner runs an image of a/b, not c",
     "an admin of the cluster allows others: kubectl volresize install -n shop --image PREFIX"),
    ("a pod of volresize-runner has one container, the runner",
     "does not admit the runner's pod: a pod of volresize-runner has one container, the runner", "find the webhook that alters the pods of Jobs")])
def test_what_our_own_policy_forbids_comes_with_its_own_fix(said: str, message: str, fix: str) -> None:
    [finding] = told(refused(RUNNER, DENIED + said, 422))
    assert (finding.code, finding.message) == ("admission", message) and finding.fix.startswith(fix)


def test_nothing_is_tried_for_a_set_that_is_not_there_or_is_done() -> None:
    state = running()
    assert rehearsals(state.with_set(None).cluster, state.request) == ()
    assert rehearsals(state.cluster, running().request.__class__("web", ())) == ()


@pytest.mark.parametrize(("status", "message", "is_answer"), [
    (500, 'Internal error occurred: failed calling webhook "a.b": connection refused', True),
    (500, 'admission webhook "a.b" denied the request: database is away', True), (500, "etcdserver: request timed out", False),
    (429, "too many requests", False), (403, "forbidden", True), (422, "invalid", True)])
def test_what_a_webhook_says_is_an_answer_and_trouble_of_the_server_is_none(status: int, message: str, is_answer: bool) -> None:
    class Refusing(Client):
        def create(self, path: str, body: dict[str, Any], dry_run: bool = False, strict: bool = False) -> dict[str, Any]:
            raise ApiError(status=status, verb="create", path=path, message=message)

    state = running()
    client = Refusing(requests.Session(), "https://nowhere")
    if not is_answer:
        with pytest.raises(ApiError):
            rehearse(client, "prod", rehearsals(state.cluster, state.request))
        return
    answers = rehearse(client, "prod", rehearsals(state.cluster, state.request))
    assert {(answer.status, answer.message) for answer in answers} == {(status, message)}


@pytest.mark.parametrize("said", ['pods "x" is forbidden: exceeded quota: one, requested: pods=1, used: pods=10, limited: pods=10',
                                  'pods "x" is forbidden: error looking up service account prod/volresize-runner: serviceaccount not found'])
def test_what_the_runners_pod_only_waits_for_or_is_said_elsewhere_refuses_nothing(said: str) -> None:
    assert told(refused(RUNNER, said)) == []
