"""What only the Job can find: from the data, from the pods that count it, from the first volume that was made. Phase Failed, reason Refused, and the
application was not stopped."""
from __future__ import annotations

import json

import pytest
from application import Application
from namespaces import Namespace, until

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def application(namespace: Namespace) -> Application:
    made = Application(namespace)
    made.start()
    return made


def refused(application: Application, name: str, spec: Object) -> str:
    """The message of a VolumeResize that ends as refused; nothing of the application may be another one afterwards."""
    namespace, before = application.namespace, (application.pod(0), application.claim(0)["metadata"]["uid"], application.the_set()["metadata"]["uid"])
    manifest = {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "metadata": {"name": name}, "spec": spec}
    done = namespace.volresize_given(json.dumps(manifest), "submit", "-f", "-", "--validate=false")
    assert done.returncode == 0, done.stderr
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", f"vr/{name}", "--timeout=120s")
    status = namespace.migration(name)["status"]
    ready = next(condition for condition in status["conditions"] if condition["type"] == labels.READY)
    assert ready["reason"] == "Refused", status["message"]
    after = (application.pod(0), application.claim(0)["metadata"]["uid"], application.the_set()["metadata"]["uid"])
    assert (after[0]["metadata"]["uid"], *after[1:]) == (before[0]["metadata"]["uid"], *before[1:])
    until("nothing of ours is left", lambda: namespace.nothing_left() == [])
    return str(status["message"])


def test_templates_alone(application: Application) -> None:
    """A claim of the new size that was there before its StatefulSet."""
    namespace, made = application.namespace, application.manifest()
    made["metadata"]["name"] = "early"
    made["spec"].update(selector={"matchLabels": {"app": "early"}})
    made["spec"]["template"]["metadata"]["labels"] = {"app": "early"}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-early-0"},
             "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "32Mi"}}}}
    namespace.apply(claim, made)
    namespace.kubectl("rollout", "status", "statefulset/early", "--timeout=60s")
    said = refused(application, "early", {"statefulSetName": "early", "volumes": [{"name": "data", "newSize": "32Mi"}]})
    assert "statefulset/early: only its volumeClaimTemplates have not the new size yet" in said and "--cascade=orphan" in said


def test_data_that_could_not_be_counted(application: Application) -> None:
    """The pod that counts gets less memory than Python needs."""
    mover = {"resources": {"limits": {"memory": "8Mi"}}}
    said = refused(application, "starved", {"statefulSetName": "app", "volumes": [{"name": "data", "newSize": "32Mi"}], "mover": mover})
    assert "persistentvolumeclaim/data-app-0" in said and "could not be counted" in said


def test_a_volume_that_is_made_where_the_replica_cannot_reach_it(application: Application) -> None:
    """As of an Immediate class whose provisioner goes its own ways: the volume is there already, on another node."""
    namespace, here = application.namespace, str(application.pod(0)["spec"]["nodeName"])
    name = f"elsewhere-{namespace.name}"
    affinity = {"required": {"nodeSelectorTerms": [{"matchFields": [], "matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [here]}]}]}}
    storage_class = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
                     "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "Immediate"}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": "32Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name, "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": "/nonexistent"}, "nodeAffinity": affinity}}
    namespace.apply(storage_class, volume)
    try:
        said = refused(application, "elsewhere", {"statefulSetName": "app", "volumes": [{"name": "data", "newSize": "32Mi", "storageClass": name}]})
        assert f"persistentvolume/{name}" in said and f"node {here}" in said and "WaitForFirstConsumer" in said
    finally:
        namespace.kubectl("delete", f"storageclass/{name}", f"persistentvolume/{name}", "--ignore-not-found")
