"""The plugin as a user calls it, in this process: arguments in; exit code, stdout and stderr out. Only HTTP is replaced."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import responses
from builders import NAMESPACE, Cluster, three_replicas
from calling import Answer, Plugin, write_kubeconfig
from fake_api import FakeApi
from fake_api.api import SERVER

from kubectl_volresize.kube import client as gateway
from kubectl_volresize.plugin import asking, follow, life
from kubectl_volresize.plugin.cli import run


@pytest.fixture(autouse=True)
def _as_on_a_clean_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No image and no cluster of the machine; no pauses between retries."""
    monkeypatch.delenv("VOLRESIZE_IMAGE", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setattr(gateway, "_TRIES", 1)
    monkeypatch.setattr(follow, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(follow, "_OUTAGE_SECONDS", 0.01)
    monkeypatch.setattr(asking, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(asking, "_GOING_HOME_SECONDS", 0.05)
    monkeypatch.setattr(life, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(life, "_NEXT_SIGN_SECONDS", 0.002)


@pytest.fixture
def plugin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Plugin:
    def call(*arguments: str, stdin: str = "", terminal: bool = False) -> Answer:
        typed = StringIO(stdin)
        typed.isatty = lambda: terminal  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", typed)
        code = run(list(arguments))
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)
    return call


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Cluster], FakeApi]]:
    """Builds a cluster and makes it the one of KUBECONFIG."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        def build(cluster: Cluster) -> FakeApi:
            api = cluster.build()
            api.install(mock)
            monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", SERVER)))
            return api
        yield build


@pytest.fixture
def api(connect: Callable[[Cluster], FakeApi], plugin: Plugin) -> FakeApi:
    """Three replicas of StatefulSet `web` with a volume `data` of 1Gi in namespace `prod`, and everything that `install -n prod` makes."""
    api = connect(three_replicas())
    assert plugin("install", "-n", NAMESPACE).code == 0
    api.calls.clear()
    return api
