"""What docs/security.md says is forbidden to a copying pod, tried in one that copies: the kubelet runs it as its manifest says."""
from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from application import Application
from namespaces import Namespace, until
from tried import Done, allowed, denied

from kubectl_volresize.model import labels

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class MoverAtWork:
    """One that copies slowly enough to be looked into."""

    namespace: Namespace
    pod: str

    def runs(self, *command: str) -> Done:
        return subprocess.run(self.namespace.command("exec", self.pod, "--", *command), capture_output=True, text=True,
                              env=self.namespace.environment)


@pytest.fixture(scope="module")
def mover(new_namespace: Callable[[], Namespace]) -> Iterator[MoverAtWork]:
    namespace = new_namespace()
    application = Application(namespace)
    application.start()
    application.fill(0, "data", 16)
    namespace.submit("app", "--volume", "data=48Mi", "--bandwidth", "200k")
    yield MoverAtWork(namespace, until("a pod that copies", lambda: _running_mover(namespace)))
    namespace.abandon()


def _running_mover(namespace: Namespace) -> str:
    return next((str(pod["metadata"]["name"]) for pod in namespace.objects("pods", "-l", f"{labels.ROLE}={labels.ROLE_MOVER}")
                 if pod["status"]["phase"] == "Running"), "")


@pytest.mark.security("mover-token")
def test_a_copying_pod_has_no_token(mover: MoverAtWork) -> None:
    denied(mover.runs("ls", "/var/run/secrets"), "No such file")
    account = mover.namespace.get("pod", mover.pod)["spec"]
    assert account["automountServiceAccountToken"] is False and not any("projected" in volume for volume in account["volumes"])


@pytest.mark.security("mover-writes")
def test_a_copying_pod_writes_to_the_new_volume_alone(mover: MoverAtWork) -> None:
    for path in ("/source/x", "/x", "/usr/bin/x"):
        denied(mover.runs("touch", path), "Read-only file system")
    allowed(mover.runs("sh", "-c", "touch /dest/.volresize-test && rm /dest/.volresize-test"))


@pytest.mark.security("mover-rights")
def test_a_copying_pod_has_six_capabilities_and_gets_no_other(mover: MoverAtWork) -> None:
    status = dict(line.split(":\t") for line in mover.runs("cat", "/proc/1/status").stdout.splitlines() if ":\t" in line)
    # capabilities(7), linux/capability.h: the numbers of CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP.
    six = sum(1 << number for number in (0, 1, 3, 4, 27, 31))
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {six} and status["NoNewPrivs"] == "1"
    denied(mover.runs("python3", "-c", "import os; os.chroot('/tmp')"), "Operation not permitted")
    allowed(mover.runs("sh", "-c", "touch /tmp/x && chown 1:1 /tmp/x"))
