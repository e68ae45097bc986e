"""Structural schemas: what the API server does with a custom resource before it stores it.

One thing is different on purpose: a real server drops a field that the schema does not know without a word, here it is an AssertionError, since the
writer then believes that something is recorded which is not. Source: apiextensions-apiserver, structural schemas, pruning and defaulting.
"""
from __future__ import annotations

import re
from typing import Any

Schema = dict[str, Any]
_TYPES: dict[str, tuple[type, ...]] = {"object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
                                       "boolean": (bool,)}


_WORDS = {"type", "description", "properties", "items", "required", "enum", "format", "pattern", "default", "minimum", "maximum", "minLength",
          "maxLength", "minItems", "maxItems", "anyOf", "additionalProperties", "nullable"}


def check_words(schema: Schema, path: str = "openAPIV3Schema") -> None:
    """Raises AssertionError for a word that no schema has: an unquoted comma in a description makes one of what follows it."""
    unknown = sorted(word for word in schema if word not in _WORDS and not word.startswith("x-kubernetes-"))
    assert not unknown, f"{path} has words that no schema has: {unknown}"
    for name, inner in schema.get("properties", {}).items():
        check_words(inner, f"{path}.{name}")
    if "items" in schema:
        check_words(schema["items"], f"{path}[]")


def with_defaults(schema: Schema, value: Any) -> Any:
    """`value` with the schema's defaults filled in."""
    if isinstance(value, dict):
        filled = {key: with_defaults(schema.get("properties", {}).get(key, {}), item) for key, item in value.items()}
        for key, inner in schema.get("properties", {}).items():
            if key not in filled and "default" in inner:
                filled[key] = inner["default"]
        return filled
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), item) for item in value]
    return value


def wrong(schema: Schema, value: Any, path: str = "") -> list[str]:
    """What the server would refuse with 422. Raises AssertionError for a field that it would silently drop."""
    if schema.get("x-kubernetes-int-or-string"):
        return _wrong_text(schema, str(value), path) if isinstance(value, (int, str)) else [f"{path}: Invalid value: must be integer or string"]
    kinds = _TYPES.get(schema.get("type", ""))
    if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
        return [f'{path}: Invalid value: "{type(value).__name__}": must be of type {schema["type"]}']
    if isinstance(value, dict):
        return _wrong_object(schema, value, path)
    if isinstance(value, list):
        return _wrong_list(schema, value, path)
    if isinstance(value, str):
        return _wrong_text(schema, value, path)
    outside = ("minimum" in schema and value < schema["minimum"]) or ("maximum" in schema and value > schema["maximum"])
    return [f"{path}: Invalid value: {value}: out of range"] if outside else []


def _wrong_object(schema: Schema, value: dict[str, Any], path: str) -> list[str]:
    known = schema.get("properties", {})
    if path == ".metadata":
        # Not the schema's: the server knows what metadata may hold.
        return []
    if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
        unknown = sorted(set(value) - set(known))
        assert not unknown, f"{path or 'the object'} has fields that the schema does not know, a real server would drop them: {', '.join(unknown)}"
    found = [f"{path}.{name}: Required value" for name in schema.get("required", []) if name not in value]
    for key, item in value.items():
        found += wrong(known.get(key, {"x-kubernetes-preserve-unknown-fields": True}), item, f"{path}.{key}")
    return found


def _wrong_list(schema: Schema, value: list[Any], path: str) -> list[str]:
    found = [error for index, item in enumerate(value) for error in wrong(schema.get("items", {}), item, f"{path}[{index}]")]
    if len(value) < schema.get("minItems", 0):
        found.append(f"{path}: Invalid value: should have at least {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        found.append(f"{path}: Too many: {len(value)}: must have at most {schema['maxItems']} items")
    if schema.get("x-kubernetes-list-type") == "map":
        keys = [tuple(item.get(key) for key in schema["x-kubernetes-list-map-keys"]) for item in value if isinstance(item, dict)]
        found += [f"{path}: Duplicate value: {key}" for key in sorted({key for key in keys if keys.count(key) > 1}, key=str)]
    return found


def _wrong_text(schema: Schema, value: str, path: str) -> list[str]:
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f'{path}: Unsupported value: "{value}": supported values: {", ".join(schema["enum"])}')
    if len(value) < schema.get("minLength", 0) or len(value) > schema.get("maxLength", len(value)):
        found.append(f'{path}: Invalid value: "{value[:40]}": length out of range')
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f'{path}: Invalid value: "{value}": should match {schema["pattern"]}')
    if schema.get("format") == "date-time" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value):
        found.append(f'{path}: Invalid value: "{value}": must be of type date-time')
    return found
