"""What a StatefulSet's controller does to claims and pods, and that a frozen set does nothing: what hold, freeze and swap stand on."""
from __future__ import annotations

import copy

import pytest

from kubectl_volresize.errors import AlreadyExists, Unprocessable
from kubectl_volresize.kube import paths
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Pod
from kubectl_volresize.plan.manifests import without_server_fields


class Set:
    """One StatefulSet, with words for what is done to it."""

    def __init__(self, cluster, **spec):
        self.cluster, self.client = cluster, cluster.client
        self.raw = cluster.statefulset(**spec)
        self.name = self.raw["metadata"]["name"]
        self.path = cluster.set_path(self.name)

    def pod_path(self, ordinal):
        return self.cluster.pod_path(f"{self.name}-{ordinal}")

    def claim_path(self, ordinal):
        return self.cluster.claim_path(f"data-{self.name}-{ordinal}")

    def uid(self, path):
        return self.client.get(path)["metadata"]["uid"]

    def revisions(self):
        return {raw["metadata"]["name"]: raw for raw in self.client.list(paths.revisions(self.cluster.namespace), label_selector=f"app={self.name}")}

    def hold(self, ordinal):
        """The pod ended, its object kept."""
        path = self.pod_path(ordinal)
        self.client.json_patch(path, [{"op": "add", "path": "/metadata/finalizers", "value": [labels.HOLD_FINALIZER]}])
        self.client.evict(self.cluster.namespace, f"{self.name}-{ordinal}", uid=self.uid(path))
        self.cluster.until(lambda: Pod(self.client.get(path)).shut_down(node_ready=True))

    def release(self, ordinal):
        self.client.json_patch(self.pod_path(ordinal), [{"op": "remove", "path": "/metadata/finalizers"}])

    def freeze(self):
        """Terminating with nothing but our finalizer."""
        raw = self.client.json_patch(self.path, [{"op": "add", "path": "/metadata/finalizers", "value": [labels.FREEZE_FINALIZER]}])
        self.client.delete(self.path, uid=raw["metadata"]["uid"], propagation="Orphan")
        self.cluster.until(lambda: self.client.get(self.path)["metadata"]["finalizers"] == [labels.FREEZE_FINALIZER])
        return raw

    def thaw(self):
        self.client.json_patch(self.path, [{"op": "remove", "path": "/metadata/finalizers"}])

    def ready(self, ordinal):
        def seen():
            raw = self.client.find(self.pod_path(ordinal))
            return raw if raw and Pod(raw).ready else None
        return self.cluster.until(seen)


def test_a_live_set_makes_an_empty_claim_where_pod_and_claim_are_missing(cluster):
    web = Set(cluster, replicas=1)
    old, old_pod = web.uid(web.claim_path(0)), web.uid(web.pod_path(0))
    web.client.delete(web.claim_path(0))
    web.client.delete(web.pod_path(0))

    def another():
        found = web.client.find(web.claim_path(0))
        return found if found and found["metadata"]["uid"] != old else None

    made = cluster.until(another)
    assert made["spec"]["resources"]["requests"]["storage"] == "48Mi"
    assert web.ready(0)["metadata"]["uid"] != old_pod
    cluster.volumes.append(web.client.get(web.claim_path(0))["spec"]["volumeName"])


def test_a_set_makes_no_other_pod_while_one_of_that_name_is_held(cluster):
    web = Set(cluster, replicas=1)
    uid = web.uid(web.pod_path(0))
    web.hold(0)
    cluster.calm()
    assert web.uid(web.pod_path(0)) == uid
    web.release(0)
    assert web.ready(0)["metadata"]["uid"] != uid


def test_a_frozen_set_makes_neither_claims_nor_pods(cluster):
    web = Set(cluster, replicas=2)
    web.hold(1)
    web.freeze()
    web.release(1)
    cluster.gone(web.pod_path(1))
    web.client.delete(web.claim_path(1))
    cluster.gone(web.claim_path(1))
    web.client.merge_patch(web.path, {"metadata": {"annotations": {"provoked": "yes"}}, "spec": {"replicas": 3}})
    cluster.calm()
    for ordinal in (1, 2):
        assert web.client.find(web.claim_path(ordinal)) is None
        assert web.client.find(web.pod_path(ordinal)) is None
    assert web.client.get(web.path)["spec"]["replicas"] == 3
    web.thaw()
    cluster.gone(web.path)
    web.client.delete(web.pod_path(0))


def test_nobody_can_create_a_set_of_that_name_while_it_is_frozen(cluster):
    web = Set(cluster, replicas=1)
    raw = web.freeze()
    with pytest.raises(AlreadyExists, match="already exists"):
        web.client.create(paths.statefulsets(cluster.namespace), without_server_fields(raw))
    web.client.delete(web.path)
    assert web.client.get(web.path)["metadata"]["finalizers"] == [labels.FREEZE_FINALIZER]
    web.thaw()
    cluster.gone(web.path)
    web.client.delete(web.pod_path(0))


