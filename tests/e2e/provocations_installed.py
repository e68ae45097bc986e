"""What is wrong with other migrations, with rights, and with what is installed: the rest of the provocations."""
from __future__ import annotations

import json
from collections.abc import Iterator

from application import Application
from provocations import SMALLER, provokes
from spoiling import applied, manifest, patch

from kubectl_volresize.model import labels


@provokes("other-migration")
def _other_migration(application: Application) -> Iterator[tuple[str, ...]]:
    """One that somebody applied, and whose Job never came."""
    with applied(application, manifest(labels.KIND, "other", labels.API_VERSION, spec={
            "statefulSetName": "app", "volumes": [{"name": "data", "newSize": "48Mi"}]})):
        yield SMALLER


@provokes("unfinished-migration")
def _unfinished_migration(application: Application) -> Iterator[tuple[str, ...]]:
    other = manifest(labels.KIND, "half", labels.API_VERSION, spec={"statefulSetName": "app", "volumes": [{"name": "data", "newSize": "48Mi"}]})
    other["metadata"]["finalizers"] = [labels.FINALIZER]
    with applied(application, other):
        try:
            patch(application, f"{labels.PLURAL}/half", {"status": {"phase": "Failed"}}, "--subresource=status")
            yield SMALLER
        finally:
            patch(application, f"{labels.PLURAL}/half", {"metadata": {"finalizers": None}})


@provokes("not-installed")
def _not_installed(application: Application) -> Iterator[tuple[str, ...]]:
    application.namespace.kubectl("delete", "rolebinding", labels.RUNNER_ROLE)
    try:
        yield SMALLER
    finally:
        assert application.namespace.volresize("install").returncode == 0


@provokes("old-definition")
def _old_definition(application: Application) -> Iterator[tuple[str, ...]]:
    """A version of the kind that had no acknowledgements yet."""
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/acknowledge"
    application.namespace.kubectl("patch", "crd", f"{labels.PLURAL}.{labels.GROUP}", "--type=json",
                                  "--patch", json.dumps([{"op": "remove", "path": path}]))
    try:
        yield SMALLER
    finally:
        installed = application.namespace.volresize("install", "--force-conflicts")
        assert installed.returncode == 0, installed.stderr


@provokes("runner-rights")
def _runner_rights(application: Application) -> Iterator[tuple[str, ...]]:
    """Roles as an earlier version made them."""
    role = application.namespace.get("clusterrole", labels.RUNNER_ROLE)
    fewer = [rule for rule in role["rules"] if "verticalpodautoscalers" not in rule["resources"]]
    patch(application, f"clusterrole/{labels.RUNNER_ROLE}", {"rules": fewer})
    try:
        yield SMALLER
    finally:
        installed = application.namespace.volresize("install", "--force-conflicts")
        assert installed.returncode == 0, installed.stderr
