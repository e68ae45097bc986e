"""ReadWriteOncePod: nobody reads beside the application, so that everything is copied while the replica is stopped; and no byte is lost for that."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import FakeApi, Object
from running import run

from kubectl_volresize.errors import JOB_DONE, JOB_REFUSED
from kubectl_volresize.model import labels

ACCEPTED = {"acknowledge": ["one-pod-volume"]}


def cluster(replicas: int = 2, volumes: dict[str, str] | None = None) -> FakeApi:
    return replace(three_replicas(volumes, replicas=replicas), access_mode="ReadWriteOncePod").build()


def migrated(api: FakeApi, **spec: Any) -> tuple[int, Object]:
    submit(api, {"data": "500Mi"}, **spec)
    with api.connected() as client:
        code = run(api, client)
    api.settle()
    found = api.find(labels.PLURAL, NAMESPACE, SET)
    assert found is not None
    return code, found["status"]


def movers_beside_the_application(api: FakeApi) -> list[str]:
    """Movers that were created while the pod of their replica was not yet stopped."""
    stopped: set[str] = set()
    early = []
    for call in api.calls:
        if call.verb == "evict" and "dryRun" not in call.path and call.status < 300:
            stopped.add(call.path.split("/")[-2])
        name = str(call.body["metadata"].get("name", "")) if call.verb == "create" and call.path.endswith("/pods") else ""
        if "-migrator-" in name and f"{SET}-{call.body['metadata']['labels'][labels.REPLICA]}" not in stopped:
            early.append(name)
    return early


def test_it_is_refused_until_the_longer_stop_is_accepted() -> None:
    code, status = migrated(cluster())
    assert code == JOB_REFUSED and "--acknowledge one-pod-volume" in status["message"]


def test_everything_is_copied_after_the_stop_and_nothing_is_lost() -> None:
    api = cluster()
    code, status = migrated(api, **ACCEPTED)
    assert (code, status["phase"]) == (JOB_DONE, labels.COMPLETED)
    assert api.lost_bytes() == {} and movers_beside_the_application(api) == []
    for ordinal in range(2):
        claim = api.find("persistentvolumeclaims", NAMESPACE, f"data-{SET}-{ordinal}")
        assert claim is not None and claim["spec"]["resources"]["requests"]["storage"] == "500Mi"
        assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_its_volume_is_there_before_the_replica_is_stopped() -> None:
    """What there is no room for is found out while the application runs."""
    api = cluster(replicas=1)
    migrated(api, **ACCEPTED)
    order = [call.verb for call in api.calls if (call.verb == "evict" and "dryRun" not in call.path) or (
        call.verb == "patch" and "/persistentvolumes/" in call.path and labels.ROLE_NEW in str(call.body.get("metadata", {}).get("labels", {})))]
    assert order[:2] == ["patch", "evict"]


def test_nothing_is_counted_beforehand_and_what_does_not_fit_lets_the_replica_go_on() -> None:
    api = cluster(replicas=1)
    api.faults.fails[f"{SET}-migrator-0-data"] = (20, "600Mi are needed, 450Mi are available")
    code, status = migrated(api, **ACCEPTED)
    assert code == JOB_REFUSED and "does not fit 500Mi" in status["message"] and "600Mi are needed" in status["message"]
    assert not [call for call in api.calls if call.verb == "create" and "-measure-" in str(call.body.get("metadata", {}).get("name", ""))]
    pod = api.find("pods", NAMESPACE, f"{SET}-0")
    assert pod is not None and not pod["metadata"].get("finalizers") and pod["status"]["phase"] == "Running" and api.lost_bytes() == {}


def test_a_volume_that_others_may_read_is_copied_beside_the_application_all_the_same() -> None:
    api = cluster(replicas=1, volumes={"data": "1Gi", "logs": "1Gi"})
    claim = api.find("persistentvolumeclaims", NAMESPACE, f"logs-{SET}-0")
    assert claim is not None
    claim["spec"]["accessModes"] = ["ReadWriteOnce"]
    submit(api, {"data": "500Mi", "logs": "500Mi"}, **ACCEPTED)
    with api.connected() as client:
        assert run(api, client) == JOB_DONE
    assert movers_beside_the_application(api) == [f"{SET}-migrator-0-logs"] and api.lost_bytes() == {}


def test_the_room_that_was_asked_for_is_asked_of_the_mover() -> None:
    """Nobody counted before."""
    api = cluster(replicas=1)
    migrated(api, headRoomPercent=17, **ACCEPTED)
    [mover] = [call.body for call in api.calls if call.verb == "create" and call.path.endswith("/pods")
               and "-migrator-" in str(call.body["metadata"]["name"])]
    args = mover["spec"]["containers"][0]["args"]
    assert args[args.index("--head-room") + 1] == "17"
