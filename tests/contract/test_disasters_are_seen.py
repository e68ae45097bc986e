"""The fake is the judge of the runner: each disaster that a mistake in the runner could cause must be visible in it. Here they are caused by hand."""
from __future__ import annotations

import builders
import pytest
import requests
from builders import NAMESPACE
from fake_api import EAGER, LAZY, RANDOM, FakeApi, Refusal

from kubectl_volresize.errors import ApiError, Forbidden, NotFound, Unreachable
from kubectl_volresize.kube import paths
from kubectl_volresize.model import labels
from kubectl_volresize.templates import render

CLAIM, POD, MOVER, TEMPORARY = "data-web-0", "web-0", "web-migrator-0-data", "data-web-0-new"
_MODES = pytest.mark.parametrize("mode", [EAGER, LAZY, RANDOM])


@pytest.fixture
def api(request):
    return builders.three_replicas(replicas=1).build(mode=getattr(request, "param", EAGER))


def _until(api, seen):
    for _ in range(300):
        if found := seen():
            return found
        api.sleep(0.5)
    raise AssertionError("it never came")


def _volume(client, claim):
    return client.get(paths.claims(NAMESPACE, claim))["spec"].get("volumeName", "")


def _copy_begins(api, client):
    """A mover at work from the replica's volume to a new one."""
    client.create(paths.claims(NAMESPACE), render("claim", name=TEMPORARY, namespace=NAMESPACE, labels={}, annotations={}, size="500Mi",
                                                  access_modes=["ReadWriteOnce"], storage_class="standard"))
    owner = client.create(paths.leases(NAMESPACE), {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                                                    "metadata": {"name": "owner", "namespace": NAMESPACE}, "spec": {}})
    node = client.get(paths.pods(NAMESPACE, POD))["spec"]["nodeName"]
    client.create(paths.pods(NAMESPACE), render(
        "mover", name=MOVER, namespace=NAMESPACE, labels={labels.ROLE: labels.ROLE_MOVER}, annotations={}, node=node, tolerations=[],
        lease={"name": "owner", "uid": owner["metadata"]["uid"]}, pull_secrets=[], selinux=None, image="i", args=[], resources={},
        priority_class="", source_claim=CLAIM, target_claim=TEMPORARY, user=0, group=0))


def _said(api, client, word):
    _until(api, lambda: any(f'"event": "{word}"' in line for line in client.log(NAMESPACE, MOVER)))


def _final_pass(api, client):
    client.merge_patch(paths.pods(NAMESPACE, MOVER), {"metadata": {"annotations": {labels.FINAL: "final:x"}}})
    _said(api, client, "verified")


def _hold(api, client):
    client.json_patch(paths.pods(NAMESPACE, POD), [{"op": "add", "path": "/metadata/finalizers", "value": [labels.HOLD_FINALIZER]}])
    client.delete(paths.pods(NAMESPACE, POD))
    _until(api, lambda: client.get(paths.pods(NAMESPACE, POD))["status"]["phase"] in ("Failed", "Succeeded"))


def _release(client):
    client.json_patch(paths.pods(NAMESPACE, POD), [{"op": "remove", "path": "/metadata/finalizers"}])


def _missing_in_copy(api, client):
    """What the application wrote and its copy has not."""
    return set(api.written[(NAMESPACE, CLAIM)]) - set(api.disks[_volume(client, TEMPORARY)])


@pytest.mark.parametrize("api", [EAGER, LAZY, RANDOM], indirect=True)
def test_a_copy_whose_last_pass_began_after_the_stop_lacks_nothing(api):
    with api.connected() as client:
        _copy_begins(api, client)
        _said(api, client, "waiting")
        _hold(api, client)
        _final_pass(api, client)
        assert _missing_in_copy(api, client) == set()


@pytest.mark.parametrize("api", [EAGER, LAZY, RANDOM], indirect=True)
def test_a_last_pass_before_the_stop_is_seen(api):
    with api.connected() as client:
        _copy_begins(api, client)
        _said(api, client, "waiting")
        _final_pass(api, client)
        _hold(api, client)
        assert _missing_in_copy(api, client)


@pytest.mark.parametrize("api", [EAGER, LAZY, RANDOM], indirect=True)
def test_a_release_before_the_exchange_is_seen(api):
    with api.connected() as client:
        _copy_begins(api, client)
        _said(api, client, "waiting")
        _hold(api, client)
        _final_pass(api, client)
        _release(client)
        _until(api, lambda: _missing_in_copy(api, client))
        assert api.lost_bytes() == {}


def test_a_copy_that_was_not_waited_for_is_seen_half_done(api):
    api.mode = LAZY
    with api.connected() as client:
        _copy_begins(api, client)
        _said(api, client, "progress")
        _hold(api, client)
        assert len(_missing_in_copy(api, client)) > 1


