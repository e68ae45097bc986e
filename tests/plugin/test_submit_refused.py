"""`submit` of what must not be started: exit code 4, every reason at once and nothing created; or nothing to do."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from builders import NAMESPACE, Cluster, three_replicas
from calling import Plugin, written
from fake_api import FakeApi
from submitting import BOTH, MANIFEST, SUBMIT, migration, set_status

from kubectl_volresize.model import labels


def refused(api: FakeApi, plugin: Plugin, *arguments: str) -> str:
    answer = plugin("submit", "web", *arguments)
    assert (answer.code, answer.out) == (4, "")
    assert written(api) == []
    return answer.err


def test_a_size_that_is_not_smaller_is_refused(api: FakeApi, plugin: Plugin) -> None:
    said = refused(api, plugin, "--volume", "data=2Gi")
    for ordinal in range(3):
        assert f"persistentvolumeclaim/data-web-{ordinal} has 1Gi, which is not more than the newSize 2Gi" in said
    assert "fix: choose a size below 1Gi" in said


def test_a_volume_that_the_set_does_not_have_is_refused(api: FakeApi, plugin: Plugin) -> None:
    assert "statefulset/web has no volumeClaimTemplate 'nonexistent'; it has: data" in refused(api, plugin, "--volume", "nonexistent=500Mi")


def test_a_pod_disruption_budget_that_allows_nothing_is_refused(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas().with_budget(min_available=3))
    plugin("install", "-n", NAMESPACE)
    api.calls.clear()
    assert "poddisruptionbudget/web-1 allows no disruption of the set's pods now (PDB" in refused(api, plugin, "--volume", "data=500Mi")


def test_two_wrong_things_are_said_at_once(api: FakeApi, plugin: Plugin) -> None:
    said = refused(api, plugin, "--volume", "data=2Gi", "--volume", "nonexistent=1Gi")
    assert "no volumeClaimTemplate 'nonexistent'" in said and "data-web-0 has 1Gi" in said


def test_a_set_that_does_not_exist_is_refused(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin("submit", "wbe", "--volume", "data=500Mi")
    assert (answer.code, written(api)) == (4, [])
    assert f"statefulset/wbe does not exist in namespace {NAMESPACE}" in answer.err


def test_a_cluster_without_the_kind_is_refused_with_the_command_that_brings_it(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas().without_installation())
    assert f"kubectl volresize install -n {NAMESPACE}" in refused(api, plugin, "--volume", "data=500Mi")


def test_a_namespace_without_account_and_bindings_is_refused_beside_the_other_reasons(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas())
    plugin("install")
    api.calls.clear()
    said = refused(api, plugin, "--volume", "data=2Gi")
    for missing in ("rolebinding/volresize-runner", f"clusterrolebinding/volresize-runner-{NAMESPACE}", "data-web-0 has 1Gi"):
        assert missing in said


def test_what_the_user_may_not_read_is_left_to_the_job(api: FakeApi, plugin: Plugin) -> None:
    api.denied |= {("get", "persistentvolumes"), ("list", "nodes"), ("list", "storageclasses")}
    api.denied |= {("get", "rolebindings"), ("get", "clusterrolebindings")}
    answer = plugin(*SUBMIT)
    assert answer.code == 0 and written(api) == BOTH
    assert "left to the Job" in answer.err and "persistentvolumes" in answer.err


def test_an_operators_set_is_refused_until_the_user_accepts_that(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas())
    plugin("install", "-n", NAMESPACE)
    found = api.find("statefulsets", NAMESPACE, "web")
    assert found is not None
    owner = {"apiVersion": "db.example/v1", "kind": "Database", "name": "main", "uid": "u", "controller": True}
    api.rest.change("statefulsets", found, lambda new: new["metadata"].update(ownerReferences=[owner]))
    api.faults.stopped.add("garbage")
    api.calls.clear()
    assert "or accept it: --acknowledge owned-set" in refused(api, plugin, "--volume", "data=500Mi")
    answer = plugin(*SUBMIT, "--acknowledge", "owned-set,not-smaller")
    assert answer.code == 2 and "--acknowledge not-smaller: no finding of this code can be acknowledged" in answer.err
    answer = plugin(*SUBMIT, "--acknowledge", "owned-set")
    assert answer.code == 0 and "warning: statefulset/web: belongs to Database/main" in answer.err
    created = api.find("volumeresizes", NAMESPACE, "web")
    assert created is not None and created["spec"]["acknowledge"] == ["owned-set"]


def test_a_user_who_may_not_see_migrations_is_told_which_role_he_lacks(api: FakeApi, plugin: Plugin) -> None:
    api.denied.add(("list", "volumeresizes"))
    said = refused(api, plugin, "--volume", "data=500Mi")
    assert "you may not list volumeresizes.storage.maurice.fr" in said and "role `edit`" in said
    assert "{apiGroups: [storage.maurice.fr], resources: [volumeresizes], verbs: [list]}" in said


def test_a_user_who_may_not_create_the_job_is_told_before_anything_is_created(api: FakeApi, plugin: Plugin) -> None:
    api.denied |= {("create", "jobs"), ("list", "pods")}
    said = refused(api, plugin, "--volume", "data=2Gi")
    assert "you may not list pods; create jobs.batch" in said and "resources: [jobs], verbs: [create]" in said


def test_a_user_who_may_not_create_what_the_job_creates_lacks_nothing(api: FakeApi, plugin: Plugin) -> None:
    api.denied |= {("create", "persistentvolumeclaims"), ("create", "pods"), ("create", "statefulsets")}
    assert plugin(*SUBMIT).code == 0


def test_roles_of_an_older_version_are_seen_by_who_may_look_at_them(api: FakeApi, plugin: Plugin) -> None:
    role = api.find("clusterroles", "", "volresize-runner")
    assert role is not None
    api.rest.change("clusterroles", role, lambda new: new["rules"].pop())
    said = refused(api, plugin, "--volume", "data=500Mi")
    assert "serviceaccount/volresize-runner may not update volumeresizes/status.storage.maurice.fr" in said
    api.denied.add(("get", "clusterroles"))
    assert plugin(*SUBMIT).code == 0


def test_what_is_only_worth_knowing_is_said_beside_the_reasons(api: FakeApi, plugin: Plugin) -> None:
    found = api.find("statefulsets", NAMESPACE, "web")
    assert found is not None
    api.rest.change("statefulsets", found, lambda new: new["metadata"].update(annotations={"meta.helm.sh/release-name": "shop"}))
    said = refused(api, plugin, "--volume", "data=2Gi")
    assert "3 reasons" in said and "also: statefulset/web is part of the Helm release shop" in said


def test_another_size_while_one_runs_is_refused(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    api.calls.clear()
    assert "volumeresize/web works on statefulset/web and is not finished" in refused(api, plugin, "--volume", "data=400Mi")


# -- nothing to do


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--error-unchanged"], 3)])
def test_sizes_that_are_there_already_need_no_job(api: FakeApi, plugin: Plugin, options: list[str], code: int) -> None:
    answer = plugin("submit", "web", "--volume", "data=1Gi", *options)
    assert (answer.code, written(api)) == (code, [])
    assert "nothing to do" in answer.err


def test_a_pipeline_may_submit_its_manifest_again_after_all_is_done(api: FakeApi, plugin: Plugin) -> None:
    text = MANIFEST.replace("500Mi", "1Gi")
    api.rest.post(labels.PLURAL, {"metadata": {"name": "shrink", "namespace": NAMESPACE},
                                  "spec": {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "1Gi"}]}})
    set_status(api, labels.PLURAL, migration(api, "shrink"), phase="Completed")
    answer = plugin("submit", "-f", "-", stdin=text)
    assert (answer.code, written(api)) == (0, []) and "nothing to do" in answer.err


# -- the judgement left to the Job


def test_with_validate_false_what_speaks_against_it_is_said_and_the_job_judges(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin("submit", "web", "--volume", "data=2Gi", "--validate=false")
    assert answer.code == 0 and written(api) == BOTH
    assert answer.err.count("left to the Job: persistentvolumeclaim/data-web-") == 3


def test_without_an_account_there_is_no_job_to_leave_it_to(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas())
    assert "rolebinding/volresize-runner" in refused(api, plugin, "--volume", "data=500Mi", "--validate=false")
