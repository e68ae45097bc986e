"""What the provocations are made of: objects that are there for a while, changes that are taken back, and another StatefulSet to spoil."""
from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from application import Application
from namespaces import until

from kubectl_volresize.model.objects import Object


def patch(application: Application, what: str, patch: Object, *more: str) -> None:
    application.namespace.kubectl("patch", *what.split("/"), "--type=merge", "--patch", json.dumps(patch), *more)


@contextmanager
def applied(application: Application, *objects: Object) -> Iterator[None]:
    named = [f"{one['kind'].lower()}.{one['apiVersion'].rpartition('/')[0]}/{one['metadata']['name']}".replace("./", "/") for one in objects]
    application.namespace.apply(*objects)
    try:
        yield
    finally:
        application.namespace.kubectl("delete", "--ignore-not-found", *named)


@contextmanager
def patched(application: Application, what: str, there: Object, back: Object) -> Iterator[None]:
    patch(application, what, there)
    try:
        yield
    finally:
        patch(application, what, back)


@contextmanager
def again_and_again(write: Callable[[], None]) -> Iterator[None]:
    """Once now, and twice a second while something else takes it back."""
    write()
    over = threading.Event()

    def writing() -> None:
        while not over.wait(0.5):
            write()
    writer = threading.Thread(target=writing)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def manifest(kind: str, name: str, version: str = "v1", **fields: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


@contextmanager
def extra_set(application: Application, replicas: int = 1, claim: Object | None = None, container: Object | None = None,
              meta: Object | None = None) -> Iterator[None]:
    """Another StatefulSet, `extra`; `claim`: more of its template's spec, `container`: more of its container."""
    namespace, made = application.namespace, application.manifest()
    made["metadata"] = {"name": "extra", **(meta or {})}
    spec = made["spec"]
    spec.update(replicas=replicas, selector={"matchLabels": {"app": "extra"}})
    spec["template"]["metadata"]["labels"] = {"app": "extra"}
    spec["template"]["spec"].pop("topologySpreadConstraints")
    spec["template"]["spec"]["containers"][0].update(container or {})
    spec["volumeClaimTemplates"][0]["spec"].update(claim or {})
    namespace.apply(made)
    try:
        yield
    finally:
        patch(application, "statefulset/extra", {"metadata": {"finalizers": None}})
        namespace.kubectl("delete", "statefulset", "extra", "--ignore-not-found")
        until("no pod of the other set is left", lambda: not namespace.objects("pods", "-l", "app=extra"))
        namespace.kubectl("delete", "persistentvolumeclaim", "-l", "app=extra", "--ignore-not-found")
        namespace.kubectl("delete", "persistentvolumeclaim", "data-extra-0", "--ignore-not-found")


@contextmanager
def static_volume(application: Application, claim: Object, storage_class: str, **spec: Any) -> Iterator[str]:
    """A volume that no provisioner made, for claim data-extra-0."""
    name, namespace = f"static-{application.namespace.name}", application.namespace
    ref = {"namespace": namespace.name, "name": "data-extra-0"}
    volume = manifest("PersistentVolume", name, spec={
        "capacity": {"storage": "64Mi"}, "storageClassName": storage_class, "persistentVolumeReclaimPolicy": "Retain", "claimRef": ref,
        "accessModes": claim.get("accessModes", ["ReadWriteOnce"]), "hostPath": {"path": "/nonexistent"}, **spec})
    namespace.apply(volume)
    try:
        yield name
    finally:
        namespace.kubectl("delete", "persistentvolume", name, "--wait=false", "--ignore-not-found")


def phase(application: Application, claim: str) -> str:
    found = application.namespace.objects("persistentvolumeclaim", claim)
    return str(found[0].get("status", {}).get("phase", "")) if found else ""


def placed(application: Application, pod: str) -> bool:
    """Whether the scheduler has written all that it writes: the pod's node, and its choice for the claims."""
    found = application.namespace.objects("pod", pod)
    return bool(found and found[0]["spec"].get("nodeName"))
