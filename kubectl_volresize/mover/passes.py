"""The order of things: one full pass, or warm passes on a live source, the wait for the word that it stopped, and the final pass. What each step
does stands in its own file; what differs between the kinds of pass stands here."""
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Sequence

from . import bulk, flush, kernel, measure, pages, proof, rclone, repair, scan, verify, workers
from .bulk import Ledger, Scene
from .failures import NO_SPACE_ERRORS, Different, DoesNotFit, InputOutput, NoSpace, NotReproducible, RcloneFailed, SourceChanged, shown
from .finish import loss_of
from .hard_links import link
from .meter import Meter
from .pages import Stat
from .prepare import Preparation, nothing_to_prepare, prepare, take_over
from .progress import Progress
from .proof import Fence, Knowledge, Known
from .report import PassFigures, Reporter
from .verify import Found

# FULL: the only pass, of a source that nobody writes to.
WARM, FINAL, FULL, COMPARE = "warm", "final", "full", "compare"
MOST_WARM_PASSES = 5
# Little enough for the stop: another warm pass would cost more than it saves.
_LITTLE_BYTES, _LITTLE_FILES = 64 << 20, 2000
_LONG_PASS_SECONDS = 60.0
_PAYS_OFF_BELOW = 0.7
_POLL_SECONDS = 0.1
_OTHER_ENDS_WITHIN = 60.0


@dataclass(frozen=True)
class Options:
    """What the command line said.

    `kind`: of the only pass, when there is one. `final_file` and `final_prefix`: what starts the pass after the stop (a signal does it too);
    `warm_passes`: at most so many before. `rate`: bytes/s of the passes before the stop (0: no limit); `settle`: see proof.Fence, seconds; `reads`:
    content is compared, not only size and mtime; `accepted`: what may be lost, see finish.LOSSES.
    """

    source: str
    dest: str
    kind: str | None = FULL
    final_file: str | None = None
    final_prefix: str = ""
    warm_passes: int = MOST_WARM_PASSES
    rate: int = 0
    head_room: int = 0
    settle: float = 10.0
    reads: bool = True
    accepted: frozenset[str] = frozenset()


class Word:
    """What starts the final pass: the content of a watched file, or a signal."""

    def __init__(self, path: str | None, prefix: str) -> None:
        self._path, self._prefix = path, prefix
        self._signalled = False

    def signalled(self) -> None:
        self._signalled = True

    def wait(self) -> str:
        """Returns the whole content of the file, or what stands for it. Blocks."""
        while True:
            if self._signalled:
                return "signal"
            word = self._read()
            if word and word.startswith(self._prefix):
                return word
            time.sleep(_POLL_SECONDS)

    def _read(self) -> str:
        if self._path is None:
            return ""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""


