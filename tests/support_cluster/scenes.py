"""Where each command that README, how-to and tutorial show is run: in a scene, or not here, with the reason."""
from __future__ import annotations

import tarfile
from dataclasses import dataclass

import yaml
from scene import Scene, Stage
from shown import ROOT, yaml_blocks
from terminal import INTERRUPTED, Typed

MANIFESTS = ROOT / "hack" / "test-manifests"
REFUSED = 4
_LEVEL = "pod-security.kubernetes.io/enforce"


# -- A set of two replicas, from the plan to the end

def _two_replicas(stage: Stage) -> None:
    stage.a_set(replicas=2)


def _both_are_smaller(stage: Stage) -> None:
    stage.over("my-set")
    assert stage.sizes() == {"data-my-set-0": "500Mi", "data-my-set-1": "500Mi"}


def _one_is_back(stage: Stage) -> None:
    assert stage.sizes() == {"data-my-set-0": "500Mi", "data-my-set-1": "1Gi"}


def _nothing_is_kept(stage: Stage) -> None:
    used = {claim["spec"]["volumeName"] for claim in stage.namespace.objects("persistentvolumeclaims")}
    assert {volume["metadata"]["name"] for volume in stage.namespace.volumes()} == used


def _completion_is_a_program(stage: Stage) -> None:
    program = (stage.folder / "kubectl_complete-volresize").read_text()
    assert program.startswith("#!") and "volresize" in program


def _install_yaml_says_what_install_makes(stage: Stage) -> None:
    kinds = {one["kind"] for one in yaml.safe_load_all((stage.folder / "install.yaml").read_text()) if one}
    assert {"CustomResourceDefinition", "ClusterRole", "ServiceAccount", "ValidatingAdmissionPolicy"} <= kinds


def _not_installed_any_more(stage: Stage) -> None:
    assert "volresize-runner" not in stage.namespace.names("serviceaccounts")


_FROM_PLAN_TO_END = Scene("from the plan to the end", before=_two_replicas, steps=(
    Typed("kubectl volresize install -n my-namespace"),
    Typed("kubectl volresize plan my-set --volume data=500Mi", says="data-my-set-1"),
    Typed("kubectl volresize submit my-set --volume data=500Mi", says="created"),
    Typed("kubectl volresize status", says="my-set"),
    Typed("kubectl volresize status my-set", says="500Mi"),
    Typed("kubectl volresize cancel my-set", says="Cancelled"),
    Typed("kubectl volresize resume my-set", says="Completed"),
    Typed("kubectl volresize logs my-set -f", says="finished: Completed"),
    Typed("kubectl volresize status my-set -w", says="Completed"),
    _both_are_smaller,
    Typed("kubectl get statefulset my-set -o jsonpath='{.spec.volumeClaimTemplates[*].spec.resources.requests.storage}{\"\\n\"}'", says="500Mi\n"),
    Typed("kubectl volresize rollback my-set", code=REFUSED, says="would be lost"),
    Typed("kubectl volresize rollback my-set --replica 1 --discard-newer-data", answer="y"),
    _one_is_back,
    Typed("kubectl volresize cleanup my-set", answer="y", says="2 volume(s) are gone"),
    _nothing_is_kept,
    Typed("kubectl volresize cleanup my-set --release", says="nothing to do"),
    Typed("kubectl volresize completion >kubectl_complete-volresize"),
    _completion_is_a_program,
    Typed("kubectl volresize install -n my-namespace --dry-run=client -o yaml > install.yaml"),
    _install_yaml_says_what_install_makes,
    Typed("kubectl volresize uninstall -n my-namespace", says="deleted"),
    _not_installed_any_more,
))


# -- Other volumes, other classes

def _data_and_wal(stage: Stage) -> None:
    stage.storage_class()
    stage.a_set(volumes={"data": "1Gi", "wal": "2Gi"})


def _data_and_a_class(stage: Stage) -> None:
    stage.storage_class()
    stage.a_set()


def _classes(stage: Stage) -> dict[str, str]:
    return {claim["metadata"]["name"]: claim["spec"]["storageClassName"] for claim in stage.namespace.objects("persistentvolumeclaims")}


def _both_volumes_are_smaller(stage: Stage) -> None:
    assert stage.sizes() == {"data-my-set-0": "500Mi", "wal-my-set-0": "1Gi"}
    assert _classes(stage) == {"data-my-set-0": "standard", "wal-my-set-0": stage.classes[0]}


