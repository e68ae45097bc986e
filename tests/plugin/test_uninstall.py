"""`uninstall` takes away all that `install` made and nothing else, and never while somebody needs it."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from builders import NAMESPACE, Cluster, add_namespace, submit, three_replicas
from calling import Plugin, written
from fake_api import FakeApi
from submitting import migration, set_status

from kubectl_volresize.model import labels

KINDS = ("customresourcedefinitions", "clusterroles", "clusterrolebindings", "serviceaccounts", "rolebindings", "validatingadmissionpolicies",
         "validatingadmissionpolicybindings")


def ours(api: FakeApi) -> list[str]:
    return [f"{plural}/{one['metadata']['name']}" for plural in KINDS for one in api.store.all(plural)
            if (one["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == "volresize"]


def over(api: FakeApi, **status: object) -> None:
    submit(api, {"data": "500Mi"})
    set_status(api, labels.PLURAL, migration(api), phase="Completed", **status)


def test_of_one_namespace_its_account_and_bindings_go(api: FakeApi, plugin: Plugin) -> None:
    before = ours(api)
    answer = plugin("uninstall", "-n", NAMESPACE)
    gone = sorted(set(before) - set(ours(api)))
    assert answer.code == 0 and gone == [f"clusterrolebindings/volresize-runner-{NAMESPACE}", "rolebindings/volresize-runner",
                                         "serviceaccounts/volresize-runner"]
    assert answer.out.count(" deleted\n") == 3


def test_of_the_whole_cluster_nothing_is_left_in_any_namespace(api: FakeApi, plugin: Plugin) -> None:
    add_namespace(api, "other")
    assert plugin("install", "-n", "other", "--image", "registry.example/volmig").code == 0
    answer = plugin("uninstall")
    assert (answer.code, ours(api)) == (0, [])
    other = api.find("namespaces", "", "other")
    assert other is not None and labels.IMAGE_PREFIX not in (other["metadata"].get("annotations") or {})
    assert api.alive("statefulsets", NAMESPACE) == ["web"] and len(api.alive("persistentvolumeclaims", NAMESPACE)) == 3


def test_again_there_is_nothing_to_do(api: FakeApi, plugin: Plugin) -> None:
    plugin("uninstall")
    api.calls.clear()
    answer = plugin("uninstall")
    assert (answer.code, written(api)) == (0, []) and "nothing is installed" in answer.err


@pytest.mark.parametrize("where", [(), ("-n", NAMESPACE)])
def test_a_migration_that_is_not_over_keeps_everything(api: FakeApi, plugin: Plugin, where: tuple[str, ...]) -> None:
    submit(api, {"data": "500Mi"})
    api.calls.clear()
    answer = plugin("uninstall", "--yes", *where)
    assert (answer.code, written(api)) == (4, []) and f"web in {NAMESPACE}" in answer.err


def test_so_does_one_that_ended_half_way(api: FakeApi, plugin: Plugin) -> None:
    over(api)
    api.rest.change(labels.PLURAL, migration(api), lambda new: new["metadata"].update(finalizers=[labels.FINALIZER]))
    api.calls.clear()
    assert plugin("uninstall", "--yes").code == 4 and written(api) == []


def test_records_go_only_when_that_is_said(api: FakeApi, plugin: Plugin) -> None:
    over(api)
    api.calls.clear()
    refused = plugin("uninstall")
    assert (refused.code, written(api)) == (4, []) and "cleanup" in refused.err and "--yes" in refused.err
    assert plugin("uninstall", "--yes").code == 0 and ours(api) == []


@pytest.mark.parametrize("how", ["client", "server"])
def test_a_dry_run_removes_nothing_and_says_what_would_go(api: FakeApi, plugin: Plugin, how: str) -> None:
    before = ours(api)
    answer = plugin("uninstall", "--dry-run", how)
    assert answer.code == 0 and ours(api) == before and written(api) == []
    assert answer.out.count("dry run") == len(before)


def test_without_an_installation_there_is_nothing_to_do(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    connect(three_replicas().without_installation())
    answer = plugin("uninstall", "-n", NAMESPACE)
    assert answer.code == 0 and f"nothing is installed in namespace {NAMESPACE}" in answer.err
