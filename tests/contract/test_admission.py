"""What stands between a write and the store: quotas, PodSecurity, namespaces that go, and how sizes are written."""
from __future__ import annotations

import pytest

from kubectl_volresize.errors import AlreadyExists, ApiError, Conflict, Forbidden
from kubectl_volresize.kube import paths
from kubectl_volresize.model.quantity import parse_bytes
from kubectl_volresize.plan.manifests import without_server_fields
from kubectl_volresize.templates import render


def _claim(namespace, name, size="16Mi"):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": size}}}}


def _mover(namespace):
    return render("mover", name="mover", namespace=namespace, labels={}, annotations={}, lease={"name": "nobody", "uid": "none"}, node="",
                  tolerations=[], priority_class="", pull_secrets=[], selinux=None, image="busybox:1.36", args=[], resources={}, source_claim="a",
                  target_claim="b", user=0, group=0)


@pytest.mark.parametrize("written, stored", [("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("500Mi", "500Mi"), ("1000M", "1G"), ("1.5G", "1500M"),
                                             ("1073741824", "1073741824"), ("1000000", "1M"), ("1e9", "1e9"), ("10e8", "1e9"), ("1536Ki", "1536Ki"),
                                             ("2048000Ki", "2000Mi"), ("0.5Ki", "512")])
def test_the_server_writes_a_size_its_own_way(cluster, written, stored):
    claim = cluster.client.create(paths.claims(cluster.namespace), _claim(cluster.namespace, cluster.name(), written), dry_run=True)
    assert claim["spec"]["resources"]["requests"]["storage"] == stored
    assert parse_bytes(stored) == parse_bytes(written)


@pytest.mark.parametrize("size", ["much", "-1Gi", "0"])
def test_a_size_that_is_none_is_refused(cluster, size):
    with pytest.raises(ApiError) as refused:
        cluster.client.create(paths.claims(cluster.namespace), _claim(cluster.namespace, cluster.name(), size), dry_run=True)
    assert refused.value.status in (400, 422)


def test_a_full_quota_forbids_a_claim_until_another_is_gone(cluster):
    with cluster.apart() as namespace:
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few", "namespace": namespace},
                 "spec": {"hard": {"persistentvolumeclaims": "1"}}}
        cluster.client.create(paths.quotas(namespace), quota)
        cluster.until(lambda: (cluster.client.get(paths.quotas(namespace, "few")).get("status") or {}).get("used"))
        first = cluster.client.create(paths.claims(namespace), _claim(namespace, "first"))
        cluster.until(lambda: cluster.client.get(paths.quotas(namespace, "few"))["status"]["used"]["persistentvolumeclaims"] == "1")
        with pytest.raises(Forbidden, match="exceeded quota: few"):
            cluster.client.create(paths.claims(namespace), _claim(namespace, "second"))
        cluster.client.delete(paths.claims(namespace, "first"), uid=first["metadata"]["uid"])

        def made():
            try:
                return cluster.client.create(paths.claims(namespace), _claim(namespace, "second"))
            except Forbidden:
                return None
        cluster.until(made)


def test_a_restricted_namespace_refuses_a_mover_in_a_rehearsal_and_a_baseline_one_does_not(cluster):
    for level in ("restricted", "baseline"):
        with cluster.apart(**{"pod-security.kubernetes.io/enforce": level}) as namespace:
            if level == "restricted":
                with pytest.raises(Forbidden, match="violates PodSecurity"):
                    cluster.client.create(paths.pods(namespace), _mover(namespace), dry_run=True)
            else:
                cluster.client.create(paths.pods(namespace), _mover(namespace), dry_run=True)


def test_a_namespace_that_goes_takes_nothing_new_and_waits_for_finalizers(cluster):
    with cluster.apart() as namespace:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": namespace, "finalizers": ["example.test/theirs"]}}
        cluster.client.create(path, body)
        cluster.client.delete(paths.namespaces(namespace))
        with pytest.raises(Forbidden, match="being terminated"):
            cluster.client.create(path, {**body, "metadata": {"name": "late", "namespace": namespace}})
        cluster.until(lambda: cluster.client.get(f"{path}/held")["metadata"].get("deletionTimestamp"))
        assert cluster.client.find(paths.namespaces(namespace))
        cluster.client.json_patch(f"{path}/held", [{"op": "remove", "path": "/metadata/finalizers"}])
        cluster.gone(paths.namespaces(namespace))


def test_an_owner_can_apply_again_only_when_the_fields_were_given_back(cluster):
    name = cluster.name()
    template = {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "busybox:1.36"}], "terminationGracePeriodSeconds": 20}}
    manifest = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": cluster.namespace},
                "spec": {"replicas": 0, "serviceName": name, "selector": {"matchLabels": {"app": name}}, "template": template}}
    path = cluster.set_path(name)
    saved = cluster.client.apply(path, manifest, "gitops")
    cluster.client.delete(path)
    cluster.gone(path)
    cluster.client.create(paths.statefulsets(cluster.namespace), without_server_fields(saved))
    template["spec"]["terminationGracePeriodSeconds"] = 5
    with pytest.raises(Conflict, match="terminationGracePeriodSeconds"):
        cluster.client.apply(path, manifest, "gitops")
    ours = [entry for entry in saved["metadata"]["managedFields"] if entry["manager"] == "gitops"]
    cluster.client.json_patch(path, [{"op": "replace", "path": "/metadata/managedFields", "value": ours}])
    again = cluster.client.apply(path, manifest, "gitops")
    assert again["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 5
    cluster.client.delete(path)


def test_a_rehearsal_of_what_exists_is_refused_as_the_write_would_be(cluster):
    made = cluster.config_map()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["metadata"]["name"], "namespace": cluster.namespace}}
    with pytest.raises(AlreadyExists):
        cluster.client.create(cluster.config_map_path(made).rpartition("/")[0], body, dry_run=True)
