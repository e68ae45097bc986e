"""A VolumeResize from a file: exactly one object of our kind, checked field by field against the schema that the API server has.

The server drops a misspelt field silently; half of a request that means something else than its author wrote is worse than an error.
"""
from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BadQuantity, UsageError
from ..model import labels
from ..model.quantity import parse_bytes
from ..model.request import from_spec
from .result import Object

_TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int}
_WORDS = {"object": "a mapping", "array": "a list", "string": "a string", "integer": "a whole number"}


class BadManifest(UsageError):
    """{file}: {message}"""


def shown_name(file: str) -> str:
    return "stdin" if file == "-" else file


def load(file: str) -> Object:
    """The VolumeResize in `file`, `-` for stdin. Raises BadManifest with everything that is wrong, each with its field."""
    import yaml

    shown = shown_name(file)
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except OSError as error:
        raise BadManifest(f"cannot be read: {error.strerror}", file=shown) from error
    except UnicodeDecodeError as error:
        raise BadManifest("is not text in UTF-8", file=shown) from error
    except yaml.YAMLError as error:
        raise BadManifest(f"is neither YAML nor JSON: {_where(error)}", file=shown) from error
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


def _where(error: Any) -> str:
    """What the parser says, on one line."""
    mark = getattr(error, "problem_mark", None)
    at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return at + str(getattr(error, "problem", None) or "cannot be parsed")


def _wrong(manifest: Any) -> Iterator[str]:
    if not isinstance(manifest, dict):
        yield f"is not an object; submit takes a {labels.KIND}"
        return
    if (manifest.get("apiVersion"), manifest.get("kind")) != (labels.API_VERSION, labels.KIND):
        yield f"is {manifest.get('apiVersion')} {manifest.get('kind')}; submit takes {labels.API_VERSION} {labels.KIND}"
        return
    meta = manifest.setdefault("metadata", {})
    if not isinstance(meta, dict):
        yield "metadata is not a mapping"
    elif "generateName" in meta:
        yield "metadata.generateName is not supported: give metadata.name, or leave both out for a name after the StatefulSet"
    if not isinstance(manifest.get("spec"), dict):
        yield "spec is missing: it names the StatefulSet and its volumes"
        return
    yield from _against(_schema(), manifest["spec"], "spec")


def _schema() -> Object:
    from ..templates import render

    schema: Object = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def _against(schema: Object, value: Any, path: str) -> Iterator[str]:
    """What of `value` the schema does not know, or knows otherwise. Required fields are from_spec's, which says what they are for."""
    if schema.get("x-kubernetes-int-or-string"):
        yield from _quantity(value, path)
        return
    kind = str(schema["type"])
    if value is None:
        return
    # A bool is an int to Python and not to the API server.
    fitting = isinstance(value, _TYPES[kind]) and not isinstance(value, bool)
    if not fitting:
        yield f"{path} must be {_WORDS[kind]}, not {value!r}"
    elif kind == "array":
        for index, item in enumerate(value):
            yield from _against(schema["items"], item, f"{path}[{index}]")
    elif kind == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        yield from _fields(schema.get("properties", {}), value, path)


def _fields(known: Object, value: Object, path: str) -> Iterator[str]:
    for key, item in value.items():
        if key in known:
            yield from _against(known[key], item, f"{path}.{key}")
            continue
        close = difflib.get_close_matches(str(key), known, n=1)
        yield f"{path}.{key} is no field of {labels.KIND}" + (f"; did you mean {close[0]}?" if close else "")


def _quantity(value: Any, path: str) -> Iterator[str]:
    try:
        parse_bytes("" if isinstance(value, bool) else value)
    except BadQuantity as error:
        yield f"{path}: {value!r} is not a Kubernetes quantity; {error.advice}"
