"""The database's own image and namespace. What a user does in a namespace stands in tests/e2e; its modules are imported as there."""
from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from namespaces import Namespace, until  # noqa: E402
from server import Database  # noqa: E402

_REMOVAL_SECONDS = 120
_NUMBERS = pytest.StashKey[list[str]]()


def _built(script: str) -> str:
    return subprocess.run([ROOT / "hack" / script], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]


@pytest.fixture(scope="module")
def namespace(kubeconfig: str) -> Iterator[Namespace]:
    """Ready for migrations; removed with all volumes that they keep."""
    made = Namespace(f"database-{uuid.uuid4().hex[:8]}", kubeconfig, os.environ.get("VOLRESIZE_IMAGE") or _built("build-migrator-image.sh"))
    made.kubectl("create", "namespace", made.name)
    try:
        installed = made.volresize("install")
        assert installed.returncode == 0, installed.stderr
        yield made
    finally:
        def removed() -> bool:
            made.abandon()
            time.sleep(0.5)
            return made.gone()
        until(f"removal of {made.name}", removed, _REMOVAL_SECONDS)


@pytest.fixture(scope="module")
def database(namespace: Namespace) -> Database:
    """VOLRESIZE_POSTGRES_IMAGE: where the nodes have it from, in a cluster that hack/cluster.sh cannot load images into."""
    return Database(namespace, os.environ.get("VOLRESIZE_POSTGRES_IMAGE") or _built("build-postgres-image.sh"))


@pytest.fixture(scope="session")
def numbers(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are shown at the end, whether the tests passed or not."""
    return pytestconfig.stash.setdefault(_NUMBERS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash.get(_NUMBERS, []):
        terminalreporter.section("a real database")
        for line in lines:
            terminalreporter.line(line)
