"""How fast the mover copies beside rsync, cp, tar and rclone: ratios measured in one run, in interleaved rounds, medians. Needs root.

    python hack/bench/copy.py --rounds 5 --write docs/benchmarks.md
"""
from __future__ import annotations

import os.path
import sys

# The folder of this file must not come first: `copy` is a module of the standard library.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, Callable  # noqa: E402

from bench import memory, trees  # noqa: E402
from bench.tools import CP, FLOOR, OURS, OURS_HASHED, RCLONE, RSYNC, TAR, command  # noqa: E402
from bench.volume import Volume, cool, syncfs  # noqa: E402

ALL = (OURS, OURS_HASHED, RSYNC, CP, TAR, RCLONE, FLOOR)
# A file counts as settled when nobody touched it for that long, see --settle of the mover; seconds.
SETTLE = 1


@dataclass
class Workload:
    """A tree and what copies it. `delta`: onto the copy of before, one file of a hundred having changed."""

    key: str
    title: str
    fill: Callable[[Path], None]
    tools: tuple[str, ...] = ALL
    delta: bool = False
    seconds: dict[str, list[float]] = field(default_factory=dict)


WORKLOADS = (
    Workload("a", "100,000 files of 1-8 KiB", trees.small),
    Workload("b", "4 files of 1 GiB", trees.large),
    Workload("c", "280 files of 1-64 MiB", trees.mixed),
    Workload("d", "(a) again, 1 % of the files changed", trees.small, (OURS, OURS_HASHED, RSYNC, RCLONE), delta=True),
)


