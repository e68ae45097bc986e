"""A release, installed by krew itself: what hack/krew.sh compiles from krew's own source, an index of our own, and a machine with nothing on PATH but
what the README asks for. Go and a module proxy are needed the first time; without Go these are left out, and say so."""
from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kubectl_volresize.version import VERSION

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Machine:
    """Of a user: `home` with krew's folder in it, and `path`."""

    home: Path
    path: str

    @property
    def root(self) -> Path:
        return self.home / "krew"

    def __call__(self, *command: str | Path, **environment: str) -> str:
        """What it printed. Raises AssertionError with all that it said when it failed."""
        # krew asks its home on the internet for a newer one otherwise.
        given = {"HOME": str(self.home), "KREW_ROOT": str(self.root), "KREW_NO_UPGRADE_CHECK": "1", "PATH": f"{self.root}/bin{os.pathsep}{self.path}"}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL, env=given | environment)
        assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def krew(self, *arguments: str | Path, **environment: str) -> str:
        return self("kubectl", "krew", *arguments, **environment)

    def installed(self) -> list[str]:
        """What is in krew's folder beside its index."""
        return sorted(str(file.relative_to(self.root)) for file in self.root.rglob("*")
                      if not file.is_dir() and file.relative_to(self.root).parts[0] != "index")


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder with krew in it."""
    done = subprocess.run([ROOT / "hack" / "krew.sh"], capture_output=True, text=True)
    if done.returncode != 0:
        # No Go is no fault of the checkout: nothing else of `make test-unit` needs it. A build that fails is one.
        (pytest.fail if shutil.which("go") else pytest.skip)(done.stderr.strip())
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "hack" / "generate-release.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def machine(built: Path, tmp_path: Path) -> Machine:
    """With kubectl, git, krew and a Python that has only its standard library."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    for program in ("kubectl", "git"):
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"krew needs {program}, which is not there")
        (programs / program).symlink_to(found)
    (tmp_path / "home").mkdir()
    return Machine(tmp_path / "home", f"{programs}{os.pathsep}{built}")


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
