"""A stage for one disturbed migration after the other, and the table of what came of them."""
from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest
from disturbed import Row
from fixtures import fresh_namespace, image, namespace, new_namespace
from namespaces import Namespace
from stage import Stage

from kubectl_volresize.kube.auth import from_kubeconfig
from kubectl_volresize.kube.client import Client

__all__ = ["fresh_namespace", "image", "namespace", "new_namespace"]

RUNS_IN_CHAOS, RUNS = 30, 2
_ROWS = pytest.StashKey[list[Row]]()
_SEED = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []
    config.stash[_SEED] = int(os.environ.get("VOLRESIZE_CHAOS_SEED") or random.randrange(1_000_000))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each run. A run's seed makes it again: VOLRESIZE_CHAOS_SEED=SEED pytest -k "run-SEED"."""
    if "seed" in metafunc.fixturenames:
        runs = RUNS_IN_CHAOS if metafunc.config.getoption("--chaos") else RUNS
        first = metafunc.config.stash[_SEED]
        metafunc.parametrize("seed", range(first, first + runs), ids=lambda seed: f"run-{seed}")


@pytest.fixture(scope="session")
def client(kubeconfig: str) -> Client:
    """For looking, many times a second."""
    return from_kubeconfig(kubeconfig).client


@pytest.fixture(scope="session")
def stage(new_namespace: Callable[[], Namespace], client: Client) -> Iterator[Stage]:
    made = Stage(new_namespace, client)
    yield made
    made.clear()


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """Of the table at the end, filled by the test."""
    # A run by its seed, which is all that is needed to have it again.
    made = Row(request.node.callspec.id if hasattr(request.node, "callspec") else request.node.originalname)
    request.config.stash[_ROWS].append(made)
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if not rows:
        return
    terminalreporter.section("chaos")
    terminalreporter.write_line(f"{'run':44} {'seconds':>7} {'acknowledged':>12} {'damaged':>7}  outcome, what was done to it")
    for row in rows:
        damaged = "-" if row.findings is None else str(len(row.findings))
        outcome = ("converged" if row.converged else "NOT CONVERGED") + (f" after {len(row.resumes)} resume" if row.resumes else "")
        terminalreporter.write_line(f"{row.name[:44]:44} {row.seconds:7.0f} {row.acknowledged:12,} {damaged:>7}  {outcome}; {', '.join(row.done)}")
        for why in row.resumes:
            terminalreporter.write_line(f"{'':74}  resume: {why}")
    judged = [row for row in rows if row.findings is not None]
    terminalreporter.write_line(f"chaos: {len(rows)} runs, {sum(row.converged for row in rows)} converged, "
                                f"{sum(row.acknowledged for row in judged):,} acknowledged records, "
                                f"{sum(len(row.findings or ()) for row in judged)} lost; VOLRESIZE_CHAOS_SEED={config.stash[_SEED]}")
