"""The mover's log and report are read by whoever may read pod logs: they name files, and tell nothing that stands in them."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import pytest
from mover_process import Mover

pytestmark = pytest.mark.root
SECRET = b"hunter2-and-more"


@pytest.mark.parametrize("end", ["verified", "different", "no room"])
def test_nothing_that_stands_in_a_file_is_said(end: str, make_volume: Callable[..., Path], copy: Callable[..., Mover]) -> None:
    source, dest = make_volume("source", 64), make_volume("dest", 16)
    (source / "password").write_bytes(SECRET)
    os.setxattr(source / "password", "user.password", SECRET)
    if end == "no room":
        (source / "blob").write_bytes(SECRET * (32 << 16))
    run = copy(source, dest)
    if end == "different":
        (dest / "password").write_bytes(SECRET[::-1])
        run = copy("--check", source, dest)
    assert run.process.returncode == {"verified": 0, "different": 22, "no room": 20}[end]
    for file in (run.out_file, run.report_file):
        said: Any = file.read_bytes()
        assert said and SECRET not in said and SECRET[::-1] not in said
