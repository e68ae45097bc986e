"""A client that never rests: one for each replica, outside the cluster, which writes down what was acknowledged and comes back when it is cut off."""
from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from ledger import SCHEMA, Ledger, Transaction
from server import Database

# Between two transactions, so that three of them leave the machine something to migrate with.
_THINK_SECONDS = 0.03
_RETRY_SECONDS = 0.2


class CutOff(Exception):
    """The server, its pod or the way to it is gone."""


class Session:
    """psql in the pod, fed by hand: an answer comes before the next question."""

    def __init__(self, database: Database, ordinal: int, errors: IO[str]) -> None:
        self._process = subprocess.Popen(database.command(ordinal, "psql", "-XAt", "-v", "ON_ERROR_STOP=1"), stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=errors, text=True, env=database.namespace.environment)

    def ask(self, script: str, lines: int) -> tuple[str, ...]:
        """So many lines of answer, fewer never. Raises CutOff."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(script)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise CutOff from error
        answer = tuple(self._process.stdout.readline() for _ in range(lines))
        if not all(line.endswith("\n") for line in answer):
            raise CutOff
        return tuple(line.rstrip("\n") for line in answer)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class Acknowledged:
    """That a COMMIT came back: when (time.monotonic), and from which start of the server."""

    at: float
    server: str


class Load:
    """`acknowledged`: every commit in order; `wrong`: what no server says that has kept its promises; `unsure`: how many commits were cut off before
    their answer, by what became of them."""

    def __init__(self, database: Database, ordinal: int, ledger: Ledger) -> None:
        self.ordinal, self.ledger = ordinal, ledger
        self.acknowledged: list[Acknowledged] = []
        self.wrong: list[str] = []
        self.unsure = {True: 0, False: 0}
        self._database = database
        self._pending: Transaction | None = None
        self._over = threading.Event()

    def stock(self, items: int) -> None:
        """Tables, indexes and so many items, a dozen KiB each."""
        stock = self.ledger.stock(items)
        rows = "".join(f"{item.id}\t{item.version}\t{item.array}\t{item.body}\t{item.transaction}\n" for item in stock)
        self._database.sql(self.ordinal, f"{SCHEMA}\nBEGIN;\nINSERT INTO transactions VALUES (0);\nCOPY items FROM stdin;\n{rows}\\.\nCOMMIT;\n")
        self.ledger.acknowledge_stock(stock)

    def run(self) -> None:
        """Until `stop`, however often it is cut off."""
        while not self._over.is_set():
            with self._session() as session:
                self._work(session)
            self._over.wait(_RETRY_SECONDS)

    def stop(self) -> None:
        self._over.set()

    def longest_silence(self) -> float:
        """Seconds between two acknowledgements; infinite when there never were two."""
        return max((later.at - earlier.at for earlier, later in zip(self.acknowledged, self.acknowledged[1:])), default=float("inf"))

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with tempfile.TemporaryFile("w+") as errors:
            session = Session(self._database, self.ordinal, errors)
            try:
                yield session
            except CutOff:
                errors.seek(0)
                # FATAL is how a server says that it stops or has not started yet.
                self.wrong += [line.strip() for line in errors if "ERROR:" in line or "PANIC:" in line]
            finally:
                session.close()

    def _work(self, session: Session) -> None:
        # Held as long as the session: one that was cut off and is still about to commit would make a liar of the next answer.
        session.ask("SELECT 'alone' FROM pg_advisory_lock(1);\n", lines=1)
        server, = session.ask("SELECT pg_postmaster_start_time();\n", lines=1)
        if self._pending is not None:
            self._settle(session, self._pending)
        while not self._over.is_set():
            self._pending = transaction = self.ledger.next()
            answers = session.ask(transaction.sql, lines=len(transaction.answers))
            if answers != transaction.answers:
                self.wrong.append(f"transaction {transaction.id}: {', '.join(answers)}")
                # What stands there now, nobody knows; whatever is said from here on would be a consequence.
                self.stop()
                return
            self.ledger.acknowledge(transaction)
            self.acknowledged.append(Acknowledged(time.monotonic(), server))
            self._pending = None
            self._over.wait(_THINK_SECONDS)

    def _settle(self, session: Session, transaction: Transaction) -> None:
        """Its answer was cut off, so both is right, wholly or not at all; but what is seen once, stays."""
        there = session.ask(f"SELECT count(*) FROM transactions WHERE id = {transaction.id};\n", lines=1) == ("1",)
        if there:
            self.ledger.acknowledge(transaction)
        self.unsure[there] += 1
        self._pending = None
