"""`status`: how far a migration is and what to do next, in words, tables and objects."""
from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from builders import NAMESPACE, add_namespace
from calling import Plugin
from fake_api import FakeApi, Object
from submitting import SUBMIT, end_job, migration, set_status

from kubectl_volresize.model import labels
from kubectl_volresize.plugin.words import span
from kubectl_volresize.templates import render


def add(api: FakeApi, name: str = "web", statefulset: str = "web", namespace: str = NAMESPACE, job: bool = True, **status: Any) -> Object:
    """A VolumeResize with this status, and a Job that has not ended."""
    api.clock.advance(60)
    made = api.rest.post(labels.PLURAL, {"metadata": {"name": name, "namespace": namespace}, "spec": {
        "statefulSetName": statefulset, "volumes": [{"name": "data", "newSize": "500Mi"}], "mover": {"image": "registry.example/volmig:7"}}})
    if job:
        marks = {labels.MIGRATION: name, labels.ROLE: labels.ROLE_RUNNER}
        api.rest.post("jobs", {"metadata": {"name": f"{name}-runner", "namespace": namespace, "labels": marks}, "spec": {}})
    return api.rest.change(labels.PLURAL, made, lambda new: new.update(status=status), status=True) if status else made


AT_WORK = {
    "phase": "Syncing", "progress": "1/3", "currentReplica": 1, "currentVolume": "data", "message": "replica 1: pass 2, 40 %",
    "startTime": "2026-01-01T00:00:00Z",
    "volumeStatuses": [
        {"volumeName": "data", "replica": 1, "phase": "Copying", "oldPVName": "pv-old-1", "oldSize": "1Gi", "newSize": "500Mi", "progress": "40%"},
        {"volumeName": "data", "replica": 2, "phase": "Done", "oldPVName": "pv-old-2", "newPVName": "pv-new-2", "oldSize": "1Gi", "newSize": "500Mi",
         "progress": "100%", "files": 12}],
    "replicas": [{"ordinal": 2, "notReadySeconds": 74}]}


def columns(line: str) -> list[str]:
    return line.split()


def test_a_list_has_a_line_for_each_migration_the_newest_first(api: FakeApi, plugin: Plugin) -> None:
    add(api, "web", phase="Completed", progress="3/3")
    add(api, "web-2", **AT_WORK)
    header, *lines = plugin("status").out.splitlines()
    assert columns(header) == ["NAME", "STATEFULSET", "PHASE", "REPLICA", "VOLUME", "PROGRESS", "AGE"]
    assert [columns(line)[:6] for line in lines] == [["web-2", "web", "Syncing", "1", "data", "1/3"],
                                                     ["web", "web", "Completed", "<none>", "<none>", "3/3"]]


def test_why_it_failed_stands_in_the_list(api: FakeApi, plugin: Plugin) -> None:
    add(api, phase="Failed", conditions=ready("Resumable"))
    assert columns(plugin("status").out.splitlines()[1])[2] == "Failed(Resumable)"


