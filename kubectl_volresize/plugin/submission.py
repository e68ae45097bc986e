"""Submitting an order: which VolumeResize it is (a new one, or one that exists and asks for the same), whether it may start, and what to create."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..errors import AlreadyExists, Forbidden, Refused, UsageError, VolresizeError
from ..kube import paths
from ..model import labels, names
from ..model.cluster import Cluster
from ..model.objects import View
from ..model.request import Request, from_spec
from ..plan import findings, manifests, pending, preflight, rights
from ..plan.findings import Finding
from . import target
from .job import at_work, next_job, queued, runner_jobs
from .order import Order
from .place import Place
from .result import Change, Object
from .words import done, migration_resource


class PreflightRefused(Refused):
    """{message}"""

    def __init__(self, message: str, findings: Iterable[Object] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class NameTaken(VolresizeError):
    """{name} exists already and {why}"""

    hint = "leave the name out, or choose another"


class JustCreated(VolresizeError):
    """{message}"""

    hint = "somebody else submitted at the same moment; run the same command again, and it goes on from there"


class OtherQueue(VolresizeError):
    """{name} waits in queue {queue} already"""

    hint = "take it back first, if nothing is touched yet: {command}"


class JobMissing(VolresizeError):
    """{name} was created, but not its Job: {message}"""

    hint = "run the same command again to create the Job alone, or take it back: {command}"


Stops = Callable[[Finding], bool]


def every_refusal(finding: Finding) -> bool:
    return True


def what_no_job_could_judge(finding: Finding) -> bool:
    """Without a namespace or an account no Job runs."""
    return finding.code in ("namespace-missing", "not-installed")


@dataclass(frozen=True)
class NothingToDo:
    """All claims and templates have what is asked for."""

    statefulset: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"nothing to do: the claims of statefulset/{self.statefulset} and its templates have these sizes already"


@dataclass(frozen=True)
class Submitted:
    """`name` of the VolumeResize; `notes`: warnings, and what was left to the Job."""

    name: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()
    already_running: bool = False


def submit(place: Place, ordered: Order, dry_run: str = "none", stops: Stops = every_refusal) -> NothingToDo | Submitted:
    """A refusal that does not stop it is said, and judged by the Job. Raises PreflightRefused, NameTaken, JustCreated, JobMissing,
    UsageError; nothing was created but with JobMissing."""
    with forbidden_is_refused(place):
        return _submit(place, ordered, dry_run, stops)


def _submit(place: Place, ordered: Order, dry_run: str, stops: Stops) -> NothingToDo | Submitted:
    try:
        existing = target.migrations(place)
    except target.NotInstalled as error:
        raise _refused([kind_missing(error)]) from error
    adopted = _adoptable(ordered, existing)
    if adopted is not None:
        jobs = runner_jobs(place, adopted["metadata"]["name"])
        if at_work(jobs):
            return _running(place, adopted, jobs[-1], ordered.queue)
    migration = adopted or manifest(place, ordered, existing)
    notes: tuple[str, ...] = ()
    if not (migration.get("status") or {}).get("startTime"):
        # One that has begun is in a state that the checks before a start would call wrong; its runner checks what matters then.
        checked = _check(place, _with_image(migration, ordered), ordered, existing, stops)
        if isinstance(checked, NothingToDo):
            return checked
        notes = checked
    if adopted is not None:
        return _adopt(place, adopted, ordered, notes, dry_run)
    return _create(place, migration, ordered.request, notes, dry_run)


def _with_image(migration: Object, ordered: Order) -> Object:
    """As it will be taken up: one that somebody applied without an image gets that of the order."""
    request = from_spec(migration["spec"])
    if request.image:
        return migration
    return {**migration, "spec": {**migration["spec"], "mover": {**request.mover, "image": ordered.request.image}}}


def kind_missing(error: target.NotInstalled) -> Finding:
    return Finding("not-installed", f"customresourcedefinition/{labels.PLURAL}.{labels.GROUP}", "is not installed in this cluster", error.advice)


def _over(migration: Object) -> bool:
    return (migration.get("status") or {}).get("phase") in labels.TERMINAL


def _adoptable(ordered: Order, existing: list[Object]) -> Object | None:
    """The unfinished VolumeResize that asks for the same."""
    fitting = [one for one in target.newest_first(existing)
               if ordered.name in (None, one["metadata"]["name"]) and not _over(one) and _asks_for(one, ordered)]
    return fitting[0] if fitting else None


def _asks_for(migration: Object, ordered: Order) -> bool:
    try:
        return ordered.equals(from_spec(migration["spec"]))
    except UsageError:
        # Stored by an older definition; its own runner refuses it.
        return False


def _running(place: Place, migration: Object, job: View, queue: str) -> Submitted:
    """Raises OtherQueue."""
    name, present = migration["metadata"]["name"], job.labels.get(labels.QUEUE, "")
    if queue and queued(job) and queue != present:
        raise OtherQueue(name=migration_resource(name), queue=present, command=place.kubectl("delete", f"volumeresize/{name}", f"job/{job.name}"))
    how = f"waits in queue {present}" if queued(job) else "is running"
    return Submitted(name, (Change(migration, "unchanged"), Change(job.raw, "unchanged")), (f"{migration_resource(name)} {how} already.",), True)


def manifest(place: Place, ordered: Order, existing: list[Object]) -> Object:
    """A new VolumeResize as it is POSTed."""
    from ..templates import render

    name = ordered.name or _free_name(place, ordered.request.statefulset, existing)
    body: Object = render("volumeresize", name=name, namespace=place.namespace, spec=ordered.request.to_spec())
    given = manifests.without_server_fields(ordered.manifest)["metadata"] if ordered.manifest else {}
    for key in ("labels", "annotations"):
        merged = {**(given.get(key) or {}), **body["metadata"].get(key, {}), **(_queue(ordered) if key == "labels" else {})}
        if merged:
            body["metadata"][key] = merged
    if ordered.name is None and len(ordered.request.statefulset) > names.LIMIT:
        body["metadata"].setdefault("annotations", {})[labels.FULL_NAME] = ordered.request.statefulset
    return body


def _queue(ordered: Order) -> dict[str, str]:
    return {labels.QUEUE: ordered.queue} if ordered.queue else {}


def _free_name(place: Place, statefulset: str, existing: list[Object]) -> str:
    sets = {one["metadata"]["name"] for one in place.client.list(paths.statefulsets(place.namespace))} - {statefulset}
    return names.migration(statefulset, frozenset(sets | {one["metadata"]["name"] for one in existing}))


def _check(place: Place, migration: Object, ordered: Order, existing: list[Object], stops: Stops) -> NothingToDo | tuple[str, ...]:
    """Warnings and what is left to the Job, as sentences. Raises PreflightRefused with everything that speaks against it, NameTaken."""
    request = from_spec(migration["spec"])
    cluster, found = look(place, migration)
    warnings = said(findings.notes(found, request.acknowledged), cluster)
    if pending.nothing_to_do(cluster, request):
        # Also under a name that is taken: a pipeline that submits its manifest again after all is done has done nothing wrong.
        return NothingToDo(request.statefulset, warnings)
    for one in existing:
        if one["metadata"]["name"] == ordered.name and one["metadata"].get("uid") != migration["metadata"].get("uid", ""):
            why = f"is over ({one['status']['phase']})" if _over(one) else "asks for something else"
            raise NameTaken(name=migration_resource(one["metadata"]["name"]), why=why)
    refusals = findings.refusals(found, request.acknowledged)
    if stopping := [finding for finding in refusals if stops(finding)]:
        raise _refused(stopping, findings.notes(found, request.acknowledged))
    return (*warnings, *(f"left to the Job: {finding}" for finding in refusals))


def look(place: Place, migration: Object) -> tuple[Cluster, tuple[Finding, ...]]:
    """What is there, and all that is to be said about it. `migration` need not exist."""
    # Brings requests with it, which --help must not pay.
    from ..kube.observe import observe_permitted

    cluster, lacking = observe_permitted(place.client, migration), tuple(_not_installed(place))
    if lacking and cluster.statefulset is None and (missing := _namespace_missing(place)):
        # It explains all the rest.
        return cluster, missing
    return cluster, (*lacking, *own_rights(place), *_old_roles(place), *preflight.findings(cluster, from_spec(migration["spec"])))


def own_rights(place: Place) -> tuple[Finding, ...]:
    """What the user lacks."""
    from ..kube.rights import lacking

    return tuple(rights.of_user(lacking(place.client, place.namespace, rights.USER_RULES), place.namespace))


def _old_roles(place: Place) -> tuple[Finding, ...]:
    """What the runner's roles lack, of those that there are; who may not look at them leaves it to the Job."""
    from ..kube.rights import rules_of_runner

    granted: list[Object] = []
    for name in (labels.RUNNER_ROLE, labels.VOLUMES_ROLE):
        try:
            role = place.client.find(paths.cluster_roles(name))
        except Forbidden:
            return ()
        if role is None:
            return (Finding("not-installed", f"clusterrole/{name}", "does not exist; migrations need it",
                            f"an admin of the cluster runs once: {place.command('install')}"),)
        granted += role.get("rules") or []
    return tuple(rights.of_runner(rights.missing(rules_of_runner(), granted), place.namespace))


