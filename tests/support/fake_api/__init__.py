"""A stateful API server with the controllers of a cluster behind it, for tests of code that speaks through kubectl_volresize.kube.client."""
from __future__ import annotations

from .api import EAGER, LAZY, RANDOM, Call, FakeApi
from .refusal import Refusal
from .store import Object
from .world import EmptyClaim, LostVolume

__all__ = ["Call", "EAGER", "EmptyClaim", "FakeApi", "LAZY", "LostVolume", "Object", "RANDOM", "Refusal"]
