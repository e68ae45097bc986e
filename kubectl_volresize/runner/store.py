"""The record on its way to the API and back. The runner is the only writer of a VolumeResize's status, and writes it by resourceVersion: whoever
lost the race reads again before doing anything."""
from __future__ import annotations

from dataclasses import replace

from ..errors import VolresizeError
from ..kube import paths
from ..kube.client import Client
from ..model.cluster import Object
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

    def read(self) -> Object | None:
        """The whole object, None when it is gone. Raises Fenced."""
        migration = self._client.find(paths.migrations(self.namespace, self.name))
        if migration is not None and self._claimed:
            runner = str((migration.get("status") or {}).get("runner", ""))
            if runner != self.identity:
                raise Fenced(runner or "unknown")
        return migration

    def claimed(self, record: Record) -> bool:
        """Whether the record says that we are the one who works on it."""
        return record.runner == self.identity

    def write(self, migration: Object, record: Record) -> Object:
        """The object as it stands after the write. Raises Conflict when somebody wrote since `migration` was read, OldDefinition."""
        generation = int(migration["metadata"].get("generation") or 0)
        conditions = tuple({**condition, "observedGeneration": condition.get("observedGeneration") or generation} for condition in record.conditions)
        status = replace(record, conditions=conditions, runner=self.identity).to_status()
        written = self._client.replace(paths.migration_status(self.namespace, self.name), {**migration, "status": status})
        if from_status(written.get("status") or {}).to_status() != status:
            raise OldDefinition
        self._claimed = True
        return written
