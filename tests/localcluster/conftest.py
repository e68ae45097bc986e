"""These tests kill, replace and take away the one cluster of this machine, so `--localcluster` has to ask for them. They need none beforehand."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Iterator

import machine
import pytest


@pytest.fixture(autouse=True, scope="session")
def ours_to_break() -> None:
    """Says why when the tests cannot run here: without root, and where the cluster in use is kind's or the user's own."""
    if os.geteuid() != 0:
        pytest.skip("hack/localcluster needs root")
    if "KUBECONFIG" in os.environ and Path(os.environ["KUBECONFIG"]) != machine.KUBECONFIG:
        pytest.skip(f"the cluster in use is another than hack/localcluster's: KUBECONFIG={os.environ['KUBECONFIG']}")


@pytest.fixture
def cluster(ours_to_break: None) -> None:
    """Up, with two nodes."""
    machine.up()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else's."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()
