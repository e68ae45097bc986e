"""What the shell offers on TAB, through kubectl's protocol: a candidate a line, and a last line that tells about file names."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from builders import NAMESPACE, SET, Cluster, add_set, submit
from fake_api import FakeApi

from kubectl_volresize.plugin.completion import candidates


@pytest.mark.parametrize(("words", "offered"), [
    ([], {"install", "plan", "submit", "logs", "status", "list", "cancel", "resume", "rollback", "cleanup", "uninstall", "completion", "version"}),
    (["s"], {"submit", "status"}),
    (["r"], {"resume", "rollback"}),
    (["cleanup", "--re"], {"--release", "--request-timeout"}),
    (["logs", "--t"], {"--timeout"}),
    (["status", "-o", "w"], {"wide"}),
    (["submit", "--dry-run", ""], {"none", "client", "server"})])
def test_verbs_and_options_need_no_cluster(words: list[str], offered: set[str]) -> None:
    lines, directive = candidates(words)
    assert {line.split("\t")[0] for line in lines} == offered and directive == ":4"


def test_file_names_are_the_shells_business() -> None:
    assert candidates(["submit", "-f", ""]) == ([], ":0")


def test_sets_and_migrations_are_offered_where_they_are_meant(api: FakeApi) -> None:
    add_set(api, Cluster(name="db", replicas=1))
    submit(api, {"data": "500Mi"}, name="web-2")
    assert candidates(["submit", ""])[0] == ["db", SET]
    assert candidates(["submit", "sts/d"])[0] == ["sts/db"]
    for verb in ("logs", "cancel", "resume", "rollback", "cleanup"):
        assert candidates([verb, ""])[0] == [SET]
    assert candidates(["status", "vr/"])[0] == ["vr/web-2"]
    assert candidates(["-n", "elsewhere", "status", ""])[0] == []
    assert NAMESPACE in candidates(["status", "-n", ""])[0]


def test_volumes_of_the_set_are_offered_and_classes_behind_their_option(api: FakeApi) -> None:
    add_set(api, Cluster(name="db", replicas=1, volumes={"wal": "1Gi", "data": "1Gi"}))
    assert candidates(["submit", "db", "--volume", ""])[0] == ["data=", "wal="]
    assert candidates(["submit", SET, "--volume", "d"])[0] == ["data="]
    assert candidates(["submit", "db", "--volume", "data=1Mi,storageClass=s"])[0] == ["data=1Mi,storageClass=standard"]


def test_the_program_for_who_has_it_not_from_pip_asks_the_plugin(tmp_path: Path) -> None:
    script = tmp_path / "kubectl_complete-volresize"
    script.write_text(subprocess.run(["kubectl-volresize", "completion"], capture_output=True, text=True, check=True).stdout)
    done = subprocess.run(["sh", script, "submit", "--dry-run", "c"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["client", ":4"]), done.stderr


def test_without_a_cluster_nothing_is_offered_and_nothing_is_said() -> None:
    for words in (["submit", ""], ["logs", ""], ["status", "-n", ""]):
        assert candidates(words) == ([], ":4")


def test_the_program_that_kubectl_runs_answers_in_its_protocol() -> None:
    program = "from kubectl_volresize.plugin.completion import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "ver"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    version, directive = done.stdout.splitlines()
    assert version.startswith("version\t") and directive == ":4"
