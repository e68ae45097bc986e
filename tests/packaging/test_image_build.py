"""hack/build-migrator-image.sh: when it builds, how it names, what it leaves alone. A stand-in takes the place of Docker; that the image works is
shown in the cluster (tests/e2e)."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("job-image", "kubectl_volresize", "templates", "setup.cfg", "pyproject.toml", "LICENSE")
DOCKER = """#!/bin/sh
printf '%s\\n' "$*" >>"$CALLS"
case $1 in
  build) exit "${BUILD_CODE:-0}" ;;
  save) echo archive >"$3" ;;
esac
"""


class Checkout:
    """A copy of what the image is made of, a Docker that only writes down how it was called, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.calls = folder / "calls"
        self._path = folder / "bin"
        self._cache = folder / "cache"
        (self.tree / "hack").mkdir(parents=True)
        shutil.copy(ROOT / "hack" / "build-migrator-image.sh", self.tree / "hack")
        for name in INPUTS:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.tree / name)
        self._path.mkdir()
        (self._path / "docker").write_text(DOCKER)
        (self._path / "docker").chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        host = {name: value for name, value in os.environ.items() if name not in {"BASE", "OUT", "PUSH", "LOAD", "PIP_INDEX_URL"}}
        return subprocess.run(["bash", self.tree / "hack" / "build-migrator-image.sh"], capture_output=True, text=True,
                              env=host | {"PATH": f"{self._path}:{os.environ['PATH']}", "CALLS": str(self.calls),
                                          "VOLRESIZE_CACHE": str(self._cache)} | environment)

    def tag(self, **environment: str) -> str:
        done = self.run(**environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def called(self, verb: str) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if line.split()[0] == verb]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_an_unchanged_tree_builds_nothing(checkout: Checkout) -> None:
    first = checkout.tag()
    assert len(checkout.called("build")) == 1
    assert checkout.tag() == first
    assert not checkout.called("build")


def test_code_of_today_never_runs_under_the_tag_of_yesterday(checkout: Checkout) -> None:
    before = checkout.tag()
    with (checkout.tree / "kubectl_volresize" / "errors.py").open("a") as code:
        code.write("# changed\n")
    assert checkout.tag() != before
    assert len(checkout.called("build")) == 1


def test_a_renamed_template_is_a_change(checkout: Checkout) -> None:
    before = checkout.tag()
    (checkout.tree / "templates" / "job.yaml.j2").rename(checkout.tree / "templates" / "job2.yaml.j2")
    assert checkout.tag() != before


def test_bytecode_and_readme_are_no_change(checkout: Checkout) -> None:
    before = checkout.tag()
    (checkout.tree / "kubectl_volresize" / "__pycache__").mkdir(exist_ok=True)
    (checkout.tree / "kubectl_volresize" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (checkout.tree / "README.md").write_text("changed")
    assert checkout.tag() == before


def test_the_way_back_to_an_older_state_builds_nothing(checkout: Checkout) -> None:
    file = checkout.tree / "kubectl_volresize" / "errors.py"
    old = file.read_text()
    before = checkout.tag()
    file.write_text(old + "# changed\n")
    checkout.tag()
    file.write_text(old)
    assert checkout.tag() == before
    assert not checkout.called("build")


def test_a_failed_build_is_not_taken_for_a_finished_one(checkout: Checkout) -> None:
    assert checkout.run(BUILD_CODE="1").returncode != 0
    assert checkout.run(BUILD_CODE="1").stdout == ""
    checkout.tag()
    assert len(checkout.called("build")) == 1


def test_the_image_bears_the_version_and_the_content(checkout: Checkout) -> None:
    from kubectl_volresize.version import VERSION

    tag = checkout.tag()
    assert tag.startswith("mauricethomas/volmig:dev-") and len(tag.rpartition("-")[2]) == 12
    (build,) = checkout.called("build")
    assert f"--tag docker.io/{tag} --tag docker.io/mauricethomas/volmig:{VERSION}" in build


def test_nothing_is_pushed_unless_asked(checkout: Checkout) -> None:
    tag = checkout.tag()
    assert not checkout.called("push")
    checkout.tag(PUSH="true")
    assert len(checkout.called("push")) == 2 and checkout.called("push")[0] == f"push docker.io/{tag}"


def test_an_archive_for_clusters_without_a_registry(checkout: Checkout, tmp_path: Path) -> None:
    checkout.tag(OUT=str(tmp_path / "image.tar"))
    assert (tmp_path / "image.tar").read_text() == "archive\n"


def test_a_password_in_the_index_address_is_on_no_command_line(checkout: Checkout) -> None:
    checkout.tag(PIP_INDEX_URL="https://user:secret@127.0.0.1/simple")
    (build,) = checkout.called("build")
    assert "volresize-index" in build and "secret@" not in build


def test_the_cluster_gets_the_archive_unless_told_not_to(checkout: Checkout, tmp_path: Path) -> None:
    cluster = checkout.tree / "hack" / "cluster.sh"
    cluster.write_text('#!/bin/sh\ncase $1 in kubeconfig) echo "$CALLS" ;; load) echo "load $2" >>"$CALLS" ;; esac\n')
    cluster.chmod(0o755)
    checkout.tag()
    (loaded,) = checkout.called("load")
    assert Path(loaded.split()[1]).is_file()
    checkout.tag(LOAD="false")
    assert not checkout.called("load")


def _archive(path: Path, layers: list[str]) -> Path:
    (path / "config.json").write_text("{}")
    (path / "layer.tar").write_bytes(b"layer")
    (path / "manifest.json").write_text(json.dumps([{"Config": "config.json", "RepoTags": ["one:1"], "Layers": layers}]))
    with tarfile.open(path / "in.tar", "w") as archive:
        for name in ("layer.tar", "config.json", "manifest.json"):
            archive.add(path / name, name)
    return path / "in.tar"


def _name_archive(source: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "job-image" / "name_archive.py", source, source.with_name("out.tar"), *names],
                          capture_output=True, text=True)


def test_both_names_get_into_a_builders_archive(tmp_path: Path) -> None:
    assert _name_archive(_archive(tmp_path, ["layer.tar"]), "docker.io/a:1", "docker.io/a:2").returncode == 0
    with tarfile.open(tmp_path / "out.tar") as named:
        assert sorted(named.getnames()) == ["config.json", "layer.tar", "manifest.json"]
        member = named.extractfile("manifest.json")
        assert member and json.load(member)[0]["RepoTags"] == ["docker.io/a:1", "docker.io/a:2"]


def test_an_archive_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    done = _name_archive(_archive(tmp_path, ["layer.tar", "gone.tar"]), "docker.io/a:1")
    assert done.returncode == 1 and "gone.tar" in done.stderr