def test_an_orphaning_deletion_takes_the_set_out_of_all_references(cluster):
    web = Set(cluster, replicas=2, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"})
    cluster.until(lambda: all(web.client.get(web.claim_path(ordinal))["metadata"].get("ownerReferences") for ordinal in range(2)))
    revisions = web.revisions()
    assert all(raw["metadata"]["ownerReferences"] for raw in revisions.values())
    web.freeze()
    left = [web.client.get(path) for ordinal in range(2) for path in (web.pod_path(ordinal), web.claim_path(ordinal))]
    assert not [raw["metadata"]["name"] for raw in [*left, *web.revisions().values()] if raw["metadata"].get("ownerReferences")]
    assert set(web.revisions()) == set(revisions)
    web.thaw()
    cluster.gone(web.path)
    cluster.calm()
    for ordinal in range(2):
        assert not Pod(web.client.get(web.pod_path(ordinal))).terminating
        web.client.delete(web.pod_path(ordinal))


def test_a_recreated_set_adopts_its_pods_and_its_revision_and_restarts_nothing(cluster):
    web = Set(cluster, replicas=2)
    pods, revisions = [web.uid(web.pod_path(ordinal)) for ordinal in range(2)], set(web.revisions())
    raw = web.freeze()
    web.thaw()
    cluster.gone(web.path)
    smaller = without_server_fields(copy.deepcopy(raw))
    smaller["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "32Mi"
    made = web.client.create(paths.statefulsets(cluster.namespace), smaller)

    def adopted():
        status = web.client.get(web.path).get("status", {})
        return status.get("readyReplicas") == 2 and status.get("currentRevision") == status.get("updateRevision")

    cluster.until(adopted)
    cluster.calm()
    assert [web.uid(web.pod_path(ordinal)) for ordinal in range(2)] == pods
    assert set(web.revisions()) == revisions
    for ordinal in range(2):
        owners = web.client.get(web.pod_path(ordinal))["metadata"]["ownerReferences"]
        assert [owner["uid"] for owner in owners] == [made["metadata"]["uid"]]


def test_a_retention_policy_is_taken_off_the_claims_when_it_changes_to_retain(cluster):
    web = Set(cluster, replicas=2, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Delete"})
    cluster.until(lambda: all(web.client.get(web.claim_path(ordinal))["metadata"].get("ownerReferences") for ordinal in range(2)))
    policy = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    web.client.merge_patch(web.path, {"spec": {"persistentVolumeClaimRetentionPolicy": policy}})
    cluster.until(lambda: not any(web.client.get(web.claim_path(ordinal))["metadata"].get("ownerReferences") for ordinal in range(2)))


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_a_lower_replica_is_healed_while_a_higher_one_is_held(cluster, policy):
    web = Set(cluster, replicas=2, policy=policy)
    web.hold(1)
    uid = web.uid(web.pod_path(0))
    web.client.delete(web.pod_path(0))
    assert web.ready(0)["metadata"]["uid"] != uid
    web.release(1)


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_a_higher_replica_is_healed_while_a_lower_one_is_held_only_when_parallel(cluster, policy):
    web = Set(cluster, replicas=2, policy=policy)
    web.hold(0)
    web.client.delete(web.pod_path(1))
    if policy == "Parallel":
        web.ready(1)
    else:
        cluster.gone(web.pod_path(1))
        cluster.calm()
        assert web.client.find(web.pod_path(1)) is None
    web.release(0)


def test_a_deletion_counts_as_a_change_that_the_controller_observes(cluster):
    web = Set(cluster, replicas=1)
    before = web.raw["metadata"]["generation"]
    web.freeze()
    cluster.until(lambda: web.client.get(web.path)["status"]["observedGeneration"] == before + 1)
    assert web.client.get(web.path)["metadata"]["generation"] == before + 1
    web.thaw()
    web.client.delete(web.pod_path(0))


def test_a_foreground_deletion_takes_the_pods_in_spite_of_our_finalizer(cluster):
    web = Set(cluster, replicas=1)
    web.client.json_patch(web.path, [{"op": "add", "path": "/metadata/finalizers", "value": [labels.FREEZE_FINALIZER]}])
    web.client.delete(web.path, propagation="Foreground")
    cluster.gone(web.pod_path(0))
    cluster.until(lambda: web.client.get(web.path)["metadata"]["finalizers"] == [labels.FREEZE_FINALIZER])
    web.thaw()


def test_the_templates_of_a_set_cannot_be_changed(cluster):
    web = Set(cluster, replicas=1)
    templates = copy.deepcopy(web.raw["spec"]["volumeClaimTemplates"])
    templates[0]["spec"]["resources"]["requests"]["storage"] = "32Mi"
    with pytest.raises(Unprocessable, match="forbidden"):
        web.client.merge_patch(web.path, {"spec": {"volumeClaimTemplates": templates}})


def test_a_set_that_is_rehearsed_under_another_name_comes_back_as_it_would_be(cluster):
    web = Set(cluster, replicas=1)
    wanted = without_server_fields(web.client.get(web.path))
    wanted["metadata"]["name"] = cluster.name()
    rehearsed = web.client.create(paths.statefulsets(cluster.namespace), wanted, dry_run=True)
    assert rehearsed["spec"] == wanted["spec"]
    assert web.client.find(cluster.set_path(wanted["metadata"]["name"])) is None
    with pytest.raises(AlreadyExists):
        web.client.create(paths.statefulsets(cluster.namespace), without_server_fields(web.raw), dry_run=True)
