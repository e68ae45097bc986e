"""From nothing to a smaller volume and back to nothing, as somebody does who has a cluster, kubectl and krew: on an empty cluster, with the release
as handed out, at a terminal. What belongs to the whole cluster is installed, upgraded and taken away here, where nobody else needs it."""
from __future__ import annotations

import copy
import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import krew
import machine
import pytest
from application import Application
from namespaces import Namespace, until
from screen import Screen

from kubectl_volresize.model import labels
from kubectl_volresize.templates import render
from kubectl_volresize.version import VERSION

pytestmark = pytest.mark.root
SHOP = "shop"
KINDS = ("customresourcedefinitions", "clusterroles", "clusterrolebindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
         "rolebindings", "serviceaccounts")


@pytest.fixture(scope="module")
def user(ours_to_break: None, tmp_path_factory: pytest.TempPathFactory) -> krew.Machine:
    """His machine, with krew on it and no plugin, and the kubeconfig of a cluster that has never seen us."""
    compiled = krew.compiled()
    machine.down()
    machine.up()
    built = subprocess.run([machine.ROOT / "hack" / "build-migrator-image.sh"], check=True, capture_output=True, text=True)
    made = krew.machine_in(tmp_path_factory.mktemp("user"), compiled)
    return replace(made, more={"KUBECONFIG": str(machine.KUBECONFIG), "VOLRESIZE_IMAGE": built.stdout.split()[-1]})


@dataclass(frozen=True)
class Plugged:
    """A user with the plugin; `manifests`: what the release has for plain kubectl."""

    user: krew.Machine
    manifests: Path

    def __call__(self, *command: str | Path) -> str:
        return self.user("kubectl", *command)

    def refused(self, *command: str) -> str:
        """What it said and did not do."""
        with pytest.raises(AssertionError, match="exit code 4") as refusal:
            self(*command)
        return str(refusal.value)


@pytest.fixture(scope="module")
def plugged(user: krew.Machine, tmp_path_factory: pytest.TempPathFactory) -> Plugged:
    """The same after `kubectl krew install`."""
    release = krew.release_in(tmp_path_factory.mktemp("dist"))
    user.krew("install", f"--manifest={release}/volresize.yaml", f"--archive={release}/kubectl-volresize.tar.gz")
    return Plugged(user, release / "install.yaml")


def ours() -> dict[str, Any]:
    """What of ours is in the cluster, as its authors wrote it: name to content, without what a server or an owner of fields adds."""
    found = {}
    for kind in KINDS:
        listed = subprocess.run(["kubectl", "--kubeconfig", machine.KUBECONFIG, "get", kind, "-A", "-o", "json"], capture_output=True, text=True)
        # The kind itself may be gone.
        for one in json.loads(listed.stdout)["items"] if listed.returncode == 0 else ():
            meta = one["metadata"]
            # The provisioner is the cluster's own.
            if any(name in meta["name"] for name in ("volresize", labels.PLURAL)) and meta["name"] != "volresize-provisioner":
                annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if not key.startswith("kubectl.kubernetes.io/")}
                content = {key: value for key, value in one.items() if key not in ("metadata", "status")}
                found[f"{kind}/{meta.get('namespace', '')}/{meta['name']}"] = {**content, "labels": meta.get("labels"), "annotations": annotations}
    return found


def test_plain_kubectl_gives_what_install_gives_and_uninstall_leaves_nothing(plugged: Plugged) -> None:
    assert ours() == {}
    plugged("apply", "-f", plugged.manifests)
    by_kubectl = ours()
    assert len(by_kubectl) == 8 and "configured" not in plugged("volresize", "install")
    plugged("volresize", "uninstall")
    until("the end of all that was installed", lambda: not ours(), 30)
    plugged("volresize", "install")
    assert ours() == by_kubectl


