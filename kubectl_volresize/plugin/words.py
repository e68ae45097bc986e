"""How objects and spans of time are named to people, as kubectl names them."""
from __future__ import annotations

from datetime import datetime
from typing import Any

from ..model import labels


def resource(obj: dict[str, Any]) -> str:
    """`kind.group/name` as kubectl prints it: job.batch/x, serviceaccount/x."""
    group = obj["apiVersion"].rpartition("/")[0]
    return f"{obj['kind'].lower()}{'.' + group if group else ''}/{obj['metadata']['name']}"


def migration_resource(name: str) -> str:
    return f"{labels.KIND.lower()}.{labels.GROUP}/{name}"


def done(word: str, dry_run: str) -> str:
    """`word`, and that it was not done, as kubectl says it."""
    return word + {"none": "", "client": " (dry run)", "server": " (server dry run)"}[dry_run]


def instant(rfc3339: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(rfc3339).timestamp()


def span(seconds: float) -> str:
    """Two units at most, like kubectl's ages: 42s, 3m7s, 2h5m, 3d4h. A clock that lags behind the server's gives 0s."""
    left = max(0, int(seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next((index for index, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return "".join(f"{count}{unit}" for count, unit in parts[first:first + 2] if count) or "0s"
