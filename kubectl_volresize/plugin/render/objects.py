"""API objects as JSON, YAML or names, as kubectl prints them."""
from __future__ import annotations

import json
from typing import Any

from .. import result
from ..words import resource

__all__ = ["resource", "text"]


def text(objects: list[dict[str, Any]], output: str, as_list: bool = False) -> str:
    """YAML gives one document an object, which `kubectl apply -f -` takes; JSON one object, or a List when there are more or `as_list`."""
    if output == result.NAME:
        return "\n".join(resource(obj) for obj in objects)
    shown = [_without_managed_fields(obj) for obj in objects]
    if as_list or (output == result.JSON and len(shown) > 1):
        shown = [{"apiVersion": "v1", "kind": "List", "items": shown}]
    if output == result.JSON:
        return "\n".join(json.dumps(obj, indent=4) for obj in shown)
    # 20 ms that --help need not pay.
    import yaml

    return "---\n".join(yaml.safe_dump(obj, sort_keys=False, width=150) for obj in shown).rstrip("\n")


def _without_managed_fields(obj: dict[str, Any]) -> dict[str, Any]:
    """As kubectl without --show-managed-fields."""
    if "managedFields" not in obj.get("metadata", {}):
        return obj
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}