class Bench:
    """Two volumes in a temporary folder, and what was measured on them."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.source, self.dest = Volume(folder, "source", mebibytes), Volume(folder, "dest", mebibytes)
        self.report = folder / "report.json"

    def run(self, workload: Workload, rounds: int) -> None:
        self.source.make()
        workload.fill(self.source.path)
        if workload.delta:
            self._fresh()
            self._timed(command(RSYNC, self.source.path, self.dest.path, self.report))
        for number in range(rounds):
            for tool in workload.tools:
                if workload.delta:
                    trees.touch_one_percent(self.source.path, number * len(workload.tools) + workload.tools.index(tool))
                else:
                    self._fresh()
                cool(self.source, self.dest)
                taken = self._timed(command(tool, self.source.path, self.dest.path, self.report))
                workload.seconds.setdefault(tool, []).append(taken)
                print(f"({workload.key}) round {number + 1}: {tool}: {taken:.2f} s{self._phases(tool)}", flush=True)

    def _fresh(self) -> None:
        self.dest.make()
        os.rmdir(self.dest.path / "lost+found")

    def _timed(self, what: list[str]) -> float:
        started = time.monotonic()
        subprocess.run(what, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        syncfs(self.dest.path)
        return time.monotonic() - started

    def _phases(self, tool: str) -> str:
        if tool not in (OURS, OURS_HASHED):
            return ""
        return "  " + json.dumps(json.loads(self.report.read_text())["report"]["passes"][-1]["phases"])

    def peak_memory(self, files: int) -> dict[str, Any]:
        """Of a warm and a final pass over so many small files."""
        self.source.make("-N", str(files + files // 10))
        trees.tiny(self.source.path, files)
        self.dest.make("-N", str(files + files // 10))
        cool(self.source, self.dest)
        word = self.report.with_name("word")
        word.write_text("go")
        time.sleep(SETTLE + 1)
        code, peak = memory.peak([*self._passes(), "--final-when", f"{word}=go"])
        if code:
            raise SystemExit(f"the mover ended with exit code {code}")
        found = {"files": files, "peak": peak, "final": self._last_pass()}
        print(found, flush=True)
        return found

    def final_pass(self, title: str, fill: Callable[[Path], None], *options: str) -> dict[str, Any]:
        """The pass after a warm one, nothing having changed."""
        self.source.make(*options)
        fill(self.source.path)
        self.dest.make(*options)
        cool(self.source, self.dest)
        time.sleep(SETTLE + 1)
        process = subprocess.Popen(self._passes(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "waiting":
                process.send_signal(signal.SIGUSR1)
        if process.wait():
            raise SystemExit(f"the mover ended with exit code {process.returncode}")
        found = {"title": title, **self._last_pass()}
        print(found, flush=True)
        return found

    def _passes(self) -> list[str]:
        return [*command(OURS_HASHED, self.source.path, self.dest.path, self.report), "--passes", "1", "--settle", str(SETTLE)]

    def _last_pass(self) -> dict[str, Any]:
        passes = json.loads(self.report.read_text())["report"]["passes"]
        return {"warm_seconds": passes[0]["seconds"], "seconds": passes[-1]["seconds"], "read_bytes": passes[-1]["read_bytes"],
                "phases": passes[-1]["phases"]}

    def close(self) -> None:
        self.source.unmount()
        self.dest.unmount()


def table(workload: Workload) -> list[str]:
    median = {tool: statistics.median(taken) for tool, taken in workload.seconds.items()}
    lines = [f"### ({workload.key}) {workload.title}", "", "| | median s | all rounds | x rsync | x floor |", "|---|---|---|---|---|"]
    for tool, taken in workload.seconds.items():
        floor = f"{median[tool] / median[FLOOR]:.2f}" if FLOOR in median else ""
        rounds = " ".join(f"{one:.1f}" for one in taken)
        lines.append(f"| {tool} | {median[tool]:.2f} | {rounds} | {median[tool] / median[RSYNC]:.2f} | {floor} |")
    return [*lines, ""]


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    rsync = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return (f"{os.cpu_count()} processors ({model}), {memory_kib >> 20} GiB of memory, Linux {platform.release()}, "
            f"Python {platform.python_version()}, rsync {rsync}; two ext4 file systems on loop devices with direct I/O, "
            "images written before, one disk; caches dropped before each run, syncfs of the destination inside each time.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="abcdef", help="a-d: speed; e: memory, and the final pass of a million files; f: of others (default all)")
    parser.add_argument("--million", type=int, default=1_000_000, help="files of (e)")
    parser.add_argument("--gibibytes", type=int, default=16, help="of the larger volume in (f)")
    parser.add_argument("--write", metavar="FILE", type=Path, help="put the tables there")
    flags = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="volresize-bench-"))
    room = 7 << 10 if "f" not in flags.only else max(7, flags.gibibytes + 1) << 10
    bench = Bench(folder, room)
    lines: list[str] = []
    try:
        for workload in WORKLOADS:
            if workload.key in flags.only:
                bench.run(workload, flags.rounds)
                lines += table(workload)
        final: list[dict[str, Any]] = []
        if "e" in flags.only:
            found = bench.peak_memory(flags.million)
            lines += memory_table(found)
            final.append({"title": f"{flags.million:,} files", **found["final"]})
        if "f" in flags.only:
            final.append(bench.final_pass("100,000 files", trees.small))
            final.append(bench.final_pass("4 GiB", trees.large))
            final.append(bench.final_pass(f"{flags.gibibytes} GiB", lambda top: trees.large(top, flags.gibibytes)))
        if final:
            lines += final_table(final)
    finally:
        bench.close()
        shutil.rmtree(folder)
    print("\n".join(lines))
    if flags.write:
        flags.write.write_text("\n".join(["# Benchmarks", "", f"`hack/bench/copy.py`, {flags.rounds} rounds. {machine()}", "", *lines]))


def memory_table(found: dict[str, Any]) -> list[str]:
    return [f"### (e) memory: {found['files']:,} files", "",
            f"Peak PSS of the process and its workers, a warm pass ({found['final']['warm_seconds']:.0f} s) and a final one "
            f"({found['final']['seconds']:.1f} s): **{found['peak'] / (1 << 20):.0f} MiB**.", ""]


def final_table(found: list[dict[str, Any]]) -> list[str]:
    rows = [f"| {one['title']} | {one['warm_seconds']:.1f} | {one['seconds']:.2f} | {one['read_bytes']} |" for one in found]
    return ["### (f) the final pass after a warm one, nothing changed", "",
            "| | warm pass s | final pass s | bytes of content read |", "|---|---|---|---|", *rows, ""]


if __name__ == "__main__":
    main()
