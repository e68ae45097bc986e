"""Every wait, how long it may take, and what happens then: the one table (docs and tests read it too)."""
from __future__ import annotations

from dataclasses import dataclass

STOP, HUMAN, STRIP = "stop", "human", "strip"


@dataclass(frozen=True)
class Limit:
    """`seconds` until `then`: stop (undo the replica, Resumable), human (leave all as it is), strip (do the Wait's fallback); None waits for ever."""

    seconds: float | None
    then: str = STOP


FOREVER = Limit(None)
LIMITS: dict[str, Limit] = {
    "lease": FOREVER,                   # another runner works on this StatefulSet
    "refused-write": Limit(60),         # the API server says no to a write that should be possible
    "measuring": Limit(1800),           # a measurer pod counts; Pending for longer than a mover may be is caught by the same row
    "retention": Limit(120),            # claims lose the owner references of the old retention policy
    "provisioning": Limit(600),         # claim and mover Pending
    "copying": FOREVER,                 # progress is shown
    "others": FOREVER,                  # another replica is not Ready, a pod or a finalizer of others is in the way: nothing is held
    "rollout": FOREVER,                 # the set's revision moves: nothing is held meanwhile
    "pod": FOREVER,                     # the replica's pod is away without our doing: its controller brings it back
    "eviction": Limit(1800),            # a PodDisruptionBudget says no: the hold is off meanwhile
    "shut-down": Limit(600, HUMAN),     # beyond the pod's grace period; never forced
    "final": FOREVER,                   # the final pass; the mover ends by itself
    "swap-others": Limit(300),          # the same, before the freeze
    "pods-gone": Limit(300, HUMAN),
    "claims-gone": Limit(300, HUMAN),
    "orphaning": Limit(30, STRIP),
    "binding": Limit(60, HUMAN),
    "starting": Limit(600, HUMAN),      # not Ready on its new volumes
    "undoing": Limit(600, HUMAN),
    "cleaning": Limit(600, STRIP),      # a kept volume that the user gave up is removed by its provisioner; then the request has failed
}
