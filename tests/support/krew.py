"""A user's machine with nothing on it but what the README asks for, and krew, compiled from its own source by hack/krew.sh."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Machine:
    """Of a user: `home` with krew's folder in it, `path`, and what else is in his environment."""

    home: Path
    path: str
    more: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.home / "krew"

    @property
    def environment(self) -> dict[str, str]:
        # krew asks its home on the internet for a newer one otherwise.
        return {"HOME": str(self.home), "KREW_ROOT": str(self.root), "KREW_NO_UPGRADE_CHECK": "1", "LC_ALL": "C.UTF-8",
                "PATH": f"{self.root}/bin{os.pathsep}{self.path}", **self.more}

    def __call__(self, *command: str | Path, **environment: str) -> str:
        """What it printed. Raises AssertionError with all that it said when it failed."""
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL, env=self.environment | environment)
        assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def krew(self, *arguments: str | Path, **environment: str) -> str:
        return self("kubectl", "krew", *arguments, **environment)

    def installed(self) -> list[str]:
        """What is in krew's folder beside its index."""
        return sorted(str(file.relative_to(self.root)) for file in self.root.rglob("*")
                      if not file.is_dir() and file.relative_to(self.root).parts[0] != "index")


def compiled() -> Path:
    """The folder with krew and its validator."""
    done = subprocess.run([ROOT / "hack" / "krew.sh"], capture_output=True, text=True)
    if done.returncode != 0:
        # No Go is no fault of the checkout: nothing else of `make test-unit` needs it. A build that fails is one.
        (pytest.fail if shutil.which("go") else pytest.skip)(done.stderr.strip())
    return Path(done.stdout.splitlines()[-1])


def release_in(folder: Path) -> Path:
    """What a release consists of, made into `folder`."""
    subprocess.run([ROOT / "hack" / "generate-release.sh", folder], check=True, capture_output=True)
    return folder


def machine_in(folder: Path, krew: Path, **more: str) -> Machine:
    """With kubectl, git, krew and a Python that has only its standard library."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    for program in ("kubectl", "git"):
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"krew needs {program}, which is not there")
        (programs / program).symlink_to(found)
    (folder / "home").mkdir()
    return Machine(folder / "home", f"{programs}{os.pathsep}{krew}", more)
