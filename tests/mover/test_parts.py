"""The small parts on which the promises rest: the fence's arithmetic, the workers' ends, the digests of holes."""
from __future__ import annotations

import os
import signal
import tempfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_volresize.mover import content, workers
from kubectl_volresize.mover.failures import InputOutput, NoSpace
from kubectl_volresize.mover.proof import Fence, Known
from kubectl_volresize.mover.pages import Stat

SECOND = 10**9
FILE = Stat(mode=0o100644, ino=5, nlink=1, uid=0, gid=0, rdev=0, size=10, blocks=8, mtime=0, ctime=100 * SECOND)


def _fence(at_second: int, carries: bool = True, offset: float = 0.0) -> Fence:
    return Fence(at_second * SECOND, offset, 10 * SECOND, carries)


def test_only_a_file_untouched_for_the_margin_before_the_fence_is_settled() -> None:
    assert _fence(111).settled(FILE)
    assert not _fence(110).settled(FILE)
    assert not _fence(90).settled(FILE), "a ctime in the future proves nothing"


def test_where_no_fence_is_proven_nothing_is_settled() -> None:
    assert not _fence(1000, carries=False).settled(FILE)


def test_a_clock_set_back_takes_the_fence_down() -> None:
    now = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    assert _fence(0, offset=now).still_holds()
    assert not _fence(0, offset=now + 60).still_holds()


@pytest.mark.parametrize("touched", [FILE._replace(ctime=1), FILE._replace(ino=6), FILE._replace(size=11), FILE._replace(mtime=1)])
def test_a_proof_ends_with_any_touch_of_either_side(touched: Stat) -> None:
    known = Known.of(FILE, FILE, b"", b"", settled=True)
    assert known.proves(FILE, FILE)
    assert not known.proves(touched, FILE)
    assert not known.proves(FILE, touched)
    assert not Known.of(FILE, FILE, b"", b"", settled=False).proves(FILE, FILE)


def _die(task: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def _fill_up(task: int) -> int:
    raise NoSpace(f"task {task}")


def test_every_task_is_answered_once() -> None:
    assert sorted(workers.run(range(1000), lambda task: task * 2, lambda: None)) == list(range(0, 2000, 2))


def test_answers_larger_than_a_pipe_do_not_block() -> None:
    assert sum(len(answer) for answer in workers.run(range(20), lambda task: bytes(1 << 20), lambda: None)) == 20 << 20


def test_a_killed_worker_is_an_error_and_not_a_hang() -> None:
    with pytest.raises(InputOutput, match="worker process"):
        list(workers.run(range(10), _die, lambda: None))


def test_a_workers_failure_keeps_its_exit_code() -> None:
    with pytest.raises(NoSpace) as caught:
        list(workers.run(range(3), _fill_up, lambda: None))
    assert caught.value.code == 20


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6 * content.BLOCK + 5), st.lists(st.tuples(st.integers(0, 6 * content.BLOCK), st.integers(1, 9000)), max_size=4))
def test_digests_do_not_depend_on_where_the_holes_are(size: int, pieces: list[tuple[int, int]]) -> None:
    folder = tempfile.gettempdir()
    sparse = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    filled = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    copied = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    try:
        os.ftruncate(sparse, size)
        for offset, length in pieces:
            if offset + length <= size:
                os.pwrite(sparse, os.urandom(length), offset)
        os.pwrite(filled, os.pread(sparse, size, 0), 0)
        digests, _ = content.read_digests(sparse, size, lambda length: None)
        assert digests == content.read_digests(filled, size, lambda length: None)[0]
        assert len(digests) == -(-size // content.BLOCK) * content.DIGEST
        copy = content.Copy(sparse, copied, size, lambda length: None, content.digests)
        copy.whole()
        assert bytes(copy.blocks) == digests
        assert os.pread(copied, size + 1, 0) == os.pread(filled, size, 0)
    finally:
        for descriptor in (sparse, filled, copied):
            os.close(descriptor)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4 * content.BLOCK), st.integers(0, 4 * content.BLOCK), st.lists(st.integers(0, 4 * content.BLOCK), max_size=4))
def test_a_delta_against_the_table_ends_equal_and_names_every_block_it_wrote(old_size: int, new_size: int, changes: list[int]) -> None:
    folder = tempfile.gettempdir()
    source = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    dest = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    try:
        data = bytearray(os.urandom(old_size))
        os.pwrite(dest, data, 0)
        table = content.digests(bytes(data))
        data = (data + bytes(new_size))[:new_size]
        for position in changes:
            data[position:position + 1] = b"!" if position < new_size else b""
        os.pwrite(source, data, 0)
        copy = content.Copy(source, dest, new_size, lambda length: None, content.digests)
        copy.against_table(table)
        assert os.pread(dest, new_size + old_size + 1, 0) == bytes(data)
        assert bytes(copy.blocks) == content.digests(bytes(data))
        old = [table[start:start + content.DIGEST] for start in range(0, len(table), content.DIGEST)]
        new = [bytes(copy.blocks[start:start + content.DIGEST]) for start in range(0, len(copy.blocks), content.DIGEST)]
        assert copy.rewritten == [number for number, one in enumerate(new) if number >= len(old) or one != old[number]]
    finally:
        os.close(source)
        os.close(dest)
