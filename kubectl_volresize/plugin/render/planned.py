"""What a migration would do, as text or as one object."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...model.quantity import human
from ...plan.findings import ACKNOWLEDGEABLE, REFUSAL, WARNING, Finding
from ...plan.outline import DELETE, Action, Row
from .. import result
from ..words import span
from . import objects
from .tables import table

_GRADES = {REFUSAL: "refused", ACKNOWLEDGEABLE: "refused", WARNING: "warning"}


def as_object(plan: result.Planned) -> result.Object:
    """For machines: stable keys."""
    return objects.answer(
        "Plan", statefulSet=plan.statefulset, namespace=plan.namespace, migration=plan.migration, refused=plan.refused,
        findings=[{**finding.as_dict(), "acknowledged": finding.code in plan.acknowledged} for finding in plan.findings],
        volumes=[row.as_dict() for row in plan.rows],
        actions=[{"verb": action.verb, "object": action.object, "replica": action.replica, "why": action.why} for action in plan.actions])


def text(plan: result.Planned) -> str:
    """For people: the volumes in the order of their migration, what is written (of one replica only, unless wide), what speaks against it."""
    parts = []
    if plan.rows:
        parts.append(_volumes(plan.rows))
    if plan.actions:
        parts.append("\n".join(_written(plan)))
    if plan.findings:
        parts.append("\n".join(line for finding in plan.findings for line in _finding(finding, plan.acknowledged)))
    return "\n\n".join(parts)


def _volumes(rows: Sequence[Row]) -> str:
    header = ["REPLICA", "NODE", "VOLUME", "SIZE", "NEW", "CLASS", "NEW-CLASS", "PERSISTENTVOLUME"]
    lines = [[str(row.replica), row.node, row.volume, row.size, "(has it)" if row.is_done else row.new_size, row.storage_class or "",
              row.new_storage_class or "", row.persistent_volume] for row in rows]
    if any(row.measured is not None for row in rows):
        header += ["DATA", "INODES", "NEEDS", "ROOM", "FITS", "COPY", "STOP"]
        for line, row in zip(lines, rows):
            line += _measured(row)
    return table(header, lines)


def _measured(row: Row) -> list[str]:
    """`NEEDS` of `ROOM`: bytes, the head room included."""
    if row.measured is None or row.fit is None or row.copy_seconds is None or row.stop_seconds is None:
        return [""] * 7
    fit = [human(row.fit.needed_bytes), human(row.fit.available_bytes), "yes" if row.fit.fits else "no"]
    return [human(row.measured.bytes), str(row.measured.inodes), *fit, f"~{span(max(row.copy_seconds, 1))}", f"~{span(row.stop_seconds)}"]


def _written(plan: result.Planned) -> list[str]:
    replicas = list(dict.fromkeys(action.replica for action in plan.actions if action.replica is not None))
    lines = ["At first:", *_lines(action for action in plan.actions if action.replica is None and action.verb != DELETE)]
    for replica in replicas if plan.output == result.WIDE else replicas[:1]:
        lines += ["", f"Replica {replica}:", *_lines(action for action in plan.actions if action.replica == replica)]
    if len(replicas) > 1 and plan.output != result.WIDE:
        lines += ["", f"Then the same for replica {', '.join(map(str, replicas[1:]))} (-o wide shows it)."]
    return lines


def _lines(actions: Iterable[Action]) -> list[str]:
    found = list(actions)
    width = max((len(action.object) for action in found), default=0)
    return [f"  {action.verb:<7} {action.object:<{width}}   {action.why}" for action in found]


def _finding(finding: Finding, acknowledged: tuple[str, ...]) -> list[str]:
    grade = "accepted" if finding.severity == ACKNOWLEDGEABLE and finding.code in acknowledged else _GRADES[finding.severity]
    return [f"{grade}: {finding.object} {finding.message} [{finding.code}]", *([f"    fix: {finding.advice}"] if finding.advice else [])]
