"""What people really type wrong: one sentence on stderr that names it and says how to write it, before any cluster is asked; test_submit_typed.py
has the rest."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from calling import Plugin, write_kubeconfig
from fake_api import FakeApi
from fake_api.api import SERVER
from submitting import MANIFEST

VOLUME = ("--volume", "data=500Mi")


@pytest.fixture(autouse=True)
def _nothing_is_asked(api: FakeApi) -> None:
    """A cluster is there: only its silence shows that the mistake was seen before."""
    api.before_call.append(lambda number, verb, path: pytest.fail(f"{verb} {path} although the input is wrong"))


def refused(plugin: Plugin, *arguments: str, stdin: str = "") -> str:
    answer = plugin("submit", *arguments, stdin=stdin)
    assert (answer.code, answer.out) == (2, ""), answer
    first, *rest = answer.err.splitlines()
    assert first.startswith("error: ") and len(first) < 400
    assert rest in ([], ["see 'kubectl volresize submit --help'"])
    return first


@pytest.mark.parametrize("size", ["500M i", "500MB", "1Gi\n", "1e9999", "abc"])
def test_a_size_that_is_none_is_answered_with_one_that_is(plugin: Plugin, size: str) -> None:
    answer = plugin("submit", "web", "--volume", f"data={size}")
    assert answer.code == 2 and "is not a Kubernetes quantity" in answer.err and "500Mi" in answer.err


@pytest.mark.parametrize(("arguments", "said"), [
    (("Web", *VOLUME), "'Web' is no name of a StatefulSet: lower-case letters"),
    (("we b", *VOLUME), "'we b' is no name of a StatefulSet"),
    (("sts/../x", *VOLUME), "'sts/../x' names nothing"),
    (("s" * 254, *VOLUME), "is no name of a StatefulSet"),
    (("web", "--volume", "Data=500Mi"), "'Data' is no name of a volumeClaimTemplate: lower-case letters"),
    (("web", "--volume", "a/b=500Mi"), "'a/b' is no name of a volumeClaimTemplate"),
    (("web", "--volume", "v" * 64 + "=500Mi"), "at most 63 characters"),
    (("web", "--volume", "data=-1Gi"), "--volume 'data=-1Gi': the size must be more than 0"),
    (("web", "--volume", f"data={'0' * 40}1Gi"), "a size has at most 40 characters"),
    (("web", "--volume", "data=500Mi,storageclass=slow"), "'storageclass=slow' is not storageClass=CLASS"),
    (("web", "--volume", "data=500Mi,storageClass=Fast SSD"), "'Fast SSD' is no name of a StorageClass"),
    (("web", "--volume", "data=500Mi,storageClass=a,storageClass=b"), "names a storageClass twice"),
    (("web", *VOLUME, "--bandwidth", "1" * 41), "it has at most 40 characters"),
    (("web", *VOLUME, "-n", "Prod"), "-n 'Prod' is no name of a namespace"),
    (("web", *VOLUME, "-n", "prod/pods"), "-n 'prod/pods' is no name of a namespace"),
    (("web", *VOLUME, "--bandwith", "5M"), "No such option '--bandwith'. (Did you mean one of: '--bandwidth'"),
    (("web", *VOLUME, "--frobnicate"), "No such option '--frobnicate'"),
    (("web", *VOLUME, "-o", "nonsense"), "'nonsense' is not one of 'text', 'json', 'yaml', 'name'"),
    (("-f", ""), "-f names no file"),
])
def test_what_nothing_can_be_called_is_seen_before_a_cluster_is_asked(plugin: Plugin, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(plugin, *arguments)


@pytest.mark.parametrize(("text", "said"), [
    ("\x00", "special characters are not allowed"),
    ("[" * 5000, "cannot be read as YAML"),
    ("a: 2021-99-99", "cannot be read as YAML"),
    (MANIFEST.replace("500Mi", "9" * 5000), "cannot be read as YAML"),
    (MANIFEST + "spec: {}\n", "line 7, column 1: spec stands twice"),
    (MANIFEST.replace("name: shrink", "nmae: shrink"), "metadata.nmae is no field of VolumeResize; did you mean name?"),
    (MANIFEST.replace("name: shrink", "name: 5"), "metadata.name must be a string, not 5"),
    (MANIFEST.replace("{team: storage}", "[team]"), "metadata.labels must be a mapping"),
    (MANIFEST.replace("storage}", "7}"), "metadata.labels: 'team': 7 must be a string for a string; put it in quotes"),
    (MANIFEST.replace("500Mi", "2.5"), "spec.volumes[0].newSize must be a whole number of bytes"),
    (MANIFEST.replace("500Mi", "' 1Gi'"), "spec.volumes[0].newSize cannot be ' 1Gi'"),
    (MANIFEST.replace("name: data", "name: Data"), "spec.volumes[0].name cannot be 'Data'. Name of a volumeClaimTemplate"),
    (MANIFEST.replace("Name: web", "Name: sts/web"), "spec.statefulSetName cannot be 'sts/web'"),
    (MANIFEST + "  headRoomPercent: 1001\n", "spec.headRoomPercent is 1001; it must be from 0 to 1000"),
    (MANIFEST + "  copy: {bandwidth: '0'}\n", "spec.copy.bandwidth is 0: it must be more than 0"),
    (MANIFEST + "  acknowledge: [not-smaller]\n", "spec.acknowledge: not-smaller: no finding of this code can be acknowledged; those that can: "),
    (MANIFEST + "  mover: {resources: {limits: {cpu: much}}}\n", "spec.mover.resources.limits.cpu: 'much' is not a Kubernetes quantity"),
    (MANIFEST + "  mover: {resources: {claims: 2021-01-01}}\n", "spec cannot be sent as JSON"),
    (MANIFEST + "  mover: {resources: &a {claims: *a}}\n", "spec cannot be sent as JSON"),
])
def test_a_file_that_is_wrong_is_answered_with_its_field(plugin: Plugin, text: str, said: str) -> None:
    answer = refused(plugin, "-f", "-", stdin=text)
    assert answer.startswith("error: stdin: ") and said in answer


def test_a_file_that_is_no_text_or_no_file_is_named(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x00\xff\xfe\x80")
    assert f"{tmp_path}/binary: is not text in UTF-8" in refused(plugin, "-f", str(tmp_path / "binary"))
    assert f"'{tmp_path}' is a directory" in refused(plugin, "-f", str(tmp_path))


def test_a_kubeconfig_that_is_not_there_is_named(plugin: Plugin, tmp_path: Path) -> None:
    answer = plugin("submit", "web", *VOLUME, "--kubeconfig", str(tmp_path / "absent"))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (f"error: no cluster to talk to: kubeconfig {tmp_path}/absent does not exist\n"
                          "set KUBECONFIG, or name one with --kubeconfig and --context\n")


def test_a_context_that_is_not_there_is_a_usage_error_of_submit_too(plugin: Plugin, tmp_path: Path) -> None:
    file = write_kubeconfig(tmp_path / "other", SERVER)
    assert refused(plugin, "web", *VOLUME, "--kubeconfig", str(file), "--context", "prod").endswith("it has: here")


def test_spaces_around_a_size_are_taken_away(plugin: Plugin, api: FakeApi) -> None:
    api.before_call.clear()
    answer = plugin("submit", "web", "--volume", "data= 500Mi ", "--dry-run=client", "-o", "json")
    assert answer.code == 0 and re.search(r'"newSize": "500Mi"', answer.out)
