"""What concerns all rooms: a test that needs a cluster says so in words when there is none, and those that take the machine's cluster apart, or very
long, run only when asked for."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
APART = ROOT / "tests" / "localcluster"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--localcluster", action="store_true",
                     help="Also run tests/localcluster, last: they kill and replace the cluster of hack/localcluster on this machine")
    parser.addoption("--chaos", action="store_true",
                     help="All of tests/chaos: 30 disturbed migrations instead of 2, and the faults of nodes and servers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    apart = [item for item in items if APART in item.path.parents]
    items[:] = [item for item in items if item not in apart]
    left_out = [] if config.getoption("--chaos") else [item for item in items if item.get_closest_marker("chaos")]
    items[:] = [item for item in items if item not in left_out]
    if config.getoption("--localcluster"):
        items += apart
    else:
        left_out += apart
    if left_out:
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """Path of the kubeconfig of a cluster that answers: the user's KUBECONFIG, or that of hack/cluster.sh. Fails in words otherwise."""
    path = os.environ.get("KUBECONFIG") or subprocess.run([ROOT / "hack" / "cluster.sh", "kubeconfig"], check=True, capture_output=True,
                                                          text=True).stdout.strip()
    # Not --kubeconfig, which takes no list of files.
    asked = subprocess.run(["kubectl", "--request-timeout", "10s", "get", "--raw", "/readyz"], capture_output=True, text=True,
                           env=os.environ | {"KUBECONFIG": path})
    if asked.returncode != 0:
        pytest.fail(f"no cluster answers at KUBECONFIG={path}; `make cluster` brings one up: {asked.stderr.strip()}", pytrace=False)
    return path


@pytest.fixture(autouse=True)
def _cluster_where_needed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("cluster") is not None:
        monkeypatch.setenv("KUBECONFIG", request.getfixturevalue("kubeconfig"))
