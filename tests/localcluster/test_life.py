"""The cluster of a bare machine comes up whatever was there before, and leaves nothing when it goes. In this order: the last test takes it away."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import machine
import pytest

pytestmark = pytest.mark.root

CLAIM_AND_POD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 64Mi}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 0
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  containers:
    - name: main
      image: busybox:1.36
      imagePullPolicy: IfNotPresent
      command: [sleep, infinity]
      volumeMounts: [{{name: data, mountPath: /data}}]
  volumes:
    - name: data
      persistentVolumeClaim: {{claimName: {name}}}
"""


def _ready_nodes() -> list[str]:
    return sorted(node["metadata"]["name"] for node in machine.get("nodes")["items"]
                  if any(condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"]["conditions"]))


def _run_pod(name: str, node: str) -> None:
    machine.kubectl("apply", "--filename", "-", given=CLAIM_AND_POD.format(name=name, node=node))
    machine.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")


def _server_pid() -> str:
    return (machine.FOLDER / "pids" / "kube-apiserver").read_text()


def test_a_healthy_cluster_is_left_alone(cluster: None) -> None:
    before = _server_pid()
    assert "already running" in machine.up()
    assert _server_pid() == before and len(_ready_nodes()) == 2


def test_each_node_has_volumes_of_its_own_that_end_at_their_size(cluster: None) -> None:
    nodes = _ready_nodes()
    for number, node in enumerate(nodes):
        _run_pod(f"volume-{number}", node)
    for number, node in enumerate(nodes):
        name = machine.get("persistentvolumeclaim", f"volume-{number}")["spec"]["volumeName"]
        volume = machine.get("persistentvolume", name)
        (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == [node]
        assert Path(volume["spec"]["local"]["path"]).is_relative_to(machine.FOLDER / f"node-{number + 1}")
        kib = int(machine.kubectl("exec", f"volume-{number}", "--", "df", "-k", "/data").splitlines()[-1].split()[1])
        assert 48 << 10 < kib <= 64 << 10
        full = machine.kubectl("exec", f"volume-{number}", "--", "sh", "-c", "dd if=/dev/zero of=/data/file bs=1M count=80 2>&1 || true")
        assert "No space left on device" in full


def _kill_everything(bystander: subprocess.Popen[bytes]) -> None:
    machine.kill_everything()


def _give_the_numbers_to_somebody_else(bystander: subprocess.Popen[bytes]) -> None:
    """After a reboot or a long time, the numbers in the pid files are those of innocent processes."""
    machine.kill_everything()
    for file in (machine.FOLDER / "pids").iterdir():
        _, *rest = file.read_text().split()
        file.write_text(" ".join([str(bystander.pid), *rest]) + "\n")


def _kill_one_server(bystander: subprocess.Popen[bytes]) -> None:
    os.kill(int(_server_pid().split()[0]), signal.SIGKILL)


def _kill_the_start_in_the_middle(bystander: subprocess.Popen[bytes]) -> None:
    machine.down()
    # In a group of its own, which is killed with all that has not left it; the servers have.
    starting = subprocess.Popen([machine.SCRIPTS / "up.sh"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (machine.FOLDER / "pids" / "kube-apiserver").exists():
        assert time.monotonic() < deadline and starting.poll() is None
        time.sleep(0.02)
    os.killpg(starting.pid, signal.SIGKILL)
    starting.wait()


@pytest.mark.parametrize("disaster", [_kill_everything, _give_the_numbers_to_somebody_else, _kill_one_server, _kill_the_start_in_the_middle],
                         ids=["all killed", "pid files name a stranger", "API server killed", "start killed"])
def test_a_start_over_any_remains_just_works(cluster: None, bystander: subprocess.Popen[bytes],
                                             disaster: Callable[[subprocess.Popen[bytes]], None]) -> None:
    _run_pod("before", _ready_nodes()[0])
    before = _server_pid()
    disaster(bystander)
    machine.up()
    assert len(_ready_nodes()) == 2 and _server_pid() != before
    # With new servers nothing of the old state is left either.
    assert not machine.get("persistentvolumes")["items"]
    _run_pod("after", _ready_nodes()[1])
    assert bystander.poll() is None
    assert len(machine.loops()) == 1 and len([path for path in machine.mounts() if path in _volume_paths()]) == 1


def _volume_paths() -> set[str]:
    return {volume["spec"]["local"]["path"] for volume in machine.get("persistentvolumes")["items"]}


def test_down_leaves_nothing_but_the_cache(cluster: None, bystander: subprocess.Popen[bytes]) -> None:
    _run_pod("running", _ready_nodes()[0])
    assert {"processes", "mounts", "loop devices", "network namespaces", "cgroups", "files"} <= machine.remains().keys()
    machine.down()
    assert not machine.remains()
    assert bystander.poll() is None and any((machine.CACHE / "artefacts").glob("servers-*"))
    assert "down" in machine.down(), "a cluster that is not there is down already"
