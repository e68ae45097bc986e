"""What the database has promised to keep, written down outside of it, and the judge that compares it with what is there. No cluster in here."""
from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

COUNTERS = 50
TAGS = 10
SCHEMA = f"""
CREATE TABLE transactions (id bigint PRIMARY KEY);
CREATE TABLE counters (id int PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE items (id bigint PRIMARY KEY, version int NOT NULL, tags int[] NOT NULL, body text NOT NULL,
                    transaction bigint NOT NULL REFERENCES transactions);
-- Never packed: beyond 2 kB it lives in the TOAST table.
ALTER TABLE items ALTER body SET STORAGE EXTERNAL;
CREATE INDEX items_by_tag ON items USING gin (tags);
CREATE INDEX items_by_transaction ON items (transaction);
CREATE INDEX items_by_body ON items (md5(body));
INSERT INTO counters SELECT id, 0 FROM generate_series(0, {COUNTERS - 1}) AS id;
"""
# By the index over the tags alone, whose answer the ledger knows too.
EVERYTHING = f"""
SELECT 'transaction', id, '' FROM transactions;
SELECT 'counter', id, value FROM counters;
SELECT 'item', id, md5(concat_ws('|', id, version, tags::text, body, transaction)) FROM items;
SET enable_seqscan = off;
SELECT 'tagged', tag, items.id FROM generate_series(0, {TAGS - 1}) AS tag, items WHERE items.tags @> ARRAY[tag];
"""


@dataclass(frozen=True)
class Item:
    """A row of `items`."""

    id: int
    version: int
    body: str
    transaction: int

    @property
    def tags(self) -> tuple[int, int]:
        return self.id % TAGS, (self.id + self.version + 1) % TAGS

    @property
    def array(self) -> str:
        return "{%d,%d}" % self.tags

    @property
    def digest(self) -> str:
        return hashlib.md5(f"{self.id}|{self.version}|{self.array}|{self.body}|{self.transaction}".encode()).hexdigest()


@dataclass(frozen=True)
class Transaction:
    """One commit: a new item, an old one changed, another deleted, a counter counted up."""

    id: int
    inserted: Item
    updated: Item
    deleted: int
    counter: int

    @property
    def sql(self) -> str:
        new, changed = self.inserted, self.updated
        return (f"BEGIN;\nINSERT INTO transactions VALUES ({self.id});\n"
                f"INSERT INTO items VALUES ({new.id}, {new.version}, '{new.array}', '{new.body}', {self.id});\n"
                f"UPDATE items SET version = {changed.version}, tags = '{changed.array}', body = '{changed.body}', transaction = {self.id}"
                f" WHERE id = {changed.id};\n"
                f"DELETE FROM items WHERE id = {self.deleted};\n"
                f"UPDATE counters SET value = value + 1 WHERE id = {self.counter};\nCOMMIT;\n")

    @property
    def answers(self) -> tuple[str, ...]:
        """What the server says to it, statement by statement, when all that was promised before is there."""
        return "BEGIN", "INSERT 0 1", "INSERT 0 1", "UPDATE 1", "DELETE 1", "UPDATE 1", "COMMIT"


@dataclass
class Ledger:
    """What must be there: transactions and items acknowledged; what must not: deletions acknowledged. `draw` decides what is done next."""

    draw: random.Random
    transactions: set[int] = field(default_factory=set)
    items: dict[int, Item] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    counters: Counter[int] = field(default_factory=Counter)
    _last: int = 0

    def stock(self, items: int) -> list[Item]:
        """A first transaction of nothing but new items, to be taken over by `acknowledge_stock`."""
        return [Item(identity, 1, self._body(large=True), 0) for identity in range(items)]

    def acknowledge_stock(self, items: list[Item]) -> None:
        self.transactions.add(0)
        self.items.update({item.id: item for item in items})
        self._last = len(items)

    def next(self) -> Transaction:
        """Numbers are never used twice, so that one whose fate is unknown can be asked for."""
        self._last += 1
        changed, deleted = self.draw.sample(sorted(self.items), 2)
        return Transaction(self._last, Item(self._last, 1, self._body(), self._last),
                           Item(changed, self.items[changed].version + 1, self._body(), self._last), deleted, self.draw.randrange(COUNTERS))

    def acknowledge(self, transaction: Transaction) -> None:
        self.transactions.add(transaction.id)
        for item in (transaction.inserted, transaction.updated):
            self.items[item.id] = item
        del self.items[transaction.deleted]
        self.deleted.add(transaction.deleted)
        self.counters[transaction.counter] += 1

    def _body(self, large: bool | None = None) -> str:
        """Hexadecimal digits; a third of them in the TOAST table."""
        large = self.draw.random() < 1 / 3 if large is None else large
        return self.draw.randbytes(self.draw.randint(3000, 9000) if large else self.draw.randint(10, 100)).hex()


@dataclass(frozen=True)
class Found:
    """What is there: digests of items by id, values of counters, and (tag, item) as the index over the tags finds them."""

    transactions: frozenset[int]
    counters: dict[int, int]
    items: dict[int, str]
    tagged: frozenset[tuple[int, int]]

    @classmethod
    def parsed(cls, answer: str) -> Found:
        """From the lines that EVERYTHING gets as an answer."""
        lines = [line.split("|") for line in answer.splitlines() if line.count("|") == 2]
        return cls(transactions=frozenset(int(key) for kind, key, _ in lines if kind == "transaction"),
                   counters={int(key): int(value) for kind, key, value in lines if kind == "counter"},
                   items={int(key): value for kind, key, value in lines if kind == "item"},
                   tagged=frozenset((int(key), int(value)) for kind, key, value in lines if kind == "tagged"))


def differences(ledger: Ledger, found: Found) -> list[str]:
    """One sentence for each promise that was not kept, and for each row that nobody was promised."""
    return [*_transactions(ledger, found), *_items(ledger, found), *_counters(ledger, found), *_tagged(ledger, found)]


def _transactions(ledger: Ledger, found: Found) -> Iterator[str]:
    for lost in sorted(ledger.transactions - found.transactions):
        yield f"transaction {lost}: acknowledged, and not there"
    for alien in sorted(found.transactions - ledger.transactions):
        yield f"transaction {alien}: there, and nobody was told that it was committed"


def _items(ledger: Ledger, found: Found) -> Iterator[str]:
    for identity, item in sorted(ledger.items.items()):
        if identity not in found.items:
            yield f"item {identity}: acknowledged, and not there"
        elif found.items[identity] != item.digest:
            yield f"item {identity}: not as it was acknowledged"
    for identity in sorted(found.items.keys() - ledger.items.keys()):
        yield f"item {identity}: there, and " + ("its deletion was acknowledged" if identity in ledger.deleted else "nobody was told of it")


def _counters(ledger: Ledger, found: Found) -> Iterator[str]:
    for identity in range(COUNTERS):
        if found.counters.get(identity) != ledger.counters[identity]:
            yield f"counter {identity}: {found.counters.get(identity)}, acknowledged {ledger.counters[identity]}"


def _tagged(ledger: Ledger, found: Found) -> Iterator[str]:
    expected = {(tag, item.id) for item in ledger.items.values() for tag in item.tags}
    for tag, identity in sorted(expected ^ found.tagged):
        yield f"item {identity}: {'not found' if (tag, identity) in expected else 'found'} by tag {tag}"
