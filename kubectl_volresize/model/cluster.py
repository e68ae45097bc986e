"""The cluster at one moment, as a decision sees it. No I/O; nothing here changes an object."""
from __future__ import annotations

from dataclasses import dataclass, field

from . import names
from .kept import Kept
from .objects import Budget, Claim, Node, Object, Pod, StatefulSet, View, Volume


@dataclass(frozen=True)
class Mover:
    """A mover or measurer pod with the last thing that it said (see `mover -> runner` in the design)."""

    pod: Pod
    said: Object = field(default_factory=dict)

    @property
    def event(self) -> str:
        return str(self.said.get("event", ""))

    @property
    def ended(self) -> bool:
        return self.pod.phase in ("Failed", "Succeeded") or self.event in ("verified", "failed", "measured")


@dataclass(frozen=True)
class Answer:
    """What the API server said to a write that was only tried (dryRun=All). `of`: claim, mover, statefulset, job; `asked` and `given`: the object
    sent and returned; `status` 0: it would have been written, else the HTTP status of the refusal with its `message`."""

    of: str
    asked: Object
    given: Object = field(default_factory=dict)
    status: int = 0
    message: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What matters before the start alone: what limits the namespace, what scales the set, what storage there is, what the API server says to our
    writes, `lacking`: RBAC rules that whoever looks has not, `unknown_fields` of a VolumeResize that the installed definition would drop."""

    quotas: tuple[View, ...] = ()
    limit_ranges: tuple[View, ...] = ()
    autoscalers: tuple[View, ...] = ()
    vertical_autoscalers: tuple[View, ...] = ()
    capacities: tuple[Object, ...] = ()
    answers: tuple[Answer, ...] = ()
    lacking: tuple[Object, ...] = ()
    unknown_fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """Everything one decision looks at, read at one moment. `migration` is the VolumeResize itself, `others` the other ones in the namespace;
    `guests` the pods by the claim that they name and that are neither a replica nor ours, finished ones too; `unreadable` names what this user may
    not read (never empty-handed for the runner); `kept` the copy of a lost record, looked for only when a user asks for it."""

    namespace: str
    migration: View
    statefulset: StatefulSet | None
    pods: dict[int, Pod]
    claims: dict[str, Claim]
    volumes: dict[str, Volume]
    movers: dict[tuple[int, str], Mover]
    measurers: dict[tuple[int, str], Mover]
    budgets: tuple[Budget, ...] = ()
    revisions: tuple[View, ...] = ()
    nodes: dict[str, Node] = field(default_factory=dict)
    classes: dict[str, Object] = field(default_factory=dict)
    others: tuple[View, ...] = ()
    guests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    namespace_going: bool = False
    unreadable: tuple[str, ...] = ()
    kept: Kept | None = None
    surroundings: Surroundings = Surroundings()

    def volume_of(self, claim: Claim | None) -> Volume | None:
        return self.volumes.get(claim.volume_name) if claim is not None else None

    def shut_down(self, pod: Pod) -> bool:
        node = self.nodes.get(pod.node)
        return pod.shut_down(node_ready=node is not None and node.ready)

    def claim_of(self, volume: str, statefulset: str, ordinal: int) -> Claim | None:
        return self.claims.get(names.claim(volume, statefulset, ordinal))

    @property
    def cancelled(self) -> bool:
        """The user deleted the VolumeResize while it runs."""
        return self.migration.terminating
