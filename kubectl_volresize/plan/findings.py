"""What preflight can find, by code: how grave it is and what it means. The codes are stable: users acknowledge them, scripts look for them."""
from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# REFUSAL: nothing starts. ACKNOWLEDGEABLE: nothing starts until the user accepts it by its code. WARNING: worth knowing.
REFUSAL, ACKNOWLEDGEABLE, WARNING = "refusal", "acknowledgeable", "warning"


class Code(NamedTuple):
    """Severity, and what the finding says in general."""

    severity: str
    meaning: str


CODES: dict[str, Code] = {
    "namespace-missing": Code(REFUSAL, "The namespace does not exist."),
    "set-missing": Code(REFUSAL, "The StatefulSet does not exist."),
    "set-terminating": Code(REFUSAL, "The StatefulSet is being deleted."),
    "set-rolling": Code(REFUSAL, "A rollout is in progress, held by a partition, or not yet seen by the controller."),
    "set-scaling": Code(REFUSAL, "The StatefulSet is being scaled."),
    "no-replicas": Code(REFUSAL, "The StatefulSet is scaled to zero, so that none of its claims is in use."),
    "templates-only": Code(REFUSAL, "All claims have the new size already, only volumeClaimTemplates have not."),
    "volume-unknown": Code(REFUSAL, "volumeClaimTemplates has no entry of this name."),
    "claim-missing": Code(REFUSAL, "A replica's claim does not exist."),
    "claim-terminating": Code(REFUSAL, "A claim is being deleted."),
    "claim-not-bound": Code(REFUSAL, "A claim is not Bound."),
    "claim-in-use": Code(REFUSAL, "A pod that is no replica of the StatefulSet names the claim."),
    "not-smaller": Code(REFUSAL, "The new size is not below what the claim really has."),
    "block-volume": Code(REFUSAL, "The claim is a raw block device, which has no files."),
    "shared-volume": Code(REFUSAL, "The claim may be written to by several nodes."),
    "one-pod-volume": Code(ACKNOWLEDGEABLE, "The claim admits a single pod: the whole copy is made while the replica is stopped."),
    "foreign-finalizer": Code(REFUSAL, "A finalizer of somebody else would keep an object that has to be replaced."),
    "volume-missing": Code(REFUSAL, "The PersistentVolume that a claim is bound to does not exist."),
    "pod-not-ready": Code(REFUSAL, "A replica is not Ready: another would be stopped on top."),
    "pod-old-revision": Code(REFUSAL, "A pod does not run the revision that it would come back with (OnDelete)."),
    "node-not-ready": Code(REFUSAL, "A replica runs on a node that does not answer."),
    "node-cordoned": Code(ACKNOWLEDGEABLE, "A replica runs on a cordoned node, where it cannot start again once it was stopped."),
    "many-budgets": Code(REFUSAL, "More than one PodDisruptionBudget selects the pods: the Eviction API answers 500."),
    "budget": Code(REFUSAL, "A PodDisruptionBudget allows no disruption now."),
    "class-missing": Code(REFUSAL, "The StorageClass does not exist."),
    "class-topology": Code(REFUSAL, "The StorageClass makes no volumes for the node where a replica runs (allowedTopologies)."),
    "no-capacity": Code(ACKNOWLEDGEABLE, "The driver says that there is too little room for the new volumes (CSIStorageCapacity)."),
    "unreachable-volume": Code(REFUSAL, "The new volume was made where the replica's node cannot reach it; seen on the first one, before any stop."),
    "quota": Code(REFUSAL, "A ResourceQuota has not enough left for the new claims and the pods that copy."),
    "limit-range": Code(REFUSAL, "A LimitRange does not allow a claim of the new size."),
    "pod-security": Code(REFUSAL, "The namespace's PodSecurity level does not admit the pods that copy."),
    "admission": Code(REFUSAL, "A webhook, a policy or the API server does not admit what would be created (server-side dry run)."),
    "altered-by-admission": Code(REFUSAL, "A webhook or policy changes what is created: another size, or pods that would all restart."),
    "user-rights": Code(REFUSAL, "You lack rights in the namespace."),
    "runner-rights": Code(REFUSAL, "The runner's service account lacks rights, for example after an older `install`."),
    "old-definition": Code(REFUSAL, "The installed VolumeResize kind is older than this version and would drop fields."),
    "other-migration": Code(REFUSAL, "Another VolumeResize works on the StatefulSet."),
    "unfinished-migration": Code(REFUSAL, "An earlier VolumeResize of the StatefulSet ended half-way and needs a human."),
    "does-not-fit": Code(REFUSAL, "The data, with the head room, does not fit the new size: bytes or inodes."),
    "not-measured": Code(REFUSAL, "The data of a claim could not be counted."),
    "not-installed": Code(REFUSAL, "The cluster or the namespace lacks something that `install` creates."),
    "bad-spec": Code(REFUSAL, "The VolumeResize says something that cannot be."),
    "owned-set": Code(ACKNOWLEDGEABLE, "An operator owns the StatefulSet and may put the old size back, or create the set anew in the swap."),
    "copied-as-user": Code(WARNING, "The copy is not made by root (`--run-as-user`): owners and modes that this user may not set are not kept."),
    "no-fs-group": Code(ACKNOWLEDGEABLE, "With `--run-as-user`: the pods might not be allowed to write to the new volume's root directory."),
    "helm-release": Code(WARNING, "Helm manages the StatefulSet: its next upgrade would ask for the old size and fail."),
    "argocd-application": Code(WARNING, "Argo CD manages the StatefulSet: it will be out of sync until its source says the new size."),
    "flux-object": Code(WARNING, "Flux manages the StatefulSet: reconciliation fails until its source says the new size."),
    "autoscaler": Code(WARNING, "An autoscaler may change the number of replicas while the migration runs."),
    "vertical-autoscaler": Code(WARNING, "A VerticalPodAutoscaler may evict pods while the migration runs."),
    "claim-beyond-replicas": Code(WARNING, "A claim above the present number of replicas keeps its old size."),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing: its stable code, the object, what about it, what to do; `path`: the field of the object, if it is
    one."""

    code: str
    object: str
    message: str
    fix: str = ""
    path: str = field(default="", kw_only=True)

    @property
    def severity(self) -> str:
        return CODES[self.code].severity

    def __str__(self) -> str:
        return f"{self.object}: {self.message}" + (f" ({self.advice})" if self.advice else "")

    @property
    def advice(self) -> str:
        """What to do, the acknowledgement that would do too included."""
        if self.severity != ACKNOWLEDGEABLE:
            return self.fix
        return f"{self.fix}, or accept it: --acknowledge {self.code}"

    def as_dict(self) -> dict[str, Any]:
        """As in JSON output."""
        return {"code": self.code, "severity": self.severity, "object": self.object, "field": self.path, "message": self.message, "fix": self.fix}


def refusals(found: Iterable[Finding], acknowledged: Collection[str] = ()) -> tuple[Finding, ...]:
    """Those that nothing starts with."""
    return tuple(finding for finding in found if finding.severity == REFUSAL
                 or (finding.severity == ACKNOWLEDGEABLE and finding.code not in acknowledged))


def notes(found: Iterable[Finding], acknowledged: Collection[str] = ()) -> tuple[Finding, ...]:
    """Those that are only said."""
    listed = tuple(found)
    refused = refusals(listed, acknowledged)
    return tuple(finding for finding in listed if finding not in refused)


def unknown(acknowledged: Iterable[str]) -> list[str]:
    """Codes among them that no finding has, or whose finding cannot be acknowledged."""
    return [code for code in acknowledged if code not in CODES or CODES[code].severity != ACKNOWLEDGEABLE]
