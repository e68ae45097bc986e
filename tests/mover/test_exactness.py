"""The promise of exactness on real file systems: whatever the source holds, whatever stands in the destination, with the six capabilities of the
pod and with all: no difference for an independent eye, nothing written by a second run, and `--check` agrees."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Callable, Sequence

import cases
import checker
import many_hands
import pytest
from cases import EXT4_FLAGS, FRESH, LONG_LINKS, Case
from cases_of_change import ALL
from mover_process import Mover

pytestmark = pytest.mark.root
MakeVolume = Callable[..., Path]
StartMover = Callable[..., Mover]

MIB = 512
MKFS = {"ext4": ("ext4", ["-b", "4096"]), "ext4 of 1 KiB": ("ext4", ["-b", "1024"]), "xfs": ("xfs", [])}
PAIRS = [("ext4", "ext4"), ("ext4", "xfs"), ("xfs", "xfs"), ("xfs", "ext4"), ("ext4 of 1 KiB", "ext4")]
CANNOT_HOLD = {"ext4": frozenset[str](), "ext4 of 1 KiB": frozenset({LONG_LINKS}), "xfs": frozenset({LONG_LINKS, EXT4_FLAGS})}
SIX = ("setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set", "-all,+chown,+dac_override,+fowner,+fsetid,+mknod,+setfcap")
RIGHTS = {"all": (), "the six of the pod": SIX}
# What the six cannot do does not depend on the way from one kind of file system to another.
SCENES = [*((pair, "all") for pair in PAIRS), *((pair, "the six of the pod") for pair in PAIRS if pair[0] == pair[1])]
NOT_LOOKED_FOR = {"all": [], "the six of the pod": ["xattr trusted.*: invisible without CAP_SYS_ADMIN"]}


class Scene:
    """A source and a destination, and all cases that both can hold, each in a directory of the same name."""

    def __init__(self, make_volume: MakeVolume, start_mover: StartMover, pair: tuple[str, str], rights: str) -> None:
        self.start_mover, self.rights = start_mover, rights
        source, dest = (make_volume(name, MIB, *MKFS[which][1], kind=MKFS[which][0]) for name, which in zip(("from", "to"), pair))
        self.source, self.dest, self.outside = source / "data", dest / "data", dest / "outside"
        for top in (self.source, self.dest, self.outside):
            top.mkdir()
        lacking = CANNOT_HOLD[pair[0]] | CANNOT_HOLD[pair[1]]
        # Without CAP_SYS_ADMIN nobody sees these.
        self.cases = [case for case in ALL if not case.needs & lacking and (rights == "all" or case.make is not cases.trusted_attributes)]

    def fill(self, of: Sequence[Case] | None = None) -> None:
        for case in self.cases if of is None else [case for case in self.cases if case in of]:
            (self.source / case.slug).mkdir()
            case.make(self.source / case.slug)
        cases.top_itself(self.source)

    def change(self) -> None:
        for case in self.cases:
            if case.change is not None:
                case.change(self.source / case.slug)
        os.chmod(self.source, 0o711)
        os.removexattr(self.source, "user.top")

    def pollute(self) -> None:
        for case in self.cases:
            if case.pollute is not None:
                outside = self.outside / case.slug
                outside.mkdir()
                case.pollute(self.dest / case.slug, outside)

    def rotate(self) -> None:
        """Every case's directory gets the name of another: what stands in the destination is of the wrong kind almost everywhere."""
        for case in self.cases:
            (self.source / case.slug).rename(self.source / f"{case.slug} aside")
        for number, case in enumerate(self.cases):
            (self.source / f"{case.slug} aside").rename(self.source / self.cases[number - 1].slug)

    def copy(self, *options: str) -> Mover:
        mover = self.start_mover(self.source, self.dest, *options, prefix=RIGHTS[self.rights])
        assert mover.end() == 0, mover.last
        assert mover.report["not_looked_for"] == NOT_LOOKED_FOR[self.rights]
        assert mover.report["not_kept"] == []
        return mover


