"""Foreign hands: what other people and controllers do to a migration on the fake cluster, and when. The outcomes are in docs/foreign-hands.md."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from builders import NAMESPACE, SET, Cluster, submit, three_replicas
from fake_api import FakeApi, Object
from running import claim_uids, once_when, reason, run, status, step_of

from kubectl_volresize.model import labels

_PATIENCE = 2400  # seconds of the cluster's time, longer than any wait that has an end
NEW_SIZE = "500Mi"
Hand = Callable[[FakeApi, int], object]
Moment = Callable[[FakeApi, int], bool]


class WaitsForEver(AssertionError):
    """The runner neither ended nor said what it lacks within the patience of a human."""


@dataclass(frozen=True)
class Disturbed:
    """A migration of all replicas of `web` that a foreign hand has interfered with, at its end. `before`: claim UIDs."""

    api: FakeApi
    code: int
    before: dict[str, str]

    @property
    def end(self) -> str:
        """Completed, Resumable, NeedsHuman, ...: the reason of the condition Ready."""
        return reason(self.api)

    @property
    def message(self) -> str:
        return str(status(self.api)["message"])


def disturbed(moment: Moment, hand: Hand, *, replicas: int = 1, ordinal: int | None = None, cluster: Cluster | None = None,
              then: Sequence[tuple[Moment, Hand]] = (), patience: float = _PATIENCE) -> Disturbed:
    """Run a migration; at `moment` of `ordinal` (the highest one) the hand interferes, and others when their moments come, one after the other."""
    cluster = cluster or three_replicas(replicas=replicas)
    ordinal = cluster.replicas - 1 if ordinal is None else ordinal
    api = cluster.build()
    before = claim_uids(api)
    submit(api, {"data": NEW_SIZE})
    came: list[list[int]] = []
    for when, act in ((moment, hand), *then):
        earlier = came[-1] if came else [0]
        came.append(once_when(api, lambda when=when, earlier=earlier: bool(earlier) and when(api, ordinal),  # type: ignore[misc]
                              lambda act=act: act(api, ordinal)))  # type: ignore[misc]
    code = go_on(api, patience=patience)
    assert all(came), f"the moment never came: {status(api)['message'] if find(api, 'volumeresizes', SET) else 'gone'}"
    return Disturbed(api, code, before)


def go_on(api: FakeApi, number: int = 1, patience: float = _PATIENCE) -> int:
    """The `number`th runner, until it ends; its exit code. Raises WaitsForEver."""
    start = api.clock.now.timestamp()

    def out_of_patience(call: int, verb: str, path: str) -> None:
        if api.clock.now.timestamp() > start + patience:
            raise WaitsForEver(status(api).get("message"))

    api.before_call.append(out_of_patience)
    with api.directly_connected() as client:
        code = run(api, client, identity=f"runner-{number}", job="web-runner" if number == 1 else f"web-runner-{number}")
    api.before_call.remove(out_of_patience)
    return code


# -- what is there


def find(api: FakeApi, plural: str, name: str) -> Object | None:
    return api.find(plural, "" if plural in ("persistentvolumes", "nodes", "namespaces") else NAMESPACE, name)


def entry(api: FakeApi, ordinal: int) -> Object:
    """The record of the replica's volume."""
    return next(dict(one) for one in status(api)["volumeStatuses"] if one["replica"] == ordinal)


def pod_name(ordinal: int) -> str:
    return f"{SET}-{ordinal}"


def claim_name(ordinal: int) -> str:
    return f"data-{SET}-{ordinal}"


def mover_name(ordinal: int) -> str:
    return f"{SET}-migrator-{ordinal}-data"


def _finalized(api: FakeApi, plural: str, name: str, finalizer: str) -> bool:
    found = find(api, plural, name)
    return found is not None and finalizer in (found["metadata"].get("finalizers") or [])


def is_held(api: FakeApi, ordinal: int) -> bool:
    return _finalized(api, "pods", pod_name(ordinal), labels.HOLD_FINALIZER)


def is_frozen(api: FakeApi) -> bool:
    found = find(api, "statefulsets", SET)
    return found is not None and "deletionTimestamp" in found["metadata"] and _finalized(api, "statefulsets", SET, labels.FREEZE_FINALIZER)


# -- moments, in the order in which they come


def begun(api: FakeApi, ordinal: int) -> bool:
    """Accepted; nothing of this replica was made yet."""
    return status(api).get("phase") == labels.SYNCING and step_of(api, ordinal) == ""


def copying(api: FakeApi, ordinal: int) -> bool:
    """Its mover is there, and the application runs."""
    return step_of(api, ordinal) == "copying" and find(api, "pods", mover_name(ordinal)) is not None


