"""What programs may rely on: docs/reference/output.md, held against what every verb prints with -o json, also when it fails."""
from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import NAMESPACE
from calling import Answer, Plugin
from fake_api import FakeApi, Object
from runner_at_work import with_runners
from submitting import SUBMIT, allow_no_disruption, end_job, migration, set_status

from kubectl_volresize.model import labels
from kubectl_volresize.plugin.cli import VERBS

CONTRACT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "hack" / "reference.py"))
OURS = f"cli.{labels.GROUP}/{labels.VERSION}"
JSON = ("-o", "json")


def document(said: Answer) -> Object:
    """The one on stdout. Raises ValueError when there is none, or more."""
    found: Object = json.loads(said.out)
    assert found["apiVersion"] and found["kind"]
    return found


def kinds(found: Object) -> list[str]:
    assert (found["apiVersion"], found["kind"]) == ("v1", "List")
    return [one["kind"] for one in found["items"]]


def follows_the_contract(found: Object) -> None:
    """Exactly the fields that the reference names."""
    assert found["apiVersion"] == OURS and set(found) == {"apiVersion", "kind", *CONTRACT["KINDS"][found["kind"]]}
    for finding in found.get("findings", ()):
        assert set(finding) - {"acknowledged", "statefulSet"} == set(CONTRACT["FINDING"])


@pytest.fixture
def completed(api: FakeApi, plugin: Plugin) -> FakeApi:
    """A migration that was carried out."""
    with_runners(api)
    assert plugin(*SUBMIT).code == 0
    assert migration(api)["status"]["phase"] == "Completed"
    return api


def test_the_reference_names_every_verb_that_prints_for_programs() -> None:
    assert set(CONTRACT["ANSWERS"]) == set(VERBS) - {"completion"}


@pytest.mark.parametrize(("typed", "expected"), [
    (("install", "-n", NAMESPACE), None), (("list",), []), (("status",), []),
    (SUBMIT, ["VolumeResize", "Job"]), ((*SUBMIT, "--dry-run=client"), ["VolumeResize", "Job"]),
    ((*SUBMIT, "--dry-run=server"), ["VolumeResize", "Job"])])
def test_several_objects_are_the_items_of_a_list(api: FakeApi, plugin: Plugin, typed: tuple[str, ...], expected: list[str] | None) -> None:
    found = kinds(document(plugin(*typed, *JSON)))
    assert found == expected if expected is not None else "ServiceAccount" in found


def test_what_is_taken_away_is_a_list(api: FakeApi, plugin: Plugin) -> None:
    assert "ServiceAccount" in kinds(document(plugin("uninstall", "-n", NAMESPACE, *JSON)))


def test_a_migration_is_the_object_of_the_api(completed: FakeApi, plugin: Plugin) -> None:
    stored = migration(completed)
    assert document(plugin("status", "web", *JSON)) == {**stored, "metadata": {k: v for k, v in stored["metadata"].items() if k != "managedFields"}}
    assert kinds(document(plugin("list", *JSON))) == ["VolumeResize"]


def test_nothing_to_do_is_a_list_of_nothing(completed: FakeApi, plugin: Plugin) -> None:
    said = plugin(*SUBMIT, *JSON)
    assert (said.code, kinds(document(said))) == (0, []) and "nothing to do" in said.err


@pytest.mark.parametrize("typed", [("resume", "web"), ("cleanup", "web", "--yes"), ("rollback", "web", "--discard-newer-data", "--yes")])
def test_a_request_ends_with_the_migration_as_it_is_then(completed: FakeApi, plugin: Plugin, typed: tuple[str, ...]) -> None:
    assert document(plugin(*typed, *JSON))["kind"] == "VolumeResize"