class Move:
    """One source, one destination, and what was learnt about them so far."""

    def __init__(self, options: Options, reporter: Reporter) -> None:
        self.options, self.reporter, self.report = options, reporter, reporter.report
        self.source = measure.open_root(options.source, "source")
        # Opened before the first write: syncfs reports the write errors since then.
        self.dest = measure.open_root(options.dest, "destination")
        self.word = Word(options.final_file, options.final_prefix)
        self.meter = Meter()
        self.knowledge = Knowledge()
        self.shapes: dict[str, int] = {}
        self.fences: list[Fence] = []
        self.rclone_is_trusted = True
        self.report.level = "content" if options.reads else "metadata"
        if not kernel.has_capability(kernel.CAP_SYS_ADMIN):
            self.report.not_looked_for.append("xattr trusted.*: invisible without CAP_SYS_ADMIN")

    def run(self) -> None:
        """Copy and verify; returns when the copy is proven equal. Raises MoverFailure."""
        self._wait_to_be_alone()
        if self.options.kind is not None:
            self._pass(self.options.kind)
            return
        while self._another_warm_pass_pays_off():
            self._pass(WARM)
        self.reporter.waiting(len(self.report.passes))
        self.report.final = self.word.wait()
        if not all(fence.still_holds() for fence in self.fences):
            self.report.note("the clock was set back since the warm passes: nothing is carried over from them")
            self.knowledge.disbelieve()
        self._pass(FINAL)

    def _wait_to_be_alone(self) -> None:
        """Two that write into one destination spoil each other's copy: the process of a mover whose pod was removed by force may live on for a while.
        The lock goes with the last of its processes (flock(2)); there is one kernel, since the destination is mounted on one node."""
        deadline = time.monotonic() + _OTHER_ENDS_WITHIN
        while not kernel.lock(self.dest):
            if time.monotonic() > deadline:
                raise InputOutput(f"another process copies into the destination and did not end within {_OTHER_ENDS_WITHIN:g} s")
            time.sleep(_POLL_SECONDS)

    def compare(self) -> None:
        """Compare and change nothing. Raises MoverFailure."""
        self.report.passes.append(PassFigures(1, COMPARE))
        progress = Progress(self.reporter, self.meter, self.report.passes[0], None)
        tree = scan.walk(self.source, progress.tick)
        scan.demand_complete(tree)
        self.report.tree = tree.counts.as_tree_counts(0)
        scene = self._scene(tree, nothing_to_prepare(tree), proof.no_fence())
        started = time.monotonic()
        found = self._verify(scene, Ledger(), progress, self.options.rate)
        progress.end()
        self.report.passes[0].seconds, self.report.passes[0].read_bytes = time.monotonic() - started, found.read
        self._judge(found, False)

    def _another_warm_pass_pays_off(self) -> bool:
        passes = self.report.passes
        if not passes:
            return True
        last = passes[-1]
        if len(passes) >= self.options.warm_passes:
            return False
        if len(passes) > 1 and last.changed_bytes > _PAYS_OFF_BELOW * passes[-2].changed_bytes:
            return False
        return last.changed_bytes > _LITTLE_BYTES or last.changed_files > _LITTLE_FILES or last.seconds > _LONG_PASS_SECONDS

    def _pass(self, kind: str) -> None:
        started = time.monotonic()
        figures = PassFigures(len(self.report.passes) + 1, kind)
        progress = Progress(self.reporter, self.meter, figures, self.report.passes[-1] if self.report.passes else None)
        self.report.passes.append(figures)
        try:
            self._carry_out(kind, figures, progress)
        except DoesNotFit:
            raise
        except NoSpace as failure:
            raise NoSpace(f"{failure.message}; {measure.shortfall(self.dest, self.report.tree, progress.tick)}") from failure
        finally:
            progress.end()
            figures.seconds = time.monotonic() - started

    def _carry_out(self, kind: str, figures: PassFigures, progress: Progress) -> None:
        live = kind == WARM
        # The limit protects the running application; in the stop every second counts.
        rate = 0 if kind == FINAL else self.options.rate
        scene = self._look(self._fence(live), kind, progress)
        ledger = self._copy(scene, kind, rate, figures, progress)
        self._finish(scene, progress)
        progress.begin("sync")
        progress.tick()
        self._sync()
        found = self._verify(scene, ledger, progress, rate)
        figures.read_bytes += found.read
        if live:
            figures.changed_bytes, figures.changed_files = found.unproven_bytes, found.unproven_files
        self._judge(found, live)

    def _fence(self, live: bool) -> Fence:
        if not live:
            return proof.no_fence()
        fence = proof.raise_fence(self.source, self.options.settle)
        if not fence.carries and not self.fences:
            self.report.note("the source is neither ext4 nor xfs: what is read before the stop cannot be trusted after it, the final pass reads all")
        self.fences.append(fence)
        return fence

    def _look(self, fence: Fence, kind: str, progress: Progress) -> Scene:
        """Scan, check the room, prepare the names."""
        tree = scan.walk(self.source, progress.tick, self.shapes)
        self.shapes = tree.shapes
        if kind != WARM:
            scan.demand_complete(tree)
        if len(self.report.passes) == 1:
            self.report.tree = tree.counts.as_tree_counts(0)
            self.report.tree = measure.fit(self.source, tree, self.dest, self.options.head_room, progress.tick)
        else:
            self.report.tree = tree.counts.as_tree_counts(self.report.tree.xattr_blocks)
        progress.begin("prepare", total_files=self.report.tree.inodes)
        takes_rclone = kind != FINAL and self.rclone_is_trusted
        prepared = prepare(self.source, self.dest, tree, self.knowledge, _never if self.options.reads else _looks_same, takes_rclone, progress.tick)
        self.report.lose(prepared.not_kept)
        for path in prepared.vanished:
            self.report.note(f"{shown(path)} vanished")
        return self._scene(tree, prepared, fence)

    def _scene(self, tree: scan.Tree, prepared: Preparation, fence: Fence) -> Scene:
        return Scene(self.source, self.dest, tree, prepared, self.knowledge, fence, self.meter, self.options.accepted, self.options.reads)

    def _copy(self, scene: Scene, kind: str, rate: int, figures: PassFigures, progress: Progress) -> Ledger:
        prepared = scene.prepared
        progress.begin("bulk", prepared.bytes, prepared.files)
        figures.copied_files = figures.changed_files = prepared.files
        figures.changed_bytes = prepared.bytes
        with flush.all_along(self.dest):
            ledger = self._fill(scene, kind, rate, figures, progress)
        link(self.dest, scene.tree, prepared)
        return ledger

    def _fill(self, scene: Scene, kind: str, rate: int, figures: PassFigures, progress: Progress) -> Ledger:
        if scene.prepared.by_rclone:
            self._run_rclone(scene, kind, rate, figures, progress)
        ledger = Ledger()
        todo = bulk.copy_tasks(scene)
        for batch in workers.run(range(len(todo)), bulk.copier(scene, todo, self.meter.pause(rate)), progress.tick):
            ledger.take(todo[batch.task], batch)
            figures.read_bytes += batch.read
            figures.written_bytes += batch.written
            progress.files += batch.files
            self.report.lose(batch.not_kept)
            for note in batch.notes:
                self.report.note(note)
        return ledger

    def _run_rclone(self, scene: Scene, kind: str, rate: int, figures: PassFigures, progress: Progress) -> None:
        def moved(moved_bytes: int, moved_files: int) -> None:
            progress.bytes, progress.files = moved_bytes, moved_files
            progress.tick()

        program, paths = rclone.find(), scene.prepared.by_rclone
        outcome = rclone.copy(program, os.path.realpath(self.options.source), os.path.realpath(self.options.dest), paths, rate, moved)
        figures.read_bytes += outcome.bytes
        figures.written_bytes += outcome.bytes
        for message in outcome.messages:
            self.report.note(f"rclone: {message}")
        if outcome.no_space:
            raise NoSpace(f"No space left while rclone copied: {outcome.messages[0] if outcome.messages else ''}")
        if outcome.exit_code and kind == FULL:
            self._demand_unmoved(scene.tree.moved(self.source, paths), kind)
            raise RcloneFailed(f"rclone failed with exit code {outcome.exit_code}: {'; '.join(outcome.messages[:3])}", outcome.exit_code)
        if outcome.exit_code:
            # A file changed under its hands, or cannot be read, or it is itself ill: our own workers will say which.
            take_over(self.dest, scene.tree, scene.prepared)
            self.rclone_is_trusted = False

    def _finish(self, scene: Scene, progress: Progress) -> None:
        todo = repair.tasks(scene)
        progress.begin("finish", total_files=self.report.tree.inodes - self.report.passes[-1].copied_files)
        for done in workers.run(range(len(todo)), repair.repairer(scene, todo), progress.tick):
            progress.files += done.entries
            self.report.lose(done.lost)
        self.report.lose(repair.repair_root(scene))

    def _sync(self) -> None:
        try:
            kernel.syncfs(self.dest)
        except OSError as error:
            if error.errno in NO_SPACE_ERRORS:
                raise NoSpace(f"no space left when the copy was written to disk: {error.strerror}") from error
            raise InputOutput(f"the destination could not be written to disk: {error.strerror}") from error

    def _verify(self, scene: Scene, ledger: Ledger, progress: Progress, rate: int) -> Found:
        progress.begin("verify", 2 * progress.bulk_bytes, self.report.tree.inodes)
        found = verify.verify_root(scene)
        todo = verify.tasks(scene)
        learning = _Learning(scene.tree, self.knowledge)
        for part in workers.run(range(len(todo)), verify.verifier(scene, ledger, todo, self.meter.pause(rate)), progress.tick):
            found.add(part)
            learning.take(part)
            progress.files = found.entries
        found.different += verify.link_differences(found.links)
        self.knowledge.complete(scene.tree.pages.keys(), found.big, verify.unvouched(found.links, scene.tree))
        self.report.lose(found.not_kept)
        self.report.entries, self.report.hashed_bytes, self.report.carried_bytes = found.entries, found.hashed, found.carried
        self.report.digest = found.digest if self.options.reads else ""
        return found

    def _judge(self, found: Found, live: bool) -> None:
        lost = {kind: one for kind, one in self.report.not_kept.items() if loss_of(kind) not in self.options.accepted}
        if lost:
            kinds = ", ".join(f"{kind} of {one.count}" for kind, one in lost.items())
            first = next(iter(lost.values())).first
            raise NotReproducible(f"cannot be reproduced on the destination: {kinds}; for example {first.kind} of {shown(first.path)}: "
                                  f"{first.reason}")
        if live:
            self._note_what_moved(found)
            return
        self.report.differences = [f"{what} of {shown(path)}" for path, what in found.different]
        self._demand_unmoved(found.changed, self.report.passes[-1].kind)
        if found.different:
            path, what = found.different[0]
            raise Different(f"the copy differs from the source: {what} of {shown(path)}{_and_more(found.different)}")

    def _demand_unmoved(self, changed: list[str], kind: str) -> None:
        if changed:
            for path in changed:
                self.report.note(f"{shown(path)} changed during the pass")
            raise SourceChanged(f"the source changed during the {kind} pass: {_first_and_more(changed)}")

    def _note_what_moved(self, found: Found) -> None:
        """On a live source: the next pass will see to it. A pass after which there is none must say so."""
        for path in found.changed:
            self.report.note(f"{shown(path)} changed during the pass")
        for path, what in found.different:
            self.report.note(f"{what} of {shown(path)} differs after the pass")
        moved = found.changed or [path for path, _ in found.different]
        if moved and self.options.kind == WARM:
            raise SourceChanged(f"the source changed during the {WARM} pass: {_first_and_more(moved)}; all else is copied, run the final pass when "
                                "nobody writes")


