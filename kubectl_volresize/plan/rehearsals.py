"""What is tried before the start by a server-side dry run, and what the answers mean: PodSecurity, webhooks and policies speak only when they are
asked. Under names that nobody has: of the real ones some are taken."""
from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ..model import names
from ..model.cluster import Answer, Cluster
from ..model.objects import Object, View
from ..model.quantity import human, parse_bytes
from ..model.record import VolumeRecord
from ..model.request import Request
from . import manifests
from .findings import Finding
from .pending import pending_ordinals, pending_targets

CLAIM, MOVER, STATEFULSET, JOB, RUNNER = "claim", "mover", "statefulset", "job", "runner"
_SAID_OF = {CLAIM: "a claim of the new size", MOVER: "a pod that copies", STATEFULSET: "the StatefulSet when it is created again", JOB: "the Job",
            RUNNER: "the runner's pod"}
_NOBODYS_UID = "00000000-0000-0000-0000-000000000000"
# Of templates/policy-account.yaml.j2: its messages say who can allow it, and how.
_ACCOUNT_POLICY, _ALLOWED_BY = "volresize-runner-account", "; an admin of the cluster "


@dataclass(frozen=True)
class Rehearsal:
    """`template` filled with `values`; without a template `values` is the object itself."""

    of: str
    template: str
    values: Object


def rehearsals(cluster: Cluster, request: Request) -> tuple[Rehearsal, ...]:
    """Claim and mover of each volume, and the StatefulSet, as the first replica in turn needs them; nothing when nothing is to be done."""
    return tuple(_rehearsals(cluster, request)) if cluster.statefulset is not None else ()


def _rehearsals(cluster: Cluster, request: Request) -> Iterator[Rehearsal]:
    migration, statefulset = cluster.migration, cluster.statefulset
    assert statefulset is not None
    for ordinal in pending_ordinals(cluster, request)[:1]:
        for target in pending_targets(cluster, request, ordinal):
            claim = cluster.claim_of(target.name, request.statefulset, ordinal)
            if target.name not in statefulset.templates or claim is None:
                continue
            values = manifests.target_values(request, target, claim, migration.name, migration.uid, ordinal, cluster.namespace)
            yield Rehearsal(CLAIM, "claim", {**values, "name": _nobodys(values["name"])})
            entry = VolumeRecord(replica=ordinal, volume=target.name, old_claim=claim.name,
                                 new_claim=names.temporary_claim(target.name, request.statefulset, ordinal))
            values = manifests.mover_values(request, entry, cluster.pods.get(ordinal), migration)
            lease = {"name": names.lease(request.statefulset), "uid": _NOBODYS_UID}
            yield Rehearsal(MOVER, "mover", {**values, "name": _nobodys(values["name"]), "lease": lease})
        if all(target.name in statefulset.templates for target in request.targets):
            successor = manifests.successor_set(statefulset.raw, request, migration.uid, ordinal)
            yield Rehearsal(STATEFULSET, "", manifests.rehearsal(successor))


def job_rehearsals(request: Request, migration: View) -> tuple[Rehearsal, ...]:
    """The runner's Job, which only the plugin creates, and the pod that Kubernetes makes of it: a Job is taken that can never start one."""
    queue = manifests.queue_of(migration.labels)
    values = manifests.job_values(request, migration.name, str(migration.meta["namespace"]), attempt=1, queue=queue)
    named = {**values, "name": _nobodys(values["name"])}
    return Rehearsal(JOB, "job", named), Rehearsal(RUNNER, "job", named)


