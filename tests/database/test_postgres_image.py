"""hack/build-postgres-image.sh: when it builds and what it leaves alone. A stand-in takes the place of Docker; test_database.py uses the image."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("build-postgres-image.sh", "postgres-image/Dockerfile", "localcluster/oci_archive.py")
DOCKER = """#!/bin/sh
printf '%s\\n' "$*" >>"$CALLS"
case $1 in
  build) exit "${BUILD_CODE:-0}" ;;
  save) echo archive >"$3" ;;
esac
"""


class Checkout:
    """What the image is made of, a Docker that only writes down how it was called, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.hack, self._folder = folder / "hack", folder
        for name in INPUTS:
            (self.hack / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "hack" / name, self.hack / name)
        docker = folder / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text(DOCKER)
        docker.chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.hack / INPUTS[0]], capture_output=True, text=True,
                              env=os.environ | {"PATH": f"{self._folder}/bin:{os.environ['PATH']}", "CALLS": str(self._folder / "calls"),
                                                "VOLRESIZE_CACHE": str(self._folder / "cache"), "LOAD": "false"} | environment)

    def tag(self) -> str:
        done = self.run()
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def builds(self) -> int:
        return sum(line.startswith("build ") for line in (self._folder / "calls").read_text().splitlines())


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_second_time_nothing_is_built(checkout: Checkout) -> None:
    assert checkout.tag() == checkout.tag()
    assert checkout.builds() == 1


def test_another_recipe_makes_another_image(checkout: Checkout) -> None:
    before = checkout.tag()
    with (checkout.hack / "postgres-image" / "Dockerfile").open("a") as recipe:
        recipe.write("LABEL changed=true\n")
    assert checkout.tag() != before
    assert checkout.builds() == 2


def test_a_build_that_failed_is_not_taken_for_one_that_ended(checkout: Checkout) -> None:
    failed = checkout.run(BUILD_CODE="1")
    assert failed.returncode != 0 and failed.stdout == ""
    checkout.tag()
    assert checkout.builds() == 2
