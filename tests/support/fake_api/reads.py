"""Lists, page by page, and watches from the store's history."""
from __future__ import annotations

import json
from typing import Any

from kubectl_volresize.model import labels

from .refusal import gone
from .resources import Resource, Target
from .selectors import matches_fields, matches_labels
from .store import Object, Store

_BIG_PAGE = 500


def page(store: Store, target: Target, params: dict[str, str]) -> Object:
    """One page of a list; `continue` holds the key after which the next one begins."""
    namespace = target.namespace or None
    found = [obj for obj in store.all(target.resource.plural, namespace) if _selected(obj, params)]
    after = json.loads(params["continue"]) if params.get("continue") else None
    rest = [obj for obj in found if after is None or _place(obj) > after]
    limit = int(params.get("limit") or _BIG_PAGE)
    meta: Object = {"resourceVersion": str(store.version)}
    if len(rest) > limit:
        meta.update({"continue": json.dumps(_place(rest[limit - 1])), "remainingItemCount": len(rest) - limit})
    resource = target.resource
    items = [_item(resource, obj) for obj in rest[:limit]]
    return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": items}


def _item(resource: Resource, obj: Object) -> Object:
    # The server leaves kind and apiVersion out of built-in items, not out of custom resources.
    return obj if resource.plural == labels.PLURAL else {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


def _place(obj: Object) -> list[str]:
    return [obj["metadata"].get("namespace", ""), obj["metadata"]["name"]]


def _selected(obj: Object, params: dict[str, str]) -> bool:
    if not matches_labels(params.get("labelSelector", ""), obj["metadata"].get("labels") or {}):
        return False
    return matches_fields(params.get("fieldSelector", ""), obj)


def events(store: Store, target: Target, params: dict[str, str], oldest: int) -> list[Object]:
    """What happened since params.resourceVersion. Raises Refusal 410 when that is before `oldest`."""
    since = int(params.get("resourceVersion") or 0)
    if 0 < since < oldest:
        raise gone()
    found = [event for event in store.history if event.version > since and event.key[0] == target.resource.plural
             and target.namespace in ("", event.key[1]) and target.name in ("", event.key[2]) and _selected(event.obj, params)]
    return [{"type": event.kind, "object": event.obj} for event in found]


def bookmark(store: Store, resource: Resource) -> Object:
    return {"type": "BOOKMARK", "object": {"kind": resource.kind, "apiVersion": resource.api_version,
                                           "metadata": {"resourceVersion": str(store.version)}}}


def lines(items: list[Any]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)