def _smaller_and_of_the_class(stage: Stage) -> None:
    stage.over("my-set")
    assert stage.sizes() == {"data-my-set-0": "500Mi"} and _classes(stage) == {"data-my-set-0": stage.classes[0]}


_TWO_VOLUMES = Scene("two volumes and another class", before=_data_and_wal, steps=(
    Typed("kubectl volresize submit my-set --volume data=500Mi --volume wal=1Gi,storageClass=fast --follow", says="finished: Completed"),
    _both_volumes_are_smaller,
))
_ANOTHER_CLASS = Scene("another StorageClass", before=_data_and_a_class, steps=(
    Typed("kubectl volresize submit my-set --volume data=500Mi,storageClass=fast", says="created"),
    _smaller_and_of_the_class,
))


# -- A manifest, and an image under a name of one's own

def _no_image_is_named(stage: Stage) -> None:
    stage.type(Typed("unset VOLRESIZE_IMAGE"))


def _one_replica_and_no_image(stage: Stage) -> None:
    _no_image_is_named(stage)
    stage.a_set()


def _the_manifest_of_the_document(stage: Stage) -> None:
    stage.a_set()
    (manifest,) = (block for block in yaml_blocks((ROOT / "docs" / "how-to.md").read_text()) if "kind: VolumeResize" in block)
    # Of its own, by which `list` finds it: those of the set are not passed on.
    (stage.folder / "volumeresize.yaml").write_text(stage.text(manifest).replace("metadata:\n", "metadata:\n  labels: {team: storage}\n"))


def _it_is_smaller(stage: Stage) -> None:
    stage.over("my-set")
    assert stage.sizes() == {"data-my-set-0": "500Mi"}


def _the_image_was_ours(stage: Stage) -> None:
    stage.over("my-set")
    assert stage.namespace.migration("my-set")["spec"]["mover"]["image"] == stage.namespace.image


def _it_is_the_one_that_would_run(stage: Stage) -> None:
    stage.type(Typed("kubectl volresize version", says=f"image {stage.namespace.image} (VOLRESIZE_IMAGE)"))


def _the_archive_holds_both_names(stage: Stage) -> None:
    archive = ROOT / "volmig.tar"
    with tarfile.open(archive) as opened:
        member = opened.extractfile("manifest.json")
        assert member is not None
        listed = member.read().decode()
    archive.unlink()
    assert listed.count("mauricethomas/volmig:") == 2


_MANIFEST = Scene("a manifest", before=_the_manifest_of_the_document, steps=(
    Typed("kubectl volresize submit -f volumeresize.yaml", says="created"),
    Typed("kubectl volresize list -A -l team=storage", says="my-set"),
    _it_is_smaller,
    # Once more in the words of the other page: what is done already stays.
    Typed("kubectl volresize submit -n my-namespace -f volumeresize.yaml"),
    _it_is_smaller,
))
_IMAGE = Scene("an image from a registry", before=_one_replica_and_no_image, steps=(
    Typed("LOAD=false OUT=volmig.tar hack/build-migrator-image.sh", says="written to volmig.tar", in_checkout=True),
    _the_archive_holds_both_names,
    Typed("kubectl volresize install -n my-namespace --image registry.example/team/volmig"),
    Typed("kubectl volresize submit my-set -n my-namespace --volume data=500Mi --image registry.example/team/volmig:VERSION", says="created"),
    _the_image_was_ours,
    Typed("export VOLRESIZE_IMAGE=registry.example/team/volmig:VERSION"),
    _it_is_the_one_that_would_run,
))


# -- A namespace that enforces restricted

def _restricted(stage: Stage) -> None:
    stage.namespace.kubectl("label", "namespace", stage.namespace.name, f"{_LEVEL}=restricted")
    stage.a_set(user=1000)


def _baseline(stage: Stage) -> None:
    assert stage.namespace.get("namespace", stage.namespace.name)["metadata"]["labels"][_LEVEL] == "baseline"


_RESTRICTED = Scene("a namespace that enforces restricted", before=_restricted, steps=(
    Typed("kubectl volresize submit my-set --volume data=500Mi --run-as-user 1000", says="created"),
    _it_is_smaller,
    Typed("kubectl volresize submit my-set -n my-namespace --volume data=500Mi --run-as-user 1000"),
    Typed("kubectl label namespace my-namespace --overwrite pod-security.kubernetes.io/enforce=baseline"),
    _baseline,
))


