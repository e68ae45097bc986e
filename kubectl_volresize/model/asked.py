"""What a user asks of a migration that exists: an annotation on its VolumeResize, written by the plugin and answered in status.lastRequest."""
from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from . import labels
from .objects import Object, View
from .record import Record

CANCEL, RESUME, ROLLBACK, CLEANUP = "cancel", "resume", "rollback", "cleanup"


@dataclass(frozen=True)
class Asked:
    """`id` is new for each request, so that none is carried out twice; `verb` is "" for one that cannot be read."""

    id: str
    verb: str
    args: Object = field(default_factory=dict)

    def to_annotation(self) -> str:
        return json.dumps({"id": self.id, "verb": self.verb, "args": self.args}, separators=(",", ":"))


def unanswered(migration: View, record: Record) -> Asked | None:
    """The request that no runner has answered yet."""
    text = migration.annotations.get(labels.REQUESTED)
    if not text:
        return None
    asked = _read(text)
    return None if asked.id == record.last_request.get("id") else asked


def asks_for_lost_record(migration: View, record: Record) -> bool:
    """Its VolumeResize was deleted by force, and this one was created in its place by `resume`."""
    asked = unanswered(migration, record)
    return asked is not None and asked.verb == RESUME and bool(asked.args.get("rebuild")) and not record.start_time


def named_volumes(migration: View, record: Record) -> frozenset[str]:
    """The volumes that its user found by their labels, when he asks for a lost record; a runner may not look for them."""
    asked = unanswered(migration, record)
    named = asked.args.get("volumes") if asked is not None and asks_for_lost_record(migration, record) else None
    return frozenset(map(str, named)) if isinstance(named, list) else frozenset()


def _read(text: str) -> Asked:
    """Whatever a human may have written by hand gets an answer, hence an id."""
    by_content = hashlib.sha256(text.encode()).hexdigest()[:8]
    try:
        raw = json.loads(text)
    except ValueError:
        return Asked(by_content, "")
    if not isinstance(raw, dict):
        return Asked(by_content, "")
    args = raw.get("args") or {}
    return Asked(str(raw.get("id") or by_content), str(raw.get("verb") or ""), args if isinstance(args, dict) else {})
