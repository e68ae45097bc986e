"""The order of things: one full pass, or warm passes on a live source, the wait for the word that it stopped, and the final pass. What each step
does stands in its own file; what differs between the kinds of pass stands here."""
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Iterator

from . import bulk, kernel, measure, proof, rclone, repair, scan, verify, workers
from .bulk import Scene, Work
from .failures import NO_SPACE_ERRORS, Different, InputOutput, NoSpace, NotReproducible, RcloneFailed, SourceChanged, shown
from .meter import Meter
from .prepare import link, prepare
from .progress import Progress
from .proof import Fence, Knowledge, Known
from .report import PassFigures, Reporter
from .verify import Found, Ledger

WARM, FINAL, FULL = "warm", "final", "full"
_MOST_WARM_PASSES = 5
# Little enough for the stop: another warm pass would cost more than it saves.
_LITTLE_BYTES, _LITTLE_FILES = 64 << 20, 2000
_LONG_PASS_SECONDS = 60.0
_PAYS_OFF_BELOW = 0.7
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Options:
    """What the command line said. `rate`: bytes/s of the passes before the stop (0: no limit); `settle`: see proof.Fence, seconds."""

    source: str
    dest: str
    final_file: str | None = None
    final_prefix: str = ""
    rate: int = 0
    head_room: int = 0
    settle: float = 10.0