class _Learning:
    """Puts what the workers know of pieces into pages."""

    def __init__(self, tree: scan.Tree, knowledge: Knowledge) -> None:
        self._tree, self._knowledge = tree, knowledge
        self._parts: dict[scan.Unit, tuple[int, dict[str, Known]]] = {}

    def take(self, found: Found) -> None:
        for piece, packed in found.pieces:
            whole = pages.count(self._tree.pages[piece.unit[0]][piece.unit[1]])
            if piece.stop - piece.start == whole:
                self._learn(piece.unit, packed)
                continue
            so_far, known = self._parts.setdefault(piece.unit, (0, {}))
            known.update(proof.unpack(packed))
            self._parts[piece.unit] = so_far + piece.stop - piece.start, known
            if self._parts[piece.unit][0] == whole:
                self._learn(piece.unit, proof.pack(self._parts.pop(piece.unit)[1]))

    def _learn(self, unit: scan.Unit, packed: bytes) -> None:
        self._knowledge.learn(unit, len(self._tree.pages[unit[0]]), packed)


def _never(original: Stat, copy: Stat) -> bool:
    return False


def _looks_same(original: Stat, copy: Stat) -> bool:
    """What rsync and others go by; no proof."""
    return original.size == copy.size and original.mtime == copy.mtime and not (original.is_sparse and not copy.is_sparse)


def _first_and_more(paths: Sequence[str]) -> str:
    """The first that is no directory above another: that one changed only because the other did."""
    single = list(dict.fromkeys(paths))
    above = {"/".join(path.split("/")[:depth]) for path in single if path for depth in range(path.count("/") + 1)}
    telling = [path for path in single if path not in above]
    return shown(telling[0]) + _and_more(single)


def _and_more(items: Sequence[object]) -> str:
    return f" (and {len(items) - 1} more)" if len(items) > 1 else ""
