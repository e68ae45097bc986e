"""What `plan` announces is what a migration writes, in that order."""
from __future__ import annotations

from dataclasses import replace

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi
from running import run

from kubectl_volresize.errors import JOB_DONE
from kubectl_volresize.kube.observe import observe
from kubectl_volresize.model.request import Request, from_spec
from kubectl_volresize.plan.outline import Action, actions, rows

SINGULAR = {"persistentvolumeclaims": "persistentvolumeclaim", "persistentvolumes": "persistentvolume", "pods": "pod", "leases": "lease",
            "statefulsets": "statefulset"}
VERBS = {"create": "create", "delete": "delete", "patch": "change", "evict": "evict"}


def written(api: FakeApi, since: int, new_volumes: set[str]) -> list[tuple[str, str]]:
    """(verb, object) of all writes, but for Events, the record, what is written to new volumes, rehearsals, and what is said to movers."""
    found = []
    for call in api.calls[since:]:
        if call.verb not in VERBS or "dryRun" in call.path or "/authorization.k8s.io/" in call.path or call.status >= 400:
            continue
        parts = call.path.removesuffix("/eviction").split("/")
        plural, name = (parts[-1], call.body["metadata"]["name"]) if call.verb == "create" else (parts[-2], parts[-1])
        if plural in SINGULAR and name not in new_volumes and not (call.verb == "patch" and "-migrator-" in name):
            found.append((VERBS[call.verb], f"{SINGULAR[plural]}/{name}"))
    return found


def announced(planned: tuple[Action, ...]) -> list[tuple[str, str]]:
    return [(action.verb, action.object) for action in planned if not action.object.startswith(("volumeresize/", "job/"))]


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("volumes", [{"data": "1Gi"}, {"data": "1Gi", "logs": "500Mi"}])
@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteOncePod"])
def test_what_is_announced_is_what_is_done(replicas: int, volumes: dict[str, str], mode: str) -> None:
    api = replace(three_replicas(volumes, replicas=replicas), access_mode=mode).build()
    submit(api, dict.fromkeys(volumes, "100Mi"), acknowledge=["one-pod-volume"])
    migration = api.find("volumeresizes", NAMESPACE, SET)
    assert migration is not None
    with api.connected() as client:
        planned = actions(observe(client, migration), from_spec(migration["spec"]), SET)
        since, old = len(api.calls), {volume["metadata"]["name"] for volume in api.store.all("persistentvolumes")}
        assert run(api, client) == JOB_DONE
    new = {volume["metadata"]["name"] for volume in api.store.all("persistentvolumes")} - old
    # A set is marked when it is created, and the mark goes at the end of each replica.
    marks = ("change", f"statefulset/{SET}")
    done = [one for one in written(api, since, new) if one != marks]
    assert done == [one for one in announced(planned) if one != marks]


def test_a_replica_that_is_done_is_shown_and_not_touched() -> None:
    api = three_replicas({"data": "1Gi"}, replicas=2).build()
    submit(api, {"data": "1Gi"})
    migration = api.find("volumeresizes", NAMESPACE, SET)
    assert migration is not None
    request = from_spec(migration["spec"])
    with api.connected() as client:
        cluster = observe(client, migration)
    assert [(row.replica, row.is_done, row.size) for row in rows(cluster, request, {})] == [(1, True, "1Gi"), (0, True, "1Gi")]
    assert not [action for action in actions(cluster, request, SET) if action.replica is not None]
    smaller = Request(request.statefulset, (request.targets[0].__class__("data", "500Mi"),))
    assert [action.replica for action in actions(cluster, smaller, SET) if action.verb == "evict"] == [1, 0]
