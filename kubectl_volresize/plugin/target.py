"""From what the user types for an object to the object: a StatefulSet's name, sts/NAME or vr/NAME."""
from __future__ import annotations

from dataclasses import dataclass

from ..errors import NotFound, UsageError, VolresizeError
from ..kube import paths
from ..model import labels
from .place import Place
from .result import Object

_SET_KINDS = ("sts", "statefulset", "statefulsets", "statefulset.apps", "statefulsets.apps")
_MIGRATION_KINDS = ("vr", "volumeresize", "volumeresizes", f"volumeresize.{labels.GROUP}", f"volumeresizes.{labels.GROUP}")
SET, MIGRATION, EITHER = "set", "migration", "either"


class NotInstalled(VolresizeError):
    """kind VolumeResize is not installed in this cluster"""

    hint = "an admin of the cluster runs once: {command}"


class NoMigration(VolresizeError):
    """{message}"""

    hint = "what there is: {command}"


@dataclass(frozen=True)
class Target:
    """`kind`: SET, MIGRATION, or EITHER for a bare name."""

    kind: str
    name: str


def parse(text: str) -> Target:
    """Raises UsageError for a kind that has no migrations."""
    kind, slash, name = text.rpartition("/")
    if not name or (slash and not kind) or "/" in kind:
        raise UsageError(f"{text!r} names nothing; give the name of a StatefulSet, sts/NAME or vr/NAME")
    if not slash:
        return Target(EITHER, name)
    if kind.lower() in _SET_KINDS:
        return Target(SET, name)
    if kind.lower() in _MIGRATION_KINDS:
        return Target(MIGRATION, name)
    raise UsageError(f"{text!r}: migrations belong to StatefulSets; give sts/NAME or vr/NAME, not {kind}")


def migrations(place: Place) -> list[Object]:
    """All VolumeResizes of the namespace. Raises NotInstalled, Forbidden."""
    try:
        return place.client.list(paths.migrations(place.namespace))
    except NotFound as error:
        raise NotInstalled(command=place.command("install")) from error


def newest_first(found: list[Object]) -> list[Object]:
    return sorted(found, key=lambda one: (one["metadata"].get("creationTimestamp", ""), one["metadata"]["name"]), reverse=True)


def find(place: Place, text: str) -> Object:
    """The VolumeResize meant: of a StatefulSet its newest one; a bare name may also be a VolumeResize's. Raises NoMigration, NotInstalled."""
    wanted, found = parse(text), newest_first(migrations(place))
    of_set = [one for one in found if one["spec"]["statefulSetName"] == wanted.name and wanted.kind != MIGRATION]
    named = [one for one in found if one["metadata"]["name"] == wanted.name and wanted.kind != SET]
    if not of_set and not named:
        what = {SET: f"statefulset/{wanted.name} has no VolumeResize", MIGRATION: f"volumeresize/{wanted.name} does not exist",
                EITHER: f"{wanted.name} is neither a StatefulSet with a VolumeResize nor a VolumeResize"}[wanted.kind]
        raise NoMigration(f"{what} in namespace {place.namespace}", command=place.command("status"))
    return (of_set or named)[0]