def test_a_request_that_is_not_waited_for_shows_what_was_written(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    end_job(api)
    assert kinds(document(plugin("cancel", "web", "--no-wait", *JSON))) == ["VolumeResize", "Job"]


def test_a_plan_and_a_version_have_their_fields(api: FakeApi, plugin: Plugin) -> None:
    for typed, kind in ((("plan", *SUBMIT[1:]), "Plan"), (("version",), "Version")):
        found = document(plugin(*typed, *JSON))
        assert found["kind"] == kind
        follows_the_contract(found)
        assert yaml.safe_load(plugin(*typed, "-o", "yaml").out) == found


# -- what goes wrong


def test_a_refusal_lists_what_was_found_as_data(api: FakeApi, plugin: Plugin) -> None:
    allow_no_disruption(api)
    said = plugin(*SUBMIT, *JSON)
    found = document(said)
    follows_the_contract(found)
    assert (said.code, found["exitCode"], found["reason"]) == (4, 4, "PreflightRefused") and said.err.startswith("error: refused")
    refusals = [one for one in found["findings"] if one["severity"] == "refusal"]
    assert refusals and all(one["code"] == "budget" and one["object"] and one["fix"] for one in refusals)


def test_of_several_sets_each_finding_says_whose_it_is(api: FakeApi, plugin: Plugin) -> None:
    said = plugin("submit", "web", "other", "--volume", "data=500Mi", *JSON)
    found = document(said)
    follows_the_contract(found)
    assert said.code == 4 and {one["statefulSet"] for one in found["findings"] if one["severity"] == "refusal"} == {"other"}


@pytest.mark.parametrize(("typed", "code", "reason"), [
    (("status", "nobody"), 1, "NoMigration"), (("status", "web", "--watch", "-A"), 2, "UsageError"), (("submit", "web"), 2, "UsageError"),
    (("submit", "web", "--no-such-option"), 2, "UsageError"), (("logs",), 2, "UsageError"), (("cancel", "vr/nobody"), 1, "NoMigration"),
    (("status", "web", "--context", "elsewhere"), 2, "UsageError")])
@pytest.mark.parametrize("asked", [("-o", "json"), ("-ojson",), ("--output=json",), ("--output", "json")], ids=" ".join)
def test_an_error_is_a_document_and_a_sentence(api: FakeApi, plugin: Plugin, typed: tuple[str, ...], code: int, reason: str,
                                               asked: tuple[str, ...]) -> None:
    said = plugin(*typed, *asked)
    found = document(said)
    follows_the_contract(found)
    assert (said.code, found["exitCode"], found["reason"]) == (code, code, reason)
    assert said.err.startswith(f"error: {found['message']}") and "\n" not in said.out.rstrip("\n")


def test_in_yaml_too(api: FakeApi, plugin: Plugin) -> None:
    found = yaml.safe_load(plugin("status", "nobody", "-o", "yaml").out)
    follows_the_contract(found)


@pytest.mark.parametrize("output", ["text", "name", "wide"])
def test_people_get_the_sentence_alone(api: FakeApi, plugin: Plugin, output: str) -> None:
    said = plugin("status", "nobody", "-o", output)
    assert said.code == 1 and said.out == "" and said.err.startswith("error: ")


# -- lines


def lines(said: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.out.splitlines()]


def test_what_is_watched_is_a_migration_a_line(completed: FakeApi, plugin: Plugin) -> None:
    said = plugin("status", "web", "--watch", *JSON)
    assert said.code == 0 and [one["kind"] for one in lines(said)] == ["VolumeResize"]


def test_what_ends_badly_ends_with_an_error(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Syncing", startTime="2026-01-01T00:00:00Z")
    timed_out = plugin("status", "web", "--watch", "--timeout", "0.01", *JSON)
    end_job(api)
    gave_up = plugin("status", "web", "--watch", *JSON)
    for said, code, reason in ((timed_out, 124, "TimedOut"), (gave_up, 5, "MigrationEnded")):
        *seen, last = lines(said)
        follows_the_contract(last)
        assert said.code == last["exitCode"] == code and last["reason"] == reason and {one["kind"] for one in seen} == {"VolumeResize"}


@pytest.mark.parametrize("typed", [("status", "nobody", "-wo", "json"), ("list", "-Ao", "json", "--nope"), ("status", "nobody", "-o=json"),
                                   ("cleanup", "nobody", "-yo", "json")], ids=" ".join)
def test_however_it_is_asked_for(api: FakeApi, plugin: Plugin, typed: tuple[str, ...]) -> None:
    follows_the_contract(document(plugin(*typed)))


def test_of_kubectl_one_knows_the_sign(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    assert document(plugin("status", "web", f"-n={NAMESPACE}", "-o=json"))["kind"] == "VolumeResize"


@pytest.mark.parametrize("output", ["yaml", "name"])
def test_what_is_watched_is_no_document_of_those(api: FakeApi, plugin: Plugin, output: str) -> None:
    for watching in ("--wait", "--follow"):
        said = plugin(*SUBMIT, watching, "-o", output)
        assert said.code == 2 and "-o text or json" in said.err
    assert api.find(labels.PLURAL, NAMESPACE, "web") is None


def test_above_lines_stands_a_line(api: FakeApi, plugin: Plugin) -> None:
    said = plugin(*SUBMIT, "--wait", "--timeout", "0.01", *JSON)
    first, *_, last = lines(said)
    assert kinds(first) == ["VolumeResize", "Job"] and last["reason"] == "TimedOut"


def test_a_log_that_is_gone_is_a_line_too(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    said = plugin("logs", "web", *JSON)
    assert [one["kind"] for one in lines(said)] == ["VolumeResize"] and "No log is left" in said.err


def test_whoever_reads_no_more_gets_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    said = subprocess.run([sys.executable, "-c", "from kubectl_volresize.plugin.cli import main; main()", "status", "--no-such", "-o", "json"],
                          stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert said.returncode == 1 and "Traceback" not in said.stderr
