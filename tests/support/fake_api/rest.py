"""Writes, with the rules of the API server: who may replace what, and when a deleted object is gone. Source: API concepts; apiserver
pkg/registry/generic/registry/store.go and pkg/registry/rest/delete.go; measured on a real server by tests/contract/."""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from . import admission, managed, policies
from .patches import json_patch, merge_patch
from .refusal import Refusal, already_exists, bad_request, conflict, invalid, not_found, other_uid
from .resources import BY_PLURAL, Resource, Target
from .store import Key, Object, Store, key_of, key_of_target

_KEPT = ("uid", "creationTimestamp", "name", "namespace", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_COLLECTOR = ("orphan", "foregroundDeletion")
_ORPHAN, _FOREGROUND = _COLLECTOR
_CONTROLLERS = "kube-controller-manager"


class Rest:
    """Create, replace, patch and delete on a Store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.webhooks: list[Callable[[Object], None]] = []  # mutating: each may alter an object before it is created

    # -- for requests

    def get(self, target: Target) -> Object:
        found = self.store.objects.get(key_of_target(target))
        if found is None:
            raise not_found(target.resource.qualified, target.name)
        return found

    def create(self, target: Target, body: Any, manager: str = "fake", dry_run: bool = False, operation: str = "Update") -> Object:
        """POST. Raises Refusal 400, 403, 404, 409, 422."""
        resource = target.resource
        admission.check_kind(resource, body)
        obj = copy.deepcopy(body)
        meta = obj.setdefault("metadata", {})
        if meta.get("generateName") and not meta.get("name"):
            meta["name"] = meta["generateName"] + self.store.uid()[-5:]
        if not meta.get("name"):
            raise invalid(resource.kind, "", "metadata.name: Required value: name or generateName is required")
        if resource.namespaced:
            if meta.setdefault("namespace", target.namespace) != target.namespace:
                raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
            admission.check_namespace(self.store, target.namespace, resource.qualified, meta["name"])
        else:
            meta.pop("namespace", None)
        if meta.get("resourceVersion"):
            raise Refusal(500, "InternalError", "resourceVersion should not be set on objects to be created")
        for webhook in self.webhooks:
            webhook(obj)
        obj = admission.prepared(self.store, resource, obj)
        key = key_of(obj, resource.plural)
        present = self.store.objects.get(key)
        if present is not None:
            raise already_exists(resource.qualified, meta["name"], bool(present["metadata"].get("deletionTimestamp")))
        policies.check(self.store, resource.kind, obj)
        self._stamp(resource, obj, manager, operation)
        with self.store.undone(dry_run):
            return self.store.put(key, obj)

    def replace(self, target: Target, body: Any, manager: str = "fake", dry_run: bool = False) -> Object:
        """PUT. Raises Refusal 400, 404, 409, 422."""
        admission.check_kind(target.resource, body)
        old = self.get(target)
        if body.get("metadata", {}).get("name") != target.name:
            raise bad_request("the name of the object does not match the name on the URL")
        if not body["metadata"].get("resourceVersion") and not target.resource.unconditional:
            raise invalid(target.resource.kind, target.name, "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update")
        self._check_preconditions(target.resource, old, {"uid": body["metadata"].get("uid")})
        return self._update(target, old, body, manager, dry_run)

    def patch(self, target: Target, content_type: str, body: Any, manager: str = "fake", dry_run: bool = False, force: bool = False) -> Object:
        """PATCH by its content type. Raises Refusal 404, 409, 415, 422."""
        if content_type == "application/apply-patch+yaml":
            if key_of_target(target) not in self.store.objects:
                return self.create(target, body, manager, dry_run, "Apply")
            old = self.get(target)
            applied = managed.applied(old, body, manager, force, target.resource.api_version, self.store.clock.text())
            return self._update(target, old, applied, manager, dry_run)
        old = self.get(target)
        if content_type == "application/json-patch+json":
            return self._update(target, old, json_patch(old, body), manager, dry_run)
        if content_type == "application/merge-patch+json":
            return self._update(target, old, merge_patch(old, body), manager, dry_run)
        raise Refusal(415, "UnsupportedMediaType", f"the body of the request was in an unsupported format: {content_type}")

    def delete(self, target: Target, options: Object | None = None, dry_run: bool = False) -> Object:
        """DELETE. Answers with the object while it stays, else with a Status. Raises Refusal 404, 409."""
        if options:
            # As soon as there is a body, the query does not count.
            dry_run = options.get("dryRun") == ["All"]
        options = options or {}
        old = self.get(target)
        self._check_preconditions(target.resource, old, options.get("preconditions") or {})
        key, meta = key_of_target(target), copy.deepcopy(old["metadata"])
        self._collector_finalizers(meta, options.get("propagationPolicy"))
        grace = _grace(target.resource, old, options.get("gracePeriodSeconds"))
        with self.store.undone(dry_run):
            if target.resource.plural == "namespaces" or meta.get("finalizers") or grace > 0:
                self._mark_deleted(meta, grace)
                stays = {**old, "metadata": meta}
                if target.resource.plural == "namespaces":
                    stays["status"] = {**old["status"], "phase": "Terminating"}
                return self.store.put(key, stays)
            self.store.remove(key)
            return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {"name": target.name, "kind": target.resource.plural, "uid": meta["uid"]}}

    # -- for controllers, which are no less bound by these rules

    def post(self, plural: str, obj: Object) -> Object:
        resource = BY_PLURAL[plural]
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        return self.create(Target(resource, obj["metadata"].get("namespace", ""), "", ""), body)

    def change(self, plural: str, obj: Object, edit: Callable[[Object], None], status: bool = False) -> Object:
        """Edit a copy of what the store has now under this name, and write it."""
        target = _target_of(plural, obj, "status" if status else "")
        old = self.get(target)
        new = copy.deepcopy(old)
        edit(new)
        return self._update(target, old, new, _CONTROLLERS, False)

    def remove(self, plural: str, obj: Object, **options: Any) -> Object:
        """Delete this very object (by its UID)."""
        return self.delete(_target_of(plural, obj), {**options, "preconditions": {"uid": obj["metadata"]["uid"]}})

    # -- rules

    def _stamp(self, resource: Resource, obj: Object, manager: str, operation: str) -> None:
        meta = obj["metadata"]
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "generateName"):
            meta.pop(key, None)
        meta["uid"] = self.store.uid()
        meta["creationTimestamp"] = self.store.clock.text()
        meta["managedFields"] = managed.created(obj, manager, operation, resource.api_version, self.store.clock.text())
        if resource.generation:
            meta["generation"] = 1

    def _update(self, target: Target, old: Object, body: Object, manager: str, dry_run: bool) -> Object:
        resource, key = target.resource, key_of_target(target)
        given = body.get("metadata") or {}
        self._check_preconditions(resource, old, {"resourceVersion": given.get("resourceVersion")})
        if given.get("uid") and given["uid"] != old["metadata"]["uid"]:
            raise other_uid(resource.kind, target.name, given["uid"])
        if target.sub == "status":
            new: Object = {**old, "status": copy.deepcopy(body.get("status"))}
        else:
            new = copy.deepcopy(body)
            new["metadata"] = {**given, **{name: old["metadata"][name] for name in _KEPT if name in old["metadata"]}}
            if given.get("deletionTimestamp") and "deletionTimestamp" not in old["metadata"]:
                new["metadata"].pop("deletionTimestamp")
            new["metadata"]["managedFields"] = managed.updated(old, new, manager, resource.api_version, self.store.clock.text())
            if resource.status and "status" in old:
                new["status"] = old["status"]
            elif resource.status:
                new.pop("status", None)
        self._check_finalizers(resource, old, new)
        new = admission.check_change(self.store, resource, old, new)
        if resource.generation and _wanted(new) != _wanted(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        with self.store.undone(dry_run):
            return self._stored_or_gone(key, new)

    def _stored_or_gone(self, key: Key, new: Object) -> Object:
        meta = new["metadata"]
        over = meta.get("deletionTimestamp") and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds")
        if over and key[0] != "namespaces":
            self.store.remove(key)
            return new
        return self.store.put(key, new)

    def _check_preconditions(self, resource: Resource, obj: Object, preconditions: Object) -> None:
        meta = obj["metadata"]
        if preconditions.get("uid") and preconditions["uid"] != meta["uid"]:
            raise conflict(resource.qualified, meta["name"], "Precondition failed: UID in precondition: "
                                                             f"{preconditions['uid']}, UID in object meta: {meta['uid']}")
        if preconditions.get("resourceVersion") and preconditions["resourceVersion"] != meta["resourceVersion"]:
            raise conflict(resource.qualified, meta["name"])

    def _check_finalizers(self, resource: Resource, old: Object, new: Object) -> None:
        if not old["metadata"].get("deletionTimestamp"):
            return
        added = sorted(set(new["metadata"].get("finalizers") or []) - set(old["metadata"].get("finalizers") or []))
        if added:
            raise invalid(resource.kind, old["metadata"]["name"], "metadata.finalizers: Forbidden: no new finalizers can be added if the object is "
                                                                  f"being deleted, found new finalizers {added}")

    def _collector_finalizers(self, meta: Object, propagation: str | None) -> None:
        finalizers = list(meta.get("finalizers") or [])
        if propagation in ("Orphan", "Foreground", "Background"):
            finalizers = [finalizer for finalizer in finalizers if finalizer not in _COLLECTOR]
        if propagation in ("Orphan", "Foreground"):
            finalizers.append(_ORPHAN if propagation == "Orphan" else _FOREGROUND)
        meta["finalizers"] = finalizers
        if not finalizers:
            meta.pop("finalizers")

    def _mark_deleted(self, meta: Object, grace: int) -> None:
        if not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = self.store.clock.text(grace)
            meta["deletionGracePeriodSeconds"] = grace
            if "generation" in meta:
                meta["generation"] += 1
        elif grace < meta.get("deletionGracePeriodSeconds", 0):
            meta["deletionGracePeriodSeconds"] = grace
            meta["deletionTimestamp"] = self.store.clock.text(grace)


def _grace(resource: Resource, obj: Object, wanted: int | None) -> int:
    """Seconds that a deleted object is given to end; only pods that may have a process are given any. Source: pkg/registry/core/pod/strategy.go."""
    if resource.plural != "pods" or not obj["spec"].get("nodeName") or obj.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    present = obj["metadata"].get("deletionGracePeriodSeconds")
    if wanted is None:
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30)) if present is None else int(present)
    return int(wanted) if present is None else min(int(wanted), int(present))


def _target_of(plural: str, obj: Object, sub: str = "") -> Target:
    resource = BY_PLURAL[plural]
    namespace = obj["metadata"].get("namespace", "") if resource.namespaced else ""
    return Target(resource, namespace, obj["metadata"]["name"], sub)


def _wanted(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}
