"""The judge of every write is judged: whatever it is there to refuse is done by hand, one thing at a time, and must be refused and told."""
from __future__ import annotations

from collections.abc import Callable

import builders
import pytest
from builders import NAMESPACE, SET
from fake_api import FakeApi, Object
from fake_api.guard import Guard
from running import run

from kubectl_volresize.errors import Forbidden
from kubectl_volresize.kube import paths
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels

CLAIM, POD = "data-web-0", "web-0"
Act = Callable[[FakeApi, Client], object]


def _uid(api: FakeApi, plural: str, name: str, namespace: str = NAMESPACE) -> str:
    found = api.find(plural, namespace, name)
    assert found is not None
    return str(found["metadata"]["uid"])


def _volume(api: FakeApi, claim: str = CLAIM) -> Object:
    found = api.find("persistentvolumeclaims", NAMESPACE, claim)
    volume = api.find("persistentvolumes", "", found["spec"]["volumeName"]) if found is not None else None
    assert volume is not None
    return volume


def _hold(api: FakeApi) -> None:
    pod = api.find("pods", NAMESPACE, POD)
    assert pod is not None
    api.rest.change("pods", pod, lambda new: new["metadata"].update(finalizers=[labels.HOLD_FINALIZER]))


def _delete_claim(api: FakeApi, client: Client) -> object:
    return client.delete(paths.claims(NAMESPACE, CLAIM), uid=_uid(api, "persistentvolumeclaims", CLAIM))


def _delete_claim_without_uid(api: FakeApi, client: Client) -> object:
    return client.delete(paths.claims(NAMESPACE, CLAIM))


def _delete_pod(api: FakeApi, client: Client) -> object:
    return client.delete(paths.pods(NAMESPACE, POD), uid=_uid(api, "pods", POD))


def _evict(api: FakeApi, client: Client) -> object:
    return client.evict(NAMESPACE, POD, uid=_uid(api, "pods", POD))


def _evict_while_another_is_away(api: FakeApi, client: Client) -> object:
    _hold(api)
    api.faults.unready.add("web-1")
    api.settle()
    return _evict(api, client)


def _release_after_its_claim_was_deleted(api: FakeApi, client: Client) -> object:
    _hold(api)
    _evict(api, client)
    api.settle()
    claim, pod = api.find("persistentvolumeclaims", NAMESPACE, CLAIM), api.find("pods", NAMESPACE, POD)
    assert claim is not None and pod is not None
    api.rest.remove("persistentvolumeclaims", claim)
    return client.merge_patch(paths.pods(NAMESPACE, POD), {"metadata": {"uid": pod["metadata"]["uid"], "finalizers": None}})


def _delete_set(api: FakeApi, client: Client) -> object:
    return client.delete(paths.statefulsets(NAMESPACE, SET), uid=_uid(api, "statefulsets", SET))


def _scale_set(api: FakeApi, client: Client) -> object:
    return client.merge_patch(paths.statefulsets(NAMESPACE, SET), {"metadata": {"uid": _uid(api, "statefulsets", SET)}, "spec": {"replicas": 1}})


def _set_away(api: FakeApi) -> Object:
    found = api.find("statefulsets", NAMESPACE, SET)
    assert found is not None
    api.rest.remove("statefulsets", found, propagationPolicy="Orphan")
    api.settle()
    return {key: found[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": SET, "namespace": NAMESPACE}}


def _create_set_on_a_missing_claim(api: FakeApi, client: Client) -> object:
    manifest = _set_away(api)
    for plural, name in (("persistentvolumeclaims", CLAIM), ("pods", POD)):
        found = api.find(plural, NAMESPACE, name)
        assert found is not None
        api.rest.remove(plural, found)
    api.settle()
    return client.create(paths.statefulsets(NAMESPACE), manifest)


def _create_claim_elsewhere(api: FakeApi, client: Client) -> object:
    _set_away(api)
    claim, pod = api.find("persistentvolumeclaims", NAMESPACE, CLAIM), api.find("pods", NAMESPACE, POD)
    assert claim is not None and pod is not None
    api.rest.change("persistentvolumes", _volume(api), lambda new: new["spec"].update(persistentVolumeReclaimPolicy="Retain"))
    api.rest.remove("persistentvolumeclaims", claim)
    api.rest.remove("pods", pod)
    api.settle()
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM, "namespace": NAMESPACE},
            "spec": {key: value for key, value in claim["spec"].items() if key != "volumeName"}}
    return client.create(paths.claims(NAMESPACE), body)


def _take_volume_from_its_claim(api: FakeApi, client: Client) -> object:
    volume = _volume(api)["metadata"]
    return client.merge_patch(paths.volumes(volume["name"]), {"metadata": {"uid": volume["uid"]}, "spec": {"claimRef": {"uid": None}}})


