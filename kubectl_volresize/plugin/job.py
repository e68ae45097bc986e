"""The Job of a migration and its pods, as a user asks about them: is it there, has it ended, why does it not start."""
from __future__ import annotations

from ..errors import Forbidden
from ..kube import paths
from ..model import labels
from ..model.cluster import Pod, View
from .place import Place
from .result import Object


def runner_pods(place: Place, name: str) -> list[Pod]:
    """The runner's pods of a migration, oldest first."""
    return [Pod(raw) for raw in _oldest_first(place.client.list(paths.pods(place.namespace), _selector(name)))]


def runner_jobs(place: Place, name: str) -> list[View]:
    """The Jobs of a migration, oldest first."""
    return [View(raw) for raw in _oldest_first(place.client.list(paths.jobs(place.namespace), _selector(name)))]


def _selector(name: str) -> str:
    return f"{labels.MIGRATION}={name},{labels.ROLE}={labels.ROLE_RUNNER}"


def _oldest_first(found: list[Object]) -> list[Object]:
    return sorted(found, key=lambda raw: (raw["metadata"].get("creationTimestamp", ""), raw["metadata"]["name"]))


def job_end(job: View) -> Object | None:
    """The condition that says how a Job ended, None while it works."""
    return next((condition for condition in job.status.get("conditions") or []
                 if condition["type"] in ("Complete", "Failed") and condition["status"] == "True"), None)


def at_work(jobs: list[View]) -> bool:
    """Whether the newest Job has not ended; older ones were replaced by it."""
    return bool(jobs) and job_end(jobs[-1]) is None


def restart_command(place: Place, name: str) -> str:
    """Submitting a VolumeResize as it stands adopts it and creates the Job that is missing."""
    return f"{place.kubectl('get', 'volumeresize', name, '-o', 'yaml')} | {place.command('submit', '-f', '-')}"


def waiting_for(place: Place, pods: list[Pod], jobs: list[View]) -> str:
    """Why no log comes, in the words of the scheduler, the kubelet or the Job's controller; empty when the runner runs, or when there is no Job."""
    if not pods:
        return _why_no_pod(place, jobs[-1]) if jobs else ""
    newest = pods[-1]
    if newest.phase != "Pending":
        return ""
    return f"waiting for pod/{newest.name} to start" + (f": {newest.why_not_running}" if newest.why_not_running else "")


def _why_no_pod(place: Place, job: View) -> str:
    """Such as a quota, or a service account that is missing: the Job's controller says it in Events only."""
    said = ""
    try:
        about_it = f"involvedObject.kind=Job,involvedObject.name={job.name},type=Warning"
        events = place.client.list(paths.events(place.namespace), fieldSelector=about_it)
        said = max(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), default={}).get("message", "")
    except Forbidden:
        # The user sees at least what is waited for.
        said = ""
    return f"waiting for job.batch/{job.name} to start a pod" + (f": {said}" if said else "")
