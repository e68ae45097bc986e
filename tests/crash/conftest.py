"""The sweep's account: how many points were tried on how many ways, and with what outcome, at the end of the session.

SWEEP=all tries every point (hours; for a nightly run), SWEEP=way/call/trouble the one point that a failure names.
"""
from __future__ import annotations

import os

import pytest
from sweep import End, Sweep, Sweeping, Tally, Trouble, Way

_TALLIES = pytest.StashKey[dict[str, Tally]]()
_SHOWN = 5


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLIES] = {}


@pytest.fixture
def sweep(pytestconfig: pytest.Config) -> Sweeping:
    """(word for the account, way, troubles, most runs, other ends): fails with the first points whose end was another one."""
    wanted = os.environ.get("SWEEP", "")

    def sweep(word: str, way: Way, troubles: tuple[Trouble, ...], runs: int, ends: tuple[End, ...] = ()) -> None:
        tally = Sweep(way, troubles, None if wanted == "all" else runs, "" if wanted == "all" else wanted, ends).run()
        pytestconfig.stash[_TALLIES].setdefault(word, Tally()).add(tally)
        if tally.failed:
            pytest.fail(f"{len(tally.failed)} of {tally.runs} runs:\n" + "\n".join(tally.failed[:_SHOWN]), pytrace=False)

    return sweep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tallies = config.stash[_TALLIES]
    if not tallies:
        return
    whole = Tally()
    for word, tally in tallies.items():
        terminalreporter.write_line(f"{word}: {tally}")
        whole.add(tally)
    terminalreporter.write_line(f"crash sweep: {whole}")
