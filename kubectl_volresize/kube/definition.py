"""Does the installed definition of a VolumeResize know every field that this version writes: it drops what it does not know without a word."""
from __future__ import annotations

import re

from ..errors import ApiError, NotFound
from ..model import labels
from ..model.objects import Object
from ..templates import render
from . import paths
from .client import Client

_UNKNOWN = re.compile(r'unknown field "([^"]+)"')


def unknown_fields(client: Client, namespace: str) -> tuple[str, ...]:
    """Fields that the API server does not know; () when it knows all, or does not say. Raises Unreachable.

    Asked with an object that has them all, in a strict dry run: fields are looked at first, and what else is wrong with it does not matter.
    Source: API concepts, "Field validation".
    """
    schema = render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    body = {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "metadata": {"name": "volresize-rehearsal", "namespace": namespace},
            "spec": _example(schema["spec"]), "status": _example(schema["status"])}
    try:
        client.create(paths.migrations(namespace), body, dry_run=True, strict=True)
    except NotFound:
        return ()
    except ApiError as error:
        return tuple(_UNKNOWN.findall(str(error.fields.get("message"))))
    return ()


def _example(schema: Object) -> object:
    """A value of the schema's type with every field in it."""
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    kind = schema.get("type")
    if kind == "object":
        return {key: _example(inner) for key, inner in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [_example(schema["items"])]
    return {"integer": 1, "boolean": True}.get(str(kind), "x")
