"""Claims and volumes: when a claim binds, to what, and what keeps a deleted one."""
from __future__ import annotations

import pytest

from kubectl_volresize.errors import Unprocessable
from kubectl_volresize.kube import paths
from kubectl_volresize.model import labels


def _reserve(cluster, volume, claim):
    """For a claim of this name, whatever its UID will be."""
    path = paths.volumes(volume["metadata"]["name"])
    cluster.client.merge_patch(path, {"spec": {"claimRef": None}})
    ref = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": cluster.namespace, "name": claim}
    return cluster.client.merge_patch(path, {"spec": {"claimRef": ref}})


def _kept_volume(cluster):
    """A volume with policy Retain whose claim is gone."""
    claim, volume = cluster.bound_claim("Retain")
    cluster.client.delete(cluster.claim_path(claim["metadata"]["name"]), uid=claim["metadata"]["uid"])
    cluster.gone(cluster.claim_path(claim["metadata"]["name"]))
    return cluster.phase(paths.volumes(volume["metadata"]["name"]), "Released")


def _bound(cluster, name):
    def seen():
        found = cluster.client.get(cluster.claim_path(name))
        if found["status"]["phase"] == "Bound":
            return found
        # Any change makes the binder look again; left alone it may do so only after 15 s.
        note = {"metadata": {"annotations": {labels.NUDGE: found["metadata"]["resourceVersion"]}}}
        cluster.client.merge_patch(cluster.claim_path(name), note)
        return None
    return cluster.until(seen)


def test_a_claim_that_waits_for_a_consumer_is_not_bound_without_one(cluster):
    claim = cluster.claim()
    cluster.calm()
    assert cluster.client.get(cluster.claim_path(claim["metadata"]["name"]))["status"]["phase"] == "Pending"
    cluster.client.delete(cluster.claim_path(claim["metadata"]["name"]))
    cluster.gone(cluster.claim_path(claim["metadata"]["name"]))


def test_an_immediate_claim_is_bound_without_a_consumer(cluster):
    claim = cluster.claim(storage_class="immediate")
    cluster.phase(cluster.claim_path(claim["metadata"]["name"]), "Bound")
    cluster.client.delete(cluster.claim_path(claim["metadata"]["name"]))


def test_a_kept_volume_survives_its_claim_and_is_released(cluster):
    volume = _kept_volume(cluster)
    cluster.calm()
    after = cluster.client.get(paths.volumes(volume["metadata"]["name"]))
    assert after["status"]["phase"] == "Released"
    assert after["metadata"]["uid"] == volume["metadata"]["uid"]


def test_a_volume_with_policy_delete_goes_with_its_claim(cluster):
    claim, volume = cluster.bound_claim("Delete")
    cluster.client.delete(cluster.claim_path(claim["metadata"]["name"]))
    cluster.gone(paths.volumes(volume["metadata"]["name"]))


def test_a_deleted_claim_stays_while_a_held_pod_that_is_shut_down_names_it(cluster):
    claim = cluster.claim()["metadata"]["name"]
    pod = cluster.pod(claim, finalizers=[labels.HOLD_FINALIZER])["metadata"]["name"]
    cluster.phase(cluster.pod_path(pod), "Running")
    cluster.client.delete(cluster.pod_path(pod))
    cluster.phase(cluster.pod_path(pod), "Failed", "Succeeded")
    cluster.client.delete(cluster.claim_path(claim))
    cluster.calm()
    assert cluster.client.get(cluster.claim_path(claim))["metadata"]["deletionTimestamp"]
    cluster.client.json_patch(cluster.pod_path(pod), [{"op": "remove", "path": "/metadata/finalizers"}])
    cluster.gone(cluster.claim_path(claim))


def test_a_deleted_claim_stays_while_a_finished_pod_names_it(cluster):
    claim = cluster.claim()["metadata"]["name"]
    pod = cluster.pod(claim, command=["true"])["metadata"]["name"]
    cluster.phase(cluster.pod_path(pod), "Succeeded")
    cluster.client.delete(cluster.claim_path(claim))
    cluster.calm()
    assert cluster.client.get(cluster.claim_path(claim))["metadata"]["deletionTimestamp"]
    cluster.client.delete(cluster.pod_path(pod))
    cluster.gone(cluster.claim_path(claim))


def test_a_reserved_volume_is_bound_by_the_claim_of_that_name_alone(cluster):
    volume, wanted = _kept_volume(cluster), cluster.name()
    name = volume["metadata"]["name"]
    _reserve(cluster, volume, wanted)
    cluster.phase(paths.volumes(name), "Available")
    other = cluster.claim(volume=name)["metadata"]["name"]
    cluster.calm()
    assert cluster.client.get(cluster.claim_path(other))["status"]["phase"] == "Pending"
    cluster.claim(wanted, size="16Mi", volume=name)
    claim = _bound(cluster, wanted)
    bound = cluster.client.get(paths.volumes(name))
    assert bound["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert claim["status"]["capacity"] == volume["spec"]["capacity"]
    cluster.client.delete(cluster.claim_path(other))


def test_a_reserved_volume_is_bound_also_by_a_claim_that_does_not_name_it(cluster):
    volume, wanted = _kept_volume(cluster), cluster.name()
    _reserve(cluster, volume, wanted)
    cluster.phase(paths.volumes(volume["metadata"]["name"]), "Available")
    cluster.claim(wanted)
    assert _bound(cluster, wanted)["spec"]["volumeName"] == volume["metadata"]["name"]


def test_a_claim_whose_volume_is_given_to_another_is_lost(cluster):
    claim, volume = cluster.bound_claim("Retain")
    _reserve(cluster, volume, cluster.name())
    cluster.phase(cluster.claim_path(claim["metadata"]["name"]), "Lost")
    cluster.client.delete(cluster.claim_path(claim["metadata"]["name"]))


def test_a_volume_in_use_is_not_given_away_by_deleting_it(cluster):
    claim, volume = cluster.bound_claim("Retain")
    path = paths.volumes(volume["metadata"]["name"])
    cluster.client.delete(path)
    cluster.calm()
    assert cluster.client.get(path)["metadata"]["deletionTimestamp"]
    cluster.client.delete(cluster.claim_path(claim["metadata"]["name"]))
    cluster.gone(path)


def test_a_claim_cannot_be_changed_into_a_smaller_or_another_one(cluster):
    claim, _ = cluster.bound_claim("Delete")
    path = cluster.claim_path(claim["metadata"]["name"])
    for wanted in ({"resources": {"requests": {"storage": "16Mi"}}}, {"storageClassName": "immediate"}, {"volumeName": "another"}):
        with pytest.raises(Unprocessable):
            cluster.client.merge_patch(path, {"spec": wanted})
    cluster.client.delete(path)


def test_a_claim_without_a_class_gets_the_default_one(cluster):
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": cluster.name(), "namespace": cluster.namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}}
    made = cluster.client.create(paths.claims(cluster.namespace), body)
    assert made["spec"]["storageClassName"] == "standard"
    assert made["spec"]["volumeMode"] == "Filesystem"
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    cluster.client.delete(cluster.claim_path(made["metadata"]["name"]))
