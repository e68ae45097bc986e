"""Which image the runner and the movers use."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..model import labels
from ..version import VERSION

VARIABLE = "VOLRESIZE_IMAGE"


@dataclass(frozen=True)
class Image:
    """`source`: which of the four places named it. `asked`: the user named it for this very migration."""

    name: str
    source: str
    asked: bool


def image(flag: str | None, manifest: str | None, environment: Mapping[str, str]) -> Image:
    """--image, else the manifest's spec.mover.image, else VOLRESIZE_IMAGE, else the one of this version."""
    if flag:
        return Image(flag, "--image", True)
    if manifest:
        return Image(manifest, "spec.mover.image", True)
    if environment.get(VARIABLE):
        return Image(environment[VARIABLE], VARIABLE, False)
    return Image(f"{labels.IMAGE_REPOSITORY}:{VERSION}", "default", False)
