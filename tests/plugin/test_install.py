"""`install`: what an admin runs once."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from builders import NAMESPACE, Cluster, submit, three_replicas
from calling import Plugin, written
from fake_api import FakeApi, Refusal

from kubectl_volresize.model import labels
from kubectl_volresize.plugin.commands import install
from kubectl_volresize.plugin.commands.install import Installation, NotEstablished
from kubectl_volresize.plugin.options import Where
from kubectl_volresize.plugin.place import Place
from kubectl_volresize.templates import render
from kubectl_volresize.version import VERSION

DEFINITION = "volumeresizes.storage.maurice.fr"
CLUSTER_PART = {("customresourcedefinitions", "", DEFINITION), ("clusterroles", "", "volresize-runner"),
                ("clusterroles", "", "volresize-runner-volumes"), ("clusterroles", "", "volresize-user"),
                *((plural, "", f"volresize-runner-{what}") for what in ("volumes", "account")
                  for plural in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"))}
NAMESPACE_PART = {("serviceaccounts", NAMESPACE, "volresize-runner"), ("rolebindings", NAMESPACE, "volresize-runner"),
                  ("clusterrolebindings", "", f"volresize-runner-{NAMESPACE}")}
POLICIES = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] * 2


@pytest.fixture
def bare(connect: Callable[[Cluster], FakeApi]) -> FakeApi:
    return connect(three_replicas().without_installation())


def present(api: FakeApi) -> set[tuple[str, str, str]]:
    return {key for key in CLUSTER_PART | NAMESPACE_PART if api.find(*key) is not None}


def test_a_client_dry_run_needs_no_cluster_and_gives_documents_that_kubectl_applies_in_their_order(plugin: Plugin) -> None:
    answer = plugin("install", "-n", "shop", "--dry-run=client", "-o", "yaml")
    assert (answer.code, answer.err) == (0, "")
    documents = list(yaml.safe_load_all(answer.out))
    assert [document["kind"] for document in documents] == ["CustomResourceDefinition", "ClusterRole", "ClusterRole", "ClusterRole", *POLICIES,
                                                            "ServiceAccount", "RoleBinding", "ClusterRoleBinding"]
    assert {document["metadata"]["namespace"] for document in documents if document["kind"] in ("ServiceAccount", "RoleBinding")} == {"shop"}


def test_without_a_namespace_only_the_cluster_is_prepared_and_the_way_on_is_said(bare: FakeApi, plugin: Plugin) -> None:
    answer = plugin("install")
    assert answer.code == 0
    assert present(bare) == CLUSTER_PART
    assert "kubectl volresize install -n NAMESPACE" in answer.out


def test_with_a_namespace_nothing_is_missing_for_a_migration_there(bare: FakeApi, plugin: Plugin) -> None:
    assert plugin("install", "-n", NAMESPACE).out.count(" created\n") == len(CLUSTER_PART | NAMESPACE_PART)
    assert present(bare) == CLUSTER_PART | NAMESPACE_PART
    assert plugin("submit", "web", "--volume", "data=500Mi").code == 0


@pytest.mark.parametrize(("given", "named"), [("registry.example/volmig:7", "registry.example/volmig:7"),
                                              ("registry.example:5000/volmig", f"registry.example:5000/volmig:{VERSION}"),
                                              ("registry.example/volmig@sha256:0a", "registry.example/volmig@sha256:0a")])
def test_an_image_is_named_in_the_next_step_and_a_mere_repository_gets_this_version(bare: FakeApi, plugin: Plugin, given: str, named: str) -> None:
    assert f"--image {named} -n {NAMESPACE}\n" in plugin("install", "-n", NAMESPACE, "--image", given).out


def prefix(api: FakeApi) -> str | None:
    namespace = api.find("namespaces", "", NAMESPACE)
    assert namespace is not None
    found: str | None = (namespace["metadata"].get("annotations") or {}).get(labels.IMAGE_PREFIX)
    return found


def test_the_prefix_of_images_stays_until_another_is_given(bare: FakeApi, plugin: Plugin) -> None:
    plugin("install", "-n", NAMESPACE)
    assert prefix(bare) is None
    for options in (("--image", "registry.example/team/"), (), ("--force-conflicts",)):
        assert plugin("install", "-n", NAMESPACE, *options).code == 0
        assert prefix(bare) == "registry.example/team"
    plugin("install", "-n", NAMESPACE, "--image", "elsewhere.example/volmig")
    assert prefix(bare) == "elsewhere.example/volmig"


@pytest.mark.parametrize(("arguments", "words"), [(("--image", "a/b"), "name it with -n"), (("-n", NAMESPACE, "--image", " "), "no image"),
                                                  (("-n", NAMESPACE, "--image", "a b"), "no image")])
def test_a_prefix_for_nobody_or_of_nothing_is_wrong_usage(bare: FakeApi, plugin: Plugin, arguments: tuple[str, ...], words: str) -> None:
    answer = plugin("install", *arguments)
    assert (answer.code, present(bare)) == (2, set())
    assert words in answer.err


def test_the_policy_reads_the_annotation_that_install_writes() -> None:
    assert labels.IMAGE_PREFIX in str(render("policy-account")) and labels.IMAGE_REPOSITORY in str(render("policy-account"))
    assert list(render("namespace", namespace="shop", prefix="a/b")["metadata"]["annotations"]) == [labels.IMAGE_PREFIX]


def test_the_policies_know_our_names() -> None:
    volumes, account = str(render("policy-volumes")), str(render("policy-account"))
    assert f":{labels.RUNNER_ACCOUNT}$" in volumes and f"'{labels.GROUP}/'" in volumes and f"'{labels.MANAGED_BY}'" in volumes
    job = render("job", name="j", namespace="shop", labels={}, queue={}, migration="m", image="i", tolerations=[], pull_secrets=[])
    runner = job["spec"]["template"]["spec"]["containers"][0]
    assert str(runner["command"]) in account and str([one["name"] for one in runner["env"]]) in account
    assert f"'{job['spec']['template']['spec']['serviceAccountName']}'" in account


def test_twice_changes_nothing(bare: FakeApi, plugin: Plugin) -> None:
    plugin("install", "-n", NAMESPACE)
    version = bare.store.version
    answer = plugin("install", "-n", NAMESPACE)
    assert (answer.code, answer.out.count(" unchanged\n")) == (0, len(CLUSTER_PART | NAMESPACE_PART))
    assert bare.store.version == version


def test_a_server_dry_run_leaves_nothing_behind(bare: FakeApi, plugin: Plugin) -> None:
    answer = plugin("install", "-n", NAMESPACE, "--dry-run=server")
    assert (answer.code, answer.out.count(" created (server dry run)\n")) == (0, len(CLUSTER_PART | NAMESPACE_PART))
    assert present(bare) == set()
    assert written(bare) == []


def test_missing_rights_are_said_all_at_once_with_what_an_admin_runs(bare: FakeApi, plugin: Plugin) -> None:
    bare.denied |= {("patch", "customresourcedefinitions"), ("patch", "clusterroles"), ("patch", "clusterrolebindings")}
    answer = plugin("install", "-n", NAMESPACE)
    assert answer.code == 1
    for name in (DEFINITION, "volresize-runner-volumes", f"clusterrolebinding.rbac.authorization.k8s.io/volresize-runner-{NAMESPACE}"):
        assert name in answer.err
    assert f"kubectl volresize install -n {NAMESPACE}" in answer.err
    assert "--dry-run=client -o yaml" in answer.err


def test_a_namespace_that_is_a_typo_leaves_nothing_half_done(bare: FakeApi, plugin: Plugin) -> None:
    answer = plugin("install", "-n", "porduction")
    assert (answer.code, present(bare)) == (1, set())
    assert "namespace porduction does not exist" in answer.err and "kubectl create namespace porduction" in answer.err


def test_an_object_that_the_server_does_not_take_is_named(bare: FakeApi, plugin: Plugin) -> None:
    def broken(number: int, verb: str, path: str) -> Refusal | None:
        return Refusal(500, "", "failed to create typed patch object") if verb == "apply" and "customresource" in path else None
    bare.before_call.append(broken)
    answer = plugin("install")
    assert answer.code == 1
    assert f"customresourcedefinition.apiextensions.k8s.io/{DEFINITION}: failed to create typed patch object" in answer.err


def test_a_kind_that_is_never_served_is_no_success(api: FakeApi) -> None:
    found = api.find("customresourcedefinitions", "", DEFINITION)
    assert found is not None
    conflict = {"conditions": [{"type": "Established", "status": "False", "message": "the plural name is taken"}]}
    api.rest.change("customresourcedefinitions", found, lambda new: new.update(status=conflict), status=True)
    with api.connected() as client, pytest.raises(NotEstablished, match="the plural name is taken"):
        install.install(Place(client, NAMESPACE, Where()), Installation(None), pause=lambda seconds: None)


def _unknown(schema: dict[str, Any], path: str) -> list[str]:
    known = {"type", "description", "properties", "items", "required", "enum", "format", "pattern", "default", "minimum", "maximum", "minLength",
             "maxLength", "minItems", "maxItems", "anyOf", "additionalProperties"}
    found = [f"{path}.{key}" for key in schema if key not in known and not key.startswith("x-kubernetes-")]
    for name, inner in schema.get("properties", {}).items():
        found += _unknown(inner, f"{path}.{name}")
    return found + [word for key in ("items", "additionalProperties") if key in schema for word in _unknown(schema[key], f"{path}[]")]


def test_no_description_is_cut_at_a_comma() -> None:
    # In YAML's flow style an unquoted comma ends a value; the rest becomes a field of its own, which server-side apply refuses.
    assert _unknown(render("crd")["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "") == []


def test_the_names_that_submit_looks_for_are_those_that_install_makes() -> None:
    made = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in Installation("shop").manifests}
    assert {("ServiceAccount", labels.RUNNER_ACCOUNT), ("RoleBinding", labels.RUNNER_ROLE), ("ClusterRole", labels.USER_ROLE)} <= made


def test_what_changes_in_an_older_installation_is_shown(api: FakeApi, plugin: Plugin) -> None:
    role = api.find("clusterroles", "", "volresize-runner")
    assert role is not None
    api.rest.change("clusterroles", role, lambda new: new["rules"].pop())
    for arguments in (("--dry-run", "server"), ()):
        answer = plugin("install", "--force-conflicts", *arguments)
        assert answer.code == 0 and "clusterrole.rbac.authorization.k8s.io/volresize-runner configured" in answer.out
        added = [line for line in answer.out.splitlines() if line.startswith("+")]
        assert "+  - volumeresizes/status" in added and not [line for line in answer.out.splitlines() if line.startswith("-")]
    assert "@@" not in plugin("install").out


@pytest.mark.parametrize(("image", "arguments", "code"), [
    ("registry.example/volmig:1", (), 4), ("mauricethomas/volmig:1", (), 0), ("docker.io/mauricethomas/volmig@sha256:0", (), 0),
    ("registry.example/volmig:1", ("-n", NAMESPACE, "--image", "registry.example/volmig"), 0),
    ("registry.example:5000/volmig:1", ("-n", NAMESPACE, "--image", "registry.example"), 4),
    ("registry.example:5000/volmig:1", ("-n", NAMESPACE, "--image", "registry.example:5000"), 0),
    ("mauricethomas/volmig:1", ("-n", NAMESPACE, "--image", "registry.example/volmig"), 4), ("mauricethomas/volmig-too:1", (), 4)])
def test_no_runner_of_a_migration_that_is_not_over_is_locked_out(api: FakeApi, plugin: Plugin, image: str, arguments: tuple[str, ...],
                                                                 code: int) -> None:
    submit(api, {"data": "500Mi"}, mover={"image": image})
    api.calls.clear()
    answer = plugin("install", *arguments)
    assert answer.code == code and (code == 0 or (written(api) == [] and f"web in namespace {NAMESPACE} runs {image}" in answer.err))


def test_it_says_who_may_do_what_now(api: FakeApi, plugin: Plugin) -> None:
    out = plugin("install", "-n", NAMESPACE).out
    assert "serviceaccount/volresize-runner may now" in out and f"in namespace {NAMESPACE}: get, create, patch, delete statefulsets.apps;" in out
    assert "in the cluster: get, patch persistentvolumes; list storageclasses.storage.k8s.io, csistoragecapacities.storage.k8s.io; list nodes" in out
    assert "needs the built-in role `edit`" in out and "may now" not in plugin("install").out
