"""One Lease per StatefulSet picks the runner. It does not fence (a runner that slept wakes up with a stale Lease): the record and the UIDs do that.
The Lease is also the controller of the mover pods, and bears a copy of the record."""
from __future__ import annotations

from collections.abc import Callable

from ..errors import Conflict, NotFound
from ..kube import paths
from ..kube.client import Client
from ..templates import render
from ..model import kept, labels, names
from ..model.objects import Object, View

SECONDS = 60
_RENEW_AFTER = 10.0
_COPY = (labels.RECORD, labels.MIGRATION_UID)


class Lease:
    """`holder`: the Job, since two pods of one Job never run at once (podReplacementPolicy Failed; of one that was deleted and made again under its
    name they may, and the record tells which of them is the newer); `monotonic` in seconds; `now` RFC 3339 with microseconds."""

    def __init__(self, client: Client, namespace: str, statefulset: str, migration: str, holder: str, monotonic: Callable[[], float],
                 now: Callable[[], str]) -> None:
        self._client, self._namespace, self._holder = client, namespace, holder
        self.name, self._migration = names.lease(statefulset), migration
        self._monotonic, self._now = monotonic, now
        self.uid = ""
        self._held: Object = {}  # as we wrote it last
        self._renewed: float | None = None
        self._seen: tuple[str, float] = ("", 0.0)

    @property
    def _path(self) -> str:
        return paths.leases(self._namespace, self.name)

    def acquire(self) -> str:
        """Take it, or keep it. Returns the other holder's name while it is held by somebody who renews it, "" when it is ours. Raises Conflict when
        somebody else was faster, or only touched it: the next call finds out."""
        if self._renewed is not None and self._monotonic() - self._renewed < _RENEW_AFTER:
            return ""
        found = self._client.find(self._path)
        if found is None:
            return self._create()
        holder = str(found["spec"].get("holderIdentity") or "")
        if holder not in ("", self._holder) and not self._stale(found) and not self._retired(holder):
            self._renewed = None
            return holder
        found["spec"].update(holderIdentity=self._holder, renewTime=self._now(), leaseDurationSeconds=SECONDS)
        try:
            self._took(self._client.replace(self._path, found))
        except NotFound as error:
            raise Conflict(status=409, verb="take", path=self._path, message=error.message) from error
        return ""

    def _create(self) -> str:
        body = render("lease", name=self.name, namespace=self._namespace, holder=self._holder, seconds=SECONDS, now=self._now(),
                      labels={labels.MANAGED_BY: labels.MANAGER, labels.MIGRATION: self._migration})
        self._took(self._client.create(paths.leases(self._namespace), body))
        return ""

    def _took(self, lease: Object) -> None:
        self.uid, self._held, self._renewed = str(lease["metadata"]["uid"]), lease, self._monotonic()

    def keep(self, mark: str, text: str) -> bool:
        """The copy of the record of the migration with this mark (a UID), as text. False when it is too long, and none is kept: an older one would
        be worse than none. Raises Conflict when somebody wrote to the Lease since, or deleted it; it is to be acquired again then."""
        fits = len(text) <= kept.LONGEST
        wanted = {labels.RECORD: text, labels.MIGRATION_UID: mark} if fits else {}
        meta = self._held["metadata"]
        bare = {name: value for name, value in (meta.get("annotations") or {}).items() if name not in _COPY}
        if {**bare, **wanted} == (meta.get("annotations") or {}):
            return fits
        spec = {**self._held["spec"], "renewTime": self._now()}
        try:
            self._took(self._client.replace(self._path, {**self._held, "metadata": {**meta, "annotations": {**bare, **wanted}}, "spec": spec}))
        except (Conflict, NotFound) as error:
            self._renewed = None
            raise Conflict(status=409, verb="keep the record in", path=self._path, message=error.message) from error
        return fits

    def _stale(self, found: Object) -> bool:
        """Not renewed for its whole duration by *our* clock: clocks of two nodes may differ (client-go tools/leaderelection does the same)."""
        renewed = str(found["spec"].get("renewTime"))
        if self._seen[0] != renewed:
            self._seen = (renewed, self._monotonic())
        return self._monotonic() - self._seen[1] > float(found["spec"].get("leaseDurationSeconds") or SECONDS)

    def _retired(self, holder: str) -> bool:
        """Its Job is suspended, deleted (so does `resume`) or over: nobody waits for the pod of a node that died. One that wakes up is fenced all the
        same."""
        found = self._client.find(paths.jobs(self._namespace, holder))
        job = View(found or {})
        return found is None or _has_condition(job, "Complete", "Failed") or bool(job.spec.get("suspend"))

    def nobody_follows(self) -> bool:
        """Whether no other pod of our Job comes soon after this one: it was put back into a queue, such as Kueue's, suspended or deleted.
        `resume` does that too; its next Job then finds a replica that serves, and stops it again."""
        found = self._client.find(paths.jobs(self._namespace, self._holder))
        job = View(found or {})
        # Deleted in the foreground, or given up by its controller (a deadline that a policy has set), it stays for as long as this pod does.
        return found is None or job.terminating or bool(job.spec.get("suspend")) or _has_condition(job, "FailureTarget", "Failed")

    def remove(self, mark: str) -> None:
        """Nothing is left to do for anybody. Its deletion collects movers that are left. Raises Conflict when it is to be tried again.

        With the copy of another migration's record (`mark` is the UID of ours) it stays: that one's VolumeResize is lost, and this is all there is.
        """
        if self.uid and (self._held["metadata"].get("annotations") or {}).get(labels.MIGRATION_UID, mark) != mark:
            self.give_up()
        elif self.uid:
            try:
                self._client.delete(self._path, uid=self.uid)
            except NotFound:
                return
            except Conflict:
                # Another one's by now, or only busy: then the next look removes it.
                found = self._client.find(self._path)
                if found is not None and found["metadata"]["uid"] == self.uid:
                    raise

    def give_up(self) -> None:
        """Let the next one take it at once, and leave it there: the movers that a human may want to look at hang on it."""
        found = self._client.find(self._path)
        if found is not None and found["spec"].get("holderIdentity") == self._holder:
            found["spec"]["holderIdentity"] = ""
            self._client.replace(self._path, found)


def _has_condition(job: View, *kinds: str) -> bool:
    """One of them, as true."""
    return any(condition["type"] in kinds and condition["status"] == "True" for condition in job.status.get("conditions") or ())
