"""docs/kube-state-metrics.yaml in a real kube-state-metrics, with no rights but those of docs/kube-state-metrics-role.yaml: every metric of it, with
the labels and values that the VolumeResize itself says. The program comes from hack/kube-state-metrics.sh."""
from __future__ import annotations

import datetime
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest
import yaml
from application import Application
from from_source import compiled, free_port, running
from namespaces import Namespace, until

from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object
from kubectl_volresize.model.request import Request, Target
from kubectl_volresize.plan import manifests
from kubectl_volresize.templates import render

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "docs" / "kube-state-metrics.yaml"
ROLE = ROOT / "docs" / "kube-state-metrics-role.yaml"
PREFIX = "kube_volumeresize_"
SERIES = re.compile(rf'^{PREFIX}(\w+)\{{(.*)}} (\S+)$', re.MULTILINE)
Sample = tuple[str, tuple[tuple[str, str], ...]]  # name and labels, both without what all have
Samples = dict[Sample, float]


@dataclass(frozen=True)
class Metrics:
    """Of a kube-state-metrics at work; `log`: what it says."""

    namespace: str
    port: int
    log: Path
    process: Popen[bytes]

    def of(self, migration: str) -> Samples:
        """Its metrics now."""
        found: Samples = {}
        for name, said, value in SERIES.findall(self.page()):
            of = dict(re.findall(r'(\w+)="([^"]*)"', said))
            if (of.pop("namespace"), of.pop("name")) == (self.namespace, migration):
                assert of.pop("statefulset") == "app"
                assert {key: of.pop(f"customresource_{key}") for key in ("group", "version", "kind")} \
                    == {"group": labels.GROUP, "version": labels.VERSION, "kind": labels.KIND}
                found[(name, tuple(sorted(of.items())))] = float(value)
        return found

    def page(self) -> str:
        assert self.process.poll() is None, self.log.read_text()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            said: str = answer.read().decode()
        return said

    def answers(self) -> bool:
        try:
            return PREFIX in self.page()
        except urllib.error.URLError:
            return False


def account(namespace: Namespace, folder: Path) -> Path:
    """A kubeconfig of a ServiceAccount that may do what ROLE says, and nothing else. The role and its binding do not go with the namespace."""
    role = yaml.safe_load(ROLE.read_text()) | {"metadata": {"name": f"metrics-{namespace.name}"}}
    namespace.create(role, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "metrics"}})
    namespace.kubectl("create", "clusterrolebinding", f"metrics-{namespace.name}", f"--clusterrole=metrics-{namespace.name}",
                      f"--serviceaccount={namespace.name}:metrics")
    [cluster] = json.loads(namespace.kubectl("config", "view", "--minify", "--raw", "--flatten", "-o", "json"))["clusters"]
    token = namespace.kubectl("create", "token", "metrics", "--duration=1h").strip()
    made = folder / "kubeconfig"
    made.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "it", "clusters": [cluster], "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": cluster["name"], "user": "it"}}]}))
    return made


@pytest.fixture(scope="module")
def metrics(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metrics]:
    program, folder = compiled("kube-state-metrics.sh") / "kube-state-metrics", tmp_path_factory.mktemp("metrics")
    port, log = free_port(), folder / "log"
    try:
        command = [program, "--custom-resource-state-only", f"--custom-resource-state-config-file={CONFIGURATION}",
                   f"--kubeconfig={account(namespace, folder)}", "--host=127.0.0.1", f"--port={port}",
                   "--telemetry-host=127.0.0.1", f"--telemetry-port={free_port()}"]
        with running(command, log) as process:
            yield Metrics(namespace.name, port, log, process)
    finally:
        namespace.kubectl("delete", "--ignore-not-found", f"clusterrole/metrics-{namespace.name}", f"clusterrolebinding/metrics-{namespace.name}")


@pytest.fixture(scope="module")
def application(namespace: Namespace) -> Application:
    made = Application(namespace)
    made.start()
    made.fill(0, "data", 12)
    return made


@pytest.fixture(scope="module")
def seen(application: Application, metrics: Metrics) -> list[Samples]:
    """All that was seen while one migration, of the name `app`, went from its start to Completed; the last are those afterwards."""
    found: list[Samples] = []
    # Slow enough that the copy is seen.
    application.namespace.submit("app", "--volume", "data=32Mi", "--bandwidth", "2Mi")

    def over() -> bool:
        time.sleep(0.2)
        found.append(metrics.of("app") if metrics.answers() else {})
        return found[-1].get(("phase", (("phase", "Completed"),))) == 1
    until("kube-state-metrics says Completed", over)
    # Its last write may be a later one than that of its phase.
    time.sleep(1)
    return [*found, metrics.of("app")]


@pytest.fixture(scope="module")
def refused(application: Application, metrics: Metrics) -> str:
    """The name of a migration that its Job refused."""
    request = Request(statefulset="app", targets=(Target("data", "128Mi"),), mover={"image": application.namespace.image})
    where = application.namespace.name
    application.namespace.create(render("volumeresize", name="refused", namespace=where, spec=request.to_spec()),
                                 render("job", **manifests.job_values(request, "refused", where, attempt=1)))
    until("kube-state-metrics says Failed", lambda: metrics.of("refused").get(("phase", (("phase", "Failed"),))) == 1)
    time.sleep(1)
    return "refused"


