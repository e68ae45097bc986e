"""One replica as a decision sees it: per volume what is wanted, what is recorded and what is there. No decision is taken here."""
from __future__ import annotations

from dataclasses import dataclass

from ..model import names
from ..model.cluster import Cluster, Mover
from ..model.objects import Claim, Pod, StatefulSet, Volume
from ..model.record import Record, VolumeRecord
from ..model.request import Request, Target
from .pending import done


@dataclass(frozen=True)
class VolumeView:
    """One volume of the replica. `claim`: of the name that the application uses, whoever made it; `temporary`: of the name that the copy uses."""

    target: Target
    entry: VolumeRecord
    claim: Claim | None
    temporary: Claim | None
    old: Volume | None
    new: Volume | None
    mover: Mover | None

    @property
    def has_original_claim(self) -> bool:
        """The claim that was recorded: same UID, Bound, its volume still the recorded one. Somebody may be deleting it, as the exchange will."""
        return (self.claim is not None and self.claim.uid == self.entry.old_claim_uid and self.claim.bound
                and self.old is not None and self.old.uid == self.entry.old_pv_uid)

    @property
    def on_original_claim(self) -> bool:
        """The claim that was recorded, untouched: a pod that is let go now finds it as it was."""
        return self.has_original_claim and self.claim is not None and not self.claim.terminating

    @property
    def not_as_recorded(self) -> str:
        """Of a claim that is not the recorded one, in words."""
        return (f"claim {self.entry.old_claim} is not the one that was recorded: somebody deleted or replaced it; "
                f"the data that it had is on volume {self.entry.old_pv}, which is kept")

    @property
    def on_new_volume(self) -> bool:
        """The successor of the claim is Bound to the volume that the record names, and the volume says the same."""
        return (self.claim is not None and self.new is not None and self.claim.uid != self.entry.old_claim_uid and self.claim.bound
                and not self.claim.terminating and self.claim.volume_name == self.entry.new_pv and self.new.uid == self.entry.new_pv_uid
                and self.new.claim_ref.get("uid") == self.claim.uid)


def not_to_be_released_beside(volumes: tuple[VolumeView, ...]) -> list[VolumeView]:
    """Those begun whose claim is not the recorded one, untouched: a held pod that is let go beside it could start on an empty one."""
    return [view for view in volumes if view.entry.old_claim_uid and not view.on_original_claim]


def views(cluster: Cluster, record: Record, request: Request, ordinal: int) -> tuple[VolumeView, ...]:
    """The volumes of the replica that take part: those recorded for it, else those whose claim is not yet as wanted."""
    found = []
    for target in request.targets:
        entry = record.volume(ordinal, target.name)
        claim = cluster.claim_of(target.name, request.statefulset, ordinal)
        if not entry.old_claim_uid and done(claim, target):
            continue
        temporary = cluster.claims.get(names.temporary_claim(target.name, request.statefulset, ordinal))
        old_name = entry.old_pv or (claim.volume_name if claim else "")
        new_name = entry.new_pv or (temporary.volume_name if temporary else "")
        found.append(VolumeView(target, entry, claim, temporary, cluster.volumes.get(old_name), cluster.volumes.get(new_name),
                                cluster.movers.get((ordinal, target.name))))
    return tuple(found)


def others_not_ready(cluster: Cluster, statefulset: StatefulSet, ordinal: int, *, stopped: bool = False) -> tuple[str, ...]:
    """Names of the set's other pods that are not Ready; while this replica is `stopped`, without those that cannot be made before it is back."""
    behind = range(ordinal + 1, max(statefulset.ordinals, default=0) + 1) if stopped and statefulset.in_order else range(0)
    return tuple(names.pod(statefulset.name, other) for other in statefulset.ordinals
                 if other != ordinal and not (other in cluster.pods and cluster.pods[other].ready)
                 and not (other in behind and other not in cluster.pods))


def guest(cluster: Cluster, volumes: tuple[VolumeView, ...]) -> str:
    """Which pod of somebody else names a claim of the replica, in words. While it runs it may write what our last look does not see; also when it
    has finished the claim cannot go before it (pkg/controller/volume/pvcprotection, podUsesPVC)."""
    found = [(pod, view.claim.name) for view in volumes if view.claim is not None for pod in cluster.guests.get(view.claim.name, ())]
    return f"pod {found[0][0]}, which is no replica, uses claim {found[0][1]}" if found else ""


def held_by_others(cluster: Cluster, ordinal: int, volumes: tuple[VolumeView, ...]) -> str:
    """Which finalizer of somebody else would stop the exchange half-way, in words: the set, the pod and the claims have to go, and soon."""
    pod = cluster.pods.get(ordinal)
    going = [("StatefulSet", cluster.statefulset), ("pod", pod), *(("claim", view.claim) for view in volumes)]
    for kind, obj in going:
        if obj is not None and obj.foreign_finalizers:
            return f"{kind} {obj.name} has the finalizer {obj.foreign_finalizers[0]} of somebody else"
    return ""


def user_of(cluster: Cluster, volume: Volume) -> str:
    """The claim that has the volume, as name or namespace/name; empty when none has. A claim of another namespace we cannot read, and the volume
    itself must say so."""
    users = [claim.name for claim in cluster.claims.values() if claim.volume_name == volume.name]
    namespace = volume.claim_ref.get("namespace")
    elsewhere = f"{namespace}/{volume.claim_ref.get('name')}" if namespace not in (None, cluster.namespace) else ""
    return users[0] if users else elsewhere


def final_word(pod_uid: str, mover: Pod) -> str:
    """Unique for this stop and this mover: what proves that the pass it answers began after the pod was seen shut down."""
    return f"final:{pod_uid}:{mover.uid}"


def word_is_of(word: str, pod_uid: str) -> bool:
    """Whether a mover's word speaks of the stop of this pod."""
    return bool(pod_uid) and word.startswith(f"final:{pod_uid}:")