def copied(api: FakeApi, ordinal: int) -> bool:
    """Its mover has made its first pass and waits; the application runs."""
    mover = find(api, "pods", mover_name(ordinal))
    said = api.logs.get(mover["metadata"]["uid"], []) if mover is not None else []
    return step_of(api, ordinal) == "copying" and any('"waiting"' in line for line in said)


def stopped(api: FakeApi, ordinal: int) -> bool:
    """Held and shut down; the last pass is not made yet."""
    pod = find(api, "pods", pod_name(ordinal))
    return (step_of(api, ordinal) == "holding" and is_held(api, ordinal) and pod is not None and "deletionTimestamp" in pod["metadata"]
            and pod["status"]["phase"] in ("Succeeded", "Failed") and not entry(api, ordinal).get("verified"))


def verified(api: FakeApi, ordinal: int) -> bool:
    return step_of(api, ordinal) == "holding" and bool(entry(api, ordinal).get("verified"))


def swapping(api: FakeApi, ordinal: int) -> bool:
    """The exchange has begun, and the set is not frozen."""
    return step_of(api, ordinal) == "swapping" and find(api, "statefulsets", SET) is not None and not is_frozen(api)


def frozen(api: FakeApi, ordinal: int) -> bool:
    """The set is frozen, and the pod still held."""
    return step_of(api, ordinal) == "swapping" and is_frozen(api) and is_held(api, ordinal)


def claimless(api: FakeApi, ordinal: int) -> bool:
    return is_frozen(api) and find(api, "persistentvolumeclaims", claim_name(ordinal)) is None


def claimed(api: FakeApi, ordinal: int) -> bool:
    """The set is frozen, and the claim was made again."""
    found = find(api, "persistentvolumeclaims", claim_name(ordinal))
    return is_frozen(api) and found is not None and labels.MIGRATION_UID in (found["metadata"].get("annotations") or {})


def absent(api: FakeApi, ordinal: int) -> bool:
    """Between the two calls of the thaw."""
    return step_of(api, ordinal) == "thawing" and find(api, "statefulsets", SET) is None


def starting(api: FakeApi, ordinal: int) -> bool:
    return step_of(api, ordinal) == "starting"


def done(api: FakeApi, ordinal: int) -> bool:
    return step_of(api, ordinal) == "done"


def later(seconds: float) -> Moment:
    """So long after it was first asked, which is when the hand before it has acted."""
    since: list[float] = []

    def over(api: FakeApi, ordinal: int) -> bool:
        since.append(api.clock.now.timestamp())
        return since[-1] >= since[0] + seconds
    return over


# -- hands


def change(plural: str, name: str | Callable[[int], str], edit: Callable[[Object], object], status: bool = False) -> Hand:
    def act(api: FakeApi, ordinal: int) -> None:
        found = find(api, plural, name if isinstance(name, str) else name(ordinal))
        assert found is not None
        api.rest.change(plural, found, lambda new: edit(new) and None, status=status)
    return act


def remove(plural: str, name: str | Callable[[int], str], **options: Any) -> Hand:
    """`kubectl delete`, with DeleteOptions."""
    def act(api: FakeApi, ordinal: int) -> None:
        found = find(api, plural, name if isinstance(name, str) else name(ordinal))
        assert found is not None
        api.rest.remove(plural, found, **options)
    return act


def without_finalizers(plural: str, name: str | Callable[[int], str]) -> Hand:
    return change(plural, name, lambda new: new["metadata"].update(finalizers=[]))


def by_force(plural: str, name: str | Callable[[int], str]) -> Hand:
    """Deleted, and when something keeps it, its finalizers too."""
    def act(api: FakeApi, ordinal: int) -> None:
        called = name if isinstance(name, str) else name(ordinal)
        remove(plural, called)(api, ordinal)
        if find(api, plural, called) is not None:
            without_finalizers(plural, called)(api, ordinal)
    return act


def scale(replicas: int) -> Hand:
    return change("statefulsets", SET, lambda new: new["spec"].update(replicas=replicas))


def roll_out(image: str = "example.test/app:2") -> Hand:
    return change("statefulsets", SET, lambda new: new["spec"]["template"]["spec"]["containers"][0].update(image=image))


def delete_volume(which: str, force: bool = False) -> Hand:
    """Somebody deletes the volume that the record has under this name."""
    def act(api: FakeApi, ordinal: int) -> None:
        name = str(entry(api, ordinal)[which])
        (by_force if force else remove)("persistentvolumes", name)(api, ordinal)
    return act


def quota(**hard: str) -> Hand:
    return lambda api, ordinal: api.rest.post("resourcequotas", {"metadata": {"name": "small", "namespace": NAMESPACE}, "spec": {"hard": hard}})


def images(api: FakeApi) -> set[str]:
    """Of all pods of the application."""
    return {pod["spec"]["containers"][0]["image"] for pod in api.store.all("pods", NAMESPACE) if pod["metadata"]["name"].startswith(f"{SET}-")}
