"""hack/localcluster from outside: its two commands, and what of it can be found on the machine. It looks into /proc and asks the tools of the system,
and shares no code with the scripts."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "hack" / "localcluster"
MARK = "volresize-test"
CACHE = Path(os.environ.get("VOLRESIZE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubectl-volresize")
FOLDER = CACHE / "cluster"
KUBECONFIG = FOLDER / "kubeconfig"


def up() -> str:
    """Bring up two nodes; what the script said. A failure shows all of it."""
    return _script("up.sh", NODES="2")


def down() -> str:
    return _script("down.sh")


def _script(name: str, **environment: str) -> str:
    done = subprocess.run([SCRIPTS / name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=os.environ | environment)
    assert done.returncode == 0, done.stdout
    return done.stdout


def kubectl(*arguments: str, given: str | None = None) -> str:
    """Output of a command that has to succeed."""
    done = subprocess.run(["kubectl", "--kubeconfig", KUBECONFIG, *arguments], input=given, capture_output=True, text=True)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def get(*arguments: str) -> Any:
    return json.loads(kubectl("get", *arguments, "--output", "json"))


def processes() -> set[int]:
    """Everything that runs in the cluster's cgroups. What was killed and waits to be reaped by PID 1, which may take 2 s (measured), runs no more."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                groups = (entry / "cgroup").read_text()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z" and (f"/{MARK}/" in groups or groups.endswith(f"/{MARK}\n")):
                found.add(int(entry.name))
    return found


def kill_everything() -> None:
    """As a build server does it when its time is up: no signal that could be handled, and whatever else belongs to the machine stays."""
    deadline = time.monotonic() + 30
    while running := processes():
        assert time.monotonic() < deadline, f"cannot be killed: {running}"
        for pid in running:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def mounts() -> list[str]:
    """Mount points below the cluster's folder."""
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4].startswith(f"{FOLDER}/")]


def loops() -> list[str]:
    """Files below the cluster's folder that a loop device holds."""
    listed = subprocess.run(["losetup", "--list", "--noheadings", "--raw", "--output", "BACK-FILE"], check=True, capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if line.startswith(f"{FOLDER}/")]


def remains() -> dict[str, list[Any]]:
    """All that a cluster leaves on a machine beside its cache, by kind; empty kinds left out."""
    found: dict[str, list[Any]] = {
        "processes": sorted(processes()), "mounts": mounts(), "loop devices": loops(),
        "network namespaces": [path.name for path in Path("/run/netns").glob(f"{MARK}*")],
        "cgroups": [str(path) for pattern in (f"*/{MARK}", MARK) for path in Path("/sys/fs/cgroup").glob(pattern)],
        "files": [str(path) for path in (FOLDER, Path(f"/run/{MARK}.owner")) if path.exists()],
        "addresses of pods": [str(path) for path in Path("/var/lib/cni/results").glob("*") if f"{FOLDER}/" in path.read_text(errors="replace")],
        "links to logs": [str(path) for path in Path("/var/log/containers").glob("*") if str(path.readlink()).startswith(f"{FOLDER}/")],
    }
    return {kind: left for kind, left in found.items() if left}
