"""The request: the spec of a VolumeResize as frozen values. It is what the user wants; what was done stands in record.py."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import BadQuantity, UsageError
from . import names
from .quantity import parse_bytes

Object = dict[str, Any]
DEFAULT_HEAD_ROOM = 10
LONGEST_SIZE = 40  # characters of a quantity, as in the schema


@dataclass(frozen=True)
class Target:
    """One volumeClaimTemplate and what its claims shall be. `size` as the user wrote it."""

    name: str
    size: str
    storage_class: str | None = None

    @property
    def bytes(self) -> int:
        return parse_bytes(self.size)


@dataclass(frozen=True)
class Request:
    """spec of a VolumeResize. head_room in percent of what the data needs; `mover` and `copy` as in the CRD; `templates`: what volumeClaimTemplates
    shall ask for, None for the same as the targets."""

    statefulset: str
    targets: tuple[Target, ...]
    head_room: int = DEFAULT_HEAD_ROOM
    mover: Object = field(default_factory=dict)
    copy: Object = field(default_factory=dict)
    acknowledged: tuple[str, ...] = ()
    templates: tuple[Target, ...] | None = None

    @property
    def template_targets(self) -> tuple[Target, ...]:
        return self.targets if self.templates is None else self.templates

    @property
    def image(self) -> str:
        return str(self.mover.get("image", ""))

    @property
    def run_as_user(self) -> int:
        """The user who copies; 0 for root, who keeps everything."""
        return int(self.mover.get("runAsUser") or 0)

    def target(self, volume: str) -> Target:
        return next(target for target in self.targets if target.name == volume)

    def to_spec(self) -> Object:
        """As it stands in the API."""
        volumes = [{"name": target.name, "newSize": target.size, **({"storageClass": target.storage_class} if target.storage_class else {})}
                   for target in self.targets]
        spec: Object = {"statefulSetName": self.statefulset, "volumes": volumes, "headRoomPercent": self.head_room}
        for key, value in (("mover", self.mover), ("copy", self.copy), ("acknowledge", list(self.acknowledged))):
            if value:
                spec[key] = value
        return spec


def from_spec(spec: Object) -> Request:
    """A Request from the spec of a VolumeResize. Raises UsageError with everything that is wrong, each with its field."""
    wrong = []
    if not isinstance(spec.get("statefulSetName"), str) or not spec["statefulSetName"]:
        wrong.append("spec.statefulSetName is missing: name the StatefulSet")
    volumes = spec.get("volumes") or []
    if not isinstance(volumes, list) or not volumes:
        wrong.append("spec.volumes is empty: name at least one volumeClaimTemplate with its newSize")
        volumes = []
    for index, volume in enumerate(volumes):
        if not isinstance(volume, dict) or not isinstance(volume.get("name"), str) or not volume["name"] or volume.get("newSize") in (None, ""):
            wrong.append(f"spec.volumes[{index}] needs name and newSize")
        elif why := _wrong_size(volume["newSize"]):
            wrong.append(f"spec.volumes[{index}].newSize{why}")
    seen = [volume["name"] for volume in volumes if isinstance(volume, dict) and isinstance(volume.get("name"), str)]
    wrong += [f"spec.volumes names {name!r} twice" for name in sorted({name for name in seen if seen.count(name) > 1})]
    if wrong:
        raise UsageError("; ".join(wrong))
    targets = tuple(Target(volume["name"], str(volume["newSize"]), volume.get("storageClass") or None) for volume in volumes)
    head_room = spec.get("headRoomPercent")
    return Request(statefulset=spec["statefulSetName"], targets=targets, head_room=DEFAULT_HEAD_ROOM if head_room is None else int(head_room),
                   mover=spec.get("mover") or {}, copy=spec.get("copy") or {}, acknowledged=tuple(spec.get("acknowledge") or ()))


def _wrong_size(size: Any) -> str:
    """What is wrong with a newSize, to be said after its field; empty when nothing is."""
    try:
        return "" if parse_bytes(size) > 0 else f" is {size}: it must be more than 0"
    except BadQuantity as error:
        return f": {error.message}, {error.advice}"


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."


def parse_volume_flag(text: str) -> Target:
    """`NAME=SIZE[,storageClass=X]` of --volume, with names and a size that the schema takes. Raises UsageError, BadQuantity."""
    head, *options = text.split(",")
    name, equals, size = head.partition("=")
    if not equals or not name or not size:
        raise UsageError(f"--volume {text!r} is not NAME=SIZE[,storageClass=CLASS], for example data=500Mi")
    if not names.is_label(name):
        raise UsageError(f"--volume {_cut(text)!r}: {_cut(name)!r} is no name of a volumeClaimTemplate: lower-case letters, digits and '-', at most "
                         "63 characters")
    storage_class = None
    for option in options:
        key, _, value = option.partition("=")
        if key != "storageClass" or not value:
            raise UsageError(f"--volume {text!r}: {option!r} is not storageClass=CLASS")
        if storage_class:
            raise UsageError(f"--volume {_cut(text)!r} names a storageClass twice")
        if not names.is_subdomain(value):
            raise UsageError(f"--volume {_cut(text)!r}: {_cut(value)!r} is no name of a StorageClass: lower-case letters, digits, '-' and '.', "
                             "at most 253 characters")
        storage_class = value
    target = Target(name, size.strip(" "), storage_class)
    if len(target.size) > LONGEST_SIZE:
        raise UsageError(f"--volume {_cut(text)!r}: a size has at most {LONGEST_SIZE} characters")
    if target.bytes <= 0:
        raise UsageError(f"--volume {text!r}: the size must be more than 0")
    return target
