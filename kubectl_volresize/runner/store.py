"""The record on its way to the API and back. The runner is the only writer of a VolumeResize's status, and writes it by resourceVersion: whoever
lost the race reads again before doing anything."""
from __future__ import annotations

from dataclasses import replace

from ..errors import VolresizeError
from ..kube import paths
from ..kube.client import Client
from ..model import labels
from ..model.objects import Object
from ..model.record import Record, from_status


class Fenced(VolresizeError):
    """another runner, {message}, has taken up this migration; this one stops"""


class OldDefinition(VolresizeError):
    """the cluster's definition of VolumeResize drops fields that this version needs for going on after a restart"""

    hint = "run kubectl volresize install again, with this version of the plugin"


class Store:
    """One VolumeResize. `identity`: this runner's pod, unique among runners."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str) -> None:
        self._client, self.namespace, self.name, self.identity = client, namespace, name, identity
        self._claimed = False
        self._last: Object | None = None

    def read(self) -> Object | None:
        """The whole object, None when it is gone. Raises Fenced."""
        migration = self._client.find(paths.migrations(self.namespace, self.name))
        if migration is not None:
            self._last = migration
        if migration is not None and self._claimed:
            runner = str((migration.get("status") or {}).get("runner", ""))
            if runner != self.identity:
                raise Fenced(runner or "unknown")
        return migration

    def lost(self) -> Record | None:
        """The record of a VolumeResize that is gone although it was at work: somebody took its finalizer off. None when nothing was at work."""
        record = from_status((self._last or {}).get("status") or {})
        return record if self._claimed and record.start_time and not record.terminal else None

    @property
    def mark(self) -> str:
        """The UID in our marks; "" when nothing was ever read or written."""
        return from_status((self._last or {}).get("status") or {}).mark

    @property
    def last_words(self) -> str:
        """Phase, reason and message as last read or written."""
        record = from_status((self._last or {}).get("status") or {})
        reason = f" ({record.reason})" if record.reason not in ("", record.phase) else ""
        return f"{record.phase}{reason}: {record.message}"

    def write_again(self, record: Record) -> None:
        """The lost VolumeResize in a new object. Raises AlreadyExists when there is another of that name by now."""
        assert self._last is not None
        meta = {key: value for key, value in self._last["metadata"].items() if key in ("name", "namespace", "labels", "annotations")}
        body = {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "metadata": {**meta, "finalizers": [labels.FINALIZER]},
                "spec": self._last["spec"]}
        self.write(self._client.create(paths.migrations(self.namespace), body), record)

    def claimed(self, record: Record) -> bool:
        """Whether the record says that we are the one who works on it."""
        return record.runner == self.identity

    def write(self, migration: Object, record: Record) -> Object:
        """The object as it stands after the write. Raises Conflict when somebody wrote since `migration` was read, OldDefinition."""
        generation = int(migration["metadata"].get("generation") or 0)
        conditions = tuple({**condition, "observedGeneration": condition.get("observedGeneration") or generation} for condition in record.conditions)
        mark = record.mark or str(migration["metadata"]["uid"])
        status = replace(record, conditions=conditions, runner=self.identity, mark=mark).to_status()
        written = self._client.replace(paths.migration_status(self.namespace, self.name), {**migration, "status": status})
        if from_status(written.get("status") or {}).to_status() != status:
            raise OldDefinition
        self._claimed, self._last = True, written
        return written
