"""kubectl as the demonstration uses it, and the namespace that it lives in."""
from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

Object = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
OURS = "storage.maurice.fr/"


class Broken(Exception):
    """The demonstration cannot go on; the text says why."""


def kubectl(*arguments: str, given: str | None = None) -> str:
    """Its output. Raises Broken with what it said when it failed."""
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True)
    if done.returncode != 0:
        raise Broken(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def get(*arguments: str) -> list[Object]:
    """Objects as the API has them; one that is not there is left out."""
    answer = json.loads(kubectl("get", *arguments, "--ignore-not-found", "--output", "json") or '{"items": []}')
    items: list[Object] = answer["items"] if answer.get("kind", "List").endswith("List") else [answer]
    return items


def show(*command: str, lines: int | None = None) -> None:
    """Run it in front of the audience; `lines`: only so many of its output. Raises Broken when it fails."""
    print(f"\n$ {' '.join(command)}", flush=True)
    if lines is None:
        code = subprocess.run(command).returncode
    else:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        code, shown = done.returncode, done.stdout.splitlines()
        print("\n".join(shown[:lines] + ["..."] * (len(shown) > lines)), flush=True)
    if code != 0:
        raise Broken(f"{' '.join(command)}: exit code {code}")


def say(text: str) -> None:
    print(f"\n--- {text}", flush=True)


def wait_until(what: str, seconds: float, left: Callable[[], list[str]]) -> None:
    """Until `left()` is empty. Raises Broken with what is still there."""
    deadline = time.monotonic() + seconds
    while there := left():
        if time.monotonic() > deadline:
            raise Broken(f"{what}: not after {seconds:g} s, still there: {', '.join(there)}")
        time.sleep(0.2)


# ------------------------------------------------------------------------------------------------------------------ a namespace of its own

def volumes_of(namespace: str) -> list[Object]:
    """PVs that belong to claims of the namespace, those kept from earlier claims too."""
    return [volume for volume in get("persistentvolumes") if (volume["spec"].get("claimRef") or {}).get("namespace") == namespace]


def fresh_namespace(namespace: str) -> None:
    """Empty and new, whatever an earlier demonstration left, also one that was killed in the middle: its finalizers and its kept volumes."""
    if get("namespace", namespace):
        kubectl("delete", "jobs", "--all", "-n", namespace, "--cascade=foreground")
        kubectl("delete", "namespace", namespace, "--wait=false")
        wait_until(f"deletion of namespace {namespace}", 120, lambda: _held_up(namespace))
    for volume in volumes_of(namespace):
        _let_go(volume)
    wait_until("deletion of the volumes that were kept", 60, lambda: [volume["metadata"]["name"] for volume in volumes_of(namespace)])
    kubectl("create", "namespace", namespace)


def _held_up(namespace: str) -> list[str]:
    """The namespace while it is there; our finalizers in it come off, since without a runner nobody else takes them off."""
    kinds = ["pods", "statefulsets.apps"] + ["volumeresizes.storage.maurice.fr"] * bool(get("crd", "volumeresizes.storage.maurice.fr"))
    for item in get(",".join(kinds), "-n", namespace):
        kept = [name for name in item["metadata"].get("finalizers", ()) if not name.startswith(OURS)]
        if len(kept) < len(item["metadata"].get("finalizers", ())):
            kubectl("patch", item["kind"].lower(), item["metadata"]["name"], "-n", namespace, "--type", "merge", "--patch",
                    json.dumps({"metadata": {"finalizers": kept}}))
    return [str(item["metadata"]["name"]) for item in get("namespace", namespace)]


def _let_go(volume: Object) -> None:
    """Its provisioner removes a Released volume of policy Delete, disk and all; one that was only reserved gets a claim that never was, to be
    Released."""
    spec: Object = {"persistentVolumeReclaimPolicy": "Delete"}
    if not volume["spec"]["claimRef"].get("uid"):
        spec["claimRef"] = {"uid": "00000000-0000-0000-0000-000000000000"}
    kubectl("patch", "persistentvolume", volume["metadata"]["name"], "--type", "merge", "--patch", json.dumps({"spec": spec}))
