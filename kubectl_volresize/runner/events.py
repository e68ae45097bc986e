"""Events on the VolumeResize and its StatefulSet, for `kubectl describe`. Best effort: the record, not they, is what anything depends on."""
from __future__ import annotations

import uuid

from ..errors import ApiError, Unreachable
from ..kube import paths
from ..kube.client import Client
from ..model import labels
from ..model.objects import Object
from .log import Log

_COMPONENT = "volresize-runner"
_LONGEST = 1024  # characters; events.k8s.io refuses longer notes
_LONGEST_NAME = 200


class Events:
    """`instance`: the runner's pod."""

    def __init__(self, client: Client, log: Log, instance: str) -> None:
        self._client, self._log, self._instance = client, log, instance

    def say(self, migration: Object, statefulset: Object | None, kind: str, reason: str, message: str, now: str) -> None:
        """`statefulset` as it was seen, None when it is not to be told; `kind` Normal or Warning, `reason` one CamelCase word, `now` RFC 3339."""
        self._write(migration, labels.API_VERSION, labels.KIND, kind, reason, message, now)
        if statefulset is not None:
            self._write(statefulset, "apps/v1", "StatefulSet", kind, reason, f"volumeresize/{migration['metadata']['name']}: {message}", now)

    def _write(self, about: Object, version: str, what: str, kind: str, reason: str, message: str, now: str) -> None:
        meta = about["metadata"]
        event: Object = {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": f"{meta['name'][:_LONGEST_NAME]}.{uuid.uuid4().hex[:16]}", "namespace": meta["namespace"]},
            "involvedObject": {"apiVersion": version, "kind": what, "name": meta["name"], "namespace": meta["namespace"],
                               "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]},
            "type": kind, "reason": reason, "message": message[:_LONGEST], "action": reason, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            "source": {"component": _COMPONENT}, "reportingComponent": f"{labels.GROUP}/{_COMPONENT}", "reportingInstance": self._instance}
        try:
            self._client.create(paths.events(meta["namespace"]), event)
        except (ApiError, Unreachable) as error:
            self._log.warning("Event", f"event {reason} could not be written: {error.message}")
