"""What the processes of mover and measurer pods do, in the events and figures of the real mover (kubectl_volresize/mover/report.py). Data is a list
of tokens on a PV: a pass makes the destination what the source is at that moment."""
from __future__ import annotations

import json
from typing import Protocol

from kubectl_volresize.model import labels
from kubectl_volresize.mover.report import PassFigures, Report, shortened
from kubectl_volresize.plan.fit import TreeCounts

from ..store import Object
from ..world import Process, World

_BLOCK = 4096
_PREFIX = "final:"


class Kubelet(Protocol):
    """Who reports that a process has ended."""

    def end(self, pod: Object, process: Process, code: int, message: str) -> None: ...


def advance(world: World, kubelet: Kubelet, pod: Object, process: Process) -> bool:
    """The next thing that the process does; False when it waits to be told."""
    if process.stage == "ended":
        kubelet.end(pod, process, int(process.said.get("code", 0)), shortened(process.said))
        return True
    name = pod["metadata"]["name"]
    if name in world.faults.fails:
        code, message = world.faults.fails[name]
        return _say(world, process, "ended", {"event": "failed", "code": code, "message": message, "final": None, "report": Report().as_dict(0)})
    if process.role == labels.ROLE_MEASURE:
        return _say(world, process, "ended", {"event": "measured", "counts": counts(world, process.mounts["source"]).as_dict()})
    if process.role == labels.ROLE_MOVER:
        return _copy(world, pod, process)
    return False


def _copy(world: World, pod: Object, process: Process) -> bool:
    source, dest = (world.disks[process.mounts[volume]] for volume in ("source", "dest"))
    if pod["metadata"]["name"] in world.faults.never_done:
        return False
    if process.stage in ("started", "copying"):
        world.note_writer(process, process.mounts["dest"])
    if process.stage == "started":
        # A copy is seen half done: whoever goes on now loses the rest.
        dest[:] = source[:len(source) // 2]
        return _say(world, process, "copying", {"event": "progress", "pass": 1, "phase": "copy", "bytes": len(dest), "total_bytes": len(source),
                                                "files": len(dest), "rate": 1, "eta": 1, "changed_bytes_last_pass": 0})
    if process.stage == "copying":
        _pass(process, source, dest, "warm")
        return _say(world, process, "waiting", {"event": "waiting", "pass": len(process.passes), "report": _report(world, process, None)})
    final = (pod["metadata"].get("annotations") or {}).get(labels.FINAL, "")
    if process.stage != "waiting" or not final.startswith(_PREFIX):
        return False
    world.note_writer(process, process.mounts["dest"])
    _pass(process, source, dest, "final")
    return _say(world, process, "ended", {"event": "verified", "final": final, "report": _report(world, process, final)})


def _pass(process: Process, source: list[str], dest: list[str], kind: str) -> None:
    missing = len(set(source) - set(dest))
    dest[:] = source
    process.passes.append(PassFigures(len(process.passes) + 1, kind, read_bytes=len(source), written_bytes=missing, copied_files=missing))


def _report(world: World, process: Process, final: str | None) -> Object:
    report = Report(passes=list(process.passes), tree=counts(world, process.mounts["source"]), entries=len(world.disks[process.mounts["source"]]))
    report.final = final
    return report.as_dict(0)


def _say(world: World, process: Process, stage: str, event: Object) -> bool:
    process.stage = stage
    world.say(process, json.loads(json.dumps(event)))
    return True


def counts(world: World, volume: str) -> TreeCounts:
    """A file of one byte for each token, or what the test says is there."""
    tokens = len(world.disks[volume])
    return world.sizes.get(volume) or TreeCounts(files=tokens, directories=1, bytes=tokens, allocated=tokens * _BLOCK, directory_bytes=_BLOCK,
                                                 inodes=tokens + 1)
