"""The Job of a migration and its pods, as a user asks about them: is it there, has it ended, why does it not start; and how the next one is made."""
from __future__ import annotations

from ..errors import Forbidden
from ..kube import paths
from ..model import labels, names
from ..model.objects import Pod, View
from ..model.request import Request
from ..plan import manifests
from .place import Place
from .result import Change, Object
from .words import done

_MOST_RUNS = 1000


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


def may_work(job: View) -> bool:
    """Whether a Job has, or may get, a pod that works: it has not ended, and is not suspended but by a queue, which will let it go on."""
    return job_end(job) is None and (not job.spec.get("suspend") or queued(job))


def queued(job: View) -> bool:
    """Whether it waits in a queue (kueue.sigs.k8s.io) for its start, or for going on."""
    return job_end(job) is None and bool(job.spec.get("suspend")) and labels.QUEUE in job.labels


def at_work(jobs: list[View]) -> bool:
    """Whether the newest Job may still work; older ones were replaced by it."""
    return bool(jobs) and may_work(jobs[-1])


def next_job(request: Request, name: str, namespace: str, jobs: list[View], queue: dict[str, str]) -> Object:
    """The Job of the migration's next run, not created yet; `jobs`: those that there are; `queue` as queue_of() says."""
    from ..templates import render

    taken = {job.name for job in jobs}
    latest = max((attempt for attempt in range(1, _MOST_RUNS) if names.job(name, attempt) in taken), default=0)
    job: Object = render("job", **manifests.job_values(request, name, namespace, latest + 1, queue))
    return job


def retired(place: Place, job: View, dry_run: str = "none") -> Change:
    """The Job after nobody may start a pod for it any more; its pod is asked to end, and is not waited for: a dead node never lets go of it. It is
    suspended; one of a queue is deleted, since its queue would let it go on."""
    if labels.QUEUE in job.labels:
        if dry_run != "client":
            place.client.delete(paths.jobs(place.namespace, job.name), uid=job.uid, propagation="Background", dry_run=dry_run == "server")
        return Change(job.raw, done("deleted", dry_run))
    if dry_run == "client":
        return Change({**job.raw, "spec": {**job.spec, "suspend": True}}, done("suspended", dry_run))
    patch = {"metadata": {"uid": job.uid}, "spec": {"suspend": True}}
    return Change(place.client.merge_patch(paths.jobs(place.namespace, job.name), patch, dry_run=dry_run == "server"), done("suspended", dry_run))


def restart_command(place: Place, name: str) -> str:
    """Creates the Job that is missing."""
    return place.command("resume", f"vr/{name}")


def waiting_for(place: Place, pods: list[Pod], jobs: list[View]) -> str:
    """Why no log comes, in words of the queue, the scheduler, the kubelet or the Job's controller; empty when the runner runs, or without a Job."""
    if jobs and queued(jobs[-1]):
        return f"waiting in queue {jobs[-1].labels[labels.QUEUE]} until it lets job.batch/{jobs[-1].name} go on"
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
