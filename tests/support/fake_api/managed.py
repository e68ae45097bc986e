"""managedFields: who owns which field, and which apply is a conflict. Lists are owned as a whole, but for this the rules are the server's.
Source: structured-merge-diff; API concepts, "Server-Side Apply"."""
from __future__ import annotations

import copy
from typing import Any

from .refusal import Refusal
from .store import Object

Path = tuple[str, ...]
_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")


def created(obj: Object, manager: str, operation: str, api_version: str, now: str) -> list[Object]:
    """Who creates an object owns all of it."""
    return [_entry(manager, operation, api_version, now, _paths(obj))]


def updated(old: Object, new: Object, manager: str, api_version: str, now: str) -> list[Object]:
    """Who changes a field owns it alone; what a write says about managedFields itself is taken as it is said."""
    before: list[Object] = old["metadata"].get("managedFields") or []
    given = new["metadata"].get("managedFields")
    if given is not None and given != before:
        return list(given)
    changed = {path for path in _paths(new) | _paths(old) if _value(new, path) != _value(old, path)}
    if not changed:
        return before
    return _taken(before, changed, _paths(new), manager, "Update", api_version, now)


def applied(current: Object, config: Object, manager: str, force: bool, api_version: str, now: str) -> Object:
    """The object after an apply. Raises Refusal 409 when another manager owns a field that would change, unless forced."""
    wanted = _paths(config)
    entries: list[Object] = current["metadata"].get("managedFields") or []
    different = {path for path in wanted if not _covers(_value(current, path), _value(config, path))}
    conflicts = [(entry["manager"], ".".join(path)) for entry in entries for path in sorted(different)
                 if (entry["manager"], entry["operation"]) != (manager, "Apply") and _overlaps(path, _owned(entry))]
    if conflicts and not force:
        causes = [{"reason": "FieldManagerConflict", "message": f'conflict with "{owner}"', "field": f".{field}"} for owner, field in conflicts]
        raise Refusal(409, "Conflict", f"Apply failed with {len(conflicts)} conflict(s): " + ", ".join(f".{field}" for _, field in conflicts),
                      {"causes": causes})
    merged: Object = _merged(current, config)
    others = [entry for entry in entries if (entry["manager"], entry["operation"]) != (manager, "Apply")]
    merged["metadata"]["managedFields"] = _taken(others, different, wanted, manager, "Apply", api_version, now, all_of=wanted)
    return merged


def _taken(entries: list[Object], changed: set[Path], present: set[Path], manager: str, operation: str, api_version: str, now: str,
           all_of: set[Path] | None = None) -> list[Object]:
    """The entries after `manager` took the changed fields from all others."""
    kept, own = [], set(changed if all_of is None else all_of)
    for entry in entries:
        owned = _owned(entry)
        if (entry["manager"], entry["operation"]) == (manager, operation):
            own |= owned
        elif owned - changed:
            kept.append(entry if not owned & changed else {**entry, "fieldsV1": _tree(owned - changed)})
    own &= present
    return [*kept, _entry(manager, operation, api_version, now, own)] if own else kept


def _entry(manager: str, operation: str, api_version: str, now: str, paths: set[Path]) -> Object:
    return {"manager": manager, "operation": operation, "apiVersion": api_version, "time": now, "fieldsType": "FieldsV1", "fieldsV1": _tree(paths)}


def _paths(obj: Object) -> set[Path]:
    """Every leaf that somebody can own: spec, data and the like, and what users write into metadata."""
    found: set[Path] = set()
    for key, value in obj.items():
        if key == "metadata":
            found |= {("metadata", name, *rest) for name in _METADATA if value.get(name) for rest in _leaves(value[name])}
        elif key not in ("apiVersion", "kind", "status"):
            found |= {(key, *rest) for rest in _leaves(value)}
    return found


def _leaves(value: Any) -> list[Path]:
    if not isinstance(value, dict) or not value:
        return [()]
    return [(key, *rest) for key, inner in value.items() for rest in _leaves(inner)]


def _tree(paths: set[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        here = tree
        for key in path:
            here = here.setdefault(f"f:{key}", {})
    return tree


def _owned(entry: Object) -> set[Path]:
    return {tuple(key.removeprefix("f:") for key in path) for path in _leaves(entry.get("fieldsV1") or {}) if path}


def _overlaps(path: Path, owned: set[Path]) -> bool:
    return any(path[:len(other)] == other or other[:len(path)] == path for other in owned)


def _value(obj: Object, path: Path) -> Any:
    here: Any = obj
    for key in path:
        here = here.get(key) if isinstance(here, dict) else None
    return here


def _covers(present: Any, wanted: Any) -> bool:
    """All that is wanted is there already; defaults that were filled in beside it are no difference."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(_covers(present.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(present, list) and len(present) == len(wanted) and all(map(_covers, present, wanted))
    return bool(present == wanted)


def _merged(present: Any, wanted: Any) -> Any:
    if isinstance(wanted, dict) and isinstance(present, dict):
        return {**present, **{key: _merged(present.get(key), value) for key, value in wanted.items() if key != "managedFields"}}
    if isinstance(wanted, list) and isinstance(present, list) and len(wanted) == len(present):
        return [_merged(before, after) for before, after in zip(present, wanted)]
    return copy.deepcopy(wanted)
