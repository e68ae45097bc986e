"""What all verbs have in common: help, options, errors in one form, and no traceback for whatever is wrong outside."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import requests
import responses
from builders import NAMESPACE
from calling import Plugin, write_kubeconfig
from fake_api import FakeApi, Refusal
from fake_api.api import SERVER

from kubectl_volresize.plugin.cli import VERBS, cli
from kubectl_volresize.plugin.options import Duration, Where
from kubectl_volresize.version import VERSION

PROGRAM = "import sys; from kubectl_volresize.plugin.cli import run; code = run(sys.argv[1:]); "


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_does_not_pay_for_what_only_a_cluster_needs(verb: str) -> None:
    heavy = ("kubernetes", "requests", "urllib3", "jinja2", "yaml", "rich")
    program = PROGRAM + f"print([name for name in {heavy!r} if name in sys.modules]); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", program, *filter(None, [verb]), "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usage, *_, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert usage.startswith(f"Usage: kubectl volresize {verb}".rstrip())


def test_without_a_verb_the_help_is_shown_and_nothing_is_wrong(plugin: Plugin) -> None:
    answer = plugin()
    assert (answer.code, answer.err) == (0, "") and answer.out.startswith("Usage: kubectl volresize")


def test_an_unknown_verb_is_a_usage_error(plugin: Plugin) -> None:
    answer = plugin("subimt")
    assert (answer.code, answer.out) == (2, "")
    assert "No such command 'subimt'" in answer.err and "see 'kubectl volresize --help'" in answer.err


def test_cluster_options_are_taken_before_and_after_the_verb_and_the_later_one_wins(api: FakeApi, plugin: Plugin) -> None:
    for arguments in (("-n", "elsewhere", "status"), ("status", "-n", "elsewhere"), ("-n", NAMESPACE, "status", "-n", "elsewhere")):
        assert plugin(*arguments).err == "No migrations found in namespace elsewhere.\n"


def test_the_namespace_of_the_context_is_the_default(api: FakeApi, plugin: Plugin) -> None:
    assert plugin("status").err == f"No migrations found in namespace {NAMESPACE}.\n"


def test_a_kubeconfig_that_is_named_wins_over_the_environment(api: FakeApi, plugin: Plugin, tmp_path: Path) -> None:
    other = write_kubeconfig(tmp_path / "other", SERVER, namespace="shop")
    answer = plugin("--kubeconfig", str(other), "status")
    assert answer.err == "No migrations found in namespace shop.\n"


def test_commands_that_we_advise_go_to_the_same_cluster() -> None:
    where = Where(context="prod east", kubeconfig="/tmp/k")
    assert where.command("logs", "web", namespace="shop") == "kubectl volresize logs web -n shop --context 'prod east' --kubeconfig /tmp/k"


# -- errors are sentences


@pytest.mark.parametrize("content", [None, "{a: [", "words", "[]", "apiVersion: v1\nkind: Config\n", "contexts: 7\ncurrent-context: x\n"])
def test_a_kubeconfig_that_is_none_gives_a_sentence_and_a_way_out(plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                  content: str | None) -> None:
    file = tmp_path / "broken"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    answer = plugin("status")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error: no cluster to talk to: ") and "--kubeconfig" in answer.err


def test_a_context_that_is_not_there_is_answered_with_those_that_are(plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", SERVER)))
    answer = plugin("status", "--context", "prod")
    assert (answer.code, answer.err) == (2, "error: context 'prod' does not exist in the kubeconfig; it has: here\n")


def test_a_server_that_does_not_answer_is_named_without_the_chain_of_classes(plugin: Plugin, tmp_path: Path,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 1 of this machine: nothing listens there.
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")))
    answer = plugin("status")
    assert answer.code == 1
    assert answer.err.startswith("error: the API server at http://127.0.0.1:1 cannot be reached: ")
    assert "Connection refused" in answer.err and "HTTPConnection" not in answer.err


@pytest.mark.parametrize(("refusal", "said"), [
    (Refusal(401, "Unauthorized", "Unauthorized"), "error: the API server does not accept your credentials\nlog in again"),
    (Refusal(403, "Forbidden", "you cannot list volumeresizes"), "error: you cannot list volumeresizes\nask an admin for the role `edit`"),
    (Refusal(404, "NotFound", "the server could not find the requested resource"), "error: kind VolumeResize is not installed in this cluster"),
    (Refusal(409, "Conflict", "the object has been modified"), "error: the object has been modified\n"),
    (Refusal(500, "InternalError", "etcd is on fire"), "error: etcd is on fire\n")])
def test_what_the_server_says_is_said_in_its_words(api: FakeApi, plugin: Plugin, refusal: Refusal, said: str) -> None:
    api.before_call.append(lambda number, verb, path: refusal)
    answer = plugin("status")
    assert (answer.code, answer.out) == (1, "") and answer.err.startswith(said)


def test_a_proxy_in_between_does_not_end_in_a_traceback(plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", SERVER)))
    with responses.RequestsMock() as mock:
        mock.get(f"{SERVER}/apis/storage.maurice.fr/v1alpha1/namespaces/{NAMESPACE}/volumeresizes", body="<html>Please log in</html>")
        answer = plugin("status")
    assert answer.code == 1 and "an answer that is not JSON" in answer.err and "<html>" not in answer.err


def test_the_token_is_never_printed(plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", SERVER)))
    with responses.RequestsMock() as mock:
        mock.get(f"{SERVER}/apis/storage.maurice.fr/v1alpha1/namespaces/{NAMESPACE}/volumeresizes", body=requests.ConnectionError("reset"))
        answer = plugin("status")
    assert answer.code == 1 and "secret-token" not in answer.out + answer.err


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    # A pipe whose reading end is closed before anything is written, as `| head -0` leaves it.
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as out:
        done = subprocess.run([sys.executable, "-c", PROGRAM + "sys.exit(code)", "install", "-n", "x", "--dry-run=client", "-o", "yaml"], stdout=out,
                              stderr=subprocess.PIPE, text=True)
    assert done.stderr == "" and done.returncode == 1


def test_version_names_the_image_and_where_it_comes_from(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugin("version").out == f"kubectl-volresize v{VERSION}\nimage mauricethomas/volmig:{VERSION} (default)\n"
    monkeypatch.setenv("VOLRESIZE_IMAGE", "registry.example/volmig:7")
    assert '"image": "registry.example/volmig:7"' in plugin("version", "-o", "json").out


@pytest.mark.parametrize(("typed", "seconds"), [("5s", 5.0), ("1m30s", 90.0), ("7", 7.0), ("0", 0.0), ("500ms", 0.5)])
def test_a_duration_is_taken_as_kubectl_takes_it(typed: str, seconds: float) -> None:
    assert Duration().convert(typed, None, None) == seconds


@pytest.mark.parametrize("typed", ["", "s", "5 s", "-3s", "5d", "1m30"])
def test_what_is_no_duration_is_said(plugin: Plugin, typed: str) -> None:
    answer = plugin("list", "--request-timeout", typed)
    assert answer.code == 2 and "is no duration; write it like 30s or 1m" in answer.err


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_says_what_each_says_of_itself(verb: str) -> None:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None and command.short_help == VERBS[verb]


@pytest.mark.parametrize("typed", [["--help"], ["version"], ["completion", "words", "--", "sub"]])
def test_what_needs_no_verb_but_its_own_imports_none_of_the_plans(typed: list[str]) -> None:
    """Half of their time otherwise."""
    program = PROGRAM + "print([name for name in sys.modules if name.startswith('kubectl_volresize.plan')])"
    done = subprocess.run([sys.executable, "-c", program, *typed], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]", done.stderr
