"""A VolumeResize from a file: exactly one object of our kind, checked field by field against the schema that the API server has.

The server drops a misspelt field silently; half of a request that means something else than its author wrote is worse than an error.
"""
from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ..errors import BadQuantity, UsageError
from ..model import labels
from ..model.quantity import parse_bytes
from ..model.request import from_spec
from .result import Object

_TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int}
_WORDS = {"object": "a mapping", "array": "a list", "string": "a string", "integer": "a whole number"}
_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
# ObjectMeta; what only the server writes is here too, since what it printed can be submitted.
_META = ("name", "generateName", "namespace", "labels", "annotations", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink",
         "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "ownerReferences", "managedFields")
_LARGEST = 2**63 - 1  # of an integer in the API
_LONGEST_SHOWN = 60  # characters of a value in a message
# What PyYAML stumbles over beside YAMLError: dates that are none, digits without end, tags that do not fit, brackets nested a thousand deep.
_STUMBLES = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class BadManifest(UsageError):
    """{file}: {message}"""


def shown_name(file: str) -> str:
    return "stdin" if file == "-" else file


def load(file: str) -> Object:
    """The VolumeResize in `file`, `-` for stdin. Raises BadManifest with everything that is wrong, each with its field."""
    import yaml

    if not file:
        raise UsageError("-f names no file: give one, or - for stdin")
    shown = shown_name(file)
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        documents = [document for document in yaml.load_all(text, _strict_loader()) if document is not None]
    except OSError as error:
        raise BadManifest(f"cannot be read: {error.strerror}", file=shown) from error
    except UnicodeDecodeError as error:
        raise BadManifest("is not text in UTF-8", file=shown) from error
    except yaml.YAMLError as error:
        raise BadManifest(f"is neither YAML nor JSON: {_where(error)}", file=shown) from error
    except _STUMBLES as error:
        raise BadManifest(f"cannot be read as YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}", file=shown) from error
    if len(documents) != 1:
        raise BadManifest(f"holds {len(documents)} objects; submit takes exactly one {labels.KIND}", file=shown)
    wrong = list(_wrong(documents[0]))
    if wrong:
        raise BadManifest("; ".join(wrong), file=shown)
    manifest: Object = documents[0]
    try:
        from_spec(manifest["spec"])
    except UsageError as error:
        raise BadManifest(error.message, file=shown) from error
    return manifest


def _strict_loader() -> Any:
    """A loader to which a key that stands twice is an error, as it is to kubectl; PyYAML would take the last one."""
    import yaml

    class Strict(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            node: Any = super().compose_mapping_node(anchor)
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value} stands twice", problem_mark=key.start_mark)
                if isinstance(key, yaml.ScalarNode):
                    seen.add(key.value)
            return node

    return Strict


def _where(error: Any) -> str:
    """What the parser says, on one line."""
    mark = getattr(error, "problem_mark", None)
    at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return at + str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be parsed")


def _wrong(manifest: Any) -> Iterator[str]:
    if not isinstance(manifest, dict):
        yield f"is not an object; submit takes a {labels.KIND}"
        return
    if (manifest.get("apiVersion"), manifest.get("kind")) != (labels.API_VERSION, labels.KIND):
        yield f"is {_cut(str(manifest.get('apiVersion')))} {_cut(str(manifest.get('kind')))}; submit takes {labels.API_VERSION} {labels.KIND}"
        return
    yield from _unknown(_FIELDS, manifest, "")
    if manifest.get("metadata") is None:
        manifest["metadata"] = {}
    yield from _meta(manifest["metadata"])
    if not isinstance(manifest.get("spec"), dict):
        yield "spec is missing: it names the StatefulSet and its volumes"
        return
    try:
        json.dumps(manifest["spec"], allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        # In the parts that the schema leaves free: a date, .nan, an alias to what it stands in.
        yield f"spec cannot be sent as JSON: {error}"
        return
    wrong = list(_against(_schema(), manifest["spec"], "spec"))
    yield from wrong
    bandwidth = (manifest["spec"].get("copy") or {}).get("bandwidth") if not wrong else None
    if bandwidth and parse_bytes(bandwidth) <= 0:
        yield f"spec.copy.bandwidth is {bandwidth}: it must be more than 0 bytes per second"


def _meta(meta: Any) -> Iterator[str]:
    if not isinstance(meta, dict):
        yield "metadata is not a mapping"
        return
    yield from _unknown(_META, meta, "metadata.")
    if "generateName" in meta:
        yield "metadata.generateName is not supported: give metadata.name, or leave both out for a name after the StatefulSet"
    for key in ("name", "namespace"):
        if not isinstance(meta.get(key) or "", str):
            yield f"metadata.{key} must be a string, not {_shown(meta[key])}"
    for key in ("labels", "annotations"):
        if not isinstance(meta.get(key) or {}, dict):
            yield f"metadata.{key} must be a mapping, not {_shown(meta[key])}"
            continue
        for name, value in (meta.get(key) or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                yield f"metadata.{key}: {_shown(name)}: {_shown(value)} must be a string for a string; put it in quotes"


def _schema() -> Object:
    from ..templates import render

    schema: Object = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def _against(schema: Object, value: Any, path: str) -> Iterator[str]:
    """What of `value` the schema does not know, or knows otherwise. Required fields are from_spec's, which says what they are for."""
    if value is None and not path.endswith("]"):
        # As the server reads it: a field that is null is not there.
        return
    if schema.get("x-kubernetes-int-or-string"):
        yield from _quantity(schema, value, path)
        return
    kind = str(schema["type"])
    # A bool is an int to Python and not to the API server.
    fitting = isinstance(value, _TYPES[kind]) and not isinstance(value, bool)
    if not fitting:
        yield f"{path} must be {_WORDS[kind]}, not {_shown(value)}"
    elif kind == "array":
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{path} has {len(value)} entries; {schema['maxItems']} are possible"
        for index, item in enumerate(value):
            yield from _against(schema["items"], item, f"{path}[{index}]")
    elif kind == "object":
        yield from _fields(schema, value, path)
    elif kind == "string":
        yield from _text(schema, value, path)
    elif not schema.get("minimum", -_LARGEST) <= value <= schema.get("maximum", _LARGEST):
        yield f"{path} is {_shown(value)}; it must be from {schema.get('minimum', -_LARGEST)} to {schema.get('maximum', _LARGEST)}"


def _fields(schema: Object, value: Object, path: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for key, item in value.items():
        if others or key in known:
            yield from _against(known.get(key, others), item, f"{path}.{key}")
    if not others and not schema.get("x-kubernetes-preserve-unknown-fields"):
        yield from _unknown(known, value, f"{path}.")


def _unknown(known: Collection[str], value: Object, path: str) -> Iterator[str]:
    for key in value:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            yield f"{path}{_cut(str(key))} is no field of {labels.KIND}" + (f"; did you mean {close[0]}?" if close else "")


def _text(schema: Object, value: str, path: str) -> Iterator[str]:
    """Of an empty text that may not be one from_spec says what it is for."""
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{path} has {len(value)} characters; {schema['maxLength']} are possible"
    elif value and not re.fullmatch(schema.get("pattern", ".*"), value, re.DOTALL | re.ASCII):
        # The schema's own sentence says what is possible.
        yield f"{path} cannot be {_shown(value)}. {schema.get('description', '')}".rstrip(". ")


def _quantity(schema: Object, value: Any, path: str) -> Iterator[str]:
    """Of a size that is nothing, or less, from_spec says so."""
    try:
        parse_bytes("" if isinstance(value, bool) else value)
    except BadQuantity as error:
        yield f"{path}: {_shown(value)} is not a Kubernetes quantity; {error.advice}"
        return
    if isinstance(value, float):
        yield f"{path} must be a whole number of bytes or a string such as 500Mi, not {_shown(value)}"
    elif isinstance(value, int) and abs(value) > _LARGEST:
        yield f"{path} is {_shown(value)}; a number is at most {_LARGEST}"
    elif isinstance(value, str) and not re.fullmatch(schema["pattern"], value):
        yield f"{path} cannot be {_shown(value)}: write it without spaces, and not below 0"
    elif isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield f"{path} has {len(value)} characters; {schema['maxLength']} are possible"


def _shown(value: Any) -> str:
    """A value in a message, which it must not fill."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
