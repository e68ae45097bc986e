"""The stop: what was proven while the application ran is not read again, and no write before the stop is ever missed."""
from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable

import checker
import pytest
import torture
from mover_process import Mover

pytestmark = pytest.mark.root
# Short, so that files count as settled soon; the real default is longer.
SETTLE = 1
WORD = "final:0b7c:42"


class Stop:
    """Warm passes on a live source, then writes, then the word, then the end."""

    def __init__(self, start: Callable[..., Mover], folder: Path, source: Path, dest: Path, *options: str) -> None:
        self.control = folder / "control"
        self.mover = start(source, dest, "--final-when", f"{self.control}=final:0b7c:", "--settle", str(SETTLE), *options)

    def wait(self) -> dict[str, Any]:
        return self.mover.wait_for("waiting")

    def word(self, text: str = WORD + "\n") -> None:
        self.control.write_text(text)

    def end(self) -> dict[str, Any]:
        self.mover.end()
        return self.mover.last


@pytest.fixture
def stop(start_mover: Callable[..., Mover], tmp_path: Path) -> Callable[..., Stop]:
    return lambda source, dest, *options: Stop(start_mover, tmp_path, source, dest, *options)


@pytest.fixture
def volumes(make_volume: Callable[..., Path]) -> tuple[Path, Path]:
    return make_volume("source", 256), make_volume("dest", 200)


def _settle() -> None:
    """Until all that stands on the source is old enough for the margin."""
    time.sleep(SETTLE + 0.3)


