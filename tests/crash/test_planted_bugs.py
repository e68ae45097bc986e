"""Bugs put into the product on purpose: the fake cluster must show the disaster, and the invariants must stop the runner before the write."""
from __future__ import annotations

from typing import Any

import pytest
from builders import NAMESPACE, SET, submit, three_replicas
from fake_api import RANDOM, FakeApi
from fake_api.world import terminating
from running import claim_uids, demand_nothing_lost, reason, run

from kubectl_volresize.errors import JOB_NEEDS_HUMAN, JOB_REFUSED
from kubectl_volresize.kube.client import Client
from kubectl_volresize.plan import invariants, manifests, swap
from kubectl_volresize.plan.swap_steps import DeleteClaim, Recreate

_AROUND, _POD_GONE = swap._around_the_set, swap._pod_gone


def _without_freeze(cluster: Any, record: Any, request: Any, ordinal: int, volumes: Any) -> Any:
    """The exchange as most scripts do it, while the set is alive: the claims are deleted, then the pod is let go."""
    for view in volumes:
        if view.claim is not None and view.claim.uid == view.entry.old_claim_uid and not view.claim.terminating:
            return DeleteClaim(ordinal, view.target.name, view.claim.name, view.claim.uid, view.entry.saved_claim)
    recreate = Recreate(ordinal, manifests.successor_set(record.saved, request, cluster.migration.uid, ordinal))
    return swap._exchange(cluster, record, ordinal, volumes) or recreate


def _early(cluster: Any, record: Any, request: Any, ordinal: int, volumes: Any) -> Any:
    """The pod is let go before the set is frozen."""
    return swap._pod_gone(cluster, record, ordinal, volumes) or _AROUND(cluster, record, request, ordinal, volumes)


def _pod_gone_whoever_it_is(cluster: Any, record: Any, ordinal: int, volumes: Any) -> Any:
    """... and whoever runs then is not looked at."""
    pod = cluster.pods.get(ordinal)
    return _POD_GONE(cluster, record, ordinal, volumes) if pod is not None and pod.uid == record.replica(ordinal).pod_uid else None


def _disasters(api: FakeApi) -> set[str]:
    api.settle()
    seen = {"empty claim": bool(api.empty_claims), "lost bytes": bool(api.lost_bytes()), "shared volume": bool(api.shared)}
    return {name for name, happened in seen.items() if happened}


def _run_for_a_while(api: FakeApi) -> int | None:
    """The exit code; None for a runner that would go on for ever."""
    deadline = api.clock.now.timestamp() + 1800

    def enough(number: int, verb: str, path: str) -> None:
        if api.clock.now.timestamp() > deadline:
            raise TimeoutError

    api.before_call.append(enough)
    with api.connected() as client:
        try:
            return run(api, client)
        except TimeoutError:
            return None
        finally:
            api.before_call.remove(enough)


@pytest.fixture
def no_invariants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "_RULES", {})


@pytest.mark.usefixtures("no_invariants")
def test_the_fake_shows_what_a_live_set_does_with_a_missing_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_around_the_set", _without_freeze)
    seen = set()
    for seed in range(4):
        api = three_replicas(replicas=2).build(mode=RANDOM, seed=seed)
        submit(api, {"data": "500Mi"})
        _run_for_a_while(api)
        seen |= _disasters(api)
    assert "empty claim" in seen


def test_the_invariants_stop_an_exchange_on_a_live_set_before_the_claim_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_around_the_set", _without_freeze)
    for seed in range(4):
        api = three_replicas(replicas=2).build(mode=RANDOM, seed=seed)
        before = claim_uids(api)
        submit(api, {"data": "500Mi"})
        assert _run_for_a_while(api) == JOB_NEEDS_HUMAN
        assert reason(api) == "NeedsHuman"
        assert {name: uid for name, uid in claim_uids(api).items() if name in before} == before
        demand_nothing_lost(api)


@pytest.mark.usefixtures("no_invariants")
def test_the_fake_shows_what_an_early_release_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_around_the_set", _early)
    monkeypatch.setattr(swap, "_pod_gone", _pod_gone_whoever_it_is)
    monkeypatch.setattr(swap, "_stop_unless_held", lambda *seen: None)
    seen = set()
    for seed in range(6):
        api = three_replicas(replicas=1).build(mode=RANDOM, seed=seed)
        submit(api, {"data": "500Mi"})
        _restart_while_its_claim_is_terminating(api)
        _run_for_a_while(api)
        seen |= _disasters(api)
    assert "lost bytes" in seen


def _restart_while_its_claim_is_terminating(api: FakeApi) -> None:
    """The application, which should be held, stops once more: only now can its claim go."""
    def restart(number: int, verb: str, path: str) -> None:
        claim, pod = api.find("persistentvolumeclaims", NAMESPACE, "data-web-0"), api.find("pods", NAMESPACE, "web-0")
        if claim is not None and terminating(claim) and pod is not None and not terminating(pod):
            api.rest.remove("pods", pod)

    api.before_call.append(restart)


def test_an_early_release_is_found_out_and_ends_with_every_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_around_the_set", _early)
    for seed in range(6):
        api = three_replicas(replicas=1).build(mode=RANDOM, seed=seed)
        before = claim_uids(api)
        submit(api, {"data": "500Mi"})
        assert _run_for_a_while(api) in (JOB_NEEDS_HUMAN, JOB_REFUSED)
        assert claim_uids(api)["data-web-0"] == before["data-web-0"]
        demand_nothing_lost(api)


def _replace_claim_before_its_deletion(api: FakeApi) -> list[str]:
    """Somebody deletes the claim and makes another of the same name, just before the runner deletes what it saw. Returns the stranger's UID."""
    stranger: list[str] = []

    def replace(number: int, verb: str, path: str) -> None:
        claim = api.find("persistentvolumeclaims", NAMESPACE, "data-web-0")
        if verb == "delete" and path.endswith("/persistentvolumeclaims/data-web-0") and claim is not None and not stranger:
            api.rest.remove("persistentvolumeclaims", claim)
            api.settle()
            made = api.rest.post("persistentvolumeclaims", {"metadata": {"name": "data-web-0", "namespace": NAMESPACE}, "spec": claim["spec"] | {
                "volumeName": "", "resources": {"requests": {"storage": "7Gi"}}}})
            stranger.append(made["metadata"]["uid"])

    api.before_call.append(replace)
    return stranger


def _without_uid(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = client.delete
    monkeypatch.setattr(client, "delete", lambda path, **options: delete(path, **{**options, "uid": None}))


@pytest.mark.parametrize("careless", [False, True])
def test_only_a_uid_keeps_a_deletion_from_hitting_somebody_elses_claim(careless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    api = three_replicas(replicas=1).build()
    submit(api, {"data": "500Mi"})
    stranger = _replace_claim_before_its_deletion(api)
    with api.connected() as client:
        if careless:
            _without_uid(client, monkeypatch)
        run(api, client)
    assert stranger
    survived = claim_uids(api).get("data-web-0") == stranger[0]
    assert survived is not careless
    if not careless:
        assert reason(api) == "NeedsHuman"
        assert api.find("statefulsets", NAMESPACE, SET) is not None
