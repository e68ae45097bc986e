"""`submit`: refuses with every reason before anything exists; otherwise one VolumeResize and one Job, however often it is called."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builders import NAMESPACE, Cluster, add_set, three_replicas
from calling import Plugin, written
from fake_api import FakeApi, Object, Refusal

from kubectl_volresize.model import labels
from kubectl_volresize.version import VERSION

SUBMIT = ("submit", "web", "--volume", "data=500Mi")
BOTH = ["create volumeresizes", "create jobs"]


def migration(api: FakeApi, name: str = "web") -> Object:
    found = api.find(labels.PLURAL, NAMESPACE, name)
    assert found is not None, f"there is no VolumeResize {name}"
    return found


def job(api: FakeApi, name: str = "web-runner") -> Object:
    found = api.find("jobs", NAMESPACE, name)
    assert found is not None, f"there is no Job {name}"
    return found


def set_status(api: FakeApi, plural: str, found: Object, **status: Any) -> None:
    api.rest.change(plural, found, lambda new: new.update(status={**new.get("status", {}), **status}), status=True)


def end_job(api: FakeApi, name: str = "web-runner", how: str = "Failed") -> None:
    set_status(api, "jobs", job(api, name), conditions=[{"type": how, "status": "True"}])


def allow_no_disruption(api: FakeApi) -> None:
    budget = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 3}
    api.rest.post("poddisruptionbudgets", {"metadata": {"name": "strict", "namespace": NAMESPACE}, "spec": budget})


# -- what it creates


def test_the_volumeresize_comes_first_and_the_job_after_it(api: FakeApi, plugin: Plugin) -> None:
    answer = plugin(*SUBMIT)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[:2] == ["volumeresize.storage.maurice.fr/web created", "job.batch/web-runner created"]
    assert f"kubectl volresize logs web -f -n {NAMESPACE}" in answer.out
    assert written(api) == BOTH


def test_the_request_is_recorded_whole(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT[:-1], "data=500Mi,storageClass=immediate", "--head-room", "25", "--bandwidth", "50M", "--image", "registry.example/volmig:7")
    assert migration(api)["spec"] == {
        "statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi", "storageClass": "immediate"}], "headRoomPercent": 25,
        "copy": {"bandwidth": "50M"}, "mover": {"image": "registry.example/volmig:7"}}


def test_the_job_gets_a_name_and_a_namespace_and_nothing_else(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    (container,) = job(api)["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--namespace", NAMESPACE, "--name", "web"]
    assert job(api)["metadata"]["labels"] == {labels.MANAGED_BY: labels.MANAGER, labels.MIGRATION: "web", labels.ROLE: labels.ROLE_RUNNER}


@pytest.mark.parametrize("typed", ["web", "sts/web", "statefulset/web", "StatefulSet.apps/web"])
def test_a_set_may_be_named_as_in_kubectl(api: FakeApi, plugin: Plugin, typed: str) -> None:
    assert plugin("submit", typed, *SUBMIT[2:]).code == 0
    assert migration(api)["spec"]["statefulSetName"] == "web"


@pytest.mark.parametrize(("flag", "manifest", "variable", "used"), [
    ("flag/i", "manifest/i", "variable/i", "flag/i"), (None, "manifest/i", "variable/i", "manifest/i"), (None, None, "variable/i", "variable/i"),
    (None, None, None, f"mauricethomas/volmig:{VERSION}")])
def test_the_image_is_the_one_named_nearest_to_the_user(api: FakeApi, plugin: Plugin, monkeypatch: pytest.MonkeyPatch, flag: str | None,
                                                        manifest: str | None, variable: str | None, used: str) -> None:
    if variable:
        monkeypatch.setenv("VOLRESIZE_IMAGE", variable)
    text = MANIFEST + (f"  mover: {{image: {manifest}}}\n" if manifest else "")
    assert plugin("submit", "-f", "-", *(["--image", flag] if flag else []), stdin=text).code == 0
    assert migration(api, "shrink")["spec"]["mover"]["image"] == used
    assert job(api, "shrink-runner")["spec"]["template"]["spec"]["containers"][0]["image"] == used


@pytest.mark.parametrize("mode", ["client", "server"])
def test_a_dry_run_leaves_nothing_behind(api: FakeApi, plugin: Plugin, mode: str) -> None:
    answer = plugin(*SUBMIT, f"--dry-run={mode}")
    assert answer.code == 0 and answer.out.count("dry run)") == 2
    assert written(api) == []
    assert api.find(labels.PLURAL, NAMESPACE, "web") is None


def test_objects_can_be_piped_on(api: FakeApi, plugin: Plugin) -> None:
    assert plugin(*SUBMIT, "-o", "name").out == "volumeresize.storage.maurice.fr/web\njob.batch/web-runner\n"


# -- refusals: exit code 4, every reason at once, nothing created


def refused(api: FakeApi, plugin: Plugin, *arguments: str) -> str:
    answer = plugin("submit", "web", *arguments)
    assert (answer.code, answer.out) == (4, "")
    assert written(api) == [] and not [call for call in api.calls if call.verb == "create"]
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


def test_an_operators_set_is_warned_about_and_not_refused(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas())
    plugin("install", "-n", NAMESPACE)
    found = api.find("statefulsets", NAMESPACE, "web")
    assert found is not None
    owner = {"apiVersion": "db.example/v1", "kind": "Database", "name": "main", "uid": "u", "controller": True}
    api.rest.change("statefulsets", found, lambda new: new["metadata"].update(ownerReferences=[owner]))
    api.faults.stopped.add("garbage")
    answer = plugin(*SUBMIT)
    assert answer.code == 0 and "warning: statefulset/web: belongs to Database/main" in answer.err


def test_a_user_who_may_not_see_migrations_is_told_which_role_he_lacks(api: FakeApi, plugin: Plugin) -> None:
    api.denied.add(("list", "volumeresizes"))
    answer = plugin(*SUBMIT)
    assert (answer.code, written(api)) == (1, [])
    assert "cannot list resource" in answer.err and "role `edit`" in answer.err


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


# -- the same again


def test_a_second_submit_adopts_what_runs(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    answer = plugin(*SUBMIT)
    assert answer.code == 0 and written(api) == BOTH
    assert "is running already" in answer.err
    assert answer.out.splitlines()[:2] == ["volumeresize.storage.maurice.fr/web unchanged", "job.batch/web-runner unchanged"]


def test_it_is_not_stopped_by_what_the_running_migration_does_to_the_set(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Replacing", startTime="2026-01-01T00:00:00Z")
    allow_no_disruption(api)
    answer = plugin(*SUBMIT, "--error-unchanged")
    assert (answer.code, written(api)) == (3, BOTH)


def test_a_plugin_killed_between_its_two_writes_only_needs_to_be_run_again(api: FakeApi, plugin: Plugin) -> None:
    def no_jobs(number: int, verb: str, path: str) -> Refusal | None:
        return Refusal(403, "Forbidden", 'jobs.batch "web-runner" is forbidden: exceeded quota') if (verb, path.rsplit("/", 1)[1]) == (
            "create", "jobs") else None
    api.before_call.append(no_jobs)
    answer = plugin(*SUBMIT)
    assert answer.code == 1
    assert "volumeresize.storage.maurice.fr/web was created, but not its Job" in answer.err and "exceeded quota" in answer.err
    assert "run the same command again" in answer.err
    api.before_call.clear()
    api.calls.clear()
    again = plugin(*SUBMIT)
    assert again.code == 0 and written(api) == ["create jobs"]
    assert again.out.splitlines()[:2] == ["volumeresize.storage.maurice.fr/web unchanged", "job.batch/web-runner created"]


def test_the_next_job_goes_on_when_the_first_one_gave_up(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Syncing", startTime="2026-01-01T00:00:00Z")
    end_job(api)
    # Where it stopped, the set may look like one that must not be started with; what matters then its runner checks.
    allow_no_disruption(api)
    api.calls.clear()
    assert plugin(*SUBMIT).code == 0
    assert written(api) == ["create jobs"]
    assert job(api, "web-runner-2")["spec"]["template"]["spec"]["containers"][0]["args"][-1] == "web"


def test_a_volumeresize_applied_by_hand_gets_its_job_and_the_image_that_its_movers_need(api: FakeApi, plugin: Plugin) -> None:
    api.rest.post(labels.PLURAL, {"metadata": {"name": "web", "namespace": NAMESPACE},
                                  "spec": {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}]}})
    answer = plugin(*SUBMIT, "--image", "registry.example/volmig:7")
    assert answer.code == 0 and written(api) == ["patch volumeresizes", "create jobs"]
    assert migration(api)["spec"]["mover"]["image"] == "registry.example/volmig:7"


def test_another_size_while_one_runs_is_refused(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    api.calls.clear()
    assert "volumeresize/web works on statefulset/web and is not finished" in refused(api, plugin, "--volume", "data=400Mi")


def test_a_newer_plugin_adopts_what_an_older_one_started(api: FakeApi, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(*SUBMIT)
    monkeypatch.setenv("VOLRESIZE_IMAGE", "registry.example/newer:2")
    assert "is running already" in plugin(*SUBMIT).err


def test_two_who_submit_at_once_do_not_start_two(api: FakeApi, plugin: Plugin) -> None:
    def other_is_faster(number: int, verb: str, path: str) -> None:
        if (verb, path.rsplit("/", 1)[1]) == ("create", labels.PLURAL) and api.find(labels.PLURAL, NAMESPACE, "web") is None:
            api.rest.post(labels.PLURAL, {"metadata": {"name": "web", "namespace": NAMESPACE},
                                          "spec": {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}]}})
    api.before_call.append(other_is_faster)
    answer = plugin(*SUBMIT)
    assert answer.code == 1 and "run the same command again" in answer.err
    assert api.alive("jobs", NAMESPACE) == []


# -- names


def test_the_second_migration_of_a_set_takes_a_name_that_nobody_bears(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Failed")
    end_job(api)
    add_set(api, Cluster(name="web-2", replicas=1))
    assert plugin(*SUBMIT).code == 0
    assert migration(api, "web-3")["spec"]["statefulSetName"] == "web"


def test_a_name_of_the_users_own(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT, "--name", "before-black-friday")
    assert job(api, "before-black-friday-runner")


def test_a_name_that_is_taken_is_said(api: FakeApi, plugin: Plugin) -> None:
    plugin(*SUBMIT)
    set_status(api, labels.PLURAL, migration(api), phase="Failed")
    answer = plugin(*SUBMIT, "--name", "web")
    assert answer.code == 1 and "volumeresize.storage.maurice.fr/web exists already and is over (Failed)" in answer.err


# -- what may be wrong with what was typed: exit code 2, and no question to any cluster


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "name the StatefulSet"),
    (["web"], "--volume NAME=SIZE"),
    (["web", "--volume", "data"], "--volume 'data' is not NAME=SIZE[,storageClass=CLASS]"),
    (["web", "--volume", "=1Gi"], "is not NAME=SIZE"),
    (["web", "--volume", "data=small"], "--volume data=small: 'small' is not a Kubernetes quantity"),
    (["web", "--volume", "data=0"], "the size must be more than 0"),
    (["web", "--volume", "data=1Gi,class=x"], "'class=x' is not storageClass=CLASS"),
    (["web", "--volume", "data=1Gi", "--volume", "data=2Gi"], "--volume names data twice"),
    (["web", "--volume", "data=1Gi", "--bandwidth", "fast"], "--bandwidth fast: 'fast' is not a Kubernetes quantity"),
    (["web", "--volume", "data=1Gi", "--bandwidth", "0"], "must be more than 0 bytes per second"),
    (["web", "--volume", "data=1Gi", "--name", "Not A Name"], "--name 'Not A Name' is no name for it"),
    (["web", "--volume", "data=1Gi", "--name", "n" * 64], "at most 63 characters"),
    (["web", "--volume", "data=1Gi", "--head-room", "-1"], "--head-room"),
    (["web", "--volume", "data=1Gi", "--dry-run=client", "--follow"], "--follow has nothing to follow"),
    (["vr/web", "--volume", "data=1Gi"], "submit takes a StatefulSet"),
    (["deployment/web", "--volume", "data=1Gi"], "migrations belong to StatefulSets"),
    (["web", "-f", "x.yaml"], "SET and -f do not go together"),
    (["-f", "x.yaml", "--volume", "data=1Gi", "--head-room", "0"], "--volume, --head-room and -f do not go together"),
    (["-f", "absent.yaml"], "absent.yaml: cannot be read: No such file or directory"),
])
def test_what_was_typed_wrong_is_named(plugin: Plugin, arguments: list[str], said: str) -> None:
    answer = plugin("submit", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: ") and said in answer.err


MANIFEST = """\
apiVersion: storage.maurice.fr/v1alpha1
kind: VolumeResize
metadata: {name: shrink, labels: {team: storage}}
spec:
  statefulSetName: web
  volumes: [{name: data, newSize: 500Mi}]