def test_the_final_pass_reads_only_what_changed_since_the_warm_one(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    torture.fill(source)
    _settle()
    run = stop(source, dest)
    run.wait()
    (source / "files" / "size-1").write_bytes(b"2")
    run.word()
    event = run.end()
    assert event["event"] == "verified" and event["final"] == WORD, event
    warm, final = event["report"]["passes"][0], event["report"]["passes"][-1]
    assert (warm["kind"], final["kind"]) == ("warm", "final")
    assert warm["read_bytes"] > 40 << 20
    assert final["read_bytes"] == 3, "one byte of the source; of the copy, before and after it was written"
    assert event["report"]["verified"]["carried_bytes"] > 20 << 20
    checker.assert_equal(source, dest)


def test_of_a_large_hot_file_the_final_pass_writes_the_changed_blocks(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    (source / "segment").write_bytes(os.urandom(64 << 20))
    run = stop(source, dest)
    run.wait()
    with (source / "segment").open("r+b") as file:
        for offset in (0, 33 << 20, (64 << 20) - 1):
            file.seek(offset)
            file.write(b"!")
    run.word()
    event = run.end()
    assert event["event"] == "verified", event
    final = event["report"]["passes"][-1]
    assert final["written_bytes"] == 3 * 131072
    assert final["read_bytes"] == (64 << 20) + 3 * 131072, "the source once, of the copy the blocks that were written"
    checker.assert_equal(source, dest)


def test_no_kind_of_write_escapes_the_final_pass(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    names = ("write", "mmap", "direct", "backdated", "truncated", "grown", "replaced", "swapped-a", "swapped-b", "dirty")
    for name in names:
        (source / name).write_bytes(os.urandom(1 << 20))
    with (source / "dirty").open("r+b") as file, mmap.mmap(file.fileno(), 0) as dirty:
        # A page that is dirty before the fence: a second write to it moves no timestamp, unless the fence cleaned it.
        dirty[0:5] = b"first"
        _settle()
        run = stop(source, dest)
        run.wait()
        dirty[0:6] = b"second"
        _write_in_every_way(source)
        run.word()
        event = run.end()
    assert event["event"] == "verified", event
    assert (dest / "dirty").read_bytes()[:6] == b"second"
    assert (dest / "mmap").read_bytes()[4096:4100] == b"mmap"
    assert (dest / "direct").read_bytes()[:8] == b"D" * 8
    checker.assert_equal(source, dest)


def _write_in_every_way(source: Path) -> None:
    with (source / "write").open("r+b") as file:
        file.write(b"write")
    with (source / "mmap").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[4096:4100] = b"mmap"
    descriptor = os.open(source / "direct", os.O_RDWR | os.O_DIRECT)
    with mmap.mmap(-1, 4096) as aligned:
        aligned[:] = b"D" * 4096
        os.pwrite(descriptor, aligned, 0)
    os.close(descriptor)
    status = (source / "backdated").stat()
    with (source / "backdated").open("r+b") as file:
        file.write(b"as if never touched")
    os.utime(source / "backdated", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.truncate(source / "truncated", 100)
    with (source / "grown").open("ab") as file:
        file.write(b"more")
    old = (source / "replaced").stat()
    (source / "new").write_bytes(os.urandom(1 << 20))
    os.utime(source / "new", ns=(old.st_atime_ns, old.st_mtime_ns))
    (source / "new").rename(source / "replaced")
    (source / "swapped-a").rename(source / "swap")
    (source / "swapped-b").rename(source / "swapped-a")
    (source / "swap").rename(source / "swapped-b")


def test_a_tree_in_uproar_is_copied_warm_and_exact_at_the_end(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    torture.fill(source)
    quiet = threading.Event()
    uproar = threading.Thread(target=_uproar, args=(source, quiet))
    uproar.start()
    try:
        run = stop(source, dest)
        run.wait()
    finally:
        quiet.set()
        uproar.join()
    run.word()
    event = run.end()
    assert event["event"] == "verified", event
    checker.assert_equal(source, dest)


def _uproar(source: Path, quiet: threading.Event) -> None:
    place = source / "uproar"
    place.mkdir()
    (place / "hot").write_bytes(os.urandom(16 << 20))
    number = 0
    while not quiet.is_set():
        number += 1
        name = place / f"f{number % 50}"
        kinds: list[Callable[[], Any]] = [lambda: name.write_bytes(os.urandom(number % 9 * 50000)), lambda: name.symlink_to("hot"), name.mkdir,
                                          lambda: os.mkfifo(name), lambda: os.link(place / "hot", name)]
        if name.is_dir() and not name.is_symlink():
            name.rmdir()
        else:
            name.unlink(missing_ok=True)
        kinds[number % len(kinds)]()
        with (place / "hot").open("r+b") as file:
            file.seek(number * 7919 % (16 << 20))
            file.write(os.urandom(5000))
        if number % 10 == 0:
            os.truncate(place / "hot", (8 << 20) + number * 1000 % (8 << 20))
            (place / "moved").mkdir(exist_ok=True)
            (place / "moved").rename(place / f"moved{number % 3}") if not (place / f"moved{number % 3}").exists() else None
        time.sleep(0.001)


def test_only_the_right_word_starts_the_final_pass(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    (source / "a").write_text("a")
    run = stop(source, dest)
    run.wait()
    for wrong in ("", "final:another pod:1", "xfinal:0b7c:"):
        run.word(wrong)
        time.sleep(0.3)
        assert run.mover.process.poll() is None
    run.word()
    assert run.end()["final"] == WORD


def test_on_a_file_system_without_a_proven_fence_the_final_pass_reads_everything(make_volume: Callable[..., Path], stop: Callable[..., Stop],
                                                                                 tmp_path: Path) -> None:
    source, dest = tmp_path / "tmpfs", make_volume("dest")
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(source)], check=True)
    try:
        (source / "a").write_bytes(b"a" * 100000)
        _settle()
        run = stop(source, dest)
        run.wait()
        run.word()
        event = run.end()
    finally:
        subprocess.run(["umount", str(source)], check=True)
    assert event["event"] == "verified", event
    assert event["report"]["passes"][-1]["read_bytes"] >= 100000
    assert "neither ext4 nor xfs" in event["report"]["notes"][0]


def test_hard_links_broken_and_made_after_the_warm_pass(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    (source / "one").write_bytes(b"x" * 100000)
    for name in ("two", "three", "aaa"):
        os.link(source / "one", source / name)
    (source / "alone").write_bytes(b"y" * 100000)
    _settle()
    run = stop(source, dest)
    run.wait()
    data = (source / "two").read_bytes()
    (source / "two").unlink()
    (source / "two").write_bytes(data)
    os.link(source / "alone", source / "not alone")
    (source / "aaa").unlink()
    with (source / "three").open("r+b") as file:
        file.write(b"z")
    run.word()
    event = run.end()
    assert event["event"] == "verified", event
    checker.assert_equal(source, dest)


def test_a_hole_punched_into_a_hard_linked_file_does_not_part_its_names(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    (source / "one").write_bytes(os.urandom(1 << 20))
    os.link(source / "one", source / "two")
    run = stop(source, dest)
    run.wait()
    (source / "one").unlink()
    os.link(source / "two", source / "one")
    subprocess.run(["fallocate", "-p", "-o", "0", "-l", "524288", str(source / "two")], check=True)
    # A third name of the copy's inode makes what is known of it worthless.
    os.link(dest / "one", dest / "three")
    run.word()
    event = run.end()
    assert event["event"] == "verified", event
    checker.assert_equal(source, dest)


def test_a_write_during_the_final_pass_is_reported_as_such(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    (source / "hot").write_bytes(os.urandom(40 << 20))
    run = stop(source, dest)
    run.wait()
    (source / "hot").write_bytes(os.urandom(40 << 20))
    quiet = threading.Event()

    def still_writing() -> None:
        while not quiet.is_set():
            with (source / "hot").open("r+b") as file:
                file.write(os.urandom(10))

    writer = threading.Thread(target=still_writing)
    writer.start()
    try:
        run.word()
        event = run.end()
    finally:
        quiet.set()
        writer.join()
    assert (event["event"], event["code"], run.mover.process.returncode) == ("failed", 23, 23)
    assert "hot" in event["message"] and event["final"] == WORD


def test_sigterm_ends_cleanly_with_its_code(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    (source / "a").write_text("a")
    run = stop(source, dest)
    run.wait()
    run.mover.process.send_signal(signal.SIGTERM)
    event = run.end()
    assert (event["event"], event["code"], run.mover.process.returncode) == ("failed", 143, 143)


def test_the_report_file_says_all_passes(volumes: tuple[Path, Path], stop: Callable[..., Stop]) -> None:
    source, dest = volumes
    (source / "a").write_text("a")
    run = stop(source, dest)
    run.wait()
    run.word()
    run.end()
    report = json.loads(run.mover.report_file.read_text())["report"]
    assert [entry["kind"] for entry in report["passes"]] == ["warm", "final"]
    assert report["final"] == WORD
    assert report["tree"]["files"] == 1
