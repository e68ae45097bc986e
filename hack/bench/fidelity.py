"""Measures what the mover, rsync, rclone, cp and tar keep of each case of tests/mover, and writes docs/exactness.md. As root, on fresh file systems
of loop devices: `python hack/bench/fidelity.py`."""
from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
# In place of this folder, where copy.py would stand before the standard library's.
sys.path[0] = os.path.join(_HERE, "..", "..", "tests", "mover")

import contextlib  # noqa: E402
import platform  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Iterator  # noqa: E402

from cases_of_change import ALL  # noqa: E402
from keeping import KEPT, OURS, TOOLS, command, measure  # noqa: E402

DOCUMENT = Path(_HERE).parents[1] / "docs" / "exactness.md"
_MKFS = ["mkfs.ext4", "-q", "-F", "-m0", "-b", "4096"]
_MIB = 1024
_OLDEST_RCLONE = (1, 75)

_TEXT = """# What a copy keeps

Measured by `hack/bench/fidelity.py` on {date}: Linux {kernel}, {file_system} to the same, as root with all capabilities;
{versions}.

Each case is a small tree that `tests/mover/cases.py` or `cases_of_change.py` builds; each program gets its own pair of directories. After the copy an
independent comparison (`tests/mover/checker.py`) looks at every name of both sides: type, mode, owner, device number, size, mtime in
nanoseconds, xattrs with ACLs and file capabilities, inode flags, content or target, the names that share its inode, and which parts of a file
are allocated. The cases of a second copy (from "{first_later}" on) begin with the same program's own first
copy. "Lost" names in what the two sides differ; "silently" means that the program ended with exit code 0, "never ends" that it was killed after a
minute. The top directory itself counts in its own row alone.

{table}

The commands:

{commands}

- In its pod the mover has six capabilities and not CAP_SYS_ADMIN: all rows hold (`tests/mover/test_exactness.py`), except that `trusted.*`
  attributes cannot even be seen then; the report says once that they were not looked for.
- Between ext4 and xfs all rows hold in both directions, but what xfs itself cannot hold is refused before the application is stopped (exit code
  21): symlinks of more than 1023 bytes, device numbers above 511:262143, and the inode flags that only ext4 has.
- Not compared: birth times, ctimes, atimes, quota projects (ids and the inode flag P), which are the provisioner's. The
  inode flags `i` and `a` need a capability that no pod of the baseline policy may have: a source with them is refused by name.
"""


@contextlib.contextmanager
def volume(folder: Path, name: str) -> Iterator[Path]:
    image, mount = folder / f"{name}.img", folder / name
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(_MIB << 20)
    subprocess.run([*_MKFS, str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def version(tool: str) -> str:
    if tool == OURS:
        return "the mover of this source tree"
    program = command(tool, Path("a"), Path("b"))[0] if tool != "tar" else "tar"
    shown = subprocess.run([program, "version" if tool == "rclone" else "--version"], check=True, capture_output=True, text=True).stdout
    number = re.search(r"\d+(\.\d+)+", shown)
    if number is None:
        raise SystemExit(f"of what version is {program}? {shown}")
    if tool == "rclone" and tuple(map(int, number[0].split(".")[:2])) < _OLDEST_RCLONE:
        raise SystemExit(f"rclone {number[0]} follows links as root and changes what they point to; at least 1.75 is needed")
    return f"{tool} {number[0]}"


def table(found: dict[str, dict[str, str]]) -> str:
    lines = ["| " + " | ".join(["Case", *TOOLS]) + " |", "|" + "---|" * (1 + len(TOOLS))]
    lines += ["| " + " | ".join([case.words, *(found[tool][case.words] for tool in TOOLS)]) + " |" for case in ALL]
    return "\n".join(lines)


def commands() -> str:
    shown = ("python" if OURS == tool else Path(words[0]).name for tool in TOOLS for words in [command(tool, Path("FROM"), Path("TO"))])
    rest = (command(tool, Path("FROM"), Path("TO"))[1:] for tool in TOOLS)
    return "\n".join(f"    {program} {' '.join(_quoted(word) for word in words)}" for program, words in zip(shown, rest))


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


def main() -> None:
    if os.geteuid():
        raise SystemExit("mounting file systems takes root")
    versions = [version(tool) for tool in TOOLS]
    found = {}
    with tempfile.TemporaryDirectory(prefix="fidelity-") as folder:
        for tool in TOOLS:
            with volume(Path(folder), f"from {tool}") as source, volume(Path(folder), f"to {tool}") as dest:
                found[tool] = measure(ALL, tool, source, dest, pause=1.1)
            kept = sum(verdict == KEPT for verdict in found[tool].values())
            print(f"{tool}: {kept} of {len(ALL)} cases kept")
    DOCUMENT.write_text(_TEXT.format(date=time.strftime("%Y-%m-%d"), kernel=platform.release(), file_system="ext4 with blocks of 4 KiB",
                                     versions=", ".join(versions), first_later=next(case.words for case in ALL if case.change or case.pollute),
                                     table=table(found), commands=commands()))


if __name__ == "__main__":
    main()
