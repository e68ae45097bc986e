"""The objects, their versions and their history. Nothing in here is ever changed in place: a write replaces an object by a new one, so that a reader
may keep what it read, and a dry run is undone by putting the old references back."""
from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .resources import BY_PLURAL, Target

Object = dict[str, Any]
Key = tuple[str, str, str]  # plural, namespace ("" for the cluster), name


class Clock:
    """The server's time, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def text(self, later: float = 0) -> str:
        """RFC 3339 in whole seconds, `later` seconds from now."""
        return (self.now + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def since(self, text: str) -> float:
        """Seconds since an RFC 3339 time."""
        return (self.now - datetime.fromisoformat(text.replace("Z", "+00:00"))).total_seconds()


@dataclass(frozen=True)
class Event:
    """One entry of the history: ADDED, MODIFIED or DELETED at a version."""

    version: int
    kind: str
    key: Key
    obj: Object


class Store:
    """Objects by key, and one counter of versions for all of them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.version = 1000
        self.objects: dict[Key, Object] = {}
        self.history: list[Event] = []
        self._sorted: dict[str, list[Object]] = {}
        self._sorted_at = -1
        self._uids = itertools.count(1)

    def uid(self) -> str:
        """A UID that no other object has or had."""
        return f"00000000-0000-4000-8000-{next(self._uids):012d}"

    def find(self, plural: str, namespace: str, name: str) -> Object | None:
        return self.objects.get((plural, namespace, name))

    def all(self, plural: str, namespace: str | None = None) -> list[Object]:
        """Objects of a resource by namespace and name; of all namespaces when none is given."""
        if self._sorted_at != self.version:
            self._sorted, self._sorted_at = {}, self.version
        if plural not in self._sorted:
            self._sorted[plural] = [obj for key, obj in sorted(self.objects.items(), key=lambda item: item[0]) if key[0] == plural]
        found = self._sorted[plural]
        return list(found) if namespace is None else [obj for obj in found if obj["metadata"].get("namespace") == namespace]

    def put(self, key: Key, obj: Object) -> Object:
        """Store as a new version, unless nothing changed: the API server does not write what is equal."""
        old = self.objects.get(key)
        if old is not None and _bare(old) == _bare(obj):
            return old
        self.version += 1
        stored = copy.deepcopy(obj)
        stored["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = stored
        self.history.append(Event(self.version, "MODIFIED" if old is not None else "ADDED", key, stored))
        return stored

    def remove(self, key: Key) -> Object:
        self.version += 1
        gone = {**self.objects.pop(key)}
        gone["metadata"] = {**gone["metadata"], "resourceVersion": str(self.version)}
        self.history.append(Event(self.version, "DELETED", key, gone))
        return gone

    def at(self, version: int) -> Store:
        """As it was at that version, to be read."""
        past = Store(self.clock)
        past.version = version
        for event in self.history:
            if event.version > version:
                break
            if event.kind == "DELETED":
                past.objects.pop(event.key)
            else:
                past.objects[event.key] = event.obj
        return past

    @contextmanager
    def undone(self, really: bool) -> Iterator[None]:
        """Everything inside is taken back at the end when `really`: a dry run."""
        if not really:
            yield
            return
        before = (dict(self.objects), list(self.history), self.version)
        try:
            yield
        finally:
            self.objects, self.history, self.version = before
            self._sorted_at = -1


def key_of(obj: Object, plural: str) -> Key:
    namespace = obj["metadata"].get("namespace", "") if BY_PLURAL[plural].namespaced else ""
    return plural, namespace, obj["metadata"]["name"]


def key_of_target(target: Target) -> Key:
    return target.resource.plural, target.namespace, target.name


def _bare(obj: Object) -> Object:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}}