def _delete_volume(api: FakeApi, client: Client) -> object:
    volume = _volume(api)["metadata"]
    api.rest.change("persistentvolumes", _volume(api), lambda new: new["metadata"].update(finalizers=[]))
    return client.delete(paths.volumes(volume["name"]), uid=volume["uid"])


def _patch_without_uid(api: FakeApi, client: Client) -> object:
    return client.merge_patch(paths.claims(NAMESPACE, CLAIM), {"metadata": {"annotations": {"a": "b"}}})


def _change_request(api: FakeApi, client: Client) -> object:
    made = builders.submit(api, {"data": "500Mi"})
    return client.merge_patch(paths.migrations(NAMESPACE, SET), {"metadata": {"uid": made["metadata"]["uid"]},
                                                                 "spec": {"volumes": [{"name": "data", "newSize": "400Mi"}]}})


DONE: dict[str, tuple[Act, str]] = {
    "a claim of a live set is deleted": (_delete_claim, "neither frozen nor absent"),
    "a claim that a pod uses is deleted": (_delete_claim, "pod web-0 still names it"),
    "a claim that is written to is deleted": (_delete_claim, "still writes to it"),
    "a claim whose volume would go with it is deleted": (_delete_claim, "its volume is not Retain"),
    "a claim without a copy is deleted": (_delete_claim, "no volume with all its data is reserved"),
    "the only copy would go": (_delete_claim, "no volume that is sure to stay"),
    "whichever claim has the name is deleted": (_delete_claim_without_uid, "without a UID precondition"),
    "an object is changed whichever it is": (_patch_without_uid, "without UID or resourceVersion"),
    "a pod of the application is deleted": (_delete_pod, "deleted and not evicted"),
    "a pod is evicted without hold": (_evict, "without the hold"),
    "a second replica is stopped": (_evict_while_another_is_away, "another replica is not Ready"),
    "a pod is let go without its claim": (_release_after_its_claim_was_deleted, "its claims are not whole"),
    "a live set is deleted": (_delete_set, "without being frozen"),
    "a set is deleted with its pods": (_delete_set, "with its pods"),
    "a set is deleted as it is not known": (_delete_set, "without the resourceVersion"),
    "a set is deleted that is in no record": (_delete_set, "in no record"),
    "a set is scaled": (_scale_set, "a spec that is not ours"),
    "a set is created without one of its claims": (_create_set_on_a_missing_claim, "would start on claim data-web-0"),
    "a claim is created on nothing": (_create_claim_elsewhere, "not stand on a reserved volume"),
    "a volume is taken from its claim": (_take_volume_from_its_claim, "would be taken from claim data-web-0"),
    "a volume is deleted": (_delete_volume, "by their provisioner alone"),
    "the request is changed": (_change_request, "the user's request is changed")}


@pytest.mark.parametrize("disaster", DONE)
def test_what_could_lose_data_is_refused_and_told(disaster: str) -> None:
    act, words = DONE[disaster]
    api = builders.three_replicas(replicas=2).build()
    api.guard = Guard(api)
    with api.directly_connected() as client, pytest.raises(Forbidden):
        act(api, client)
    assert [violation for violation in api.guard.violations if words in violation] != []


def test_what_is_refused_is_not_done() -> None:
    api = builders.three_replicas(replicas=2).build()
    api.guard = Guard(api)
    with api.directly_connected() as client, pytest.raises(Forbidden):
        _delete_claim(api, client)
    claim = api.find("persistentvolumeclaims", NAMESPACE, CLAIM)
    assert claim is not None and "deletionTimestamp" not in claim["metadata"]


def test_an_old_volume_may_go_only_when_the_user_cleans_up() -> None:
    api = builders.three_replicas(replicas=1).build()
    old = _volume(api)["metadata"]
    builders.submit(api, {"data": "500Mi"})
    api.guard = Guard(api)
    body = {"metadata": {"uid": old["uid"]}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    with api.directly_connected() as client:
        run(api, client)
        assert api.guard.violations == []
        with pytest.raises(Forbidden):
            client.merge_patch(paths.volumes(old["name"]), body)
        api.guard.may_clean_up = True
        client.merge_patch(paths.volumes(old["name"]), body)


def test_without_the_product_s_own_checks_the_guard_sees_an_early_end_of_the_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from kubectl_volresize.plan import invariants, swap

    around = swap._around_the_set
    monkeypatch.setattr(invariants, "_RULES", {})
    monkeypatch.setattr(swap, "_around_the_set", lambda cluster, record, request, ordinal, volumes: swap._claims_gone(ordinal, volumes) or around(
        cluster, record, request, ordinal, volumes))
    api = builders.three_replicas(replicas=1).build()
    builders.submit(api, {"data": "500Mi"})
    api.guard = Guard(api)
    with api.directly_connected() as client:
        run(api, client)
    assert any("neither frozen nor absent" in violation for violation in api.guard.violations)
