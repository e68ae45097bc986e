"""A pool of forked worker processes over pipes: processes because the interpreter lock makes threads slow on small files, our own because the
standard pools hang or need /dev/shm when a worker is killed. It knows nothing of files."""
from __future__ import annotations

import ctypes
import os
import signal
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Callable, Iterator, Sequence, TypeVar

from .failures import InputOutput, MoverFailure

Task = TypeVar("Task")
Result = TypeVar("Result")
_PR_SET_PDEATHSIG = 1
# A second task in the pipe keeps the child busy while the parent handles its first result.
_AHEAD = 2

_slot = 0

WORKERS = max(2, min(8, 2 * (os.cpu_count() or 1)))


def slot() -> int:
    """The number of this worker among its siblings, from 1; 0 in the parent."""
    return _slot


def run(tasks: Sequence[Task], work: Callable[[Task], Result], tick: Callable[[], None], count: int = WORKERS) -> Iterator[Result]:
    """Yield work(task) for each task, in the order of completion. The children see the parent's memory as it was at the call.

    `tick` is called at least twice a second. Raises the MoverFailure that a worker raised, or InputOutput when a worker died.
    """
    # Only a task's number travels to the child: large messages in both directions at once would block both ends for ever.
    todo = iter(range(len(tasks)))
    children: dict[Connection, int] = {}
    busy: dict[Connection, int] = {}
    try:
        for number in range(min(count, len(tasks))):
            connection, pid = _fork(lambda index: work(tasks[index]), list(children), number + 1)
            children[connection] = pid
            busy[connection] = 0
        for _ in range(_AHEAD):
            for connection in busy:
                _feed(connection, todo, busy)
        while any(busy.values()):
            ready = wait([connection for connection in busy if busy[connection]], timeout=0.5)
            tick()
            for connection in [connection for connection in busy if connection in ready]:
                result = _receive(connection)
                busy[connection] -= 1
                _feed(connection, todo, busy)
                yield result
    finally:
        _reap(children)


def in_order(tasks: Sequence[Task], work: Callable[[Task], Result], tick: Callable[[], None]) -> list[Result]:
    """All results, in the order of the tasks, whichever worker is the fastest. One task alone is done here: it is not worth forking for."""
    tick()
    if len(tasks) == 1:
        return [work(tasks[0])]
    answers = run(range(len(tasks)), lambda number: (number, work(tasks[number])), tick)
    return [result for _, result in sorted(answers, key=lambda answer: answer[0])]


def _receive(connection: Connection) -> Any:
    try:
        result = connection.recv()
    except (EOFError, ConnectionResetError):
        raise InputOutput("a worker process of the copy died (killed, or out of memory)") from None
    if isinstance(result, BaseException):
        raise result
    return result


def _feed(connection: Connection, todo: Iterator[int], busy: dict[Connection, int]) -> None:
    number = next(todo, None)
    if number is None:
        return
    try:
        connection.send(number)
    except OSError:
        raise InputOutput("a worker process of the copy died (killed, or out of memory)") from None
    busy[connection] += 1


def fork(work: Callable[[], None]) -> int:
    """A child process that does this work, then ends; it dies with its parent. Returns its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _be_a_child(parent)
        work()
        status = 0
    finally:
        os._exit(status)
    raise AssertionError("unreachable")


def _fork(work: Callable[[Any], Any], others: list[Connection], number: int) -> tuple[Connection, int]:
    mine, theirs = Pipe()

    def serve() -> None:
        global _slot
        _slot = number
        mine.close()
        for other in others:
            other.close()
        _serve(theirs, work)

    pid = fork(serve)
    theirs.close()
    return mine, pid


def _be_a_child(parent: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, so that a killed mover leaves nothing writing."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            connection.send(work(task))
        except MoverFailure as failure:
            connection.send(failure)
        except Exception as error:
            connection.send(InputOutput(f"{type(error).__name__}: {error}"))


def _reap(children: dict[Connection, int]) -> None:
    for connection, pid in children.items():
        os.kill(pid, signal.SIGKILL)
        connection.close()
    for pid in children.values():
        os.waitpid(pid, 0)