def pod_of(job: Object) -> Object:
    """As the Job's controller makes it, of a Job that is to be created."""
    template, name = job["spec"]["template"], job["metadata"]["name"]
    # Policies against pods that nobody controls look at these.
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": _NOBODYS_UID, "controller": True, "blockOwnerDeletion": False}
    marks = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": name, "job-name": name,
             "batch.kubernetes.io/controller-uid": _NOBODYS_UID, "controller-uid": _NOBODYS_UID}
    meta = {**template["metadata"], "name": name, "namespace": job["metadata"]["namespace"], "labels": marks, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


def _nobodys(name: str) -> str:
    return f"volresize-rehearsal-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def answer_findings(cluster: Cluster, known: Collection[str]) -> Iterator[Finding]:
    """What the answers speak against. `known`: codes of what was found without asking, which is not said twice."""
    found: dict[tuple[str, str], Finding] = {}
    for answer in cluster.surroundings.answers:
        for finding in _of_answer(cluster, answer, known):
            # Two volumes of a replica get the same answer.
            found.setdefault((finding.code, finding.message), finding)
    yield from found.values()


def _of_answer(cluster: Cluster, answer: Answer, known: Collection[str]) -> Iterator[Finding]:
    if answer.status:
        yield from _refused(cluster, answer, known)
    elif answer.of == STATEFULSET:
        if changed := manifests.rehearsal_differences(answer.asked, answer.given):
            name = cluster.statefulset.name if cluster.statefulset else ""
            yield Finding("altered-by-admission", f"statefulset/{name}", f"would not be the same when it is created again: something changes "
                          f"{', '.join(changed)}", "find the mutating webhook or policy, and exempt the StatefulSet from it", path=changed[0])
    elif answer.of == CLAIM:
        asked, given = (one["spec"]["resources"]["requests"]["storage"] for one in (answer.asked, answer.given))
        if parse_bytes(asked) != parse_bytes(given):
            yield Finding("altered-by-admission", f"namespace/{cluster.namespace}", f"makes a claim of {human(parse_bytes(given))} of one of {asked}",
                          "find the mutating webhook or policy, and exempt claims with our labels from it", path="spec.resources.requests.storage")


def _refused(cluster: Cluster, answer: Answer, known: Collection[str]) -> Iterator[Finding]:
    said, what, where = answer.message, _SAID_OF[answer.of], f"namespace/{cluster.namespace}"
    # RBAC: that is said by plan/rights.py, and a user need not be allowed what the Job does.
    if answer.status == 403 and "cannot create resource" in said:
        return
    # Its Job waits until the quota has room; and an account that is not there is said by whoever looked for it.
    if answer.of == RUNNER and (" quota: " in said or "error looking up service account" in said):
        return
    if answer.of == RUNNER and _ACCOUNT_POLICY in said:
        why, _, allowed_by = _after(_after(said, "forbidden: "), "denied request: ").partition(_ALLOWED_BY)
        yield Finding("admission", where, f"does not admit {what}: {why}", f"an admin of the cluster {allowed_by}" if allowed_by else
                      "find the webhook that alters the pods of Jobs, and exempt what has the label app.kubernetes.io/managed-by: kubectl-volresize")
    elif "violates PodSecurity" in said:
        yield _pod_security(cluster, answer, f"does not admit {what}", _after(said, "violates "))
    elif " quota: " in said:
        if "quota" not in known:
            name = _after(said, " quota: ").partition(",")[0].partition(":")[0]
            yield Finding("quota", f"resourcequota/{name}", f"does not admit {what}: {_after(said, 'forbidden: ')}",
                          f"raise what it limits while the migration runs: kubectl describe resourcequota {name} -n {cluster.namespace}")
    elif " usage per " in said:
        if "limit-range" not in known:
            yield Finding("limit-range", where, f"has a LimitRange that does not admit {what}: {_after(said, 'forbidden: ')}",
                          f"change it while the migration runs: kubectl describe limitrange -n {cluster.namespace}")
    else:
        # Tried as the user; the Job's controller may be one whom the policy lets do it.
        perhaps = "; or let the Job try it: --validate=false" if answer.of == RUNNER else ""
        yield Finding("admission", where, f"does not admit {what}: {_after(said, 'forbidden: ')}",
                      "find the webhook or policy that says so, and exempt what has the label app.kubernetes.io/managed-by: kubectl-volresize"
                      + perhaps)


def _pod_security(cluster: Cluster, answer: Answer, refused: str, why: str) -> Finding:
    relax = f"while the migration runs: kubectl label namespace {cluster.namespace} --overwrite pod-security.kubernetes.io/enforce=baseline"
    if answer.of == MOVER and not (answer.asked.get("spec") or {}).get("securityContext", {}).get("runAsUser"):
        refused += ", which must be root to keep owners and modes"
        relax += "; or copy as the user whom all files on the volumes belong to: --run-as-user UID"
    return Finding("pod-security", f"namespace/{cluster.namespace}", f"{refused}: {why}", relax,
                   path="metadata.labels[pod-security.kubernetes.io/enforce]")


def _after(text: str, mark: str) -> str:
    """What stands behind `mark`, else the whole."""
    return text.partition(mark)[2] or text
