"""How long the commands take, beside `kubectl version --client` on the same machine, each 20 times in turn: medians as a table.

    hack/with-cluster.sh python hack/bench/commands.py SET -n NAMESPACE --volume data=32Mi >>docs/command-times.md

SET is a StatefulSet that could be migrated; `submit` is only tried (--dry-run=server), which takes every look and every question of a real one.
"""
from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 20


def seconds(command: list[str]) -> float:
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - begun


def main() -> None:
    arguments = sys.argv[1:]
    ours = "kubectl-volresize"
    commands = [["kubectl", "version", "--client"], [ours, "--help"], [ours, "version"], [ours, "completion", "words", "--", "sub"],
                [ours, "list", "-A"], [ours, "plan", *arguments], [ours, "submit", *arguments, "--dry-run=server"]]
    taken: dict[str, list[float]] = {" ".join(command[:3]): [] for command in commands}
    for _ in range(ROUNDS):
        for command in commands:
            taken[" ".join(command[:3])].append(seconds(command))
    first = statistics.median(next(iter(taken.values())))
    print(f"Python {platform.python_version()}, {ROUNDS} rounds\n\n| Command | median | x kubectl | slowest |\n|---|---|---|---|")
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"| `{name}` | {median * 1000:.0f} ms | {median / first:.1f} | {max(times) * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