@contextmanager
def forbidden_is_refused(place: Place) -> Iterator[None]:
    """Who may not even read what must be looked at is told all that he lacks, and not the first of it. Raises PreflightRefused."""
    try:
        yield
    except Forbidden as error:
        if found := own_rights(place):
            raise _refused(found) from error
        raise


def said(notes: Iterable[Finding], cluster: Cluster) -> tuple[str, ...]:
    """Warnings and what is left to the Job, as sentences."""
    left = (f"left to the Job, since you may not read them: {', '.join(cluster.unreadable)}",) if cluster.unreadable else ()
    return (*(f"warning: {finding}" for finding in notes), *left)


def _namespace_missing(place: Place) -> tuple[Finding, ...]:
    """Lists of a namespace that does not exist are empty and no error. Who may not look at it sees the rest instead."""
    try:
        if place.client.find(paths.namespaces(place.namespace)) is not None:
            return ()
    except Forbidden:
        return ()
    return (Finding("namespace-missing", f"namespace/{place.namespace}", "does not exist in this cluster",
                    "check -n, and --context: it names the cluster"),)


def _not_installed(place: Place) -> Iterator[Finding]:
    """What the namespace needs and a Job would fail without; what the user may not look at is taken for present."""
    binding = f"{labels.VOLUMES_ROLE.removesuffix('-volumes')}-{place.namespace}"
    wanted: tuple[tuple[str, Callable[[], str]], ...] = (
        (f"serviceaccount/{labels.RUNNER_ACCOUNT}", lambda: paths.service_accounts(place.namespace, labels.RUNNER_ACCOUNT)),
        (f"rolebinding/{labels.RUNNER_ROLE}", lambda: paths.role_bindings(place.namespace, labels.RUNNER_ROLE)),
        (f"clusterrolebinding/{binding}", lambda: paths.cluster_role_bindings(binding)))
    for name, path in wanted:
        try:
            missing = place.client.find(path()) is None
        except Forbidden:
            continue
        if missing:
            yield Finding("not-installed", name, f"does not exist; migrations in namespace {place.namespace} need it",
                          f"an admin of the cluster runs once: {place.command('install')}")