# -- Many sets

def _two_sets(stage: Stage) -> None:
    stage.a_set("my-set")
    stage.a_set("other-set")


def _two_migrations(stage: Stage) -> None:
    stage.over("my-set", "other-set")
    assert stage.sizes() == {"data-my-set-0": "500Mi", "data-other-set-0": "500Mi"}


_MANY_SETS = Scene("many sets at once", before=_two_sets, steps=(
    Typed("kubectl volresize submit -l team=storage --volume data=500Mi", says="other-set created"),
    # What runs goes on, however it is said again.
    Typed("kubectl volresize submit -n my-namespace -l team=storage --volume data=500Mi"),
    Typed("kubectl volresize submit -n my-namespace my-set other-set --volume data=500Mi"),
    Typed("kubectl volresize status -n my-namespace", says="other-set"),
    Typed("kubectl volresize list -A", says="other-set"),
    _two_migrations,
))
_LOOP = Scene("many sets one after the other", before=_two_sets, steps=(
    Typed('for SET in my-set other-set; do\n  kubectl volresize submit "$SET" -n my-namespace --volume data=500Mi --wait || break\ndone'),
    _two_migrations,
))


# -- The application that notices

def _as_the_demonstration_has_it(stage: Stage) -> None:
    documents = list(yaml.safe_load_all((MANIFESTS / "statefulset.yaml").read_text()))
    extra = yaml.safe_load((MANIFESTS / "tools-container.yaml").read_text())["spec"]["template"]["spec"]["containers"]
    for document in documents:
        if document["kind"] == "StatefulSet":
            document["spec"]["template"]["spec"]["containers"] += [container | {"image": stage.namespace.image} for container in extra]
    stage.namespace.apply(*documents)
    stage.ready("test-sts")


def _replica_1_stands_on_its_old_volume(stage: Stage) -> None:
    stage.over("test-sts")
    assert stage.sizes() == {"data-test-sts-0": "500Mi", "data-test-sts-1": "1Gi", "logs-test-sts-0": "500Mi", "logs-test-sts-1": "500Mi"}


_BACK = Scene("one replica back that does not start", before=_as_the_demonstration_has_it, steps=(
    Typed("kubectl volresize submit test-sts --volume data=500Mi", says="job.batch/test-sts-runner created"),
    Typed("kubectl volresize logs test-sts -f", says="finished: Completed"),
    Typed("kubectl get pvc -l app=test-sts", says="500Mi"),
    Typed("kubectl volresize rollback test-sts -n volresize-demo", code=REFUSED, says="would be lost"),
    # Ten minutes later it would end by itself.
    Typed("kubectl volresize rollback test-sts -n volresize-demo --replica 1 --discard-newer-data --yes",
          code=INTERRUPTED, until="replica 1 is not Ready on its old volumes yet (CrashLoopBackOff"),
    Typed("kubectl logs test-sts-1 -c app -n volresize-demo", says="not started: the journal on /data ends at"),
    Typed("kubectl exec test-sts-1 -c tools -n volresize-demo -- cp /data/journal /logs/journal"),
    Typed("kubectl delete pod test-sts-1 -n volresize-demo", says="deleted"),
    Typed("kubectl volresize resume test-sts -n volresize-demo"),
    _replica_1_stands_on_its_old_volume,
    Typed("kubectl get pvc -n volresize-demo", says="1Gi"),
    Typed("kubectl volresize cleanup test-sts -n volresize-demo --yes", says="2 volume(s) are gone"),
    _nothing_is_kept,
))


# -- The tutorial, which is played as it is written

_IN = "-n volresize-tutorial"


def _the_exports_that_it_prints(stage: Stage) -> None:
    printed = [line.strip() for line in stage.said.splitlines() if line.startswith("    export ")]
    assert len(printed) == 2
    for line in printed:
        stage.type(Typed(line))


def _nothing_left(stage: Stage) -> None:
    assert not stage.namespace.objects("namespace", stage.namespace.name)
    assert stage.namespace.volumes() == []


