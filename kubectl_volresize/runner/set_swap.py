"""The executors around the StatefulSet itself: rehearse, freeze, thaw, adopt. The set is absent only between the two calls of `thaw`."""
from __future__ import annotations

from ..errors import AlreadyExists, Refused, Unprocessable
from ..kube import paths
from ..model import labels
from ..model.objects import Object
from ..plan import manifests, swap_steps, undo_steps
from .tools import Tools, set_finalizers

_ABSENT_AT_MOST = 10.0  # seconds of trying to create the set while the API still knows the old one
_TRY_AGAIN_AFTER = 0.005
_GOING = "object is being deleted"  # apiserver pkg/registry/generic/registry/store.go, Create


class WouldChange(Refused):
    """recreating statefulset/{message} would change {fields_changed}: something in the cluster alters StatefulSets when they are created"""

    hint = "every pod would restart: find the mutating webhook or admission policy, and exempt this StatefulSet from it"


def rehearse(tools: Tools, successor: Object) -> None:
    """A server-side dry run of the create, under a name that nobody has. Raises WouldChange, ApiError when the API server refuses it."""
    rehearsed = tools.client.create(paths.statefulsets(tools.namespace), manifests.rehearsal(successor), dry_run=True)
    if changed := manifests.rehearsal_differences(successor, rehearsed):
        raise WouldChange(successor["metadata"]["name"], fields_changed=", ".join(changed))


def freeze(tools: Tools, step: swap_steps.Freeze) -> None:
    rehearse(tools, step.successor)
    name = step.successor["metadata"]["name"]
    path = paths.statefulsets(tools.namespace, name)
    before = tuple(tools.client.get(path)["metadata"].get("finalizers") or ())
    kept = tuple(finalizer for finalizer in before if finalizer != labels.FREEZE_FINALIZER)
    held = set_finalizers(tools, path, (*kept, labels.FREEZE_FINALIZER), step.resource_version)
    # By the resourceVersion of exactly what was saved, plus our finalizer: an edit in between is answered with 409, and is saved the next time.
    tools.client.delete(path, uid=step.uid, resource_version=held["metadata"]["resourceVersion"], propagation="Orphan")


def unfreeze(tools: Tools, step: undo_steps.Unfreeze) -> None:
    set_finalizers(tools, paths.statefulsets(tools.namespace, tools.statefulset), step.remaining, step.resource_version)


def strip_orphan_finalizer(tools: Tools, step: swap_steps.StripOrphanFinalizer) -> None:
    set_finalizers(tools, paths.statefulsets(tools.namespace, tools.statefulset), step.remaining, step.resource_version)


def strip_reference(tools: Tools, step: swap_steps.StripReference) -> None:
    path = {"Pod": paths.pods, "PersistentVolumeClaim": paths.claims, "ControllerRevision": paths.revisions}[step.kind](tools.namespace, step.name)
    meta = tools.client.get(path)["metadata"]
    kept = [owner for owner in meta.get("ownerReferences") or [] if owner["uid"] != step.owner_uid]
    tools.client.merge_patch(path, {"metadata": {"uid": step.uid, "resourceVersion": meta["resourceVersion"], "ownerReferences": kept}})


def thaw(tools: Tools, step: swap_steps.Thaw) -> None:
    name = step.successor["metadata"]["name"]
    # The frozen set's last finalizer: with it the set is gone.
    set_finalizers(tools, paths.statefulsets(tools.namespace, name), (), step.resource_version)
    recreate(tools, swap_steps.Recreate(step.replica, step.successor))


def recreate(tools: Tools, step: swap_steps.Recreate) -> None:
    tried = 0.0
    while True:
        try:
            tools.client.create(paths.statefulsets(tools.namespace), step.successor)
            return
        except AlreadyExists as error:
            # That the old one still goes is told as AlreadyExists too; one that stands is for the planner to judge, and soon.
            tried += _TRY_AGAIN_AFTER
            if _GOING not in error.fields["message"] or tried > _ABSENT_AT_MOST:
                raise
            tools.pause(_TRY_AGAIN_AFTER)


def adopt(tools: Tools, step: swap_steps.AdoptSet) -> None:
    """Ignored in the body of a POST, hence afterwards (measured)."""
    path = paths.statefulsets(tools.namespace, tools.statefulset)
    ours = {"op": "test", "path": "/metadata/uid", "value": step.uid}
    # A copy of our mark, so that it fails once that is off: of a runner that slept until all was done. "/" in a name is written "~1" (RFC 6901).
    mark, adopted_as = (f"/metadata/annotations/{name.replace('/', '~1')}" for name in (labels.MIGRATION_UID, labels.ADOPTED))
    adopted = {"op": "copy", "from": mark, "path": adopted_as}
    try:
        tools.client.json_patch(path, [ours, {"op": "replace", "path": "/metadata/managedFields", "value": list(step.managed_fields)}, adopted])
    except Unprocessable as error:
        # It costs the owner a forced apply, not data.
        tools.log.warning("AdoptSet", f"the field managers of the StatefulSet could not be restored: {error.message}")
        tools.client.json_patch(path, [ours, adopted])
