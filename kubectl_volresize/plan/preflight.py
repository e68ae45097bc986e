"""What must be true before anything is touched. One list of findings, in the plugin before it creates something and, authoritatively, in the Job's
Validating phase; everything wrong is said at once, each with the object, the field and the fix."""
from __future__ import annotations

from collections.abc import Iterator

from ..model import labels, names
from ..model.cluster import Cluster
from ..model.objects import Claim, StatefulSet, View
from ..model.quantity import human
from ..model.request import Request, Target
from . import rights
from .findings import Finding
from .fit import TreeCounts, Verdict, ext4_of_size, fits, project_usage
from .limits import limit_findings, quota_findings
from .ownership import autoscalers, managers, vertical_autoscalers
from .pending import done, pending_ordinals, pending_targets
from .rehearsals import answer_findings
from .storage import storage_findings


def findings(cluster: Cluster, request: Request) -> tuple[Finding, ...]:
    """Everything that speaks against starting, without the measured data (see `fit_findings`)."""
    statefulset = cluster.statefulset
    if statefulset is None:
        return (Finding("set-missing", f"statefulset/{request.statefulset}", f"does not exist in namespace {cluster.namespace}",
                        "check the name and the namespace (-n)"),)
    checks = (_installation, _other_migrations, _set, _targets, _claims, _claims_beyond, _pods, _budgets, _storage, _limits, _managers,
              _copied_as_user)
    found = tuple(finding for check in checks for finding in check(cluster, statefulset, request))
    return (*found, *answer_findings(cluster, {finding.code for finding in found}))


