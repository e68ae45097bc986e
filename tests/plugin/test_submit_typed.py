"""What may be wrong with what was typed, or with a manifest: exit code 2, and no question to any cluster."""
from __future__ import annotations

import pytest
from calling import Plugin, written
from fake_api import FakeApi
from submitting import MANIFEST, end_job, job, migration


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "name the StatefulSet"),
    (["web"], "--volume NAME=SIZE"),
    (["web", "--volume", "data"], "--volume 'data' is not NAME=SIZE[,storageClass=CLASS]"),
    (["web", "--volume", "=1Gi"], "is not NAME=SIZE"),
    (["web", "--volume", "data=small"], "--volume data=small: 'small' is not a Kubernetes quantity"),
    (["web", "--volume", "data=0"], "the size must be more than 0"),
    (["web", "--volume", "data=1Gi,class=x"], "'class=x' is not storageClass=CLASS"),
    (["web", "--volume", "data=1Gi", "--volume", "data=2Gi"], "--volume names data twice"),
    (["web", "--volume", "data=1Gi", "--bandwidth", "fast"], "--bandwidth fast: 'fast' is not a Kubernetes quantity"),
    (["web", "--volume", "data=1Gi", "--bandwidth", "0"], "must be more than 0 bytes per second"),
    (["web", "--volume", "data=1Gi", "--name", "Not A Name"], "--name 'Not A Name' is no name for it"),
    (["web", "--volume", "data=1Gi", "--name", "n" * 64], "at most 63 characters"),
    (["web", "--volume", "data=1Gi", "--head-room", "-1"], "--head-room"),
    (["web", "--volume", "data=1Gi", "--run-as-user", "0"], "--run-as-user"),
    (["-f", "x.yaml", "--run-as-user", "5"], "--run-as-user and -f do not go together"),
    (["web", "--volume", "data=1Gi", "--dry-run=client", "--follow"], "--follow has nothing to follow"),
    (["vr/web", "--volume", "data=1Gi"], "submit takes a StatefulSet"),
    (["deployment/web", "--volume", "data=1Gi"], "migrations belong to StatefulSets"),
    (["web", "-f", "x.yaml"], "SET and -f do not go together"),
    (["-f", "x.yaml", "--volume", "data=1Gi", "--head-room", "0"], "--volume, --head-room and -f do not go together"),
    (["-f", "absent.yaml"], "absent.yaml: cannot be read: No such file or directory"),
])
def test_what_was_typed_wrong_is_named(plugin: Plugin, arguments: list[str], said: str) -> None:
    answer = plugin("submit", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ") and said in answer.err


# -- manifests


def test_a_manifest_is_submitted_as_it_is(api: FakeApi, plugin: Plugin) -> None:
    assert plugin("submit", "-f", "-", stdin=MANIFEST).code == 0
    assert migration(api, "shrink")["metadata"]["labels"]["team"] == "storage"
    assert job(api, "shrink-runner")


def test_what_the_server_printed_can_be_submitted(api: FakeApi, plugin: Plugin) -> None:
    plugin("submit", "-f", "-", stdin=MANIFEST)
    printed = plugin("status", "vr/shrink", "-o", "json").out
    end_job(api, "shrink-runner")
    api.calls.clear()
    assert plugin("submit", "-f", "-", stdin=printed).code == 0
    assert written(api) == ["create jobs"]


@pytest.mark.parametrize(("text", "said"), [
    ("{a: [", "is neither YAML nor JSON: line 1, column 6"),
    ("", "holds 0 objects"),
    (MANIFEST + "---\n" + MANIFEST, "holds 2 objects; submit takes exactly one VolumeResize"),
    ("just words", "is not an object"),
    ("kind: Deployment\napiVersion: apps/v1\n", "is apps/v1 Deployment; submit takes storage.maurice.fr/v1alpha1 VolumeResize"),
    (MANIFEST.split("spec:")[0], "spec is missing"),
    (MANIFEST.replace("statefulSetName", "statefulsetName"), "spec.statefulsetName is no field of VolumeResize; did you mean statefulSetName?"),
    (MANIFEST.replace("newSize", "size"), "spec.volumes[0].size is no field of VolumeResize"),
    (MANIFEST.replace("500Mi", "500MB"), "spec.volumes[0].newSize: '500MB' is not a Kubernetes quantity"),
    (MANIFEST.replace("500Mi", "0Mi"), "spec.volumes[0].newSize is 0Mi: it must be more than 0"),
    (MANIFEST.replace("500Mi", "true"), "spec.volumes[0].newSize: True is not a Kubernetes quantity"),
    (MANIFEST + "  headRoomPercent: much\n", "spec.headRoomPercent must be a whole number, not 'much'"),
    (MANIFEST + "  copy: {bandwith: 5M}\n", "spec.copy.bandwith is no field of VolumeResize; did you mean bandwidth?"),
    (MANIFEST.replace("name: shrink,", "generateName: shrink-,"), "metadata.generateName is not supported"),
    (MANIFEST.replace("name: shrink,", "name: Shrink It,"), "metadata.name 'Shrink It' is no name for it"),
    (MANIFEST.replace("[{name: data, newSize: 500Mi}]", "[]"), "spec.volumes is empty"),
])
def test_what_is_wrong_with_a_manifest_is_named_with_file_and_field(plugin: Plugin, text: str, said: str) -> None:
    answer = plugin("submit", "-f", "-", stdin=text)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: stdin: ") and said in answer.err


def test_two_wrong_fields_are_said_at_once(plugin: Plugin) -> None:
    said = plugin("submit", "-f", "-", stdin=MANIFEST.replace("newSize", "size").replace("statefulSetName", "set")).err
    assert "spec.volumes[0].size" in said and "spec.set" in said


def test_a_manifest_of_another_namespace_than_asked_for_is_an_error_as_in_kubectl(plugin: Plugin) -> None:
    answer = plugin("submit", "-n", "shop", "-f", "-", stdin=MANIFEST.replace("name: shrink,", "name: shrink, namespace: prod,"))
    assert answer.code == 2 and "metadata.namespace 'prod' does not match -n shop" in answer.err
