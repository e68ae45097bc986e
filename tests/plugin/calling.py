"""What a test needs to call the plugin, and to ask what it did to the cluster."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from builders import NAMESPACE
from fake_api import FakeApi

WRITES = ("create", "replace", "patch", "apply", "delete", "evict")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Plugin = Callable[..., Answer]


def write_kubeconfig(file: Path, server: str, namespace: str = NAMESPACE) -> Path:
    """A kubeconfig with one context, `here`."""
    file.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}], "users": [{"name": "me", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": namespace}}]}))
    return file


def written(api: FakeApi) -> list[str]:
    """`verb plural` of every write since the cluster was built, dry runs left out."""
    return [f"{call.verb} {call.path.split('/')[-1 if call.verb == 'create' else -2]}" for call in api.calls
            if call.verb in WRITES and "dryRun=All" not in call.path and "/authorization.k8s.io/" not in call.path]
