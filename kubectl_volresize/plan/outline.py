"""What a migration would do, before it is begun: which replica in which order, and every object that is created, changed or deleted. It says what the
planner does; tests/runner/test_outline.py holds the two together."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Mapping, Sequence

from ..model import names
from ..model.cluster import Cluster
from ..model.objects import Claim
from ..model.request import Request, Target
from .fit import TreeCounts, Verdict
from .pending import done, pending_ordinals, pending_targets, to_measure
from .preflight import verdict

# By ordinal and volume.
Measured = Mapping[tuple[int, str], TreeCounts]

CREATE, CHANGE, EVICT, DELETE = "create", "change", "evict", "delete"
# What two processors and one disk do, see docs/benchmarks.md: each file and byte once while the application runs, each name once more in the stop.
_BYTES_A_SECOND, _FILES_A_SECOND = 150 << 20, 4000
_STOP_SECONDS, _NAMES_A_SECOND = 4.0, 50_000


@dataclass(frozen=True)
class Row:
    """One volume of one replica; sizes as quantities, classes None for the cluster's default, `is_done` when nothing is left to do; `measured` and
    `fit` when its data was counted."""

    replica: int
    node: str
    volume: str
    claim: str
    persistent_volume: str
    size: str
    new_size: str
    storage_class: str | None
    new_storage_class: str | None
    is_done: bool
    measured: TreeCounts | None = None
    fit: Verdict | None = None

    @property
    def copy_seconds(self) -> float | None:
        """About so long the copy takes beside the running application, unlimited; None when the data was not counted."""
        return None if self.measured is None else self.measured.bytes / _BYTES_A_SECOND + self.measured.inodes / _FILES_A_SECOND

    @property
    def stop_seconds(self) -> float | None:
        """About so long the replica is not Ready, if little changes during the copy; its own start comes on top."""
        return None if self.measured is None else _STOP_SECONDS + self.measured.inodes / _NAMES_A_SECOND

    def as_dict(self) -> dict[str, Any]:
        """As in JSON output."""
        keys = {"persistent_volume": "persistentVolume", "new_size": "newSize", "storage_class": "storageClass",
                "new_storage_class": "newStorageClass", "is_done": "done"}
        plain = {keys.get(key, key): value for key, value in asdict(self).items() if key not in ("measured", "fit")}
        if self.measured is None or self.fit is None:
            return {**plain, "measured": None}
        fit = {"fits": self.fit.fits, "neededBytes": self.fit.needed_bytes, "availableBytes": self.fit.available_bytes,
               "neededInodes": self.fit.needed_inodes, "availableInodes": self.fit.available_inodes}
        return {**plain, "measured": {"bytes": self.measured.bytes, "inodes": self.measured.inodes, "copySeconds": round(self.copy_seconds or 0, 1),
                                      "stopSeconds": round(self.stop_seconds or 0, 1), **fit}}


@dataclass(frozen=True)
class Action:
    """One write to one object; `replica` None for what is done once."""

    verb: str
    object: str
    why: str
    replica: int | None = None


def rows(cluster: Cluster, request: Request, measured: Measured) -> tuple[Row, ...]:
    """All replicas, in the order in which they are migrated."""
    assert cluster.statefulset is not None
    return tuple(_with_counts(_row(cluster, request, ordinal, target), request, target, measured.get((ordinal, target.name)))
                 for ordinal in reversed(cluster.statefulset.ordinals) for target in request.targets)


def _with_counts(row: Row, request: Request, target: Target, counts: TreeCounts | None) -> Row:
    return row if counts is None else replace(row, measured=counts, fit=verdict(request, target, counts))


def _row(cluster: Cluster, request: Request, ordinal: int, target: Target) -> Row:
    claim, pod = cluster.claim_of(target.name, request.statefulset, ordinal), cluster.pods.get(ordinal)
    present = claim.storage_class if claim else None
    return Row(ordinal, pod.node if pod else "", target.name, names.claim(target.name, request.statefulset, ordinal),
               claim.volume_name if claim else "", _size(claim), target.size, present, target.storage_class or present, done(claim, target))


def _size(claim: Claim | None) -> str:
    return str((claim.status.get("capacity") or {}).get("storage") or claim.spec["resources"]["requests"]["storage"]) if claim else ""


def actions(cluster: Cluster, request: Request, migration: str) -> tuple[Action, ...]:
    """Everything in its order, from the VolumeResize on."""
    return tuple(_all(cluster, request, migration))


def _all(cluster: Cluster, request: Request, migration: str) -> Iterator[Action]:
    yield Action(CREATE, f"volumeresize/{migration}", "the request, and the record of what was done")
    yield Action(CREATE, f"job/{names.job(migration)}", "does the work in the cluster")
    yield Action(CREATE, f"lease/{names.lease(request.statefulset)}", "one runner at a time")
    pending = [(ordinal, pending_targets(cluster, request, ordinal)) for ordinal in pending_ordinals(cluster, request)]
    measurers = [f"pod/{names.measurer(migration, ordinal, target.name)}" for ordinal, target in to_measure(cluster, request)]
    yield from (Action(CREATE, pod, "counts the data, reads only") for pod in measurers)
    yield from (Action(DELETE, pod, "counted") for pod in sorted(measurers))
    for ordinal, targets in pending:
        for target in targets:
            claim = cluster.claim_of(target.name, request.statefulset, ordinal)
            yield Action(CHANGE, f"persistentvolume/{claim.volume_name if claim else ''}", "reclaim policy Retain: the old data is kept")
    for ordinal, targets in pending:
        yield from _replica(cluster, request, migration, ordinal, targets)
    yield Action(DELETE, f"lease/{names.lease(request.statefulset)}", "all is done")


def _replica(cluster: Cluster, request: Request, migration: str, ordinal: int, targets: Sequence[Target]) -> Iterator[Action]:
    def each(verb: str, kind: str, name: str, why: str, of: Sequence[Target] = targets) -> Iterator[Action]:
        for target in of:
            claim = names.claim(target.name, request.statefulset, ordinal)
            known = {"claim": claim, "temporary": names.temporary_claim(target.name, request.statefulset, ordinal),
                     "mover": names.mover(migration, ordinal, target.name)}
            yield Action(verb, f"{kind}/{known[name]}", why, ordinal)

    pod, statefulset = f"pod/{names.pod(request.statefulset, ordinal)}", f"statefulset/{request.statefulset}"
    yield from each(CREATE, "persistentvolumeclaim", "temporary", "a volume of the new size")
    late = [target for target in targets if (claim := cluster.claim_of(target.name, request.statefulset, ordinal)) is not None and claim.one_pod]
    yield from each(CREATE, "pod", "mover", "copies beside the running application", [target for target in targets if target not in late])
    yield Action(CHANGE, pod, "a finalizer holds it, so that nothing takes its place", ordinal)
    yield Action(EVICT, pod, "the replica stops here; the last changes are copied and everything is verified", ordinal)
    yield from each(CREATE, "pod", "mover", "copies everything: the claim is ReadWriteOncePod", late)
    yield from each(DELETE, "pod", "mover", "the copy is verified")
    yield from each(DELETE, "persistentvolumeclaim", "temporary", "its volume stays, for the claim of the old name")
    yield Action(CHANGE, statefulset, "frozen: its controller must not make an empty claim", ordinal)
    yield Action(DELETE, statefulset, "its pods and claims are orphaned, not deleted", ordinal)
    yield Action(CHANGE, pod, "let go", ordinal)
    yield from each(DELETE, "persistentvolumeclaim", "claim", "its volume is kept")
    yield from each(CREATE, "persistentvolumeclaim", "claim", "bound to the new volume")
    yield Action(CHANGE, statefulset, "let go", ordinal)
    yield Action(CREATE, statefulset, "the same again, with the new sizes; the replica starts", ordinal)
