"""What the user ordered with `submit`: a request and what it is called, from flags or from a manifest. Nothing here asks a cluster."""
from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..errors import BadQuantity, UsageError
from ..model import names
from ..model.quantity import parse_bytes
from ..model.request import LONGEST_SIZE, Request, Target, from_spec, parse_volume_flag
from ..plan import findings
from . import target
from .image import image
from .manifest import BadManifest, load, shown_name
from .options import Where
from .place import Place, connect
from .result import Object


@dataclass(frozen=True)
class Flags:
    """The options of submit that shape a request, as typed."""

    statefulset: str | None = None
    volumes: tuple[str, ...] = ()
    filename: str | None = None
    name: str | None = None
    image: str | None = None
    head_room: int | None = None
    bandwidth: str | None = None
    run_as_user: int | None = None
    queue: str | None = None
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """`name` None: to be found. `namespace` None: the one of the command line. `image_asked`: the user named the image for this migration.
    `manifest`: what else stood in the file (labels, annotations); {} without one. `queue`: a LocalQueue of Kueue, "" for none."""

    request: Request
    name: str | None = None
    namespace: str | None = None
    image_asked: bool = False
    manifest: Object = field(default_factory=dict)
    queue: str = ""

    def equals(self, other: Request) -> bool:
        """Whether the same was asked for before. The image counts only when both named one: a newer plugin asks for the same with another."""
        image_counts = self.image_asked and other.image

        def essence(request: Request) -> Object:
            mover = {key: value for key, value in request.mover.items() if value and (key != "image" or image_counts)}
            volumes = {one.name: (one.bytes, one.storage_class) for one in request.targets}
            return {"set": request.statefulset, "volumes": volumes, "head room": request.head_room, "copy": request.copy, "mover": mover,
                    "acknowledged": set(request.acknowledged)}
        return essence(self.request) == essence(other)


def order(flags: Flags) -> Order:
    """Raises UsageError with the option or field that is wrong."""
    if flags.filename is not None:
        return _from_file(flags, flags.filename)
    if not flags.statefulset:
        raise UsageError("name the StatefulSet, or a manifest with -f: submit SET --volume NAME=SIZE")
    if not flags.volumes:
        raise UsageError("say which volume and how small: --volume NAME=SIZE, for example --volume data=500Mi")
    wanted = target.parse(flags.statefulset)
    if wanted.kind == target.MIGRATION:
        raise UsageError(f"{flags.statefulset!r} is a VolumeResize; submit takes a StatefulSet")
    if not names.is_subdomain(wanted.name):
        raise UsageError(f"{wanted.name[:80]!r} is no name of a StatefulSet: lower-case letters, digits, '-' and '.', at most 253 characters")
    targets = tuple(_volume(text) for text in flags.volumes)
    twice = sorted({one.name for one in targets if [two.name for two in targets].count(one.name) > 1})
    if twice:
        raise UsageError(f"--volume names {', '.join(twice)} twice")
    chosen = image(flags.image, None, os.environ)
    as_user = {"runAsUser": flags.run_as_user} if flags.run_as_user else {}
    request = Request(statefulset=wanted.name, targets=targets, mover={"image": chosen.name, **as_user},
                      copy=copy_with(flags.bandwidth), acknowledged=codes(flags.acknowledged))
    if flags.head_room is not None:
        request = replace(request, head_room=flags.head_room)
    return Order(request=request, name=_checked_name(flags.name, "--name") if flags.name else None, image_asked=chosen.asked,
                 queue=_queue(flags.queue))


def _volume(text: str) -> Target:
    try:
        return parse_volume_flag(text)
    except BadQuantity as error:
        raise UsageError(f"--volume {text}: {error.message}; {error.advice}") from error


def codes(given: Iterable[str]) -> tuple[str, ...]:
    """Of --acknowledge CODE[,CODE], which may be repeated. Raises UsageError."""
    found = tuple(dict.fromkeys(code.strip() for text in given for code in text.split(",")))
    if wrong := findings.unknown(found):
        raise UsageError(f"--acknowledge {', '.join(wrong)}: no finding of this code can be acknowledged; those that can: "
                         f"{', '.join(_acknowledgeable())}")
    return found


def _acknowledgeable() -> list[str]:
    return [code for code, one in findings.CODES.items() if one.severity == findings.ACKNOWLEDGEABLE]


def copy_with(bandwidth: str | None) -> Object:
    """spec.copy for --bandwidth. Raises UsageError."""
    if not bandwidth:
        return {}
    try:
        too_slow = parse_bytes(bandwidth) <= 0
    except BadQuantity as error:
        raise UsageError(f"--bandwidth {bandwidth}: {error.message}; write it like 50M") from error
    if too_slow:
        raise UsageError(f"--bandwidth {bandwidth}: it must be more than 0 bytes per second")
    if len(bandwidth.strip(" ")) > LONGEST_SIZE:
        raise UsageError(f"--bandwidth {bandwidth[:LONGEST_SIZE]}...: it has at most {LONGEST_SIZE} characters")
    return {"bandwidth": bandwidth.strip(" ")}


def _from_file(flags: Flags, filename: str) -> Order:
    doubled = [option for option, given in (("SET", flags.statefulset), ("--volume", flags.volumes), ("--name", flags.name),
                                            ("--head-room", flags.head_room), ("--bandwidth", flags.bandwidth),
                                            ("--run-as-user", flags.run_as_user), ("--acknowledge", flags.acknowledged)) if given not in (None, ())]
    if doubled:
        raise UsageError(f"{', '.join(doubled)} and -f do not go together: say it in the manifest")
    manifest = load(filename)
    request, meta = from_spec(manifest["spec"]), manifest["metadata"]
    if wrong := findings.unknown(request.acknowledged):
        raise BadManifest(f"spec.acknowledge: {', '.join(wrong)}: no finding of this code can be acknowledged; those that can: "
                          f"{', '.join(_acknowledgeable())}", file=shown_name(filename))
    chosen = image(flags.image, request.image, os.environ)
    if meta.get("name"):
        try:
            _checked_name(str(meta["name"]), "metadata.name")
        except UsageError as error:
            raise BadManifest(error.message, file=shown_name(filename)) from error
    return Order(request=replace(request, mover={**request.mover, "image": chosen.name}), name=meta.get("name"), namespace=meta.get("namespace"),
                 image_asked=chosen.asked, manifest=manifest, queue=_queue(flags.queue))


def _queue(name: str | None) -> str:
    """Raises UsageError. Source: kueue.sigs.k8s.io, the name of a LocalQueue is that of a DNS label, and here the value of a label."""
    if name is not None and not names.is_label(name):
        raise UsageError(f"--queue {name!r} is no name of a LocalQueue: lower-case letters, digits and '-', at most 63 characters")
    return name or ""


def _checked_name(name: str, where: str) -> str:
    """The name also becomes the value of a label, hence 63 characters."""
    if not names.is_subdomain(name, names.LIMIT):
        raise UsageError(f"{where} {name!r} is no name for it: lower-case letters, digits, '-' and '.', at most {names.LIMIT} characters")
    return name


def place_of(where: Where, ordered: Order) -> Place:
    """A manifest's namespace wins over the context's; one that contradicts -n is an error, as in kubectl."""
    if ordered.namespace and where.namespace and ordered.namespace != where.namespace:
        raise UsageError(f"the manifest's metadata.namespace {ordered.namespace!r} does not match -n {where.namespace}")
    return connect(replace(where, namespace=where.namespace or ordered.namespace))
