"""hack/cluster.sh and hack/need-packages.sh: a user's own cluster is used and never touched; nothing is installed that is there."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

HACK = Path(__file__).resolve().parents[2] / "hack"


def _cluster(*arguments: str, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HACK / "cluster.sh", *arguments], capture_output=True, text=True, env=os.environ | {"KUBECONFIG": str(kubeconfig)})


def test_a_kubeconfig_of_the_users_beats_every_other_cluster(tmp_path: Path) -> None:
    assert _cluster("kubeconfig", kubeconfig=tmp_path / "mine").stdout == f"{tmp_path}/mine\n"


def test_a_cluster_of_the_users_that_does_not_answer_is_an_error_and_not_replaced(tmp_path: Path) -> None:
    done = _cluster("up", kubeconfig=tmp_path / "mine")
    assert done.returncode == 1 and str(tmp_path / "mine") in done.stderr and "does not answer" in done.stderr


def test_a_cluster_of_the_users_is_never_taken_down(tmp_path: Path) -> None:
    done = _cluster("down", kubeconfig=tmp_path / "mine")
    assert done.returncode == 0 and "nothing was touched" in done.stderr


def _need(tmp_path: Path, *packages: str, installed: str = "") -> tuple[subprocess.CompletedProcess[str], str]:
    """need-packages.sh on a machine where only `installed` is there; also how apt-get was called."""
    calls = tmp_path / "calls"
    calls.write_text("")
    stand_ins = {"dpkg-query": f'for name; do :; done; case " {installed} " in *" $name "*) echo installed ;; *) exit 1 ;; esac',
                 "apt-get": f'echo "$*" >>{calls}'}
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([HACK / "need-packages.sh", *packages], capture_output=True, text=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    return done, calls.read_text()


def test_what_is_there_is_not_installed_again(tmp_path: Path) -> None:
    done, calls = _need(tmp_path, "one", "two:sh", installed="one")
    assert done.returncode == 0 and not calls


def test_only_what_is_missing_is_installed_or_named(tmp_path: Path) -> None:
    done, calls = _need(tmp_path, "one", "two:no-such-command", "three", installed="one")
    if os.geteuid() == 0:
        assert done.returncode == 0 and calls.splitlines()[-1].endswith(" two three")
    else:
        assert done.returncode == 1 and "apt-get install two three" in done.stderr and not calls
