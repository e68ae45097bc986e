"""A scene: what is there before, what a document's reader then types, and what the cluster looks like afterwards."""
from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from namespaces import Namespace, until
from shown import ROOT
from terminal import Running, Terminal, Typed

from kubectl_volresize.model.objects import Object

# Of a shell that waits, since a first process without a handler never gets the signal.
_SLEEP = ["sh", "-c", 'trap "exit 0" TERM; sleep infinity & wait']
_OVER = ("Completed", "Failed", "Cancelled", "RolledBack")


@dataclass
class Stage:
    """`namespace` is the one of the kubeconfig's context; `folder`: where the reader is; `classes`: StorageClasses made for the scene;
    `said`: what the last command put out."""

    namespace: Namespace
    folder: Path
    classes: list[str] = field(default_factory=list)
    terminal: Terminal = field(init=False)
    said: str = ""

    def __post_init__(self) -> None:
        context, home = self.folder.with_suffix(".kubeconfig"), self.folder
        home.mkdir(parents=True)
        context.write_text(self.namespace.kubectl("config", "view", "--raw", "--flatten"))
        subprocess.run(["kubectl", "--kubeconfig", context, "config", "set-context", "--current", "--namespace", self.namespace.name], check=True,
                       capture_output=True)
        self.terminal = Terminal(self.namespace.environment | {"KUBECONFIG": str(context)}, home, self.folder.with_suffix(".exported"))

    # -- what is there before

    def storage_class(self) -> str:
        """A copy of `standard` under a name of its own."""
        copied = self.namespace.get("storageclass", "standard")
        name = f"fast-{uuid.uuid4().hex[:8]}"
        self.classes.append(name)
        self.namespace.create({**{key: copied[key] for key in copied if key != "metadata"}, "metadata": {"name": name}})
        return name

    def a_set(self, name: str = "my-set", replicas: int = 1, volumes: Mapping[str, str] | None = None, user: int | None = None) -> None:
        """Ready. `volumes`: size by volumeClaimTemplate; `user`: whose its files are, in a pod that restricted admits."""
        volumes = volumes or {"data": "1Gi"}
        container: Object = {"name": "app", "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": _SLEEP,
                             "volumeMounts": [{"name": volume, "mountPath": f"/{volume}"} for volume in volumes]}
        pod: Object = {"terminationGracePeriodSeconds": 2, "containers": [container]}
        if user is not None:
            container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
                                      "seccompProfile": {"type": "RuntimeDefault"}}
        templates = [{"metadata": {"name": volume}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}
                     for volume, size in volumes.items()]
        self.namespace.apply({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "labels": {"team": "storage"}},
            "spec": {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}}, "volumeClaimTemplates": templates,
                     "template": {"metadata": {"labels": {"app": name}}, "spec": pod}}})
        self.ready(name)

    def ready(self, name: str) -> None:
        self.namespace.kubectl("rollout", "status", f"statefulset/{name}", "--timeout=120s")

    # -- what the reader does

    def text(self, command: str) -> str:
        """With what is to be put in the place of a document's names. The longest first: one may begin with another."""
        repository = self.namespace.image.rpartition(":")[0]
        names = {"registry.example/team/volmig:VERSION": self.namespace.image, "registry.example/team/volmig": repository,
                 "storageClass=fast": f"storageClass={self.classes[0]}" if self.classes else "storageClass=fast",
                 **dict.fromkeys(("my-namespace", "volresize-demo", "volresize-tutorial"), self.namespace.name)}
        for name, ours in names.items():
            command = command.replace(name, ours)
        return command

    def type(self, typed: Typed) -> None:
        """Raises AssertionError when it ends otherwise than it must."""
        self._finish(typed, self._start(typed))

    def _start(self, typed: Typed) -> Running:
        return self.terminal.start(self.text(typed.command), ROOT if typed.in_checkout else None, asks=bool(typed.answer))

    def _finish(self, typed: Typed, running: Running) -> None:
        others: list[tuple[Typed, Running]] = []
        try:
            if typed.answer:
                running.answer(typed.answer)
            if typed.beside:
                running.wait_for(typed.begun)
                others += [(other, self._start(other)) for other in typed.beside]
            for other, beside in others:
                self._finish(other, beside)
            if typed.until:
                running.wait_for(typed.until)
                running.interrupt()
            code = running.end()
        finally:
            for one in (running, *(beside for _, beside in others)):
                one.close()
        self.said = running.said
        assert typed.code in (code, None), f"{running.command}: exit code {code}, not {typed.code}\n{running.said}"
        assert typed.says in running.said, f"{running.command}: no {typed.says!r} in\n{running.said}"

    # -- what it comes to

    def sizes(self) -> dict[str, str]:
        """Capacity by claim."""
        return {claim["metadata"]["name"]: claim["status"]["capacity"]["storage"] for claim in self.namespace.objects("persistentvolumeclaims")}

    def over(self, *names: str) -> None:
        """Waits until these migrations are, and are complete."""
        def phases() -> list[str]:
            return [str(self.namespace.migration(name).get("status", {}).get("phase")) for name in names]
        until(f"end of {', '.join(names)}", lambda: set(phases()) <= set(_OVER))
        assert set(phases()) == {"Completed"}, json.dumps([self.namespace.migration(name)["status"] for name in names], indent=2)

    def leave(self) -> None:
        self.namespace.abandon()
        if not self.classes:
            return

        def removed() -> bool:
            self.namespace.abandon()
            return self.namespace.gone()
        # Its provisioner may want to know the class of a volume that it removes.
        until(f"removal of {self.namespace.name}", removed)
        for name in self.classes:
            self.namespace.kubectl("delete", "storageclass", name, "--ignore-not-found")


Looked = Callable[[Stage], None]


@dataclass(frozen=True)
class Scene:
    """`steps`: what is typed, and what is looked at between; `before` prepares; `bare`: the namespace is not even there."""

    name: str
    steps: tuple[Typed | Looked, ...]
    before: Looked | None = None
    bare: bool = False

    def play(self, stage: Stage) -> None:
        if self.before is not None:
            self.before(stage)
        for step in self.steps:
            if isinstance(step, Typed):
                stage.type(step)
            else:
                step(stage)

    def commands(self) -> list[str]:
        """In the order in which they are typed."""
        return [command.command for step in self.steps if isinstance(step, Typed) for command in (step, *step.beside)]