@pytest.fixture(params=RIGHTS)
def rights(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SCENES, ids=lambda scene: f"{' to '.join(scene[0])}, {scene[1]}")
def scene(request: pytest.FixtureRequest, make_volume: MakeVolume, start_mover: StartMover) -> Scene:
    return Scene(make_volume, start_mover, *request.param)


def test_a_fresh_copy_is_exact_and_a_second_run_writes_nothing(scene: Scene) -> None:
    scene.fill()
    scene.copy()
    checker.assert_equal(scene.source, scene.dest)
    before = checker.ctimes(scene.dest)
    checked, again = scene.copy("--check"), scene.copy()
    after = checker.ctimes(scene.dest)
    checker.close()
    assert [path for path, ctime in before.items() if after[path] != ctime] == []
    assert checked.report["verified"]["digest"] == again.report["verified"]["digest"] != ""


def test_a_copy_onto_a_stale_and_polluted_destination_is_exact(scene: Scene) -> None:
    scene.fill()
    scene.copy()
    scene.change()
    scene.pollute()
    outside = checker.untouched(scene.outside)
    scene.copy()
    checker.assert_equal(scene.source, scene.dest)
    scene.copy("--check")
    assert checker.untouched(scene.outside) == outside


def test_it_is_exact_too_when_each_directory_is_in_the_hands_of_another_worker(make_volume: MakeVolume, start_mover: StartMover) -> None:
    def start_many(*arguments: str | Path, prefix: Sequence[str]) -> Mover:
        return start_mover(*arguments, prefix=prefix, program=(many_hands.__file__,))

    scene = Scene(make_volume, start_many, ("ext4", "ext4"), "all")
    scene.fill()
    scene.copy()
    checker.assert_equal(scene.source, scene.dest)
    scene.change()
    scene.pollute()
    scene.rotate()
    outside = checker.untouched(scene.outside)
    scene.copy()
    checker.assert_equal(scene.source, scene.dest)
    assert checker.untouched(scene.outside) == outside


def test_a_copy_onto_other_kinds_of_entries_everywhere_is_exact(rights: str, make_volume: MakeVolume, start_mover: StartMover) -> None:
    scene = Scene(make_volume, start_mover, ("ext4", "xfs"), rights)
    scene.fill(FRESH)
    scene.cases = [case for case in scene.cases if case in FRESH]
    scene.copy()
    scene.rotate()
    scene.copy()
    checker.assert_equal(scene.source, scene.dest)
    scene.copy("--check")


def test_trusted_attributes_that_cannot_be_seen_are_said_once_not_to_be_looked_for(make_volume: MakeVolume, start_mover: StartMover) -> None:
    scene = Scene(make_volume, start_mover, ("ext4", "ext4"), "the six of the pod")
    for number in range(3):
        (scene.source / f"{number}").touch()
        os.setxattr(scene.source / f"{number}", "trusted.x", b"unseen")
    mover = scene.copy()
    assert mover.report["not_looked_for"] == NOT_LOOKED_FOR[scene.rights]
    assert mover.last["report"]["not_looked_for"] == NOT_LOOKED_FOR[scene.rights]
    assert os.listxattr(scene.dest / "0") == []


@pytest.mark.parametrize(("what", "make"), [
    ("symbolic link of thing", lambda thing: thing.symlink_to("x" * 4000)),
    ("device of thing", lambda thing: os.mknod(thing, 0o060600, os.makedev(512, 1))),
    ("inode flags of thing", lambda thing: (thing.mkdir(), subprocess.run(["chattr", "+D", str(thing)], check=True))),
])
def test_what_xfs_cannot_hold_is_refused_by_name(what: str, make: Callable[[Path], object], make_volume: MakeVolume, start_mover: StartMover) -> None:
    scene = Scene(make_volume, start_mover, ("ext4", "xfs"), "the six of the pod")
    make(scene.source / "thing")
    mover = start_mover(scene.source, scene.dest, prefix=SIX)
    assert mover.end() == 21
    assert what in mover.last["message"]
