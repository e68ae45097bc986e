"""The Validating phase: the same findings as in the plugin, then the data is measured beside the running application. Nothing is changed here."""
from __future__ import annotations

from ..model.cluster import Cluster, Mover
from ..model.objects import Object, StatefulSet
from ..model.record import Record
from ..model.request import Request, Target
from . import finish, manifests, swap
from .findings import Finding, refusals
from .fit import TreeCounts
from .pending import nothing_to_do, pending_ordinals, to_measure
from .preflight import findings, fit_findings
from .steps import Accept, Complete, Decision, Refuse, RememberMeasured, RemovePod, StartMeasurer, Wait


def next_to_validate(cluster: Cluster, record: Record, request: Request) -> Decision:
    """Measure, then Accept or Refuse."""
    if refused := refusals(findings(cluster, request), request.acknowledged):
        return finish.copiers_gone(cluster) or Refuse(refused)
    if nothing_to_do(cluster, request):
        return Complete("nothing to do: every claim and the volumeClaimTemplates have the new size already")
    pending = pending_ordinals(cluster, request)
    if not pending:
        return Refuse((_templates_only(request),))
    wanted = to_measure(cluster, request)
    if decision := _measure(cluster, record, request, wanted):
        return decision
    measured = {(ordinal, target.name): TreeCounts.from_dict(record.volume(ordinal, target.name).measured) for ordinal, target in wanted}
    if too_large := refusals(fit_findings(request, measured)):
        return Refuse(too_large)
    assert cluster.statefulset is not None
    return Accept(len(pending), manifests.saved_set(cluster.statefulset), _templates(cluster.statefulset), swap.progress(record, pending))


def _templates(statefulset: StatefulSet) -> Object:
    asked = {}
    for name, template in statefulset.templates.items():
        spec = template["spec"]
        asked[name] = {"size": spec["resources"]["requests"]["storage"]}
        if "storageClassName" in spec:
            asked[name]["storageClass"] = spec["storageClassName"]
    return asked


def _measure(cluster: Cluster, record: Record, request: Request, wanted: tuple[tuple[int, Target], ...]) -> Decision | None:
    missing = [(ordinal, target) for ordinal, target in wanted if not record.volume(ordinal, target.name).measured]
    # What one of an earlier VolumeResize of this name has counted may be true no more.
    strays = [one.pod for (ordinal, _), one in cluster.measurers.items() if not manifests.is_ours(one.pod, cluster.migration.uid, ordinal)]
    if strays and not strays[0].terminating:
        return RemovePod(strays[0].name, strays[0].uid)
    for ordinal, target in missing:
        if (ordinal, target.name) not in cluster.measurers:
            claim = cluster.claim_of(target.name, request.statefulset, ordinal)
            assert claim is not None
            return StartMeasurer(ordinal, target.name, claim.name, manifests.measurer_values(
                request, claim, target.name, ordinal, cluster.pods.get(ordinal), cluster.migration))
    for ordinal, target in missing:
        measurer = cluster.measurers[(ordinal, target.name)]
        if measurer.pod in strays:
            continue
        if measurer.event == "measured":
            return RememberMeasured(ordinal, target.name, measurer.said["counts"])
        # One that goes was told to, by us when something spoke against the migration for a moment; another will count in its place.
        if measurer.ended and not measurer.pod.terminating:
            return Refuse((_not_measured(measurer, request, ordinal, target),))
    for (ordinal, volume), measurer in cluster.measurers.items():
        if record.volume(ordinal, volume).measured and not measurer.pod.terminating:
            return RemovePod(measurer.pod.name, measurer.pod.uid)
    if cluster.measurers:
        slow = next(iter(cluster.measurers.values())).pod
        why = f" ({slow.why_not_running})" if slow.why_not_running else ""
        what = f"measuring the data of {len(missing)} claim(s)" if missing else "waiting until the pods that measured are gone"
        return Wait("measuring", f"{what}{why}", poll=0.3)
    return None


def _not_measured(measurer: Mover, request: Request, ordinal: int, target: Target) -> Finding:
    said = measurer.said.get("message") or f"it ended with exit code {measurer.pod.exit_code}"
    claim = f"persistentvolumeclaim/{target.name}-{request.statefulset}-{ordinal}"
    return Finding("not-measured", claim, f"its data could not be counted: {said}", f"kubectl logs {measurer.pod.name}")


def _templates_only(request: Request) -> Finding:
    return Finding("templates-only", f"statefulset/{request.statefulset}", "only its volumeClaimTemplates have not the new size yet, its claims have",
                   "delete it with --cascade=orphan and create it again with the new size in volumeClaimTemplates")
