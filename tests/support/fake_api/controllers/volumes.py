"""Binder, provisioner, reclaim and the two protection controllers. Source: pkg/controller/volume/persistentvolume/pv_controller.go,
pkg/controller/volume/pvcprotection, sig-storage-lib-external-provisioner; what was measured stands in tests/contract/."""
from __future__ import annotations

from kubectl_volresize.model.quantity import parse_bytes

from ..admission import CLAIM_PROTECTION, VOLUME_PROTECTION
from ..store import Object
from ..world import LostVolume, World, claim_names, terminating

SELECTED_NODE = "volume.kubernetes.io/selected-node"
_PROVISIONED = "pv.kubernetes.io/provisioned-by"
_RESYNC = 15  # seconds: --pvclaimbinder-sync-period


class Binder:
    """Claims to volumes and back."""

    name = "binder"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest
        self._lost_races: dict[str, tuple[str, float]] = {}

    def step(self) -> bool:
        return any(self._claim(claim) for claim in self._store.all("persistentvolumeclaims")) or any(
            self._volume(volume) for volume in self._store.all("persistentvolumes"))

    def _claim(self, claim: Object) -> bool:
        name = claim["spec"].get("volumeName", "")
        if claim["status"].get("phase") in ("Bound", "Lost"):
            return self._check_bound(claim, self._store.find("persistentvolumes", "", name))
        volume = self._store.find("persistentvolumes", "", name) if name else self._reserved_for(claim)
        if volume is None or terminating(claim) or terminating(volume) or not self._may_bind(claim, volume):
            return False
        meta = claim["metadata"]
        if volume["spec"].get("claimRef", {}).get("uid") != meta["uid"]:
            ref = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
                   "resourceVersion": meta["resourceVersion"]}
            self._rest.change("persistentvolumes", volume, lambda new: new["spec"].update(claimRef=ref))
            if self._world.faults.sluggish_binder and self._world.random.random() < 0.5:
                self._lost_races[meta["uid"]] = (meta["resourceVersion"], self._world.clock.now.timestamp())
            return True
        if self._waits_for_resync(claim):
            return False
        return self._bind(claim, volume)

    def _bind(self, claim: Object, volume: Object) -> bool:
        if volume["status"].get("phase") != "Bound":
            self._rest.change("persistentvolumes", volume, lambda new: new["status"].update(phase="Bound"), status=True)
            return True

        def take(new: Object) -> None:
            new["spec"]["volumeName"] = volume["metadata"]["name"]
            new["metadata"].setdefault("annotations", {})["pv.kubernetes.io/bind-completed"] = "yes"

        if claim["spec"].get("volumeName") != volume["metadata"]["name"] or "pv.kubernetes.io/bind-completed" not in (
                claim["metadata"].get("annotations") or {}):
            self._rest.change("persistentvolumeclaims", claim, take)
            return True
        status = {"phase": "Bound", "capacity": dict(volume["spec"]["capacity"]), "accessModes": list(claim["spec"]["accessModes"])}
        self._rest.change("persistentvolumeclaims", claim, lambda new: new.update(status=status), status=True)
        return True

    def _waits_for_resync(self, claim: Object) -> bool:
        version, since = self._lost_races.get(claim["metadata"]["uid"], ("", 0.0))
        return version == claim["metadata"]["resourceVersion"] and self._world.clock.now.timestamp() - since < _RESYNC

    def resync(self) -> None:
        """As if the period were over."""
        self._lost_races.clear()

    def _reserved_for(self, claim: Object) -> Object | None:
        meta = claim["metadata"]
        for volume in self._store.all("persistentvolumes"):
            ref = volume["spec"].get("claimRef") or {}
            named = (ref.get("namespace"), ref.get("name")) == (meta["namespace"], meta["name"])
            enough = _storage(volume["spec"]["capacity"]) >= _storage(claim["spec"]["resources"]["requests"])
            if named and enough and ref.get("uid") in (None, "", meta["uid"]):
                return volume
        return None

    def _may_bind(self, claim: Object, volume: Object) -> bool:
        meta, ref = claim["metadata"], volume["spec"].get("claimRef") or {}
        if ref:
            return (ref.get("namespace"), ref.get("name")) == (meta["namespace"], meta["name"]) and ref.get("uid") in (None, "", meta["uid"])
        same_class = (volume["spec"].get("storageClassName") or "") == (claim["spec"].get("storageClassName") or "")
        return same_class and _storage(volume["spec"]["capacity"]) >= _storage(claim["spec"]["resources"]["requests"])

    def _check_bound(self, claim: Object, volume: Object | None) -> bool:
        own = volume is not None and volume["spec"].get("claimRef", {}).get("uid") == claim["metadata"]["uid"]
        wanted = "Bound" if own else "Lost"
        if claim["status"]["phase"] == wanted:
            return False
        self._rest.change("persistentvolumeclaims", claim, lambda new: new["status"].update(phase=wanted), status=True)
        return True

    def _volume(self, volume: Object) -> bool:
        ref = volume["spec"].get("claimRef") or {}
        if not ref.get("uid"):
            return self._phase(volume, "Available")
        claim = self._store.find("persistentvolumeclaims", ref["namespace"], ref["name"])
        if claim is None or claim["metadata"]["uid"] != ref["uid"]:
            return self._phase(volume, "Released") or self._reclaim(volume)
        elsewhere = claim["spec"].get("volumeName", "") not in ("", volume["metadata"]["name"])
        deletable = volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        if elsewhere and deletable and _PROVISIONED in (volume["metadata"].get("annotations") or {}):
            return self._phase(volume, "Released") or self._reclaim(volume)
        return False

    def _phase(self, volume: Object, phase: str) -> bool:
        if volume["status"].get("phase") == phase:
            return False
        self._rest.change("persistentvolumes", volume, lambda new: new["status"].update(phase=phase), status=True)
        return True

    def _reclaim(self, volume: Object) -> bool:
        """Policy Delete: the disk and all that is on it are gone, and then the object."""
        name = volume["metadata"]["name"]
        if volume["spec"]["persistentVolumeReclaimPolicy"] != "Delete":
            return False
        if name in self._world.disks:
            ref = volume["spec"]["claimRef"]
            self._world.lost.append(LostVolume(name, (ref["namespace"], ref["name"]), tuple(self._world.disks.pop(name))))
        if terminating(volume):
            return False
        self._rest.remove("persistentvolumes", volume)
        return True


