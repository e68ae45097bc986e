"""What every executor works with."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..kube.client import Client
from ..model.objects import Object
from .lease import Lease
from .log import Log


@dataclass(frozen=True)
class Tools:
    """`migration` and `statefulset` are names; `pause` sleeps (seconds), `now` is RFC 3339; `fence` raises Fenced when another runner works here."""

    client: Client
    namespace: str
    migration: str
    statefulset: str
    lease: Lease
    log: Log
    pause: Callable[[float], None]
    now: Callable[[], str]
    fence: Callable[[], object]


def set_finalizers(tools: Tools, path: str, finalizers: tuple[str, ...], resource_version: str) -> Object:
    """Exactly these, if nobody changed the object since: a merge patch without that guard overwrites the finalizers of others. Raises Conflict."""
    body: Object = {"metadata": {"resourceVersion": resource_version, "finalizers": list(finalizers)}}
    return tools.client.merge_patch(path, body)