def _refused(refusals: Sequence[Finding], notes: Sequence[Finding] = ()) -> PreflightRefused:
    """Each reason on its own lines, with what to do about it; then what would only have been said."""
    lines = [f"refused, nothing was created; {len(refusals)} reason{'s' if len(refusals) > 1 else ''}:"]
    for finding, mark in (*((one, "") for one in refusals), *((one, "also: ") for one in notes)):
        lines.append(f"  {mark}{finding.object} {finding.message}")
        if finding.advice:
            lines.append(f"      {'then: ' if mark else 'fix: '}{finding.advice}")
    return PreflightRefused("\n".join(lines), (finding.as_dict() for finding in (*refusals, *notes)))


def _create(place: Place, migration: Object, request: Request, notes: tuple[str, ...], dry_run: str) -> Submitted:
    name = migration["metadata"]["name"]
    job = next_job(request, name, place.namespace, [], manifests.queue_of(View(migration).labels))
    if dry_run != "client":
        try:
            migration = place.client.create(paths.migrations(place.namespace), migration, dry_run=dry_run == "server")
        except AlreadyExists as error:
            raise JustCreated(f"{migration_resource(name)} exists already") from error
        try:
            job = place.client.create(paths.jobs(place.namespace), job, dry_run=dry_run == "server")
        except VolresizeError as error:
            raise JobMissing(error.fields.get("message") or error.message, name=migration_resource(name),
                             command=place.kubectl("delete", "volumeresize", name)) from error
    if dry_run == "server":
        migration, job = manifests.without_server_fields(migration), manifests.job_without_server_fields(job)
    return Submitted(name, (Change(migration, done("created", dry_run)), Change(job, done("created", dry_run))), notes)


def _adopt(place: Place, migration: Object, ordered: Order, notes: tuple[str, ...], dry_run: str) -> Submitted:
    """Only the Job that is missing, and what else is named now: the image in a VolumeResize that somebody applied without one, since its runner
    starts the movers with it; the queue."""
    meta, change = migration["metadata"], "unchanged"
    request, server = from_spec(migration["spec"]), dry_run == "server"
    patch: Object = {"metadata": {"resourceVersion": meta["resourceVersion"]}}
    if not request.image:
        request = replace(request, mover={**request.mover, "image": ordered.request.image})
        patch["spec"] = {"mover": request.mover}
    queue = manifests.queue_of({**View(migration).labels, **_queue(ordered)})
    if queue != manifests.queue_of(View(migration).labels):
        patch["metadata"]["labels"] = queue
    if len(patch["metadata"]) > 1 or "spec" in patch:
        change = done("configured", dry_run)
        if dry_run != "client":
            migration = place.client.merge_patch(paths.migrations(place.namespace, meta["name"]), patch, dry_run=server)
    job = next_job(request, meta["name"], place.namespace, runner_jobs(place, meta["name"]), queue)
    if dry_run != "client":
        job = place.client.create(paths.jobs(place.namespace), job, dry_run=server)
    if server:
        migration, job = manifests.without_server_fields(migration), manifests.job_without_server_fields(job)
    return Submitted(meta["name"], (Change(migration, change), Change(job, done("created", dry_run))), notes)
