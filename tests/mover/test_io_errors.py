"""Devices that fail: a read error names its file, an error of writing is a failure even when only syncfs tells of it. The error is the kernel's: a
loop device whose end is cut off answers EIO to whoever reads or writes there."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator

import checker
import pytest
from mover_process import Mover

pytestmark = pytest.mark.root
Copy = Callable[..., Mover]
MIB = 1 << 20
BY_WORKER, BY_RCLONE = 3 * MIB, 12 * MIB


class Device:
    """A loop device with an ext4 whose metadata and journal lie at its beginning."""

    def __init__(self, folder: Path, name: str, mib: int) -> None:
        self.image, self.top = folder / f"{name}.image", folder / name
        self.top.mkdir()
        with self.image.open("wb") as file:
            file.truncate(mib * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m0", "-b4096", "-J", "size=4", "-E", "packed_meta_blocks=1,lazy_itable_init=0", str(self.image)],
                       check=True, capture_output=True)
        self.name = subprocess.run(["losetup", "--find", "--show", str(self.image)], check=True, capture_output=True, text=True).stdout.strip()
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", self.name, str(self.top)], check=True)

    def forget(self) -> None:
        """What is in memory, so that the next reading is of the device."""
        subprocess.run(["umount", str(self.top)], check=True)
        self.mount()

    def ends(self, at: int) -> None:
        """From now on the device has only so many bytes."""
        os.truncate(self.image, at)
        subprocess.run(["losetup", "--set-capacity", self.name], check=True)

    def last_extent(self, path: Path) -> int:
        """Where on the device the last part of a file begins, in bytes."""
        lines = subprocess.run(["filefrag", "-v", "-b4096", str(path)], check=True, capture_output=True, text=True).stdout.splitlines()
        return max(int(line.split(":")[2].split("..")[0]) for line in lines if line.split(":")[0].strip().isdecimal()) * 4096

    def lose(self, path: Path) -> None:
        """The end of this file, and nothing of any other."""
        subprocess.run(["sync", "--file-system", str(self.top)], check=True)
        others = [self.last_extent(other) for other in self.top.rglob("*") if other.is_file() and other != path]
        assert self.last_extent(path) > max(others)
        end = self.last_extent(path)
        self.forget()
        self.ends(end)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.top)], check=True)
        subprocess.run(["losetup", "--detach", self.name], check=True)


@pytest.fixture
def make_device(tmp_path: Path) -> Iterator[Callable[..., Device]]:
    """make_device("name", mib) -> a Device that can fail."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount file systems")
    made: list[Device] = []

    def make(name: str, mib: int) -> Device:
        made.append(Device(tmp_path, name, mib))
        return made[-1]

    yield make
    checker.close()
    for device in made:
        device.close()


@pytest.fixture
def broken_source(make_device: Callable[..., Device]) -> Callable[[int], Device]:
    """broken_source(size) -> a volume with some files, the end of one of which cannot be read."""

    def make(size: int) -> Device:
        device = make_device("source", 64)
        for number in range(20):
            (device.top / f"good{number}").write_bytes(os.urandom(100_000))
        subprocess.run(["sync", "--file-system", str(device.top)], check=True)
        (device.top / "folder").mkdir()
        (device.top / "folder" / "victim").write_bytes(os.urandom(size))
        device.lose(device.top / "folder" / "victim")
        with pytest.raises(OSError, match="Input/output error"):
            (device.top / "folder" / "victim").read_bytes()
        return device

    return make


@pytest.mark.parametrize("options", [[], ["--pass", "warm"], ["--passes", "1"]], ids=["full", "warm", "several"])
def test_a_file_that_cannot_be_read_is_named(options: list[str], broken_source: Callable[[int], Device], make_volume: Callable[..., Path],
                                             copy: Copy) -> None:
    run = copy(broken_source(BY_WORKER).top, make_volume("dest"), *options)
    assert run.process.returncode == 24, run.last
    assert (run.last["event"], run.last["code"]) == ("failed", 24)
    assert "folder/victim: Input/output error" in run.last["message"]


def test_a_file_that_rclone_cannot_read_is_named_with_rclones_exit_code(broken_source: Callable[[int], Device], make_volume: Callable[..., Path],
                                                                        copy: Copy) -> None:
    run = copy(broken_source(BY_RCLONE).top, make_volume("dest"))
    assert run.process.returncode == run.last["rclone_exit"] == 1
    assert "folder/victim" in run.last["message"] and "input/output error" in run.last["message"]


def test_in_warm_passes_a_file_that_rclone_cannot_read_ends_as_a_read_error(broken_source: Callable[[int], Device], make_volume: Callable[..., Path],
                                                                            copy: Copy) -> None:
    run = copy(broken_source(BY_RCLONE).top, make_volume("dest"), "--passes", "1")
    assert run.process.returncode == 24, run.last
    assert "folder/victim: Input/output error" in run.last["message"]


def test_a_copy_that_cannot_be_read_back_is_no_copy(make_device: Callable[..., Device], make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_device("dest", 64)
    for number in range(20):
        (source / f"{number:02}").write_bytes(os.urandom(100_000))
    assert copy(source, dest.top).process.returncode == 0
    last = max((path for path in dest.top.rglob("*") if path.is_file()), key=dest.last_extent)
    dest.lose(last)
    run = copy("--check", source, dest.top)
    assert run.process.returncode == 24, run.last
    assert f"cannot verify {last.name}: Input/output error" in run.last["message"]


@pytest.mark.parametrize("options", [[], ["--pass", "warm"], ["--verify", "metadata"]], ids=["full", "warm", "metadata"])
@pytest.mark.parametrize("size", [BY_WORKER, BY_RCLONE], ids=["by a worker", "by rclone"])
def test_an_error_of_writing_that_only_syncfs_tells_of_is_a_failure(size: int, options: list[str], make_device: Callable[..., Device],
                                                                    make_volume: Callable[..., Path], copy: Copy) -> None:
    source, dest = make_volume("source"), make_device("dest", 96)
    for number in range(36 * MIB // size):
        (source / f"{number}").write_bytes(os.urandom(size))
    dest.ends(24 * MIB)
    run = copy(source, dest.top, *options)
    assert run.process.returncode == 24, run.last
    assert run.last["message"] == "the destination could not be written to disk: Input/output error"


def test_an_error_of_writing_that_somebody_else_was_told_of_is_a_failure_too(make_device: Callable[..., Device], make_volume: Callable[..., Path],
                                                                             start_mover: Copy) -> None:
    source, dest = make_volume("source"), make_device("dest", 96)
    for number in range(12):
        (source / f"{number}").write_bytes(os.urandom(BY_WORKER))
    dest.ends(24 * MIB)
    mover = start_mover(source, dest.top, "--bwlimit", "16Mi")
    deadline = time.monotonic() + 60
    while len(list(dest.top.glob("*"))) < 12 and mover.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    mover.process.send_signal(signal.SIGSTOP)
    told = subprocess.run(["sync", "--file-system", str(dest.top)], capture_output=True, text=True, check=False)
    mover.process.send_signal(signal.SIGCONT)
    assert "Input/output error" in told.stderr
    assert mover.end() == 24, mover.last
    assert mover.last["message"] == "the destination could not be written to disk: Input/output error"
