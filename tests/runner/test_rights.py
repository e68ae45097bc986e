"""The runner's rights are exactly what it uses: one too few stops a migration in its middle, one too many is somebody's way in."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi
from fake_api.resources import parse
from running import engine, once_when, run, step_of

from kubectl_volresize.templates import render

_VERBS = {"replace": "update", "apply": "patch", "evict": "create", "log": "get"}
Right = tuple[str, str, str]  # verb, group, resource or resource/subresource


def _granted(template: str) -> set[Right]:
    rules: list[dict[str, Any]] = render(template)["rules"]
    return {(verb, group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]}


def _used(api: FakeApi) -> Iterator[Right]:
    for call in api.calls:
        if "/authorization.k8s.io/" in call.path:
            # Everybody who is authenticated may ask what he may do.
            continue
        target = parse(call.path.partition("?")[0])
        sub = "log" if call.verb == "log" else target.sub
        yield _VERBS.get(call.verb, call.verb), target.resource.group, "/".join(filter(None, (target.resource.plural, sub)))


def _whole_migration() -> FakeApi:
    api = three_replicas({"data": "1Gi", "logs": "500Mi"}, replicas=2).with_retention(deleted="Delete", scaled="Delete").build()
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        run(api, client)
    return api


def _with_sleepy_controllers() -> FakeApi:
    api = three_replicas(replicas=1).build()
    api.faults.stopped.add("garbage")
    api.faults.sluggish_binder = True
    submit(api, {"data": "500Mi"})

    def owned_again(number: int, verb: str, path: str) -> None:
        claim, owner = api.find("persistentvolumeclaims", NAMESPACE, "data-web-0"), api.find("statefulsets", NAMESPACE, SET)
        if verb == "delete" and path.endswith(f"/statefulsets/{SET}") and claim is not None and owner is not None:
            reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": SET, "uid": owner["metadata"]["uid"]}
            api.rest.change("persistentvolumeclaims", claim, lambda new: new["metadata"].update(ownerReferences=[reference]))

    api.before_call.append(owned_again)
    with api.connected() as client:
        run(api, client)
    return api


def _given_up() -> FakeApi:
    api = three_replicas(replicas=1).build()
    api.faults.fails["web-migrator-0-data"] = (24, "I/O error")
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        run(api, client)
    return api


def _eviction_refused_after_the_hold() -> FakeApi:
    api = three_replicas(replicas=2).with_budget(max_unavailable=1).build()
    submit(api, {"data": "500Mi"})

    def second_thoughts(number: int, verb: str, path: str) -> None:
        budget = api.find("poddisruptionbudgets", NAMESPACE, f"{SET}-1")
        held = any("storage.maurice.fr/volresize-hold" in (pod["metadata"].get("finalizers") or []) for pod in api.store.all("pods", NAMESPACE))
        if budget is not None and verb == "evict" and "dryRun" not in path and held:
            api.rest.change("poddisruptionbudgets", budget, lambda new: new["spec"].update(maxUnavailable=0))

    api.before_call.append(second_thoughts)
    with api.connected() as client:
        run(api, client)
    return api


def _record_lost() -> FakeApi:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})

    def force() -> None:
        found = api.find("volumeresizes", NAMESPACE, SET)
        assert found is not None
        api.rest.change("volumeresizes", found, lambda new: new["metadata"].pop("finalizers"))
        api.rest.remove("volumeresizes", api.find("volumeresizes", NAMESPACE, SET) or found)

    once_when(api, lambda: step_of(api, 0) == "copying", force)
    with api.connected() as client:
        run(api, client)
    return api


def _followed() -> FakeApi:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    with api.connected() as client:
        for number in (1, 2):
            engine(api, client, identity=f"runner-{number}", job=f"web-runner-{number}").step()
    return api


def test_every_right_is_used_and_every_use_is_granted() -> None:
    # The Job's time to live is set by the entrypoint after the engine is done.
    used: set[Right] = {("patch", "batch", "jobs")}
    for history in (_followed(), _whole_migration(), _with_sleepy_controllers(), _given_up(), _eviction_refused_after_the_hold(), _record_lost()):
        used |= set(_used(history))
    assert used == _granted("role-runner") | _granted("role-volumes")


def test_the_rights_on_cluster_scoped_objects_stand_in_a_role_of_their_own() -> None:
    scoped = {resource for _, _, resource in _granted("role-volumes")}
    assert scoped == {"persistentvolumes", "storageclasses", "csistoragecapacities", "nodes"}
