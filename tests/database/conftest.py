"""The database and its image; what the tests measured, which is shown at the end."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fixtures import image, namespace, new_namespace
from namespaces import Namespace
from server import Database

__all__ = ["database", "image", "namespace", "new_namespace", "numbers"]

_BUILD = Path(__file__).resolve().parents[2] / "hack" / "build-postgres-image.sh"
_NUMBERS = pytest.StashKey[list[str]]()


@pytest.fixture(scope="module")
def database(namespace: Namespace) -> Database:
    """VOLRESIZE_POSTGRES_IMAGE: where the nodes have it from, in a cluster that hack/cluster.sh cannot load images into."""
    given = os.environ.get("VOLRESIZE_POSTGRES_IMAGE")
    return Database(namespace, given or subprocess.run([_BUILD], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


@pytest.fixture(scope="session")
def numbers(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are shown at the end, whether the tests passed or not."""
    return pytestconfig.stash.setdefault(_NUMBERS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash.get(_NUMBERS, []):
        terminalreporter.section("a real database")
        for line in lines:
            terminalreporter.line(line)
