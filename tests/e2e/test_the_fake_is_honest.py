"""What the crash sweep proves, it proves of the fake cluster. Here the same paths are gone on the real one, with the same StatefulSet, and every
object must have gone through the same states, one after the other, as a watch saw them."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from application import NAME, Application
from builders import NAMESPACE, SET, Cluster, submit
from fake_api import FakeApi
from history import History
from namespaces import Namespace, until
from running import ask, once_when, run
from seen import STATES, Event, FirstClaim, Sequences, by_name, differences, sequences

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster
VOLUMES, SIZES = {"data": "64Mi", "logs": "48Mi"}, {"data": "32Mi", "logs": "24Mi"}
REPLICAS = 2
# What makes a copy take some ten seconds.
MEBIBYTES, BANDWIDTH = 10, "1M"
NOBODY = "nobody"
Seen = dict[str, Sequences]


def concerns(item: Object, namespace: str) -> bool:
    """Of the set, its volumes and the record: pods of ours come and go as their nodes have time."""
    meta, spec = item["metadata"], item.get("spec") or {}
    if namespace not in (meta.get("namespace"), (spec.get("claimRef") or {}).get("namespace")):
        return False
    if spec.get("statefulSetName") == NOBODY:
        return False
    return "containers" not in spec or labels.ROLE not in (meta.get("labels") or {})


def reduced(kind: str, events: Iterator[Event], namespace: str, statefulset: str) -> Sequences:
    name: Callable[[Object], str] = FirstClaim() if kind == "persistentvolumes" else by_name
    found = sequences((event for event in events if concerns(event[1], namespace)), STATES[kind], name)
    return {str(renamed(key, statefulset)): renamed(states, statefulset) for key, states in found.items()}


def renamed(value: Any, statefulset: str) -> Any:
    """Names of replicas and claims as they would be of a set called SET."""
    if isinstance(value, (list, tuple)):
        return type(value)(renamed(one, statefulset) for one in value)
    return re.sub(rf"\b{statefulset}(?=$|[- ])", "SET", value) if isinstance(value, str) else value


@contextmanager
def watched(namespace: Namespace) -> Iterator[Seen]:
    """Filled when the block is left."""
    seen: Seen = {}
    # A watch on nothing says nothing, not even that it has begun.
    namespace.create({"apiVersion": labels.API_VERSION, "kind": labels.KIND, "metadata": {"name": NOBODY},
                      "spec": {"statefulSetName": NOBODY, "volumes": [{"name": "data", "newSize": "1Mi"}]}})
    with ExitStack() as stack:
        histories = {kind: stack.enter_context(History(namespace, kind)) for kind in STATES}
        yield seen
    seen.update({kind: reduced(kind, history.events(), namespace.name, NAME) for kind, history in histories.items()})


def fake() -> FakeApi:
    return Cluster(replicas=REPLICAS, volumes=dict(VOLUMES)).build()


@contextmanager
def recalled(api: FakeApi) -> Iterator[Seen]:
    """The same of the fake cluster."""
    seen: Seen = {}
    at_first, version = dict(api.store.objects), api.store.version
    yield seen
    api.settle()
    for kind in STATES:
        events = [("ADDED", item) for key, item in at_first.items() if key[0] == kind]
        events += [(event.kind, event.obj) for event in api.store.history if event.version > version and event.key[0] == kind]
        seen[kind] = reduced(kind, iter(events), NAMESPACE, SET)


def test_a_migration_and_its_rollback_go_through_the_same_states(fresh_namespace: Namespace) -> None:
    application = Application(fresh_namespace, volumes=VOLUMES, replicas=REPLICAS)
    application.start()
    with watched(fresh_namespace) as real:
        fresh_namespace.submit(NAME, *(word for volume, size in SIZES.items() for word in ("--volume", f"{volume}={size}")))
        assert fresh_namespace.follow(NAME).returncode == 0
        back = fresh_namespace.volresize("rollback", NAME, "--discard-newer-data", "--yes")
        assert back.returncode == 0, back.stdout + back.stderr
        application.ready()
    api = fake()
    with recalled(api) as told:
        submit(api, SIZES)
        with api.connected() as client:
            run(api, client)
            ask(api, "rollback", discardNewerData=True)
            run(api, client, identity="runner-2", job="web-runner-2")
    found = differences(real, told)
    assert not found, "\n".join(found)
    assert real["volumeresizes"], "nothing was watched"


def _are_kept(volumes: list[Object]) -> bool:
    """The new volumes of one replica, the last thing before the copy of both is waited for."""
    return [(one["metadata"].get("labels") or {}).get(labels.ROLE) for one in volumes].count(labels.ROLE_NEW) == len(VOLUMES)


@pytest.mark.parametrize("how", ["cancel", "deletion"])
def test_one_that_is_called_off_during_the_copy_goes_through_the_same_states(how: str, fresh_namespace: Namespace) -> None:
    application = Application(fresh_namespace, volumes=VOLUMES, replicas=REPLICAS)
    application.start()
    for volume in VOLUMES:
        application.fill(REPLICAS - 1, volume, MEBIBYTES)
    with watched(fresh_namespace) as real:
        fresh_namespace.submit(NAME, *(word for volume, size in SIZES.items() for word in ("--volume", f"{volume}={size}")), "--bandwidth", BANDWIDTH)
        until("both volumes are copied", lambda: _are_kept(fresh_namespace.volumes()))
        if how == "cancel":
            done = fresh_namespace.volresize("cancel", NAME)
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            fresh_namespace.kubectl("delete", "volumeresize", NAME, "--timeout=90s")
        until("the new volumes are gone", lambda: len(fresh_namespace.volumes()) == REPLICAS * len(VOLUMES))
    api = fake()
    api.faults.never_done.update(f"{SET}-migrator-{REPLICAS - 1}-{volume}" for volume in VOLUMES)
    with recalled(api) as told:
        submit(api, SIZES)
        once_when(api, lambda: _are_kept(api.store.all("persistentvolumes")), lambda: _call_off(api, how))
        with api.connected() as client:
            run(api, client)
    found = differences(real, told)
    assert not found, "\n".join(found)


def _call_off(api: FakeApi, how: str) -> None:
    if how == "cancel":
        ask(api, "cancel")
    else:
        api.rest.remove("volumeresizes", api.find("volumeresizes", NAMESPACE, SET) or {})
