"""The judge can condemn: each kind of damage to a volume that a real writer wrote is found, and nothing else is. Without a cluster."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import judge
import pytest
import recorder

CHANGES = 100


@dataclass(frozen=True)
class Written:
    """A volume, and what was acknowledged on it."""

    root: Path
    acknowledged: tuple[str, ...]

    def findings(self) -> list[str]:
        return [str(finding) for finding in judge.judge(self.acknowledged, recorder.look(str(self.root)))]

    def last(self, operation: str, number: int = -1) -> judge.Record:
        """The last acknowledged change of a kind whose subject was not changed again."""
        records = [judge.record(text) for text in self.acknowledged]
        final = {entry.subject: entry for entry in records if entry.subject != "-"}
        return [entry for entry in final.values() if entry.operation == operation][number]


def write(root: Path, changes: int) -> list[str]:
    """One life of the writer, ended as a kubelet ends it; what it acknowledged."""
    with subprocess.Popen([sys.executable, recorder.__file__, "write", str(root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(changes + 1)]
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.readlines()
    assert process.returncode == 0
    texts = [recorder.unsealed(line.rstrip("\n")) or "" for line in lines]
    return [text.removeprefix(f"{recorder.DONE} ") for text in texts if text.startswith(recorder.DONE)]


@pytest.fixture(scope="module")
def two_lives(tmp_path_factory: pytest.TempPathFactory) -> Written:
    root = tmp_path_factory.mktemp("volume") / "data"
    root.mkdir()
    return Written(root, (*write(root, CHANGES), *write(root, CHANGES)))


@pytest.fixture
def volume(two_lives: Written, tmp_path: Path) -> Written:
    """A copy to damage, hard links and all."""
    subprocess.run(["cp", "-a", two_lives.root, tmp_path / "data"], check=True)
    return Written(tmp_path / "data", two_lives.acknowledged)


def lines(volume: Written) -> list[str]:
    return (volume.root / recorder.JOURNAL).read_text().splitlines(keepends=True)


def write_lines(volume: Written, kept: list[str]) -> None:
    (volume.root / recorder.JOURNAL).write_text("".join(kept))


def test_a_volume_that_was_left_alone_has_nothing_wrong_with_it(two_lives: Written) -> None:
    assert len(two_lives.acknowledged) >= 2 * CHANGES
    operations = {judge.record(text).operation for text in two_lives.acknowledged}
    assert operations == {recorder.APPEND, recorder.CREATE, recorder.OVERWRITE, recorder.LINK_TO, recorder.DELETE}
    assert two_lives.findings() == []


def test_what_was_never_acknowledged_may_have_happened_or_not(two_lives: Written) -> None:
    found = recorder.look(str(two_lives.root))
    assert judge.judge(two_lives.acknowledged[:CHANGES], found) == []
    assert judge.judge((), found) == []


def test_a_file_that_is_gone(volume: Written) -> None:
    path = volume.last(recorder.CREATE).subject
    (volume.root / path).unlink()
    assert f"lost: {path}" in volume.findings()
    assert {finding.partition(":")[0] for finding in volume.findings()} <= {"lost", "doubled"}


def test_a_file_whose_rest_is_zeros(volume: Written) -> None:
    path = volume.last(recorder.CREATE).subject
    body = (volume.root / path).read_bytes()
    (volume.root / path).write_bytes(body[:-8] + bytes(8))
    assert f"torn: {path}: its content is not what was written" in volume.findings()


def test_a_deleted_file_that_is_there_again(volume: Written) -> None:
    deleted = [entry for entry in map(judge.record, volume.acknowledged)
               if entry.operation == recorder.DELETE and entry.subject.startswith(recorder.FILES)
               and not (volume.root / recorder.LINKS / Path(entry.subject).name).exists()][-1].subject
    (volume.root / deleted).write_bytes(recorder.content(Path(deleted).name))
    assert volume.findings() == [f"resurrected: {deleted}"]


def test_a_hard_link_that_became_a_copy(volume: Written) -> None:
    linked = [path for path in (volume.root / recorder.LINKS).iterdir() if (volume.root / recorder.FILES / path.name).exists()][0]
    shutil.copy2(linked, linked.with_suffix(".copy"))
    os.replace(linked.with_suffix(".copy"), linked)
    assert len(volume.findings()) == 2 and all(f"/{linked.name}: the hard link is a copy" in finding for finding in volume.findings())


def test_a_file_that_nobody_wrote(volume: Written) -> None:
    (volume.root / recorder.FILES / "9-stray.1").write_bytes(b"x")
    assert volume.findings() == [f"doubled: {recorder.FILES}/9-stray.1, which nobody wrote"]


def test_a_block_that_went_back_in_time(volume: Written) -> None:
    entry = volume.last(recorder.OVERWRITE)
    with (volume.root / recorder.BLOCK_FILE).open("rb+") as file:
        file.seek(int(entry.subject) * recorder.BLOCK)
        file.write(recorder.content("seed", recorder.BLOCK))
    assert volume.findings() == [f"lost: block {entry.subject} as {entry.key}: it is as seed wrote it"]


def test_a_block_of_which_half_is_old(volume: Written) -> None:
    entry = volume.last(recorder.OVERWRITE)
    with (volume.root / recorder.BLOCK_FILE).open("rb+") as file:
        file.seek(int(entry.subject) * recorder.BLOCK + recorder.BLOCK // 2)
        file.write(recorder.content("seed", recorder.BLOCK // 2))
    assert volume.findings() == [f"torn: block {entry.subject}, last written as {entry.key}"]


@pytest.mark.parametrize("damage, kind", [
    (lambda kept: kept[:-3], "lost: journal record"),
    (lambda kept: kept[:20] + kept[21:], "lost: journal record"),
    (lambda kept: kept + kept[-1:], "doubled: journal record"),
    (lambda kept: kept[:-1] + [kept[-1][:-4]], "torn: journal: its last line"),
    (lambda kept: kept[:30] + ["\0" * len(kept[30].rstrip("\n")) + "\n"] + kept[31:], "torn: journal line"),
], ids=["its tail is lost", "a record is lost", "its tail is doubled", "its last line is cut", "zeros in its middle"])
def test_a_journal(volume: Written, damage: Callable[[list[str]], list[str]], kind: str) -> None:
    write_lines(volume, damage(lines(volume)))
    assert [finding for finding in volume.findings() if finding.startswith(kind)]


def test_a_gap_that_was_never_acknowledged_is_a_loss_all_the_same(volume: Written) -> None:
    kept = lines(volume)
    missing = judge.record(recorder.unsealed(kept[20].rstrip("\n")) or "")
    write_lines(volume, kept[:20] + kept[21:])
    silent = Written(volume.root, tuple(text for text in volume.acknowledged if text != str(missing)))
    assert f"lost: journal: {missing.key} is missing before {missing.life}.{missing.number + 1}" in silent.findings()


@pytest.mark.parametrize("number", [0, recorder.COLD_FILES - 1])
def test_a_file_that_was_not_touched_for_long(volume: Written, number: int) -> None:
    (volume.root / recorder.COLD / f"{number:04}").unlink()
    assert volume.findings() == [f"lost: {recorder.COLD}/{number:04}"]


def test_a_volume_that_is_empty(volume: Written) -> None:
    found = {"journal": [""], "blocks": [], "files": {}, "top": ["lost+found"]}
    said = [str(finding) for finding in judge.judge(volume.acknowledged, found)]
    assert len([finding for finding in said if finding.startswith("lost: journal record")]) == len(volume.acknowledged)
