"""Group, kinds, labels, annotations and finalizers: the contract between plugin, runner, mover and a human with kubectl."""
from __future__ import annotations

GROUP = "storage.maurice.fr"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "VolumeResize"
PLURAL = "volumeresizes"

# labels on every object that we create or keep: claims, PVs, mover pods, Jobs
MIGRATION = f"{GROUP}/migration"
REPLICA = f"{GROUP}/replica"
VOLUME = f"{GROUP}/volume"
ROLE = f"{GROUP}/role"
ROLE_OLD, ROLE_NEW, ROLE_MOVER, ROLE_MEASURE, ROLE_RUNNER = "old", "new", "mover", "measure", "runner"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "kubectl-volresize"

# of Kueue (kueue.sigs.k8s.io), read on the VolumeResize and put on its Jobs: the LocalQueue, the WorkloadPriorityClass
QUEUE = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"

# markers on what we POST: an object of unknown UID is ours only with these
MIGRATION_UID = f"{GROUP}/migration-uid"
REPLICA_MARK = f"{GROUP}/replica"
ADOPTED = f"{GROUP}/adopted"      # on the recreated StatefulSet: its fields belong to their managers again
FULL_NAME = f"{GROUP}/full-name"

# state kept on other people's objects
ORIGINAL_RECLAIM = f"{GROUP}/original-reclaim-policy"
NUDGE = f"{GROUP}/nudge"
FINAL = f"{GROUP}/final"          # runner -> mover, through the downward API: final:<pod UID>:<random>
REQUESTED = f"{GROUP}/requested"  # plugin -> runner: JSON {id, verb, args}
IMAGE_PREFIX = f"{GROUP}/image-prefix"  # on the namespace: what the runner's image must begin with, read by templates/policy-account.yaml.j2
RECORD = f"{GROUP}/record"        # on the Lease: a copy of the record, see kept.py

FINALIZER = f"{GROUP}/volresize"             # on the VolumeResize
HOLD_FINALIZER = f"{GROUP}/volresize-hold"   # on the application's pod
FREEZE_FINALIZER = f"{GROUP}/volresize-freeze"  # on the StatefulSet
ORPHAN_FINALIZER = "orphan"                  # the garbage collector's, while it orphans
FOREGROUND_FINALIZER = "foregroundDeletion"  # the garbage collector's, while it deletes the dependents first
COLLECTOR_FINALIZERS = frozenset({ORPHAN_FINALIZER, FOREGROUND_FINALIZER})
# With these an object is gone when Kubernetes and we want it gone.
KNOWN_FINALIZERS = frozenset({FINALIZER, HOLD_FINALIZER, FREEZE_FINALIZER, ORPHAN_FINALIZER, "kubernetes.io/pvc-protection",
                              "kubernetes.io/pv-protection"})

RUNNER_ACCOUNT = "volresize-runner"
RUNNER_ROLE = "volresize-runner"
VOLUMES_ROLE = "volresize-runner-volumes"
USER_ROLE = "volresize-user"
IMAGE_REPOSITORY = "mauricethomas/volmig"

# the plan's names for the outcome of the whole
PENDING, VALIDATING, SYNCING, REPLACING, COMPLETED, FAILED = "Pending", "Validating", "Syncing", "Replacing", "Completed", "Failed"
CANCELLED, ROLLED_BACK = "Cancelled", "RolledBack"
PHASES = (PENDING, VALIDATING, SYNCING, REPLACING, COMPLETED, FAILED, CANCELLED, ROLLED_BACK)
BEFORE_THE_START = frozenset({"", PENDING, VALIDATING})
TERMINAL = frozenset({COMPLETED, FAILED, CANCELLED, ROLLED_BACK})

READY, VALIDATED, PROGRESSING = "Ready", "Validated", "Progressing"  # condition types
