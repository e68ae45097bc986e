"""What a volume holds, in a form that two moments can be compared in; and whether a journal of test-manifests/statefulset.yaml is whole.

    manifest.py TREE [--exclude PATH]... [--digest]
    manifest.py --journal FILE --of POD [--at NUMBER]

The judge of migrations, so it shares no code with what it judges: the standard library alone, run in the application's pod by
`kubectl exec -i POD -c tools -- python3 - /data <hack/manifest.py`. Exits with 1 and one sentence when something
cannot be read or a journal is broken.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import stat
import sys
from typing import Any, Iterator, NoReturn

Entry = dict[str, Any]
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
         stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"}


def entries(top: str, excluded: frozenset[str]) -> Iterator[Entry]:
    """One dictionary per entry, the root first, sorted by path. `excluded`: paths relative to `top`, with all that is below them.

    `allocated` is in bytes. It is no part of an exact copy (file systems differ by a block here and there), but a filled hole shows in it.
    """
    paths = sorted(_paths(top, excluded))
    first_names: dict[int, str] = {}
    for path in paths:
        yield _entry(os.path.join(top, path), path, first_names)


def _paths(top: str, excluded: frozenset[str]) -> Iterator[str]:
    yield "."
    for folder, folders, files in os.walk(top, onerror=_unreadable):
        relative = os.path.relpath(folder, top)
        below = "" if relative == "." else relative + "/"
        folders[:] = [name for name in folders if below + name not in excluded]
        yield from (below + name for name in folders + files if below + name not in excluded)


def _unreadable(error: OSError) -> NoReturn:
    raise error


def _entry(path: str, name: str, first_names: dict[int, str]) -> Entry:
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    entry: Entry = {"path": name, "type": kind, "mode": f"{stat.S_IMODE(status.st_mode):04o}", "uid": status.st_uid, "gid": status.st_gid,
                    "mtime_ns": status.st_mtime_ns, "xattrs": _xattrs(path), "allocated": status.st_blocks * 512}
    if kind != "directory":
        # A directory's size and links are the file system's own affair.
        entry |= {"size": status.st_size, "links": status.st_nlink, "same_as": first_names.setdefault(status.st_ino, name)}
    if kind == "symlink":
        entry["target"] = os.readlink(path)
    if kind == "file":
        with open(path, "rb", buffering=0) as file:
            entry["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    if "device" in kind:
        entry["device"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
    return entry


def _xattrs(path: str) -> dict[str, str]:
    # The label is the node's, given anew to every volume.
    names = sorted(name for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux")
    return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}


def digest(found: list[Entry]) -> Entry:
    """One sum over everything but `allocated`, and counts that mean something to people."""
    total = hashlib.sha256()
    for entry in found:
        total.update(json.dumps({key: value for key, value in entry.items() if key != "allocated"}, sort_keys=True).encode() + b"\n")
    # A hard-linked file counts once.
    files = [entry for entry in found if entry["type"] == "file" and entry["same_as"] == entry["path"]]
    return {"digest": total.hexdigest(), "entries": len(found), "files": len(files), "bytes": sum(entry["size"] for entry in files),
            "allocated": sum(entry["allocated"] for entry in files)}


def read_journal(file: str, pod: str, at: int) -> Entry:
    """Number of lines, the sum of line `at` (each line's vouches for all before it), the longest pause between two lines in seconds.

    Raises ValueError naming the first line that is missing, torn, altered, or not written by `pod`.
    """
    with open(file, encoding="ascii", errors="replace") as opened:
        text = opened.read()
    if text and not text.endswith("\n"):
        raise ValueError(f"{file}: the last line is torn")
    previous, at_sum, before, pause = pod, "", 0.0, 0.0
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        fields = line.split(" ")
        expected = hashlib.sha256(f"{previous} {number} {fields[1]}".encode()).hexdigest() if len(fields) == 3 else ""
        if fields[0] != str(number) or fields[-1] != expected:
            raise ValueError(f"{file}: line {number} does not follow from the lines before it: {line[:120]!r}")
        previous = expected
        now = float(fields[1])
        pause = max(pause, now - before) if number > 1 else 0.0
        before = now
        if number == at:
            at_sum = expected
    if at > len(lines):
        raise ValueError(f"{file}: line {at} was there before and is gone; there are {len(lines)}")
    return {"lines": len(lines), "sum": previous, "sum_at": at_sum, "longest_pause": round(pause, 2)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a volume holds; whether a journal is whole.")
    parser.add_argument("tree", nargs="?", metavar="TREE", help="Where the volume is mounted")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATH", help="Leave out this path, relative to TREE; may be repeated")
    parser.add_argument("--digest", action="store_true", help="One sum and counts instead of a line for each entry")
    parser.add_argument("--journal", metavar="FILE", help="Check a journal instead")
    parser.add_argument("--of", metavar="POD", default="", help="Whose journal it must be")
    parser.add_argument("--at", type=int, default=0, metavar="NUMBER", help="Also print the sum of this line")
    arguments = parser.parse_args()
    if (arguments.tree is None) == (arguments.journal is None):
        parser.error("one of TREE and --journal is needed")
    return arguments


def main() -> None:
    arguments = _arguments()
    try:
        if arguments.journal is not None:
            print(json.dumps(read_journal(arguments.journal, arguments.of, arguments.at)))
        elif arguments.digest:
            print(json.dumps(digest(list(entries(arguments.tree, frozenset(arguments.exclude))))))
        else:
            for entry in entries(arguments.tree, frozenset(arguments.exclude)):
                print(json.dumps(entry, sort_keys=True))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
