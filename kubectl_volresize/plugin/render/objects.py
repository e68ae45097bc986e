"""API objects as JSON, YAML or names, as kubectl prints them; and in the same envelope, apiVersion and kind, what is no object of the API."""
from __future__ import annotations

import json
from typing import Any

from ...errors import VolresizeError
from ...model import labels
from .. import result
from ..words import resource
from . import sentences

__all__ = ["answer", "compact", "ended", "failure", "line", "resource", "text"]

_OURS = f"cli.{labels.GROUP}/{labels.VERSION}"


def answer(kind: str, **fields: Any) -> dict[str, Any]:
    """An answer of the plugin itself (docs/reference/output.md)."""
    return {"apiVersion": _OURS, "kind": kind, **fields}


def failure(error: VolresizeError) -> dict[str, Any]:
    """For programs, what else a sentence on stderr says. `findings` as in a Plan; [] when it is none of them."""
    message, hint = sentences.sentence(error)
    return answer("Error", exitCode=error.exit_code, reason=type(error).__name__, message=message, fix=hint, findings=list(error.findings))


def ended(end: result.Outcome) -> dict[str, Any]:
    """The same for a migration that was followed to a bad end."""
    return answer("Error", exitCode=end.exit_code, reason="MigrationEnded", message=end.message, fix="\n".join(end.advice), findings=[])


def text(objects: list[dict[str, Any]], output: str, as_list: bool = False) -> str:
    """YAML gives one document an object, which `kubectl apply -f -` takes; JSON always one, a List when it is not just one object or
    `as_list`."""
    if output == result.NAME:
        return "\n".join(resource(obj) for obj in objects)
    shown = [_without_managed_fields(obj) for obj in objects]
    if as_list or (output == result.JSON and len(shown) != 1):
        shown = [{"apiVersion": "v1", "kind": "List", "items": shown}]
    if output == result.JSON:
        return "\n".join(json.dumps(obj, indent=4) for obj in shown)
    # 20 ms that --help need not pay.
    import yaml

    return "---\n".join(yaml.safe_dump(obj, sort_keys=False, width=150) for obj in shown).rstrip("\n")


def line(objects: list[dict[str, Any]]) -> str:
    """A List as one line of JSON."""
    return compact({"apiVersion": "v1", "kind": "List", "items": [_without_managed_fields(obj) for obj in objects]})


def compact(obj: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(obj, separators=(",", ":"))


def _without_managed_fields(obj: dict[str, Any]) -> dict[str, Any]:
    """As kubectl without --show-managed-fields."""
    if "managedFields" not in obj.get("metadata", {}):
        return obj
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}
