"""The real runner on the fake cluster: engine, planner, executors and record are the product's; only the API server, the kubelets and the time are
not."""
from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from builders import NAMESPACE, SET
from fake_api import FakeApi, Object

from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.asked import Asked
from kubectl_volresize.runner.engine import Engine
from kubectl_volresize.runner.events import Events
from kubectl_volresize.runner.lease import Lease
from kubectl_volresize.runner.log import Log
from kubectl_volresize.runner.store import Store
from kubectl_volresize.runner.tools import Tools


class Killed(BaseException):
    """The runner's process ends here; nothing of it may catch this."""


def engine(api: FakeApi, client: Client, *, name: str = SET, identity: str = "runner-1", job: str = "web-runner",
           out: io.StringIO | None = None, leaving: Callable[[], bool] = lambda: False) -> Engine:
    """A runner that has just started: it knows what its Job's pod knows, the name of the VolumeResize."""
    log = Log(api.clock.text, out or io.StringIO())
    lease = Lease(client, NAMESPACE, SET, name, job, lambda: api.clock.now.timestamp(), lambda: api.clock.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    store = Store(client, NAMESPACE, name, identity)
    tools = Tools(client, NAMESPACE, name, SET, lease, log, api.sleep, api.clock.text, store.read)
    return Engine(store, tools, Events(client, log, identity), lambda: api.clock.now.timestamp(), leaving)


def run(api: FakeApi, client: Client, **who: str) -> int:
    """Run to the end; the exit code."""
    return engine(api, client, **who).run()


def status(api: FakeApi, name: str = SET) -> Object:
    found = api.find("volumeresizes", NAMESPACE, name)
    assert found is not None, f"volumeresize/{name} is gone"
    return dict(found.get("status") or {})


def step_of(api: FakeApi, ordinal: int) -> str:
    """Where a replica stands in the record, empty before anything of it was begun."""
    found = [entry for entry in status(api).get("replicas") or [] if entry["ordinal"] == ordinal]
    return str(found[0].get("step", "")) if found else ""


def once_when(api: FakeApi, moment: Callable[[], bool], act: Callable[[], object]) -> list[int]:
    """Do it before the first call at which `moment` holds. Returns when that was."""
    done: list[int] = []

    def hook(number: int, verb: str, path: str) -> None:
        if not done and moment():
            done.append(number)
            act()

    api.before_call.append(hook)
    return done


def reason(api: FakeApi, name: str = SET) -> str:
    """Reason of the condition Ready."""
    return next(str(one["reason"]) for one in status(api, name)["conditions"] if one["type"] == labels.READY)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def demand_nothing_lost(api: FakeApi) -> None:
    """The heart of all of it: every byte that the application ever wrote is on the volume that it uses now, and no claim was made empty."""
    api.settle()
    assert api.lost_bytes() == {}
    assert api.empty_claims == []
    assert api.shared == []


def demand_nothing_left(api: FakeApi, name: str = SET) -> None:
    """No mover, no temporary claim, no hold, no freeze, no Lease, no mark."""
    api.settle()
    pods, claims = api.store.all("pods", NAMESPACE), api.store.all("persistentvolumeclaims", NAMESPACE)
    assert [pod["metadata"]["name"] for pod in pods if labels.ROLE in (pod["metadata"].get("labels") or {})] == []
    assert [claim["metadata"]["name"] for claim in claims if claim["metadata"]["name"].endswith("-new")] == []
    assert [pod["metadata"]["name"] for pod in pods if labels.HOLD_FINALIZER in (pod["metadata"].get("finalizers") or [])] == []
    statefulset = api.find("statefulsets", NAMESPACE, SET)
    assert statefulset is not None
    assert labels.FREEZE_FINALIZER not in (statefulset["metadata"].get("finalizers") or [])
    assert labels.MIGRATION_UID not in (statefulset["metadata"].get("annotations") or {})
    assert api.store.all("leases", NAMESPACE) == []
    migration = api.find("volumeresizes", NAMESPACE, name)
    assert migration is None or labels.FINALIZER not in (migration["metadata"].get("finalizers") or [])


def sizes(api: FakeApi) -> dict[str, str]:
    """What each claim of the set asks for."""
    claims = api.store.all("persistentvolumeclaims", NAMESPACE)
    return {claim["metadata"]["name"]: claim["spec"]["resources"]["requests"]["storage"] for claim in claims}


def template_sizes(api: FakeApi) -> dict[str, str]:
    statefulset = api.find("statefulsets", NAMESPACE, SET)
    assert statefulset is not None
    return {one["metadata"]["name"]: one["spec"]["resources"]["requests"]["storage"] for one in statefulset["spec"]["volumeClaimTemplates"]}


def demand_migrated(api: FakeApi, wanted: dict[str, str], name: str = SET) -> None:
    """All replicas and the templates have the new sizes, the old volumes are kept, and nothing is lost or left."""
    demand_nothing_lost(api)
    demand_nothing_left(api, name)
    assert template_sizes(api) == wanted
    statefulset = api.find("statefulsets", NAMESPACE, SET)
    assert statefulset is not None
    ordinals = range(statefulset["spec"]["replicas"])
    assert sizes(api) == {f"{volume}-{SET}-{ordinal}": size for volume, size in wanted.items() for ordinal in ordinals}
    assert statefulset["status"]["readyReplicas"] == statefulset["spec"]["replicas"]
    old = {entry["oldPVName"] for entry in status(api, name)["volumeStatuses"]}
    kept = {volume["metadata"]["name"]: volume["spec"]["persistentVolumeReclaimPolicy"] for volume in api.store.all("persistentvolumes")}
    assert {kept.get(volume) for volume in old} == {"Retain"}
    assert [lost.name for lost in api.lost if lost.name in old] == []


def demand_untouched(api: FakeApi, before: dict[str, str], name: str = SET) -> None:
    """The application runs on its original claims (UIDs by name), every volume has its own reclaim policy again."""
    demand_nothing_lost(api)
    demand_nothing_left(api, name)
    assert {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in api.store.all("persistentvolumeclaims", NAMESPACE)} == before
    policies = {volume["metadata"]["name"]: volume["spec"]["persistentVolumeReclaimPolicy"] for volume in api.store.all("persistentvolumes")}
    assert set(policies.values()) == {"Delete"} and len(policies) == len(before)
    statefulset = api.find("statefulsets", NAMESPACE, SET)
    assert statefulset is not None and statefulset["status"]["readyReplicas"] == statefulset["spec"]["replicas"]


def ask(api: FakeApi, verb: str, *, name: str = SET, request_id: str = "", **args: Any) -> str:
    """What the plugin writes; the request's id."""
    found = api.find("volumeresizes", NAMESPACE, name)
    assert found is not None, f"volumeresize/{name} is gone"
    asked = Asked(request_id or f"{verb}-{api.clock.text()}", verb, args)
    api.rest.change("volumeresizes", found,
                    lambda new: new["metadata"].setdefault("annotations", {}).update({labels.REQUESTED: asked.to_annotation()}))
    return asked.id


def answer(api: FakeApi, name: str = SET) -> tuple[str, str]:
    """Outcome and message of the last request."""
    last = status(api, name).get("lastRequest") or {}
    return str(last.get("outcome", "")), str(last.get("message", ""))


def claim_uids(api: FakeApi) -> dict[str, str]:
    return {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in api.store.all("persistentvolumeclaims", NAMESPACE)}