def _installation(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    yield from rights.of_runner(cluster.surroundings.lacking, cluster.namespace)
    if dropped := cluster.surroundings.unknown_fields:
        yield Finding("old-definition", f"customresourcedefinition/{labels.PLURAL}.{labels.GROUP}", f"is older than this version: it does not know "
                      f"{', '.join(dropped)}, which would be lost without a word", "an admin of the cluster runs once: kubectl volresize install")


def _copied_as_user(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    user, where = request.run_as_user, f"statefulset/{statefulset.name}"
    if not user:
        return
    security = (statefulset.raw["spec"]["template"].get("spec") or {}).get("securityContext") or {}
    less = (f"is copied as user {user}: a file that this user may not read makes the copy fail, and owners, modes, times and attributes that it "
            "may not set are not kept, those of the volume's root directory among them")
    # The root directory of a new file system is root's; the mover's fsGroup gives it to a group, and nothing more.
    if security.get("fsGroup") is None and user not in (security.get("runAsGroup"), *(security.get("supplementalGroups") or ())):
        yield Finding("no-fs-group", where, f"{less}; its pods have no fsGroup and are not in group {user}, to which the new volume's root directory "
                      "will belong: they might not be allowed to write there", f"set fsGroup: {user} in its pod template",
                      path="spec.template.spec.securityContext.fsGroup")
    else:
        yield Finding("copied-as-user", where, less, "leave --run-as-user out where the namespace admits root", path="spec.mover.runAsUser")


def _other_migrations(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    own = (cluster.migration.meta.get("creationTimestamp", ""), cluster.migration.name)
    for other in cluster.others:
        if other.spec.get("statefulSetName") != request.statefulset:
            continue
        if other.status.get("phase") in labels.TERMINAL:
            # Our finalizer stays at one end only: something may be half done, and what it is stands in that record alone.
            if labels.FINALIZER in other.finalizers:
                yield Finding("unfinished-migration", f"volumeresize/{other.name}", f"ended on statefulset/{request.statefulset} and needs a human",
                              f"see what to do: kubectl volresize status {other.name} -n {cluster.namespace}; then take its finalizer off")
            continue
        # Of two that were created at once the older one may go on, so that never both refuse.
        if own[0] and own < (other.meta.get("creationTimestamp", ""), other.name):
            continue
        yield Finding("other-migration", f"volumeresize/{other.name}", f"works on statefulset/{request.statefulset} and is not finished",
                      f"wait for it: kubectl volresize logs vr/{other.name} -n {cluster.namespace} -f")


def _set(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    where = f"statefulset/{statefulset.name}"
    if statefulset.terminating and not statefulset.frozen:
        yield Finding("set-terminating", where, "is being deleted", "wait until it is gone, or recreate it")
    if statefulset.rolling:
        yield Finding("set-rolling", where, statefulset.rolling, f"wait: kubectl rollout status {where} -n {cluster.namespace}")
    elif statefulset.scaling:
        yield Finding("set-scaling", where, statefulset.scaling, f"wait: kubectl get {where} -n {cluster.namespace} --watch", path="spec.replicas")
    if statefulset.foreign_finalizers:
        yield _foreign_finalizer(where, statefulset)
    if statefulset.replicas == 0:
        yield Finding("no-replicas", where, "has no replicas, so no claim is in use", "scale it up first")


def _targets(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    for target in request.targets:
        if target.name not in statefulset.templates:
            known = ", ".join(sorted(statefulset.templates)) or "none"
            yield Finding("volume-unknown", f"statefulset/{statefulset.name}", f"has no volumeClaimTemplate {target.name!r}; it has: {known}",
                          f"--volume NAME={target.size} with one of these")


def _claims(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    for target in request.targets:
        if target.name not in statefulset.templates:
            continue
        for ordinal in statefulset.ordinals:
            name = names.claim(target.name, statefulset.name, ordinal)
            claim = cluster.claims.get(name)
            if claim is None:
                yield Finding("claim-missing", f"persistentvolumeclaim/{name}", "does not exist", "wait until the replica has started once")
            elif not done(claim, target):
                yield from _claim(cluster, claim, target, ordinal)


def _claim(cluster: Cluster, claim: Claim, target: Target, ordinal: int) -> Iterator[Finding]:
    where = f"persistentvolumeclaim/{claim.name}"
    if claim.terminating:
        yield Finding("claim-terminating", where, "is being deleted", "find out who deleted it; it goes when its pod stops")
    if not claim.bound:
        yield Finding("claim-not-bound", where, "is not Bound", f"kubectl describe {where} -n {cluster.namespace}")
        return
    if claim.capacity <= target.bytes:
        yield Finding("not-smaller", where, f"has {human(claim.capacity)}, which is not more than the newSize {target.size}",
                      f"choose a size below {human(claim.capacity)}, or leave this volume out")
    if claim.block:
        yield Finding("block-volume", where, "is a raw block volume (volumeMode Block), which cannot be copied file by file", "leave this volume out")
    shared = {"ReadWriteMany", "ReadOnlyMany"} & set(claim.access_modes)
    if shared:
        yield Finding("shared-volume", where, f"has access mode {', '.join(sorted(shared))}: others may write to it during the copy",
                      "leave this volume out")
    if claim.one_pod:
        yield Finding("one-pod-volume", where, "has access mode ReadWriteOncePod: nothing can read it beside the application, so that its data is "
                      "counted and copied while the replica is stopped", "leave this volume out", path="spec.accessModes")
    # Those of a migration at work are said with it, and are not to be deleted.
    at_work = [other.name for other in cluster.others if other.status.get("phase") not in labels.TERMINAL]
    copiers = [name(other, ordinal, target.name) for other in at_work for name in (names.mover, names.measurer)]
    if guests := [guest for guest in cluster.guests.get(claim.name, ()) if guest not in copiers]:
        yield Finding("claim-in-use", where, f"is used by pod {', '.join(guests)}, which is no replica of the StatefulSet",
                      "delete it, also when it has finished (it keeps the claim from being deleted), and suspend what starts it")
    if claim.foreign_finalizers:
        yield _foreign_finalizer(where, claim)
    if "persistentvolumes" not in cluster.unreadable and cluster.volume_of(claim) is None:
        yield Finding("volume-missing", where, f"is bound to persistentvolume/{claim.volume_name}, which does not exist", "restore the volume")


def _claims_beyond(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    """A set that is scaled up later finds these again, whatever its templates say."""
    if not statefulset.ordinals:
        return
    for target in request.targets:
        for name, claim in cluster.claims.items():
            ordinal = names.ordinal_of(name, f"{target.name}-{statefulset.name}")
            if target.name in statefulset.templates and ordinal is not None and ordinal not in statefulset.ordinals and not done(claim, target):
                yield Finding("claim-beyond-replicas", f"persistentvolumeclaim/{name}", f"belongs to replica {ordinal}, which there is not now; it "
                              f"keeps {human(claim.capacity)}, also when the set is scaled up again",
                              "delete it if its data is not needed, or scale up first",
                              path="spec.resources.requests.storage")


def _foreign_finalizer(where: str, obj: View) -> Finding:
    return Finding("foreign-finalizer", where, f"has the finalizer {', '.join(obj.foreign_finalizers)}: it would not go when it has to be replaced",
                   "wait until its owner takes it off, or take it off if nothing depends on it")


def _pods(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    for ordinal in statefulset.ordinals:
        pod = cluster.pods.get(ordinal)
        where = f"pod/{names.pod(statefulset.name, ordinal)}"
        if pod is None or not pod.ready:
            yield Finding("pod-not-ready", where, "is not Ready", f"kubectl describe {where} -n {cluster.namespace}")
        elif pod.revision != statefulset.status.get("updateRevision") and not statefulset.rolling:
            yield Finding("pod-old-revision", where, "does not run the set's update revision (OnDelete?)", "delete the pod, or finish the rollout")
        elif pod.foreign_finalizers:
            yield _foreign_finalizer(where, pod)
        node = cluster.nodes.get(pod.node) if pod is not None else None
        if pod is not None and node is not None and not node.ready:
            yield Finding("node-not-ready", where, f"runs on node {node.name}, which is not Ready: it would never be seen to stop",
                          f"kubectl describe node {node.name}", path="spec.nodeName")
        if pod is not None and node is not None and node.cordoned:
            yield Finding("node-cordoned", where, f"runs on node {pod.node}, which takes no new pods: once stopped it can only start elsewhere, if "
                          "its volumes allow that", f"kubectl uncordon {pod.node}", path="spec.nodeName")


def _limits(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    yield from limit_findings(request, cluster.surroundings.limit_ranges)
    pending = {ordinal: pending_targets(cluster, request, ordinal) for ordinal in pending_ordinals(cluster, request)}
    yield from quota_findings(cluster, request, pending, cluster.surroundings.quotas)


def _managers(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    yield from managers(statefulset, request)
    yield from autoscalers(statefulset, cluster.surroundings.autoscalers)
    yield from vertical_autoscalers(statefulset, cluster.surroundings.vertical_autoscalers)


def _budgets(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    pod_labels = ((statefulset.spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    matching = [budget for budget in cluster.budgets if budget.selects(pod_labels)]
    if len(matching) > 1:
        named = ", ".join(budget.name for budget in matching)
        yield Finding("many-budgets", f"statefulset/{statefulset.name}",
                      f"is selected by more than one PodDisruptionBudget ({named}): the Eviction API refuses for ever", "leave one of them")
    for budget in matching:
        if budget.allowed < 1:
            yield Finding("budget", f"poddisruptionbudget/{budget.name}", "allows no disruption of the set's pods now (PDB disruptionsAllowed 0)",
                          "allow one pod to be unavailable while the migration runs")


def _storage(cluster: Cluster, statefulset: StatefulSet, request: Request) -> Iterator[Finding]:
    return storage_findings(cluster, request)


def verdict(request: Request, target: Target, counts: TreeCounts) -> Verdict:
    """Whether the data fits a new volume of the target's size, with the head room. What the class makes of it is not known: ext4 with its reserve."""
    geometry = ext4_of_size(target.bytes)
    return fits(project_usage(counts, geometry), geometry, request.head_room)


def fit_findings(request: Request, measured: dict[tuple[int, str], TreeCounts]) -> tuple[Finding, ...]:
    """Volumes whose data does not fit the new size, with numbers. `measured`: counts by (ordinal, volume)."""
    found = []
    for (ordinal, volume), counts in sorted(measured.items(), key=lambda item: (-item[0][0], item[0][1])):
        target = request.target(volume)
        judged = verdict(request, target, counts)
        if not judged.fits:
            found.append(Finding("does-not-fit", f"persistentvolumeclaim/{names.claim(volume, request.statefulset, ordinal)}",
                                 f"its data does not fit {target.size}: {judged.sentence}",
                                 "choose a larger newSize, delete data, or lower headRoomPercent"))
    return tuple(found)