def epoch(time_of_api: str) -> float:
    return datetime.datetime.fromisoformat(time_of_api).timestamp()


def expected(migration: Object) -> Samples:
    """What its status says, in the words of kube-state-metrics."""
    status = migration["status"]
    made: Samples = {("phase", (("phase", phase),)): float(phase == status["phase"]) for phase in labels.PHASES}
    if "progress" in status:
        made[("progress_info", (("progress", status["progress"]),))] = 1
    for condition in status.get("conditions", []):
        made[("condition", (("reason", condition["reason"]), ("type", condition["type"])))] = float(condition["status"] == "True")
    for one in status.get("volumeStatuses", []):
        of = (("replica", str(one["replica"])), ("volume", one["volumeName"]))
        if "progress" in one:
            made[("copied_ratio", of)] = int(one["progress"].rstrip("%")) / 100
        if "bytes" in one:
            made[("data_bytes", of)] = one["bytes"]
    for one in status.get("replicas", []):
        if "notReadySeconds" in one:
            made[("replica_not_ready_seconds", (("replica", str(one["ordinal"])),))] = one["notReadySeconds"]
    for name, field in (("start_time", "startTime"), ("completion_time", "completionTime")):
        if field in status:
            made[(name, ())] = epoch(status[field])
    return made


def names(samples: Samples) -> set[str]:
    return {name for name, _ in samples}


def test_every_metric_of_a_completed_migration_says_what_its_record_says(seen: list[Samples], namespace: Namespace) -> None:
    assert seen[-1] == expected(namespace.migration("app"))
    [resource] = yaml.safe_load(CONFIGURATION.read_text())["spec"]["resources"]
    assert names(seen[-1]) == {metric["name"] for metric in resource["metrics"]}


def test_a_completed_migration_is_ready_has_all_its_data_and_was_away_for_seconds(seen: list[Samples]) -> None:
    last = seen[-1]
    assert last[("condition", (("reason", "Completed"), ("type", labels.READY)))] == 1
    assert last[("copied_ratio", (("replica", "0"), ("volume", "data")))] == 1
    assert last[("data_bytes", (("replica", "0"), ("volume", "data")))] >= 12 << 20
    assert 0 < last[("replica_not_ready_seconds", (("replica", "0"),))] < 60
    assert 0 < last[("completion_time", ())] - last[("start_time", ())] < 120


def test_a_copy_is_seen_on_its_way_and_has_no_end_yet(seen: list[Samples]) -> None:
    copying = [one for one in seen if 0 < one.get(("copied_ratio", (("replica", "0"), ("volume", "data"))), 0) < 1]
    assert copying, "no scrape fell into the copy"
    for one in copying:
        assert one[("phase", (("phase", "Syncing"),))] == 1 and "start_time" in names(one) and "completion_time" not in names(one)


def test_a_migration_is_in_one_phase_at_a_time(seen: list[Samples]) -> None:
    there = [one for one in seen if one]
    assert there and all(sum(value for (name, _), value in one.items() if name == "phase") == 1 for one in there)


def test_a_refused_migration_asks_for_somebody_and_says_why(refused: str, seen: list[Samples], metrics: Metrics, namespace: Namespace) -> None:
    found = metrics.of(refused)
    assert found == expected(namespace.migration(refused))
    # As the alert at the head of the file has it; the other one is Completed, and not Failed.
    assert found[("phase", (("phase", "Failed"),))] == 1 and seen[-1][("phase", (("phase", "Failed"),))] == 0
    assert found[("condition", (("reason", "Refused"), ("type", labels.READY)))] == 0
    assert "completion_time" in names(found) and "replica_not_ready_seconds" not in names(found)


def test_one_that_nobody_took_up_has_a_phase_and_no_times(application: Application, metrics: Metrics) -> None:
    request = Request(statefulset="app", targets=(Target("data", "16Mi"),), mover={"image": application.namespace.image})
    application.namespace.create(render("volumeresize", name="alone", namespace=application.namespace.name, spec=request.to_spec()))
    until("kube-state-metrics sees it", lambda: metrics.of("alone"))
    assert metrics.of("alone") == expected(application.namespace.migration("alone"))
    assert metrics.of("alone")[("phase", (("phase", "Pending"),))] == 1 and "start_time" not in names(metrics.of("alone"))


def test_one_that_is_deleted_leaves_no_metric(application: Application, metrics: Metrics) -> None:
    request = Request(statefulset="app", targets=(Target("data", "16Mi"),), mover={"image": application.namespace.image})
    application.namespace.create(render("volumeresize", name="short", namespace=application.namespace.name, spec=request.to_spec()))
    until("kube-state-metrics sees it", lambda: metrics.of("short"))
    application.namespace.kubectl("delete", "volumeresize", "short")
    until("kube-state-metrics forgets it", lambda: not metrics.of("short"))


@pytest.mark.usefixtures("refused", "seen")
def test_it_had_all_rights_that_it_needed_and_nothing_to_complain_of(metrics: Metrics) -> None:
    said = metrics.log.read_text()
    assert [line for line in said.splitlines() if line.startswith("E") or "forbidden" in line] == []
