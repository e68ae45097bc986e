"""A release, installed by krew itself: what hack/krew.sh compiles from krew's own source, an index of our own, and a machine with nothing on PATH but
what the README asks for. Go and a module proxy are needed the first time; without Go these are left out, and say so."""
from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import krew
import pytest
import yaml
from krew import Machine

from kubectl_volresize.version import VERSION


@pytest.fixture(scope="module")
def built() -> Path:
    return krew.compiled()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return krew.release_in(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def machine(built: Path, tmp_path: Path) -> Machine:
    return krew.machine_in(tmp_path, built)


@pytest.fixture
def address(release: Path) -> Iterator[str]:
    """Where the archive can be downloaded from, in place of its home on the internet."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=release)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/kubectl-volresize.tar.gz"
        server.shutdown()


@pytest.fixture
def published(release: Path, address: str, tmp_path: Path) -> Path:
    """The manifest of the release, with the address of a download that can be reached and everything else as it is."""
    manifest = yaml.safe_load((release / "volresize.yaml").read_text())
    for platform in manifest["spec"]["platforms"]:
        platform["uri"] = address
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "volresize.yaml").write_text(yaml.safe_dump(manifest))
    return tmp_path / "plugins" / "volresize.yaml"


def runs(machine: Machine) -> None:
    """As the user types it, and from where krew put it."""
    listed = machine("kubectl", "plugin", "list", "--name-only").split()
    assert "kubectl-volresize" in listed and shutil.which("kubectl-volresize", path=machine.path) is None
    assert machine("kubectl", "volresize", "version").startswith(f"kubectl-volresize v{VERSION}\n")
    assert "submit" in machine("kubectl", "volresize", "--help")


def test_it_is_installed_from_its_manifest_and_its_archive(machine: Machine, release: Path) -> None:
    # Nothing is downloaded: neither an index nor the archive.
    machine.krew("install", f"--manifest={release}/volresize.yaml", f"--archive={release}/kubectl-volresize.tar.gz")
    store = f"store/volresize/v{VERSION}"
    assert machine.installed() == ["bin/kubectl-volresize", "receipts/volresize.yaml", f"{store}/LICENSE", f"{store}/kubectl-volresize"]
    runs(machine)


def test_it_is_found_in_an_index_installed_and_taken_away_without_a_trace(machine: Machine, published: Path) -> None:
    index = published.parents[1]
    for arguments in (("init", "--quiet"), ("add", "plugins"), ("-c", "user.name=us", "-c", "user.email=us@example.com", "commit", "--quiet", "-mx")):
        machine("git", "-C", index, *arguments)
    machine.krew("update", KREW_DEFAULT_INDEX_URI=f"file://{index}")
    assert "volresize  Make the volumes of a running StatefulSet smaller" in machine.krew("search", "volresize")
    machine.krew("install", "volresize")
    runs(machine)
    machine.krew("uninstall", "volresize")
    assert machine.installed() == []


def test_the_index_would_take_it(machine: Machine, published: Path) -> None:
    """By its own validator, which also installs the plugin for each of its platforms."""
    machine("validate-krew-manifest", "-manifest", published)


def test_the_validator_is_one_that_can_refuse(machine: Machine, published: Path) -> None:
    published.write_text(published.read_text().replace("bin: kubectl-volresize", "bin: volresize"))
    with pytest.raises(AssertionError, match="failed to install"):
        machine("validate-krew-manifest", "-manifest", published)
