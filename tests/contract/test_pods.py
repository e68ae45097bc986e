"""Stopping a pod but keeping its object: evictions, budgets, the hold."""
from __future__ import annotations

import pytest

from kubectl_volresize.errors import ApiError, Conflict, TooManyRequests, Unprocessable
from kubectl_volresize.kube import paths
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Pod

_DEAF = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]


def _running(cluster, **meta):
    pod = cluster.pod(**meta)
    return cluster.phase(cluster.pod_path(pod["metadata"]["name"]), "Running")


def _hold(cluster, pod):
    return cluster.client.json_patch(cluster.pod_path(pod["metadata"]["name"]), [
        {"op": "test", "path": "/metadata/uid", "value": pod["metadata"]["uid"]},
        {"op": "add", "path": "/metadata/finalizers", "value": [labels.HOLD_FINALIZER]}])


def _release(cluster, name):
    cluster.client.json_patch(cluster.pod_path(name), [{"op": "remove", "path": "/metadata/finalizers"}])


def _shut_down(cluster, name):
    def seen():
        pod = Pod(cluster.client.get(cluster.pod_path(name)))
        return pod if pod.shut_down(node_ready=True) else None
    return cluster.until(seen)


def _evict(cluster, pod, **options):
    return cluster.client.evict(cluster.namespace, pod["metadata"]["name"], uid=options.pop("uid", pod["metadata"]["uid"]), **options)


def test_a_rehearsed_eviction_answers_and_changes_nothing(cluster):
    pod = _running(cluster)
    _evict(cluster, pod, dry_run=True)
    after = cluster.client.get(cluster.pod_path(pod["metadata"]["name"]))
    assert "deletionTimestamp" not in after["metadata"]
    assert not [one for one in after["status"]["conditions"] if one["type"] == "DisruptionTarget"]


def test_an_eviction_meant_for_another_pod_of_that_name_is_a_conflict(cluster):
    pod = _running(cluster)
    for dry_run in (True, False):
        with pytest.raises(Conflict):
            _evict(cluster, pod, uid="00000000-0000-0000-0000-000000000000", dry_run=dry_run)
    assert not Pod(cluster.client.get(cluster.pod_path(pod["metadata"]["name"]))).terminating


def test_a_held_pod_ends_but_its_object_stays_until_it_is_released(cluster):
    pod = _running(cluster)
    name = pod["metadata"]["name"]
    _hold(cluster, pod)
    _evict(cluster, pod)
    held = _shut_down(cluster, name)
    assert held.uid == pod["metadata"]["uid"]
    assert held.phase in ("Failed", "Succeeded") and held.containers_terminated and not held.ready
    cluster.calm()
    assert cluster.client.get(cluster.pod_path(name))["metadata"]["uid"] == held.uid
    _release(cluster, name)
    cluster.gone(cluster.pod_path(name))


def test_a_release_before_the_end_leaves_the_pod_its_grace_period(cluster):
    pod = _running(cluster, command=_DEAF)
    name = pod["metadata"]["name"]
    _hold(cluster, pod)
    cluster.client.delete(cluster.pod_path(name))
    answer = cluster.client.json_patch(cluster.pod_path(name), [{"op": "remove", "path": "/metadata/finalizers"}])
    assert answer["metadata"]["deletionGracePeriodSeconds"] == 20
    cluster.client.delete(cluster.pod_path(name), grace_seconds=0)
    cluster.gone(cluster.pod_path(name))


def test_a_hold_comes_too_late_for_a_pod_that_is_being_deleted(cluster):
    pod = _running(cluster, finalizers=["example.test/theirs"])
    name = pod["metadata"]["name"]
    cluster.client.delete(cluster.pod_path(name))
    with pytest.raises(Unprocessable):
        _hold(cluster, pod)
    _release(cluster, name)
    cluster.gone(cluster.pod_path(name))


def test_a_forced_deletion_of_a_held_pod_looks_ended_while_its_container_runs(cluster):
    pod = _running(cluster, command=_DEAF)
    name = pod["metadata"]["name"]
    _hold(cluster, pod)
    answer = Pod(cluster.client.delete(cluster.pod_path(name), grace_seconds=0))
    assert answer.meta["deletionGracePeriodSeconds"] == 0
    assert not answer.containers_terminated
    assert not answer.shut_down(node_ready=True)
    _shut_down(cluster, name)
    _release(cluster, name)
    cluster.gone(cluster.pod_path(name))


