"""What `kubectl volresize resume` does, with the API alone: the request, the old Jobs suspended, the next one created."""
from __future__ import annotations

import json
import uuid

from namespaces import Namespace

from kubectl_volresize.model import labels
from kubectl_volresize.model.asked import RESUME, Asked
from kubectl_volresize.model.request import from_spec
from kubectl_volresize.plan import manifests
from kubectl_volresize.templates import render


def resume(namespace: Namespace, name: str) -> str:
    """Name of the new Job."""
    migration = namespace.migration(name)
    if migration.get("status", {}).get("phase") in labels.TERMINAL:
        asked = Asked(uuid.uuid4().hex[:8], RESUME).to_annotation()
        namespace.kubectl("annotate", "--overwrite", "volumeresize", name, f"{labels.REQUESTED}={asked}")
    jobs = namespace.names("jobs", "-l", f"{labels.MIGRATION}={name}")
    for job in jobs:
        namespace.kubectl("patch", "job", job, "--type", "merge", "--patch", json.dumps({"spec": {"suspend": True}}))
    job = render("job", **manifests.job_values(from_spec(migration["spec"]), name, namespace.name, len(jobs) + 1))
    namespace.create(job)
    return str(job["metadata"]["name"])