@pytest.mark.parametrize("api", [EAGER, LAZY, RANDOM], indirect=True)
def test_an_empty_claim_made_by_a_live_set_is_seen(api):
    with api.connected() as client:
        client.merge_patch(paths.volumes(_volume(client, CLAIM)), {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
        client.delete(paths.claims(NAMESPACE, CLAIM))
        client.delete(paths.pods(NAMESPACE, POD))
        _until(api, lambda: api.empty_claims)
    assert [(one.name, one.storage) for one in api.empty_claims] == [(CLAIM, "1Gi")]
    assert CLAIM in api.lost_bytes()
    assert api.lost == []


@pytest.mark.parametrize("api", [EAGER, LAZY, RANDOM], indirect=True)
def test_a_volume_that_was_not_kept_is_seen_to_be_lost_with_its_data(api):
    with api.connected() as client:
        volume = _volume(client, CLAIM)
        api.faults.stopped.add("statefulset")
        client.delete(paths.claims(NAMESPACE, CLAIM))
        client.delete(paths.pods(NAMESPACE, POD))
        _until(api, lambda: api.lost)
    assert [(one.name, one.claim) for one in api.lost] == [(volume, (NAMESPACE, CLAIM))]
    assert set(api.lost[0].data) == set(api.written[(NAMESPACE, CLAIM)])
    assert set(api.lost_bytes()) == {CLAIM}


def test_a_process_outlives_its_forced_deletion_and_its_last_writes_are_seen(api):
    with api.connected() as client:
        _copy_begins(api, client)
        _said(api, client, "waiting")
        api.mode = LAZY
        api.faults.stopped.add("statefulset")
        client.delete(paths.pods(NAMESPACE, POD), grace_seconds=0)
        with pytest.raises(NotFound):
            client.get(paths.pods(NAMESPACE, POD))
        before = set(api.written[(NAMESPACE, CLAIM)])
        client.get(paths.claims(NAMESPACE, CLAIM))
        assert set(api.written[(NAMESPACE, CLAIM)]) > before


def test_two_writers_on_one_volume_are_seen(api):
    with api.connected() as client:
        labels_of_another = {"app": "another"}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "another", "namespace": NAMESPACE, "labels": labels_of_another},
                "spec": {"containers": [{"name": "app", "image": "i"}],
                         "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}]}}
        client.create(paths.pods(NAMESPACE), body)
        _until(api, lambda: api.shared)
        assert {frozenset(pods) for _, *pods in api.shared} == {frozenset({POD, "another"})}


@_MODES
def test_controllers_that_act_late_or_now_and_then_end_where_eager_ones_do(mode):
    api = builders.three_replicas(replicas=2).build(mode=mode, seed=3)
    with api.connected() as client:
        client.delete(paths.pods(NAMESPACE, "web-1"))
        found = client.find(paths.pods(NAMESPACE, "web-1"))
        if mode == LAZY:
            assert found is not None and found["metadata"]["deletionTimestamp"]
    api.settle()
    assert api.alive("pods", NAMESPACE) == ["web-0", "web-1"]
    assert api.lost_bytes() == {}


def test_the_same_seed_gives_the_same_run():
    def run(seed):
        api = builders.three_replicas().build(mode=RANDOM, seed=seed)
        with api.connected() as client:
            client.delete(paths.pods(NAMESPACE, "web-2"))
            for _ in range(20):
                client.list(paths.pods(NAMESPACE))
        return [event.key for event in api.store.history], len(api.calls)

    assert run(1) == run(1)
    assert len({str(run(seed)) for seed in range(4)}) > 1


def test_a_field_of_the_record_that_the_schema_does_not_know_is_an_error_and_not_dropped(api):
    record = builders.submit(api, {"data": "500Mi"})
    with api.connected() as client, pytest.raises(AssertionError, match="surprise"):
        client.replace(paths.migration_status(NAMESPACE, "web"), {**record, "status": {"phase": "Syncing", "surprise": "x"}})


def test_a_crash_before_a_call_leaves_it_undone_and_one_after_it_done(api):
    class Crash(BaseException):
        pass

    def crash(number, verb, path):
        if verb == "delete":
            raise Crash

    with api.connected() as client:
        for hooks, done in ((api.before_call, False), (api.after_call, True)):
            hooks.append(crash)
            with pytest.raises(Crash):
                client.delete(paths.claims(NAMESPACE, CLAIM))
            hooks.clear()
            assert bool(client.get(paths.claims(NAMESPACE, CLAIM))["metadata"].get("deletionTimestamp")) is done
    assert [call.status for call in api.calls if call.verb == "delete"] == [0, 0]


def test_a_hook_can_answer_for_the_server_or_cut_the_connection(api):
    def cut(number, verb, path):
        raise requests.ConnectionError("cut")

    with api.connected() as client:
        api.before_call.append(lambda number, verb, path: Refusal(500, "InternalError", "etcd has no leader") if verb == "patch" else None)
        with pytest.raises(ApiError, match="etcd has no leader"):
            client.merge_patch(paths.claims(NAMESPACE, CLAIM), {"metadata": {"labels": {"a": "b"}}})
        api.before_call[:] = [cut]
        with pytest.raises(Unreachable):
            client.merge_patch(paths.claims(NAMESPACE, CLAIM), {"metadata": {"labels": {"a": "b"}}})


def test_what_is_denied_is_forbidden_and_the_review_says_so(api):
    api.denied.add(("list", "nodes"))
    with api.connected() as client:
        with pytest.raises(Forbidden):
            client.list(paths.nodes())
        review = {"spec": {"resourceAttributes": {"verb": "list", "resource": "nodes"}}}
        assert client.create(paths.access_reviews(), review)["status"]["allowed"] is False


def test_without_the_definition_nobody_knows_what_a_volumeresize_is():
    api = builders.three_replicas(replicas=1).without_installation().build()
    assert isinstance(api, FakeApi)
    with api.connected() as client, pytest.raises(NotFound):
        client.list(paths.migrations(NAMESPACE))