def test_a_budget_without_room_refuses_rehearsal_and_eviction(cluster):
    found = cluster.statefulset(replicas=1)
    name = found["metadata"]["name"]
    budget = cluster.budget({"app": name}, max_unavailable=0)
    pod = cluster.client.get(cluster.pod_path(f"{name}-0"))
    for dry_run in (True, False):
        with pytest.raises(TooManyRequests):
            _evict(cluster, pod, dry_run=dry_run)
    assert not Pod(cluster.client.get(cluster.pod_path(f"{name}-0"))).terminating
    cluster.client.merge_patch(paths.budgets(cluster.namespace, budget["metadata"]["name"]), {"spec": {"maxUnavailable": 1}})
    cluster.until(lambda: cluster.client.get(paths.budgets(cluster.namespace, budget["metadata"]["name"]))["status"]["disruptionsAllowed"] == 1)
    _evict(cluster, pod, dry_run=True)


def test_two_budgets_over_one_pod_refuse_every_eviction(cluster):
    found = cluster.statefulset(replicas=1)
    name = found["metadata"]["name"]
    for _ in range(2):
        cluster.budget({"app": name}, max_unavailable=1)
    pod = cluster.client.get(cluster.pod_path(f"{name}-0"))
    for dry_run in (True, False):
        with pytest.raises(ApiError, match="more than one PodDisruptionBudget") as refused:
            _evict(cluster, pod, dry_run=dry_run)
        assert refused.value.status == 500


def test_a_held_pod_counts_as_disrupted(cluster):
    found = cluster.statefulset(replicas=2)
    name = found["metadata"]["name"]
    budget = paths.budgets(cluster.namespace, cluster.budget({"app": name}, max_unavailable=1)["metadata"]["name"])
    pod = cluster.client.get(cluster.pod_path(f"{name}-1"))
    _hold(cluster, pod)
    _evict(cluster, pod)
    _shut_down(cluster, f"{name}-1")
    cluster.until(lambda: cluster.client.get(budget)["status"]["currentHealthy"] == 1)
    assert cluster.client.get(budget)["status"]["disruptionsAllowed"] == 0
    with pytest.raises(TooManyRequests):
        _evict(cluster, cluster.client.get(cluster.pod_path(f"{name}-0")))
    _release(cluster, f"{name}-1")


def test_a_pod_without_its_set_cannot_be_evicted_under_a_budget(cluster):
    found = cluster.statefulset(replicas=1)
    name = found["metadata"]["name"]
    budget = paths.budgets(cluster.namespace, cluster.budget({"app": name}, max_unavailable=1)["metadata"]["name"])
    cluster.client.delete(cluster.set_path(name), propagation="Orphan")
    cluster.gone(cluster.set_path(name))
    cluster.until(lambda: cluster.client.get(budget)["status"]["disruptionsAllowed"] == 0)
    with pytest.raises(TooManyRequests):
        _evict(cluster, cluster.client.get(cluster.pod_path(f"{name}-0")), dry_run=True)
    cluster.client.delete(cluster.pod_path(f"{name}-0"), grace_seconds=0)


def test_a_pod_that_is_owned_by_a_lease_goes_with_it(cluster):
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": cluster.name(), "namespace": cluster.namespace}, "spec": {}}
    lease = cluster.client.create(paths.leases(cluster.namespace), body)
    owner = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": lease["metadata"]["name"], "uid": lease["metadata"]["uid"],
             "controller": True}
    pod = _running(cluster, ownerReferences=[owner])
    cluster.client.delete(paths.leases(cluster.namespace, lease["metadata"]["name"]))
    cluster.gone(cluster.pod_path(pod["metadata"]["name"]))


def test_the_log_of_a_pod_without_a_node_is_empty(cluster):
    pod = cluster.pod(claim="nobody")
    assert list(cluster.client.log(cluster.namespace, pod["metadata"]["name"], tailLines=5)) == []
    cluster.client.delete(cluster.pod_path(pod["metadata"]["name"]))
    cluster.gone(cluster.pod_path(pod["metadata"]["name"]))