"""


def test_a_manifest_is_submitted_as_it_is(api: FakeApi, plugin: Plugin) -> None:
    assert plugin("submit", "-f", "-", stdin=MANIFEST).code == 0
    assert migration(api, "shrink")["metadata"]["labels"]["team"] == "storage"
    assert job(api, "shrink-runner")


def test_what_the_server_printed_can_be_submitted(api: FakeApi, plugin: Plugin) -> None:
    plugin("submit", "-f", "-", stdin=MANIFEST)
    printed = plugin("status", "vr/shrink", "-o", "json").out
    end_job(api, "shrink-runner")
    api.calls.clear()
    assert plugin("submit", "-f", "-", stdin=printed).code == 0
    assert written(api) == ["create jobs"]


@pytest.mark.parametrize(("text", "said"), [
    ("{a: [", "is neither YAML nor JSON: line 1, column 6"),
    ("", "holds 0 objects"),
    (MANIFEST + "---\n" + MANIFEST, "holds 2 objects; submit takes exactly one VolumeResize"),
    ("just words", "is not an object"),
    ("kind: Deployment\napiVersion: apps/v1\n", "is apps/v1 Deployment; submit takes storage.maurice.fr/v1alpha1 VolumeResize"),
    (MANIFEST.split("spec:")[0], "spec is missing"),
    (MANIFEST.replace("statefulSetName", "statefulsetName"), "spec.statefulsetName is no field of VolumeResize; did you mean statefulSetName?"),
    (MANIFEST.replace("newSize", "size"), "spec.volumes[0].size is no field of VolumeResize"),
    (MANIFEST.replace("500Mi", "500MB"), "spec.volumes[0].newSize: '500MB' is not a Kubernetes quantity"),
    (MANIFEST.replace("500Mi", "0Mi"), "spec.volumes[0].newSize is 0Mi: it must be more than 0"),
    (MANIFEST.replace("500Mi", "true"), "spec.volumes[0].newSize: True is not a Kubernetes quantity"),
    (MANIFEST + "  headRoomPercent: much\n", "spec.headRoomPercent must be a whole number, not 'much'"),
    (MANIFEST + "  copy: {bandwith: 5M}\n", "spec.copy.bandwith is no field of VolumeResize; did you mean bandwidth?"),
    (MANIFEST.replace("name: shrink,", "generateName: shrink-,"), "metadata.generateName is not supported"),
    (MANIFEST.replace("name: shrink,", "name: Shrink It,"), "metadata.name 'Shrink It' is no name for it"),
    (MANIFEST.replace("[{name: data, newSize: 500Mi}]", "[]"), "spec.volumes is empty"),
])
def test_what_is_wrong_with_a_manifest_is_named_with_file_and_field(plugin: Plugin, text: str, said: str) -> None:
    answer = plugin("submit", "-f", "-", stdin=text)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: stdin: ") and said in answer.err


def test_two_wrong_fields_are_said_at_once(plugin: Plugin) -> None:
    said = plugin("submit", "-f", "-", stdin=MANIFEST.replace("newSize", "size").replace("statefulSetName", "set")).err
    assert "spec.volumes[0].size" in said and "spec.set" in said


def test_a_manifest_of_another_namespace_than_asked_for_is_an_error_as_in_kubectl(plugin: Plugin) -> None:
    answer = plugin("submit", "-n", "shop", "-f", "-", stdin=MANIFEST.replace("name: shrink,", "name: shrink, namespace: prod,"))
    assert answer.code == 2 and "metadata.namespace 'prod' does not match -n shop" in answer.err


# -- together with its neighbours


def test_install_and_submit_in_one_go(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> None:
    api = connect(three_replicas().without_installation())
    answer = plugin(*SUBMIT, "--install")
    assert answer.code == 0 and answer.out.count(" created\n") == 9
    assert job(api)


def test_following_ends_with_the_outcome(api: FakeApi, plugin: Plugin) -> None:
    def complete(number: int, verb: str, path: str) -> None:
        if (verb, path.rsplit("/", 1)[1]) == ("create", "jobs"):
            set_status(api, labels.PLURAL, migration(api), phase="Completed", message="all is small")
            end_job(api, how="Complete")
    api.after_call.append(complete)
    answer = plugin(*SUBMIT, "--follow")
    assert answer.code == 0
    assert "job.batch/web-runner created" in answer.out and "Completed: all is small" in answer.err
