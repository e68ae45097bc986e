"""A user's request, accepted or refused. Every reason against it is said at once; what was accepted is then done by the planner like everything."""
from __future__ import annotations

from collections.abc import Callable, Iterator

from ..model import labels
from ..model.asked import CANCEL, CLEANUP, RESUME, ROLLBACK, Asked, asks_for_lost_record
from ..model.cluster import Cluster
from ..model.objects import View
from ..model.record import DECLINED, FINISHED, Record
from ..model.request import Request
from . import cleanup, rebuild, rollback, swap
from .request_steps import Answer, TakeCancel, TakeResume, TakeRollback
from .steps import Step


def next_for_request(cluster: Cluster, record: Record, request: Request, asked: Asked) -> Step:
    """The step that answers it."""
    decide = _VERBS.get(asked.verb)
    if decide is None:
        return Answer(asked, DECLINED, f"annotation {labels.REQUESTED} asks for {asked.verb or 'something that cannot be read'!r}; "
                                       f"there is {', '.join(sorted(_VERBS))}")
    return decide(cluster, record, request, asked)


def _cancel(cluster: Cluster, record: Record, request: Request, asked: Asked) -> Step:
    if record.phase == labels.CANCELLED:
        return Answer(asked, FINISHED, "it was cancelled already")
    if record.phase in (labels.COMPLETED, labels.ROLLED_BACK):
        return Answer(asked, DECLINED, f"the migration is over ({record.phase}); to go back to the old volumes: rollback")
    return TakeCancel(asked, swap.unfinished(record) if record.terminal else record.current_replica, bool(asked.args.get("now")))


def _resume(cluster: Cluster, record: Record, request: Request, asked: Asked) -> Step:
    if asks_for_lost_record(cluster.migration, record):
        return rebuild.next_to_rebuild(cluster, request, asked)
    if not record.terminal:
        return Answer(asked, FINISHED, "the migration is at work")
    if record.phase not in (labels.FAILED, labels.CANCELLED):
        return Answer(asked, DECLINED, f"the migration is over ({record.phase}); submit a new one for what is to be changed")
    if against := list(_against_resume(cluster, record)):
        return Answer(asked, DECLINED, "; ".join(against))
    current = swap.unfinished(record)
    # Whoever resumes has seen the set that is there now; only in the middle of an exchange it must still be ours.
    exchanging = current is not None and record.replica(current).step in (swap.SWAPPING, swap.THAWING)
    known = record.set_uid if cluster.statefulset is None or exchanging else cluster.statefulset.uid
    return TakeResume(asked, current, known)


def _against_resume(cluster: Cluster, record: Record) -> Iterator[str]:
    for other in _newer(cluster):
        over = other.status.get("phase") in labels.TERMINAL
        if record.phase == labels.CANCELLED or not over:
            yield f"volumeresize/{other.name} is newer and works on the same StatefulSet" + ("" if over else ", and is not finished")
    if record.rollback:
        # What is gone on with is the rollback itself.
        return
    if back := sorted({entry.replica for entry in record.volumes if entry.phase == "RolledBack" and entry.new_pv}):
        yield f"replica {', '.join(map(str, back))} was put back on its old volumes by a rollback: submit a new migration"


def _newer(cluster: Cluster) -> Iterator[View]:
    own = (cluster.migration.meta.get("creationTimestamp", ""), cluster.migration.name)
    for other in cluster.others:
        same = other.spec.get("statefulSetName") == cluster.migration.spec.get("statefulSetName")
        if same and (other.meta.get("creationTimestamp", ""), other.name) > own:
            yield other


def _rollback(cluster: Cluster, record: Record, request: Request, asked: Asked) -> Step:
    if not record.terminal:
        return Answer(asked, DECLINED, "the migration is at work: cancel it first")
    wanted = asked.args.get("replicas")
    if wanted is not None and not (isinstance(wanted, list) and all(isinstance(ordinal, int) for ordinal in wanted)):
        return Answer(asked, DECLINED, f"args.replicas is {wanted!r}, not a list of ordinals such as [0, 2]")
    chosen = rollback.migrated(record) if wanted is None else tuple(sorted(set(wanted), reverse=True))
    discard = bool(asked.args.get("discardNewerData"))
    against = [f"volumeresize/{other.name} is newer and not finished" for other in _newer(cluster)
               if other.status.get("phase") not in labels.TERMINAL]
    against += rollback.against(cluster, record, request, chosen, discard)
    if against:
        return Answer(asked, DECLINED, "; ".join(against))
    assert cluster.statefulset is not None
    return TakeRollback(asked, chosen, discard, cluster.statefulset.uid)


def _cleanup(cluster: Cluster, record: Record, request: Request, asked: Asked) -> Step:
    if not record.terminal:
        return Answer(asked, DECLINED, "the migration is at work; its old volumes are its way back")
    return cleanup.answer(cluster, record, request, asked)


_VERBS: dict[str, Callable[[Cluster, Record, Request, Asked], Step]] = {
    CANCEL: _cancel, RESUME: _resume, ROLLBACK: _rollback, CLEANUP: _cleanup}
