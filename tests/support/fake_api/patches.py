"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386), as the API server applies them."""
from __future__ import annotations

import copy
from typing import Any

from .refusal import bad_patch


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: null removes, dicts are merged, everything else (lists too) is replaced."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(document: Any, ops: list[dict[str, Any]]) -> Any:
    """RFC 6902. Raises Refusal 422 when a `test` fails or a path is not there."""
    patched = copy.deepcopy(document)
    for op in ops:
        patched = _apply(patched, op)
    return patched


def _apply(document: Any, op: dict[str, Any]) -> Any:
    kind, keys = op["op"], _keys(op["path"])
    if kind == "test":
        parent, last = _find(document, keys[:-1], op["path"]), keys[-1]
        absent = isinstance(parent, dict) and last not in parent and op.get("value") is None
        if not absent and _find(document, keys, op["path"]) != op.get("value"):
            raise bad_patch(f"testing value {op['path']} failed")
        return document
    if kind in ("move", "copy"):
        value = copy.deepcopy(_find(document, _keys(op["from"]), op["from"]))
        if kind == "move":
            document = _apply(document, {"op": "remove", "path": op["from"]})
        return _apply(document, {"op": "add", "path": op["path"], "value": value})
    if kind not in ("add", "replace", "remove"):
        raise bad_patch(f"unexpected kind: {kind}")
    if not keys:
        return copy.deepcopy(op["value"])
    parent, last = _find(document, keys[:-1], op["path"]), keys[-1]
    # The server's library lets a replace add a key that is not there.
    if kind == "remove" or isinstance(parent, list) and kind == "replace":
        _find(parent, [last], op["path"])
    if isinstance(parent, list):
        position = len(parent) if last == "-" else int(last)
        if kind == "add":
            parent.insert(position, copy.deepcopy(op["value"]))
        elif kind == "replace":
            parent[position] = copy.deepcopy(op["value"])
        else:
            del parent[position]
    elif not isinstance(parent, dict):
        raise bad_patch(f"{kind} operation does not apply: doc is missing path: {op['path']}: missing value")
    elif kind == "remove":
        del parent[last]
    else:
        parent[last] = copy.deepcopy(op["value"])
    return document


def _keys(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _find(document: Any, keys: list[str], pointer: str) -> Any:
    found = document
    for key in keys:
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise bad_patch(f"doc is missing path: {pointer}: missing value")
    return found
