"""What the arithmetic promises: never more room than a file system really offers, never less need than a copy really has."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_volresize.plan.fit import FsGeometry, TreeCounts, Usage, ext4_of_size, fits, project_usage

MIB = 1 << 20


@pytest.mark.root
@pytest.mark.parametrize("reserved", [0, 5])
@pytest.mark.parametrize("mib", [64, 129, 200, 511, 512, 513, 700, 898, 1024, 1026, 4096])
def test_the_estimate_of_a_fresh_ext4_is_what_mkfs_makes(mib: int, reserved: int, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount file systems")
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(mib * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", str(reserved), str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        real = os.statvfs(mount)
    finally:
        subprocess.run(["umount", str(mount)], check=True)
    estimate = ext4_of_size(mib * MIB, reserved)
    available = real.f_bavail * real.f_frsize
    assert estimate.block == real.f_frsize
    assert estimate.inodes == real.f_favail
    assert available * 0.999 <= estimate.bytes <= available


@given(st.integers(0, 1 << 50))
def test_an_ext4_never_offers_more_than_its_device(size: int) -> None:
    offer = ext4_of_size(size)
    assert 0 <= offer.bytes <= size
    # mkfs rounds up in each group of 8 MiB or more.
    assert 0 <= offer.inodes <= size // 4096 + 8 * (size // (8 * MIB) + 1)


@given(st.integers(0, 1 << 45), st.integers(0, 1 << 45), st.integers(0, 100))
def test_more_head_room_never_makes_it_fit(used: int, offered: int, percent: int) -> None:
    geometry = FsGeometry(offered, 1000)
    if fits(Usage(used, 10), geometry, percent).fits:
        assert fits(Usage(used, 10), geometry, 0).fits


def test_exactly_full_fits_and_one_byte_more_does_not() -> None:
    geometry = FsGeometry(1100, 10)
    assert fits(Usage(1000, 10), geometry, 10).fits
    assert not fits(Usage(1001, 10), FsGeometry(1100, 10), 10).fits
    assert not fits(Usage(1000, 11), geometry, 10).fits


def test_the_sentence_says_what_is_missing() -> None:
    sentence = fits(Usage(600 * MIB, 70000), FsGeometry(500 * MIB, 65000), 10).sentence
    assert "660Mi (600Mi of data and 10 % head room) are needed, 500Mi are available: 160Mi too little" in sentence
    assert "70000 inodes are needed, 65000 are available" in sentence


def test_a_file_system_that_counts_no_inodes_is_not_refused_for_them() -> None:
    assert fits(Usage(1, 5), FsGeometry(10, 0), 0).fits


def test_counts_survive_json_and_a_newer_mover() -> None:
    counts = TreeCounts(files=3, bytes=10, allocated=4096, inodes=4)
    assert TreeCounts.from_dict({**counts.as_dict(), "of a later version": 1}) == counts


def test_large_blocks_cost_a_rounding_for_each_file() -> None:
    counts = TreeCounts(files=10, directories=1, allocated=40960, directory_bytes=4096, inodes=11)
    small, large = (project_usage(counts, FsGeometry(1 << 30, 1000, block)) for block in (4096, 65536))
    assert large.bytes - small.bytes == 11 * (65536 - 4096)
