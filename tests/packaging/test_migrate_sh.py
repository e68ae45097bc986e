"""migrate.sh, the copy by hand: what it hands to the mover and which exit code comes back. The mover itself is replaced by a stand-in."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

MIGRATE = Path(__file__).resolve().parents[2] / "job-image" / "migrate.sh"


def _run(tmp_path: Path, code: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """migrate.sh under a real shell, with a python3 that writes its arguments, one a line, and exits with `code`."""
    stand_in = tmp_path / "python3"
    stand_in.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit {code}\n")
    stand_in.chmod(0o755)
    return subprocess.run(["bash", MIGRATE, *arguments], capture_output=True, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment})


def test_both_paths_and_all_arguments_reach_the_mover_unchanged(tmp_path: Path) -> None:
    done = _run(tmp_path, 0, "--passes", "a b", SOURCE_PATH="/the source", DEST_PATH="/dest")
    assert done.stdout.splitlines() == ["-m", "kubectl_volresize.mover", "/the source", "/dest", "--passes", "a b"]


@pytest.mark.parametrize("code", [0, 2, 5, 9, 20, 21, 22, 23, 24, 143])
def test_the_movers_exit_code_is_ours(tmp_path: Path, code: int) -> None:
    assert _run(tmp_path, code, SOURCE_PATH="/a", DEST_PATH="/b").returncode == code


@pytest.mark.parametrize("missing", ["SOURCE_PATH", "DEST_PATH"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_path_is_named_and_nothing_is_copied(tmp_path: Path, missing: str, empty: bool) -> None:
    paths = {"SOURCE_PATH": "/a", "DEST_PATH": "/b"}
    del paths[missing]
    done = _run(tmp_path, 0, **paths, **({missing: ""} if empty else {}))
    assert done.returncode == 2
    assert f"{missing} is not set" in done.stderr
    assert done.stdout == ""


def test_a_signal_ends_the_mover_itself(tmp_path: Path) -> None:
    # kubelet's TERM goes to PID 1; a shell in between would die and leave the mover writing.
    stand_in = tmp_path / "python3"
    stand_in.write_text("#!/bin/sh\necho $$\n")
    stand_in.chmod(0o755)
    with subprocess.Popen(["bash", MIGRATE], stdout=subprocess.PIPE, text=True,
                          env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SOURCE_PATH": "/a", "DEST_PATH": "/b"}) as running:
        out, _ = running.communicate()
        assert int(out) == running.pid