def ready(reason: str) -> list[Object]:
    return [{"type": "Ready", "status": "False", "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]


def test_the_message_is_there_when_asked_for(api: FakeApi, plugin: Plugin) -> None:
    add(api, **AT_WORK)
    header, line = plugin("status", "-o", "wide").out.splitlines()
    assert header.endswith("MESSAGE") and line.endswith("replica 1: pass 2, 40 %")


def test_all_namespaces_say_which(api: FakeApi, plugin: Plugin) -> None:
    add_namespace(api, "shop")
    add(api)
    add(api, namespace="shop", job=False)
    header, *lines = plugin("status", "-A").out.splitlines()
    assert columns(header)[0] == "NAMESPACE"
    assert [columns(line)[0] for line in lines] == ["shop", NAMESPACE]


def test_one_migration_is_told_whole(api: FakeApi, plugin: Plugin) -> None:
    add(api, **AT_WORK)
    answer = plugin("status", "web")
    facts, table, next_steps = answer.out.rstrip().split("\n\n")
    assert answer.code == 0
    for fact in ("StatefulSet:  web", "Wanted:       data to 500Mi", "Phase:        Syncing, replica 1, volume data", "Progress:     1/3 replicas",
                 "Message:      replica 1: pass 2, 40 %", "Image:        registry.example/volmig:7"):
        assert fact in facts.splitlines()
    assert "started 2026-01-01T00:00:00Z" in facts
    assert [columns(line) for line in table.splitlines()] == [
        ["REPLICA", "VOLUME", "OLD", "NEW", "PHASE", "PROGRESS", "STOP", "OLD-VOLUME"],
        ["2", "data", "1Gi", "500Mi", "Done", "100%", "1m14s", "pv-old-2"],
        ["1", "data", "1Gi", "500Mi", "Copying", "40%", "<none>", "pv-old-1"]]
    assert next_steps == f"Follow it: kubectl volresize logs vr/web -f -n {NAMESPACE}"


def test_wide_tells_the_new_volumes_and_the_counts(api: FakeApi, plugin: Plugin) -> None:
    add(api, **AT_WORK)
    table = plugin("status", "web", "-o", "wide").out.split("\n\n")[1]
    assert columns(table.splitlines()[1])[8:11] == ["pv-new-2", "<none>", "12"]


def test_a_volume_that_was_cleaned_up_is_not_shown_as_if_it_were_there(api: FakeApi, plugin: Plugin) -> None:
    entry = {"volumeName": "data", "oldPVName": "pv-old", "newPVName": "pv-new", "cleaned": True}
    add(api, phase="Completed", volumeStatuses=[{**entry, "replica": 1, "phase": "RolledBack"}, {**entry, "replica": 0, "phase": "Done"}])
    back, migrated = [columns(line) for line in plugin("status", "web", "-o", "wide").out.split("\n\n")[1].splitlines()[1:]]
    assert (back[7], back[8]) == ("pv-old", "<removed>") and (migrated[7], migrated[8]) == ("<removed>", "pv-new")


def test_a_runner_that_cannot_start_is_explained_with_the_way_back(api: FakeApi, plugin: Plugin) -> None:
    add(api)
    api.rest.post("pods", {"metadata": {"name": "web-runner-x", "namespace": NAMESPACE, "labels": {
        labels.MIGRATION: "web", labels.ROLE: labels.ROLE_RUNNER}}, "spec": {"containers": [{"name": "runner", "image": "x"}]}})
    api.faults.unschedulable["web-runner-x"] = "0/2 nodes are available: 2 Insufficient memory."
    api.settle()
    answer = plugin("status", "web")
    assert "Runner:       waiting for pod/web-runner-x to start: Unschedulable: 0/2 nodes are available: 2 Insufficient memory." in answer.out
    assert f"kubectl delete volumeresize/web job/web-runner -n {NAMESPACE}" in answer.out


def test_a_migration_that_nobody_works_on_says_which_command_starts_it(api: FakeApi, plugin: Plugin) -> None:
    add(api, job=False)
    answer = plugin("status", "web")
    assert "Runner:       no Job works on it" in answer.out
    assert f"Start one: kubectl volresize resume vr/web -n {NAMESPACE}" in answer.out


def test_who_may_not_see_jobs_still_sees_the_record(api: FakeApi, plugin: Plugin) -> None:
    add(api, **AT_WORK)
    api.denied.add(("list", "jobs"))
    answer = plugin("status", "web")
    assert answer.code == 0 and "Phase:        Syncing" in answer.out


@pytest.mark.parametrize(("phase", "reason", "said"), [
    ("Completed", "", "until you clean up:\n  kubectl volresize cleanup vr/web -n prod\n"),
    ("Completed", "", "To go back to the old volumes:\n  kubectl volresize rollback vr/web -n prod"),
    ("Cancelled", "", "To go on with the rest: kubectl volresize resume vr/web -n prod"),
    ("Failed", "Refused", "Remove the causes, then submit again:\n  kubectl volresize submit web --volume data=500Mi"),
    ("Failed", "Resumable", "is back on its old volumes. Remove the cause, then go on with the rest:\n  kubectl volresize resume vr/web -n prod"),
    ("Failed", "NeedsHuman", "Once the cause is removed, go on from there:\n  kubectl volresize resume vr/web -n prod")])
def test_the_next_step_follows_from_the_outcome(api: FakeApi, plugin: Plugin, phase: str, reason: str, said: str) -> None:
    over = {**AT_WORK, "phase": phase, "completionTime": "2026-01-01T02:03:04Z", "conditions": ready(reason) if reason else []}
    add(api, **over)
    answer = plugin("status", "web")
    assert answer.code == 0
    assert said in answer.out and "took 2h3m" in answer.out


def test_a_request_is_shown_until_it_is_done(api: FakeApi, plugin: Plugin) -> None:
    asked = '{"id":"1a2b3c4d","verb":"cancel","args":{}}'
    made = add(api, **AT_WORK)
    made = api.rest.change(labels.PLURAL, made, lambda new: new["metadata"].update(annotations={labels.REQUESTED: asked}))
    assert "Request:      cancel, not answered yet" in plugin("status", "web").out
    for outcome, shown in (("accepted", True), ("refused", True), ("failed", True), ("done", False)):
        answer = {"id": "1a2b3c4d", "verb": "cancel", "outcome": outcome, "message": "stop at the next safe point"}
        made = api.rest.change(labels.PLURAL, made, lambda new: new["status"].update(lastRequest=answer), status=True)
        assert (f"Request:      cancel: {outcome}: stop at the next safe point" in plugin("status", "web").out) is shown


# -- which one is meant


@pytest.mark.parametrize(("typed", "meant"), [("web", "web-2"), ("sts/web", "web-2"), ("vr/web", "web"), ("web-2", "web-2"),
                                              ("volumeresize.storage.maurice.fr/web-2", "web-2"), ("vr/db", "db"), ("sts/db-x", "db")])
def test_a_set_means_its_newest_migration_and_vr_the_one_of_that_name(api: FakeApi, plugin: Plugin, typed: str, meant: str) -> None:
    add(api, "web", phase="Failed")
    add(api, "web-2")
    add(api, "db", statefulset="db-x")
    assert plugin("status", typed, "-o", "name").out == f"volumeresize.storage.maurice.fr/{meant}\n"


@pytest.mark.parametrize(("typed", "code", "said"), [
    ("nothing", 1, "nothing is neither a StatefulSet with a VolumeResize nor a VolumeResize in namespace prod"),
    ("sts/nothing", 1, "statefulset/nothing has no VolumeResize"), ("vr/nothing", 1, "volumeresize/nothing does not exist"),
    ("pvc/data-web-0", 2, "give sts/NAME or vr/NAME, not pvc"), ("sts/", 2, "names nothing"), ("a/b/c", 2, "names nothing")])
def test_what_does_not_exist_is_said_with_what_to_ask_instead(api: FakeApi, plugin: Plugin, typed: str, code: int, said: str) -> None:
    answer = plugin("status", typed)
    assert (answer.code, answer.out) == (code, "") and said in answer.err


def test_a_target_and_all_namespaces_contradict_each_other(api: FakeApi, plugin: Plugin) -> None:
    assert plugin("status", "web", "-A").code == 2


# -- for programs


def test_one_is_an_object_and_many_are_a_list(api: FakeApi, plugin: Plugin) -> None:
    add(api, "web")
    assert json.loads(plugin("status", "web", "-o", "json").out)["metadata"]["name"] == "web"
    listed = yaml.safe_load(plugin("status", "-o", "yaml").out)
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("List", ["web"])


def test_no_migration_is_an_empty_list_and_no_error(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin("status", "-o", "json")
    assert answer.code == 0 and json.loads(answer.out)["items"] == []


@pytest.mark.parametrize(("seconds", "text"), [(-5, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (187, "3m7s"), (7200, "2h"), (7260, "2h1m"),
                                               (90061, "1d1h"), (86400 + 59, "1d")])
def test_spans_are_told_in_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_list_of_some_by_their_labels(api: FakeApi, plugin: Plugin) -> None:
    for name, team in (("one", "a"), ("two", "b")):
        made = add(api, name=name)
        api.rest.change(labels.PLURAL, made, lambda new, team=team: new["metadata"].update(labels={"team": team}))  # type: ignore[misc]
    assert sorted(plugin("list", "-o", "name").out.split()) == [f"volumeresize.storage.maurice.fr/{name}" for name in ("one", "two")]
    assert plugin("list", "-l", "team=b", "-o", "name").out.split() == ["volumeresize.storage.maurice.fr/two"]
    assert plugin("list", "-A").out.splitlines()[0].split()[0] == "NAMESPACE"


def test_a_replica_that_is_stopped_right_now_is_said_to_be(api: FakeApi, plugin: Plugin) -> None:
    """Also when no runner is there to say so: its message is that of the last wait."""
    held = (datetime.now(UTC) - timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    add(api, phase="Syncing", currentReplica=0, message="copying replica 0 while it runs", startTime="2026-01-01T00:00:00Z",
        replicas=[{"ordinal": 0, "step": "holding", "heldAt": held}],
        volumeStatuses=[{"volumeName": "data", "replica": 0, "phase": "Copying", "oldPVCName": "data-web-0", "newPVCName": "data-web-0-new"}])
    assert re.search(r"^0 +data .* 1m3\ds so far ", plugin("status", "web").out, re.MULTILINE)


def test_what_was_submitted_a_moment_ago_does_not_ask_to_be_submitted(api: FakeApi, plugin: Plugin) -> None:
    """The kind's default says that nobody has taken it up, which is true, and to submit it, which has been done."""
    plugin(*SUBMIT)
    default = crd_status_default()
    set_status(api, labels.PLURAL, migration(api), **default)
    said = plugin("status", "web").out
    assert "its runner has not taken it up yet" in said and default["message"] not in said
    end_job(api)
    assert default["message"] in plugin("status", "web").out


def crd_status_default() -> dict[str, str]:
    schema = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: dict[str, str] = schema["properties"]["status"]["default"]
    return found
