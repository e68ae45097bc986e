"""PostgreSQL as a StatefulSet, each replica a database of its own: how it is started, stopped, asked and examined."""
from __future__ import annotations

import subprocess
from dataclasses import dataclass

from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object

NAME = "postgres"
REPLICAS = 3
# Of the image; its file system group too, so that a volume whose root directory lost its group would be seen: the kubelet would give the whole
# volume to the group again (OnRootMismatch), and PostgreSQL starts on no directory that a group may write to.
UID = 5432
_SETTINGS = {"shared_buffers": "16MB", "min_wal_size": "32MB", "max_wal_size": "32MB", "checkpoint_timeout": "30s", "autovacuum_naptime": "5s",
             "jit": "off", "listen_addresses": "''", "max_connections": "20",
             # On the volume and beside the data, so that it tells of all starts and stops.
             "logging_collector": "on", "log_directory": "/data/log", "log_filename": "server.log", "log_rotation_age": "0", "log_rotation_size": "0"}
_START = """
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --wal-segsize=1 --data-checksums --auth=trust --encoding=UTF8 --locale=C --no-sync
fi
exec postgres %s
"""


@dataclass(frozen=True)
class Database:
    """`image` is that of hack/build-postgres-image.sh."""

    namespace: Namespace
    image: str

    def manifest(self, size: str) -> Object:
        settings = " ".join(f"-c {key}={value}" for key, value in _SETTINGS.items())
        container = {
            **self._container(), "name": "postgres", "command": ["sh", "-euc", _START % settings],
            # A slow machine is no database that is not Ready.
            "readinessProbe": {"exec": {"command": ["pg_isready", "--quiet"]}, "periodSeconds": 1, "timeoutSeconds": 20},
            # TERM alone is the shutdown that waits until all clients have gone by themselves.
            "lifecycle": {"preStop": {"exec": {"command": ["pg_ctl", "stop", "--mode=fast", "--no-wait", "--silent"]}}},
        }
        # Over all nodes: a replica must come back on its own one.
        spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
                  "labelSelector": {"matchLabels": {"app": NAME}}}
        pod = {"terminationGracePeriodSeconds": 30, "securityContext": self._identity(), "topologySpreadConstraints": [spread],
               "containers": [container], "volumes": [{"name": "run", "emptyDir": {}}]}
        template = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}
        return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": NAME},
                "spec": {"replicas": REPLICAS, "serviceName": NAME, "podManagementPolicy": "Parallel", "selector": {"matchLabels": {"app": NAME}},
                         "template": {"metadata": {"labels": {"app": NAME}}, "spec": pod}, "volumeClaimTemplates": [template]}}

    @staticmethod
    def _identity() -> Object:
        return {"runAsNonRoot": True, "runAsUser": UID, "runAsGroup": UID, "fsGroup": UID, "fsGroupChangePolicy": "OnRootMismatch"}

    def _container(self) -> Object:
        return {"image": self.image, "imagePullPolicy": "IfNotPresent",
                "env": [{"name": "PATH", "value": "/usr/lib/postgresql/15/bin:/usr/bin:/bin"}, {"name": "PGDATA", "value": "/data/postgres"},
                        {"name": "PGDATABASE", "value": "postgres"}],
                "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "run", "mountPath": "/run/postgresql"}]}

    def start(self, size: str) -> None:
        self.namespace.apply(self.manifest(size))
        self.ready()

    def ready(self, replicas: int = REPLICAS) -> None:
        def seen() -> bool:
            found = self.namespace.get("statefulset", NAME)
            status = found.get("status", {})
            return bool(status.get("observedGeneration") == found["metadata"]["generation"] and status.get("replicas") == replicas
                        and status.get("readyReplicas", 0) == replicas)
        until(f"{replicas} replica(s) of the database Ready", seen)

    # -- asked

    @staticmethod
    def pod(ordinal: int) -> str:
        return f"{NAME}-{ordinal}"

    def command(self, ordinal: int, *command: str) -> list[str]:
        return self.namespace.command("exec", "-i", self.pod(ordinal), "-c", "postgres", "--", *command)

    def run(self, ordinal: int, *command: str, given: str = "") -> str:
        """Its output. Raises AssertionError with what it said when it failed."""
        done = subprocess.run(self.command(ordinal, *command), input=given, capture_output=True, text=True, env=self.namespace.environment)
        assert done.returncode == 0, f"{' '.join(command)} in {self.pod(ordinal)}: exit code {done.returncode}\n{done.stderr}{done.stdout}"
        return done.stdout

    def sql(self, ordinal: int, script: str) -> str:
        return self.run(ordinal, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", given=script)

    def log(self, ordinal: int) -> list[str]:
        """All that the server has ever said, on whichever volume it was."""
        return self.run(ordinal, "cat", "/data/log/server.log").splitlines()

    def mebibytes(self, ordinal: int) -> float:
        """Size of the file system that the database sees."""
        return int(self.run(ordinal, "df", "-k", "/data").splitlines()[-1].split()[1]) / 1024

    # -- examined while it does not run

    def stop(self) -> None:
        self.namespace.kubectl("scale", "statefulset", NAME, "--replicas=0")
        self.ready(0)

    def on_volumes(self, name: str, *command: str) -> dict[int, tuple[str, str]]:
        """The phase in which a pod with the volume of a replica ends, and what the command says in it; by ordinal, all at once."""
        def made(ordinal: int) -> Object:
            container = {**self._container(), "name": name, "command": list(command)}
            volumes = [{"name": "run", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{self.pod(ordinal)}"}}]
            return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-{ordinal}"},
                    "spec": {"restartPolicy": "Never", "securityContext": self._identity(), "containers": [container], "volumes": volumes}}
        self.namespace.create(*(made(ordinal) for ordinal in range(REPLICAS)))

        def phases() -> dict[int, str] | None:
            now = {ordinal: str(self.namespace.get("pod", f"{name}-{ordinal}")["status"].get("phase")) for ordinal in range(REPLICAS)}
            return now if set(now.values()) <= {"Succeeded", "Failed"} else None
        return {ordinal: (phase, self.namespace.kubectl("logs", f"{name}-{ordinal}"))
                for ordinal, phase in until(f"{name} has ended on all volumes", phases).items()}
