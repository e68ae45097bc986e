"""Fixtures for tests on a real cluster, imported by the conftest.py of each room that needs them: namespaces of their own, prepared by `kubectl
volresize install`, and removed whatever happened in them."""
from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from namespaces import Namespace, until

_ROOT = Path(__file__).resolve().parents[2]
_REMOVAL_SECONDS = 120


@pytest.fixture(scope="session")
def image() -> str:
    """The image in the cluster: that of hack/with-cluster.sh, else built now."""
    built = os.environ.get("VOLRESIZE_IMAGE")
    return built or subprocess.run([_ROOT / "hack" / "build-migrator-image.sh"], check=True, capture_output=True, text=True).stdout.split()[-1]


@pytest.fixture(scope="session")
def new_namespace(kubeconfig: str, image: str) -> Iterator[Callable[..., Namespace]]:
    """Makes a namespace with a random name, ready for migrations; `bare`: the name alone. All are removed at the end, together with the volumes that
    migrations keep."""
    made: list[Namespace] = []

    def make(bare: bool = False) -> Namespace:
        namespace = Namespace(f"e2e-{uuid.uuid4().hex[:8]}", kubeconfig, image)
        made.append(namespace)
        if bare:
            return namespace
        namespace.kubectl("create", "namespace", namespace.name)
        installed = namespace.volresize("install")
        assert installed.returncode == 0, installed.stderr
        return namespace

    yield make

    def removed() -> bool:
        left = [namespace for namespace in made if not namespace.gone()]
        for namespace in left:
            namespace.abandon()
        time.sleep(0.5)
        return not left
    until(f"removal of {', '.join(namespace.name for namespace in made)}", removed, _REMOVAL_SECONDS)


@pytest.fixture(scope="module")
def namespace(new_namespace: Callable[[], Namespace]) -> Iterator[Namespace]:
    """One for the tests of a file, which share an application or a whole migration."""
    made = new_namespace()
    yield made
    made.abandon()


@pytest.fixture
def fresh_namespace(new_namespace: Callable[[], Namespace]) -> Iterator[Namespace]:
    """One for a single test."""
    made = new_namespace()
    yield made
    made.abandon()