class Provisioner:
    """New, empty volumes for classes with a provisioner; for WaitForFirstConsumer only once the scheduler has chosen a node."""

    name = "provisioner"

    def __init__(self, world: World) -> None:
        self._world, self._store, self._rest = world, world.store, world.rest

    def step(self) -> bool:
        return any(self._provision(claim) for claim in self._store.all("persistentvolumeclaims"))

    def _provision(self, claim: Object) -> bool:
        meta, spec = claim["metadata"], claim["spec"]
        kind = self._store.find("storageclasses", "", spec.get("storageClassName") or "")
        if claim["status"]["phase"] != "Pending" or spec.get("volumeName") or terminating(claim) or kind is None:
            return False
        node = (meta.get("annotations") or {}).get(SELECTED_NODE)
        if kind.get("volumeBindingMode") == "WaitForFirstConsumer" and not node:
            return False
        name = f"pvc-{meta['uid']}"
        if self._store.find("persistentvolumes", "", name) is not None or self._pre_bound(claim):
            return False
        request = spec["resources"]["requests"]["storage"]
        volume: Object = {
            "metadata": {"name": name, "annotations": {_PROVISIONED: kind["provisioner"]}},
            "spec": {"capacity": {"storage": self._world.round_up(request)}, "accessModes": list(spec["accessModes"]),
                     "volumeMode": spec["volumeMode"], "storageClassName": spec["storageClassName"],
                     "persistentVolumeReclaimPolicy": kind.get("reclaimPolicy", "Delete"),
                     "csi": {"driver": kind["provisioner"], "volumeHandle": name},
                     "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta["namespace"], "name": meta["name"],
                                  "uid": meta["uid"]}}}
        if node:
            terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
            volume["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
        self._rest.post("persistentvolumes", volume)
        self._world.disks[name] = []
        return True

    def _pre_bound(self, claim: Object) -> bool:
        refs = [volume["spec"].get("claimRef") or {} for volume in self._store.all("persistentvolumes")]
        return any((ref.get("namespace"), ref.get("name")) == (claim["metadata"]["namespace"], claim["metadata"]["name"]) and not ref.get("uid")
                   for ref in refs)


class Protection:
    """A deleted claim stays while any scheduled pod object names it, also one that is shut down and only held by a finalizer (podUsesPVC);
    a deleted volume stays while it is Bound."""

    name = "protection"

    def __init__(self, world: World) -> None:
        self._store, self._rest = world.store, world.rest

    def step(self) -> bool:
        return any(self._claim(claim) for claim in self._store.all("persistentvolumeclaims")) or any(
            self._volume(volume) for volume in self._store.all("persistentvolumes"))

    def _claim(self, claim: Object) -> bool:
        meta = claim["metadata"]
        if not terminating(claim) or CLAIM_PROTECTION not in meta.get("finalizers", []):
            return False
        pods = self._store.all("pods", meta["namespace"])
        if any(pod["spec"].get("nodeName") and meta["name"] in claim_names(pod).values() for pod in pods):
            return False
        self._rest.change("persistentvolumeclaims", claim, lambda new: new["metadata"]["finalizers"].remove(CLAIM_PROTECTION))
        return True

    def _volume(self, volume: Object) -> bool:
        if not terminating(volume) or VOLUME_PROTECTION not in volume["metadata"].get("finalizers", []) or volume["status"].get("phase") == "Bound":
            return False
        self._rest.change("persistentvolumes", volume, lambda new: new["metadata"]["finalizers"].remove(VOLUME_PROTECTION))
        return True


def _storage(quantities: Object) -> int:
    return parse_bytes(quantities["storage"])
