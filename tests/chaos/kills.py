"""Deaths of the migration's own pods, drawn from a seed: who dies, how, and when."""
from __future__ import annotations

import random
from dataclasses import dataclass

from namespaces import Namespace, until

from kubectl_volresize.kube import paths
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model import labels
from kubectl_volresize.model.objects import Object

PROCESS, CONTAINER, DELETION = "process", "container", "deletion"
STEPS = ("copying", "holding", "swapping", "thawing", "starting")
_LONGEST = 25.0  # seconds; about as long as a run takes that nobody disturbs
_MOST = 4
_NAME = "killer"


@dataclass(frozen=True)
class Kill:
    """`victim`: role of the pod. `how`: the youngest process of its container, the whole container (both SIGKILL), or the pod without grace. When:
    `delay` seconds after the replica `ordinal` was first seen in `step`, or after the start where there is no step."""

    victim: str
    how: str
    delay: float
    step: str = ""
    ordinal: int = 0

    def __str__(self) -> str:
        return f"{self.victim} ({self.how})"


def schedule(seed: int) -> list[Kill]:
    """One to four. The first one always comes to pass, since a runner is there from the beginning on."""
    drawn = random.Random(seed)
    kills = [Kill(labels.ROLE_RUNNER, drawn.choice((PROCESS, CONTAINER, DELETION)), drawn.uniform(1, 10))]
    for _ in range(drawn.randint(0, _MOST - 1)):
        victim, how = drawn.choice((labels.ROLE_RUNNER, labels.ROLE_RUNNER, labels.ROLE_MOVER)), drawn.choice((PROCESS, CONTAINER, DELETION))
        if drawn.random() < 0.5:
            kills.append(Kill(victim, how, drawn.uniform(0, _LONGEST)))
        else:
            # The exchange takes about a second, which a time at random would rarely meet.
            kills.append(Kill(victim, how, drawn.uniform(0, 1), drawn.choice(STEPS), drawn.randrange(2)))
    return kills


@dataclass(frozen=True)
class Killer:
    """A pod on each node that sees the node's processes, so that SIGKILL comes from where the kernel's own would: PID 1 of a container cannot be
    killed from inside."""

    namespace: Namespace
    client: Client

    def start(self) -> None:
        container = {"name": "killer", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]}
        pod = {"hostPID": True, "terminationGracePeriodSeconds": 0, "tolerations": [{"operator": "Exists"}], "containers": [container]}
        self.namespace.apply({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": _NAME},
                              "spec": {"selector": {"matchLabels": {"app": _NAME}},
                                       "template": {"metadata": {"labels": {"app": _NAME}}, "spec": pod}}})
        nodes = len(self.namespace.names("nodes"))
        until("a killer on each node", lambda: self.namespace.get("daemonset", _NAME).get("status", {}).get("numberReady") == nodes)

    def kill(self, pod: Object, how: str) -> bool:
        """Whether it was there to be killed."""
        meta = pod["metadata"]
        if how == DELETION:
            found = self.client.find(paths.pods(self.namespace.name, meta["name"]))
            if found is None or found["metadata"]["uid"] != meta["uid"]:
                return False
            self.client.delete(paths.pods(self.namespace.name, meta["name"]), uid=meta["uid"], grace_seconds=0)
            return True
        container = pod["status"]["containerStatuses"][0].get("containerID", "").rpartition("/")[2]
        if not container:
            return False
        chosen = "tail -n 1" if how == PROCESS else "cat"
        # By the container's name in the cgroup, and never by the name of a process.
        script = (f"found=$(grep -ls '{container}' /proc/[0-9]*/cgroup | cut -d / -f 3 | sort -n | {chosen}); "
                  "[ -z \"$found\" ] || kill -KILL $found; echo $found")
        return bool(self.namespace.kubectl("exec", self._on(pod["spec"]["nodeName"]), "--", "sh", "-c", script).strip())

    def _on(self, node: str) -> str:
        killers = self.client.list(paths.pods(self.namespace.name), f"app={_NAME}")
        return str(next(pod["metadata"]["name"] for pod in killers if pod["spec"].get("nodeName") == node))


def running(pods: list[Object], role: str) -> list[Object]:
    """Pods of the migration in that role whose container runs, the newest last."""
    found = [pod for pod in pods if pod["metadata"].get("labels", {}).get(labels.ROLE) == role and "deletionTimestamp" not in pod["metadata"]
             and any("running" in status.get("state", {}) for status in pod["status"].get("containerStatuses", ()))]
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