TUTORIAL = Scene("the tutorial", bare=True, before=_no_image_is_named, steps=tuple(
    Typed(step.command, step.code, step.says, step.answer, step.until, True, step.beside, step.begun) if isinstance(step, Typed) else step
    for step in (
        Typed("kubectl volresize version", says="mauricethomas/volmig"),
        Typed("kubectl create namespace volresize-tutorial"),
        Typed(f"kubectl volresize install {_IN}"),
        Typed("hack/deploy.sh volresize-tutorial", says="export VOLRESIZE_IMAGE="),
        _the_exports_that_it_prints,
        Typed(f"kubectl apply {_IN} -f hack/test-manifests/statefulset.yaml"),
        Typed(f"kubectl rollout status statefulset/test-sts {_IN}"),
        Typed(f"hack/test-manifests/populate-data.sh {_IN}", says="populate: test-sts-1"),
        Typed(f"kubectl get pvc {_IN} -l app=test-sts", says="1Gi"),
        Typed(f"kubectl volresize plan test-sts {_IN} --volume data=500Mi --measure", says="NEEDS"),
        Typed(f"kubectl volresize plan test-sts {_IN} --volume data=300Mi --measure", code=REFUSED),
        Typed(f"kubectl volresize submit test-sts {_IN} --volume data=500Mi --wait", says="Completed", begun="test-sts-runner created", beside=(
            Typed(f"kubectl volresize logs test-sts {_IN} -f", says="finished: Completed"),
            Typed(f"kubectl get pods {_IN} -l app=test-sts -w", code=None, until="Terminating"))),
        Typed(f"kubectl volresize status test-sts {_IN}", says="500Mi"),
        Typed(f"kubectl get pvc {_IN} -l app=test-sts", says="500Mi"),
        Typed(f"kubectl exec test-sts-0 -c app {_IN} -- df -h /data", says="/data"),
        Typed(f"kubectl exec test-sts-0 -c app {_IN} -- tail -n 3 /data/journal"),
        Typed("kubectl get statefulset test-sts -n volresize-tutorial -o jsonpath="
              "'{.spec.volumeClaimTemplates[0].spec.resources.requests.storage}{\"\\n\"}'", says="500Mi\n"),
        Typed("kubectl get pv -l storage.maurice.fr/role=old", says="Retain"),
        Typed(f"kubectl get volumeresize test-sts {_IN}", says="Completed"),
        Typed(f"kubectl volresize rollback test-sts {_IN}", code=REFUSED, says="would be lost"),
        Typed(f"kubectl volresize cleanup test-sts {_IN}", answer="y", says="2 volume(s) are gone"),
        _nothing_is_kept,
        Typed(f"kubectl volresize cleanup test-sts {_IN}", says="nothing to do"),
        Typed(f"kubectl volresize uninstall {_IN}", says="deleted"),
        Typed("kubectl delete namespace volresize-tutorial"),
        _nothing_left,
    )))

# The longest first: they are played side by side.
SCENES = (TUTORIAL, _BACK, _FROM_PLAN_TO_END, _LOOP, _TWO_VOLUMES, _MANY_SETS, _RESTRICTED, _IMAGE, _MANIFEST, _ANOTHER_CLASS)


# -- What is not typed here

@dataclass(frozen=True)
class NotRun:
    """`test`: where the same is done instead, as pytest names it."""

    why: str
    test: str


_ARCHIVE = "tests/packaging/test_image_build.py::"
NOT_RUN = {
    "pipx install .": NotRun("it changes the machine and asks an index", "tests/packaging/test_package.py::"
                             "test_what_is_handed_out_runs_in_an_environment_of_its_own"),
    "kubectl volresize uninstall": NotRun("it takes the kind and the rights from all tests that run meanwhile", "tests/plugin/test_uninstall.py::"
                                          "test_of_the_whole_cluster_nothing_is_left_in_any_namespace"),
    "kubectl volresize submit my-set --volume data=500Mi --queue migrations":
        NotRun("a queue needs Kueue", "tests/e2e/test_kueue.py::test_the_second_migration_starts_when_the_first_is_over"),
    "docker load --input volmig.tar": NotRun("there may be no Docker engine", f"{_ARCHIVE}test_both_names_get_into_a_builders_archive"),
    "docker tag mauricethomas/volmig:VERSION registry.example/team/volmig:VERSION":
        NotRun("there may be no Docker engine", f"{_ARCHIVE}test_the_image_bears_the_version_and_the_content"),
    "docker push registry.example/team/volmig:VERSION": NotRun("there is no such registry", f"{_ARCHIVE}test_nothing_is_pushed_unless_asked"),
    "ctr --namespace k8s.io images import volmig.tar":
        NotRun("typed on the nodes; hack/cluster.sh load does it there", f"{_ARCHIVE}test_the_cluster_gets_the_archive_unless_told_not_to"),
}