class Move:
    """One source, one destination, and what was learnt about them so far."""

    def __init__(self, options: Options, reporter: Reporter) -> None:
        self.options, self.reporter, self.report = options, reporter, reporter.report
        self.source = measure.open_root(options.source, "source")
        # Opened before the first write: syncfs reports the write errors since then.
        self.dest = measure.open_root(options.dest, "destination")
        self.meter = Meter()
        self.knowledge: Knowledge = {}
        self.fences: list[Fence] = []
        self.unproven_files = 0
        self.rclone_is_trusted = True

    def run(self) -> None:
        """Copy and verify; returns when the copy is proven equal. Raises MoverFailure."""
        if self.options.final_file is None:
            self._pass(FULL)
            return
        while self._another_warm_pass_pays_off():
            self._pass(WARM)
        self.reporter.waiting(len(self.report.passes))
        self.report.final = self._wait_for_word(self.options.final_file)
        if not all(fence.still_holds() for fence in self.fences):
            self.report.note("the clock was set back since the warm passes: nothing is carried over from them")
            self.knowledge = {path: {name: Known(known.dest, known.blocks) for name, known in entries.items()}
                              for path, entries in self.knowledge.items()}
        self._pass(FINAL)

    def _another_warm_pass_pays_off(self) -> bool:
        passes = self.report.passes
        if not passes:
            return True
        last = passes[-1]
        if len(passes) >= _MOST_WARM_PASSES:
            return False
        if len(passes) > 1 and last.changed_bytes > _PAYS_OFF_BELOW * passes[-2].changed_bytes:
            return False
        return last.changed_bytes > _LITTLE_BYTES or self.unproven_files > _LITTLE_FILES or last.seconds > _LONG_PASS_SECONDS

    def _wait_for_word(self, path: str) -> str:
        while True:
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    word = file.read().strip()
            except FileNotFoundError:
                word = ""
            if word.startswith(self.options.final_prefix) and word:
                return word
            time.sleep(_POLL_SECONDS)

    def _pass(self, kind: str) -> None:
        started = time.monotonic()
        figures = PassFigures(len(self.report.passes) + 1, kind)
        previous = self.report.passes[-1].changed_bytes if self.report.passes else None
        progress = Progress(self.reporter, self.meter, figures.number, kind, previous)
        self.report.passes.append(figures)
        try:
            self._carry_out(kind, figures, progress)
        except NoSpace as failure:
            raise NoSpace(f"{failure.message}; {measure.shortfall(self.dest, self.report.tree)}") from failure
        finally:
            figures.seconds = time.monotonic() - started

    def _carry_out(self, kind: str, figures: PassFigures, progress: Progress) -> None:
        live = kind == WARM
        fence = self._fence(live)
        scene = self._look(fence, kind, progress)
        ledger = self._copy(scene, kind, figures, progress)
        self._finish(scene, ledger, progress)
        progress.begin("sync")
        progress.tick()
        self._sync()
        found = self._verify(scene, ledger, progress)
        figures.read_bytes += found.read
        self._learn(scene, found)
        if live:
            figures.changed_bytes, self.unproven_files = self._unproven(scene)
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
        tree = scan.walk(self.source, progress.tick)
        if kind != WARM:
            scan.demand_complete(tree)
        if len(self.report.passes) == 1:
            self.report.tree = measure.counts(self.source, tree, progress.tick)
            # Entries already in the destination make room: a copy that was killed half-way must not fail for its own bytes.
            geometry = measure.offered(self.dest, scan.walk(self.dest, progress.tick))
            measure.demand_room(self.report.tree, geometry, self.options.head_room)
        else:
            self.report.tree = scan.count(tree, self.report.tree.xattr_blocks)
        progress.begin("prepare", total_files=self.report.tree.inodes)
        prepared = prepare(self.source, self.dest, tree, progress.tick)
        self.report.lose(prepared.not_kept)
        for path in prepared.vanished:
            self.report.note(f"{shown(path)} vanished")
        # The limit protects the running application; in the stop every second counts.
        rate = 0 if kind == FINAL else self.options.rate
        return Scene(self.source, self.dest, tree, prepared, self.knowledge, fence, self.meter, rate)

    def _copy(self, scene: Scene, kind: str, figures: PassFigures, progress: Progress) -> Ledger:
        work = bulk.divide(scene.tree, scene.prepared, scene.knowledge, with_rclone=kind != FINAL and self.rclone_is_trusted)
        progress.begin("bulk", work.bytes, work.files)
        figures.copied_files, figures.changed_bytes = work.files, work.bytes
        if work.by_rclone:
            self._run_rclone(work, kind, scene.rate, figures, progress)
        ledger: Ledger = {}
        for batch in workers.run(work.by_workers, bulk.copier(scene), progress.tick):
            for copied in batch:
                figures.read_bytes += copied.read
                figures.written_bytes += copied.written
                progress.files += 1
                self.report.lose(copied.not_kept)
                self.report.note(copied.note)
                ledger.setdefault(copied.directory, {})[copied.name] = copied
        link(self.dest, scene.tree, scene.prepared)
        return ledger

    def _run_rclone(self, work: Work, kind: str, rate: int, figures: PassFigures, progress: Progress) -> None:
        def moved(moved_bytes: int, moved_files: int) -> None:
            progress.bytes, progress.files = moved_bytes, moved_files
            progress.tick()

        program = rclone.find()
        outcome = rclone.copy(program, os.path.realpath(self.options.source), os.path.realpath(self.options.dest), work.by_rclone, rate, moved)
        figures.read_bytes += outcome.bytes
        figures.written_bytes += outcome.bytes
        for message in outcome.messages:
            self.report.note(f"rclone: {message}")
        if outcome.no_space:
            raise NoSpace(f"no space left while rclone copied: {outcome.messages[0] if outcome.messages else ''}")
        if outcome.exit_code and kind == FULL:
            raise RcloneFailed(f"rclone failed with exit code {outcome.exit_code}: {'; '.join(outcome.messages[:3])}", outcome.exit_code)
        # A file that changed under rclone's hands goes to our own workers in the next pass, and so does everything when rclone itself is ill.
        self.rclone_is_trusted = outcome.exit_code == 0

    def _finish(self, scene: Scene, ledger: Ledger, progress: Progress) -> None:
        todo = repair.tasks(scene, ledger)
        progress.begin("finish", total_files=sum(len(names) for task in todo for _, names in task))
        for lost in workers.run(todo, repair.repairer(scene), progress.tick):
            self.report.lose(lost)
        self.report.lose(repair.repair_root(scene))

    def _sync(self) -> None:
        try:
            kernel.syncfs(self.dest)
        except OSError as error:
            if error.errno in NO_SPACE_ERRORS:
                raise NoSpace(f"no space left when the copy was written to disk: {error.strerror}") from error
            raise InputOutput(f"the destination could not be written to disk: {error.strerror}") from error

    def _verify(self, scene: Scene, ledger: Ledger, progress: Progress) -> Found:
        progress.begin("verify", 2 * progress.bulk_bytes, self.report.tree.inodes)
        found = verify.verify_root(scene)
        for part in workers.run(verify.tasks(scene), verify.verifier(scene, ledger), progress.tick):
            found.add(part)
            progress.files = found.entries
        found.different += verify.link_differences(found.links)
        self.report.lose(found.not_kept)
        self.report.entries, self.report.hashed_bytes, self.report.carried_bytes = found.entries, found.hashed, found.carried
        return found

    def _learn(self, scene: Scene, found: Found) -> None:
        """Remember what was proven, forget what is gone."""
        for path, name, known in found.known:
            self.knowledge.setdefault(path, {})[name] = known
        for path in self.knowledge.keys() - scene.tree.directories.keys():
            del self.knowledge[path]
        for path, entries in self.knowledge.items():
            for name in entries.keys() - scene.tree.directories[path].keys():
                del entries[name]
        for places in scene.tree.links.values():
            # Further names vouch for no content of their own: their proof is that of the first.
            first = self._known(places[0])
            for place in places[1:]:
                further = self._known(place)
                if further is not None and (first is None or first.source is None or first.source != further.source):
                    del self.knowledge[place[0]][place[1]]

    def _known(self, place: tuple[str, str]) -> Known | None:
        return proof.known_of(self.knowledge, *place)

    def _unproven(self, scene: Scene) -> tuple[int, int]:
        """Bytes and number of files whose content no proof covers: what the next pass must read."""
        sizes = list(self._unproven_sizes(scene))
        return sum(sizes), len(sizes)

    def _unproven_sizes(self, scene: Scene) -> Iterator[int]:
        followers = scene.tree.followers
        for path, entries in scene.tree.directories.items():
            for name, entry in entries.items():
                if entry.is_file and (path, name) not in followers:
                    known = self._known((path, name))
                    if known is None or not known.settled or known.source != entry.identity:
                        yield entry.size

    def _judge(self, found: Found, live: bool) -> None:
        lost = [item for items in self.report.not_kept.values() for item in items]
        if lost:
            kinds = ", ".join(f"{kind} of {len(items)}" for kind, items in self.report.not_kept.items())
            example = f"{lost[0].kind} of {shown(lost[0].path)}: {lost[0].reason}"
            raise NotReproducible(f"cannot be reproduced on the destination: {kinds}; for example {example}")
        if live:
            for path in found.changed:
                self.report.note(f"{shown(path)} changed during the pass")
            for path, what in found.different:
                self.report.note(f"{what} of {shown(path)} differs after the pass")
            return
        self.report.differences = [f"{what} of {shown(path)}" for path, what in found.different]
        if found.changed:
            more = f" (and {len(found.changed) - 1} more)" if len(found.changed) > 1 else ""
            raise SourceChanged(f"the source changed during the {FINAL} pass: {shown(found.changed[0])}{more}")
        if found.different:
            path, what = found.different[0]
            more = f" (and {len(found.different) - 1} more)" if len(found.different) > 1 else ""
            raise Different(f"the copy differs from the source: {what} of {shown(path)}{more}")
