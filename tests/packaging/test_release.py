"""hack/generate-release.sh: what it writes is a release. It fetches the dependencies once, as hack/venv.sh does; afterwards it needs no network."""
from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "kubectl-volresize.tar.gz"


def _generate(folder: Path, **environment: str) -> Path:
    done = subprocess.run([ROOT / "hack" / "generate-release.sh", folder], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _generate(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def program(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kubectl-volresize, unpacked as krew does it."""
    folder = tmp_path_factory.mktemp("krew")
    with tarfile.open(release / ARCHIVE) as archive:
        archive.extractall(folder)
    return folder / "kubectl-volresize"


@pytest.fixture(scope="module")
def krew(release: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((release / "volresize.yaml").read_text())
    return loaded


def _run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """By a Python that has nothing but its standard library: no site-packages, no settings of the caller's."""
    return subprocess.run([sys.executable, "-I", "-S", program, *arguments], capture_output=True, text=True, cwd=program.parent)


def test_the_same_checkout_gives_the_same_bytes(release: Path, tmp_path: Path) -> None:
    # Also under another umask and at another time: the checksum stands in another file.
    again = _generate(tmp_path / "again", PIP_NO_INDEX="1")
    assert sorted(file.name for file in again.iterdir()) == ["install.yaml", ARCHIVE, "volresize.yaml"]
    for file in again.iterdir():
        assert file.read_bytes() == (release / file.name).read_bytes(), file.name


def test_the_program_runs_on_a_plain_python(program: Path) -> None:
    shown = _run(program, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "submit" in shown.stdout


def test_the_program_says_the_version_of_the_checkout(program: Path) -> None:
    from kubectl_volresize.version import VERSION

    assert _run(program, "version").stdout.startswith(f"kubectl-volresize v{VERSION}\n")


def test_the_program_brings_all_that_it_needs_to_speak_with_a_cluster(program: Path, tmp_path: Path) -> None:
    # Refused by a port that nobody listens on: kubeconfig, client and its dependencies were all imported by then.
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
              "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}], "users": [{"name": "u", "user": {"token": "t"}}]}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    asked = _run(program, "status", "--kubeconfig", str(tmp_path / "config"))
    assert asked.returncode == 1
    assert asked.stderr.startswith("error: the API server at https://127.0.0.1:1 cannot be reached"), asked.stderr


def test_kubectl_can_start_the_program(program: Path) -> None:
    assert os.access(program, os.X_OK)
    assert program.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_one_archive_serves_every_machine(program: Path) -> None:
    compiled = [name for name in zipfile.ZipFile(program).namelist() if name.endswith((".so", ".pyd", ".dylib", ".pyc"))]
    assert not compiled


def test_no_path_of_the_machine_that_made_it_is_inside(program: Path) -> None:
    homes = {str(ROOT).encode(), sys.prefix.encode()}
    with zipfile.ZipFile(program) as archive:
        telling = [name for name in archive.namelist() if any(home in archive.read(name) for home in homes)]
    assert not telling


def test_the_licence_lies_beside_the_program(release: Path) -> None:
    with tarfile.open(release / ARCHIVE) as archive:
        assert sorted(archive.getnames()) == ["LICENSE", "kubectl-volresize"]
        licence = archive.extractfile("LICENSE")
        assert isinstance(licence, io.BufferedReader) and licence.read() == (ROOT / "LICENSE").read_bytes()


def test_krew_can_verify_the_archive(release: Path, krew: dict[str, Any]) -> None:
    from kubectl_volresize.version import VERSION

    checksum = hashlib.sha256((release / ARCHIVE).read_bytes()).hexdigest()
    assert krew["spec"]["version"] == f"v{VERSION}"
    assert krew["spec"]["platforms"]
    for platform in krew["spec"]["platforms"]:
        assert platform["sha256"] == checksum
        assert platform["uri"].endswith(f"/v{VERSION}/{ARCHIVE}")


def test_only_what_a_release_changes_differs_from_the_manifest_in_the_checkout(krew: dict[str, Any]) -> None:
    kept = yaml.safe_load((ROOT / "krew-manifest.yaml").read_text())
    for manifest in (krew, kept):
        manifest["spec"].pop("version")
        for platform in manifest["spec"]["platforms"]:
            platform["uri"] = re.sub(r"/v[^/]+/", "/VERSION/", platform["uri"])
            platform.pop("sha256")
    assert krew == kept


def test_the_manifests_are_those_of_install(release: Path) -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all((release / "install.yaml").read_text())}
    assert names == {("CustomResourceDefinition", "volumeresizes.storage.maurice.fr"), ("ClusterRole", "volresize-runner"),
                     ("ClusterRole", "volresize-runner-volumes"), ("ClusterRole", "volresize-user"),
                     *((kind, f"volresize-runner-{what}") for what in ("volumes", "account")
                       for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"))}


@pytest.mark.cluster
def test_a_real_server_takes_the_manifests(release: Path) -> None:
    done = subprocess.run(["kubectl", "apply", "-f", release / "install.yaml", "--dry-run=server"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == 8