def test_install_upgrades_an_older_kind_and_shows_what_changes(plugged: Plugged) -> None:
    plugged("volresize", "install")
    now = ours()
    older = copy.deepcopy(render("crd"))
    del older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["acknowledge"]
    machine.kubectl("replace", "-f", "-", given=json.dumps(older))
    assert ours() != now
    said = plugged("volresize", "install", "--force-conflicts")
    assert f"customresourcedefinition.apiextensions.k8s.io/{labels.PLURAL}.{labels.GROUP} configured" in said
    assert "acknowledge:" in "".join(line for line in said.splitlines() if line.startswith("+"))
    assert ours() == now
    again = plugged("volresize", "install")
    assert again.count(" unchanged") == 8 and " configured" not in again


def test_from_nothing_to_a_smaller_volume_and_back_to_nothing(plugged: Plugged) -> None:
    assert plugged("volresize", "version").startswith(f"kubectl-volresize v{VERSION}\n")
    plugged("create", "namespace", SHOP)
    shop = Namespace(SHOP, str(machine.KUBECONFIG), plugged.user.more["VOLRESIZE_IMAGE"])
    application = Application(shop, {"data": "192Mi"}, replicas=2)
    shop.apply(application.manifest())
    plugged("volresize", "install", "-n", SHOP)
    application.start()
    sums = {ordinal: application.fill(ordinal, "data", 60) for ordinal in application.ordinals}
    # At 6 MB/s each replica takes long enough to be looked at.
    submit = f"kubectl volresize submit app -n {SHOP} --volume data=128Mi --bandwidth 6M --wait"
    follow = f"/bin/sleep 3; kubectl volresize logs app -n {SHOP} -f"
    with Screen(submit, plugged.user.environment) as screen, Screen(follow, plugged.user.environment) as log:
        for shown in (screen, log):
            picture = shown.wait_for("app: Syncing, 0/2 replicas", "REPLICA  VOLUME", "Copying", "Mi/s", "%")
            assert "\x1b" not in picture
        assert "validation passed" in log.text
        with Screen(f"kubectl volresize status app -n {SHOP} -w", plugged.user.environment) as glance:
            glance.wait_for("Copying", "%")
            glance.press("C-c")
            assert glance.end() == 130 and "Stopped watching; the migration goes on in the cluster." in glance.text
        assert "are not over, nothing was removed" in plugged.refused("volresize", "uninstall", "--yes")
        # The runner's pod goes, and another comes.
        first = shop.names("pods", "-l", f"{labels.ROLE}={labels.ROLE_RUNNER}")
        shop.kubectl("delete", "pod", *first, "--wait=false")
        until("another runner", lambda: shop.names("pods", "-l", f"{labels.ROLE}={labels.ROLE_RUNNER}") - first, 60)
        # The API server goes, and comes again.
        fault("apiserver", "kill")
        for shown in (screen, log):
            shown.wait_for("the API server", seconds=60)
        fault("apiserver", "start")
        assert screen.end() == 0 and log.end() == 0
        for shown in (screen, log):
            last = shown.text
            assert "app: Completed, 2/2 replicas" in last and last.count(" Done ") == 2 and "Traceback" not in last
    assert {ordinal: application.sum(ordinal, "data") for ordinal in application.ordinals} == sums
    status = plugged("volresize", "status", "app", "-n", SHOP)
    assert "Completed" in status and "128Mi" in status and "192Mi" in status
    described = plugged("describe", "statefulset", "app", "-n", SHOP)
    assert "MigrationCompleted" in described
    plugged("volresize", "cleanup", "app", "-n", SHOP, "--yes")
    assert {volume["status"]["phase"] for volume in shop.volumes()} == {"Bound"} and len(shop.volumes()) == 2
    assert shop.nothing_left() == [] and application.marks() == application.expected_marks()
    assert "volumeresize.storage.maurice.fr/app in shop" in plugged.refused("volresize", "uninstall")
    plugged("volresize", "uninstall", "--yes")
    until("the end of all that was installed", lambda: not ours(), 30)


def fault(*what: str) -> None:
    subprocess.run([machine.SCRIPTS / "fault.sh", *what], check=True, capture_output=True)
