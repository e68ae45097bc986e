"""What an exact copy must keep when something stands in the destination already: the source changed since the first copy, or somebody else was there.
One small builder a case, as in cases.py."""
from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from cases import FRESH, HIGHEST_ID, LARGE, Case, make_entry, noise, sparse
from torture import CAPABILITY, acl

KINDS = ("file", "directory", "full", "symlink", "fifo", "socket", "character", "block")
_SIZES = (1000, 300000, LARGE)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Other content, of the same size and mtime."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def same_size_and_mtime(top: Path) -> None:
    for size in _SIZES:
        (top / f"{size}").write_bytes(noise(size))


def _other_content(top: Path) -> None:
    for size in _SIZES:
        overwrite(top / f"{size}", size - 20, b"other")


def copy_that_rotted(top: Path) -> None:
    same_size_and_mtime(top)


def _rot(dest: Path, outside: Path) -> None:
    for path in dest.iterdir():
        overwrite(path, 500, b"rotten")


def grown_and_shrunk(top: Path) -> None:
    for size in _SIZES:
        for name in ("grows", "shrinks", "emptied"):
            (top / f"{name} {size}").write_bytes(noise(size))
    (top / "filled").touch()


def _grow_and_shrink(top: Path) -> None:
    for size in _SIZES:
        with (top / f"grows {size}").open("ab") as file:
            file.write(noise(200000))
        os.truncate(top / f"shrinks {size}", size // 2 + 1)
        os.truncate(top / f"emptied {size}", 0)
    (top / "filled").write_bytes(noise(LARGE))


def removed_and_renamed(top: Path) -> None:
    for kind in KINDS:
        for fate in ("removed", "renamed"):
            make_entry(top / f"{kind} {fate}", kind)


def _remove_and_rename(top: Path) -> None:
    for kind in KINDS:
        _remove(top / f"{kind} removed")
        (top / f"{kind} renamed").rename(top / f"{kind} under another name")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def every_kind_becomes_every_other(top: Path) -> None:
    for before, after in _turns():
        make_entry(top / f"{before} to {after}", before)


def _turn(top: Path) -> None:
    for before, after in _turns():
        _remove(top / f"{before} to {after}")
        make_entry(top / f"{before} to {after}", after)


def _turns() -> list[tuple[str, str]]:
    return [(before, after) for before in KINDS for after in KINDS if before != after]


def metadata_alone(top: Path) -> None:
    for kind in ("file", "directory", "fifo", "character"):
        for what in ("mode", "owner", "group"):
            make_entry(top / f"{kind} {what}", kind)
    (top / "large mode").write_bytes(noise(LARGE))
    make_entry(top / "symlink owner", "symlink")


def _change_metadata(top: Path) -> None:
    for path in sorted(top.iterdir()):
        if path.name.endswith("mode"):
            os.chmod(path, 0o6511)
        else:
            os.chown(path, 77 if path.name.endswith("owner") else -1, HIGHEST_ID, follow_symlinks=False)


def mtime_by_a_nanosecond(top: Path) -> None:
    for kind in ("file", "directory", "symlink", "fifo"):
        make_entry(top / kind, kind)
        os.utime(top / kind, ns=(1, 10**18), follow_symlinks=False)


def _a_nanosecond_later(top: Path) -> None:
    for path in top.iterdir():
        os.utime(path, ns=(1, 10**18 + 1), follow_symlinks=False)


def attributes_removed(top: Path) -> None:
    for kind in ("file", "directory"):
        make_entry(top / kind, kind)
        os.setxattr(top / kind, "user.stays", b"s")
        os.setxattr(top / kind, "user.goes", b"g")
        os.setxattr(top / kind, "user.changes", b"before")
        os.setxattr(top / kind, "system.posix_acl_access", acl(7))
    os.setxattr(top / "directory", "system.posix_acl_default", acl(7))
    os.setxattr(top / "file", "security.capability", CAPABILITY)


def _remove_attributes(top: Path) -> None:
    for kind in ("file", "directory"):
        os.removexattr(top / kind, "user.goes")
        os.setxattr(top / kind, "user.changes", b"after")
        os.removexattr(top / kind, "system.posix_acl_access")
    os.removexattr(top / "directory", "system.posix_acl_default")
    os.removexattr(top / "file", "security.capability")


def flags_removed(top: Path) -> None:
    for kind in ("file", "directory"):
        make_entry(top / kind, kind)
        subprocess.run(["chattr", "+dAS", str(top / kind)], check=True)


def _remove_flags(top: Path) -> None:
    subprocess.run(["chattr", "=", str(top / "file"), str(top / "directory")], check=True)


def hard_links_broken(top: Path) -> None:
    for size in _SIZES:
        (top / f"{size}").write_bytes(noise(size))
        for number in range(3):
            os.link(top / f"{size}", top / f"{size} {number}")
    for kind in ("symlink", "fifo"):
        make_entry(top / kind, kind)
        os.link(top / kind, top / f"{kind} too", follow_symlinks=False)


def _break_links(top: Path) -> None:
    for size in _SIZES:
        path = top / f"{size} 1"
        status, data = path.stat(), path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for kind in ("symlink", "fifo"):
        (top / f"{kind} too").unlink()
        make_entry(top / f"{kind} too", kind)


def hard_links_since(top: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (top / name).write_bytes(b"equal")
        os.utime(top / name, ns=(1, 10**18))
    make_entry(top / "fifo", "fifo")
    make_entry(top / "fifo too", "fifo")


def _link_since(top: Path) -> None:
    for name, origin in (("b", "a"), ("d", "c"), ("fifo too", "fifo")):
        (top / name).unlink()
        os.link(top / origin, top / name)


def hard_links_regrouped(top: Path) -> None:
    (top / "one").write_text("equal")
    (top / "two").write_text("equal")
    for name, origin in (("a", "one"), ("b", "one"), ("c", "two"), ("d", "two")):
        os.link(top / origin, top / name)


def _regroup(top: Path) -> None:
    for name, origin in (("b", "two"), ("d", "one")):
        (top / name).unlink()
        os.link(top / origin, top / name)


def wrongly_linked(top: Path) -> None:
    for name in ("a", "b", "c"):
        (top / name).write_text("equal")
    for name in ("x", "y"):
        make_entry(top / name, "symlink")


def _link_wrongly(dest: Path, outside: Path) -> None:
    for name, origin in (("b", dest / "a"), ("y", dest / "x")):
        (dest / name).unlink(missing_ok=True)
        os.link(origin, dest / name, follow_symlinks=False)
    shutil.copy2(dest / "c", outside / "linked from outside")
    (dest / "c").unlink()
    os.link(outside / "linked from outside", dest / "c")
    os.chmod(dest / "c", 0o600)


def holes_that_moved(top: Path) -> None:
    sparse(top / "filled", 4 << 20)
    sparse(top / "moved", 4 << 20, (0, noise(1 << 20)), (3 << 20, noise(1 << 20)))
    (top / "punched").write_bytes(noise(4 << 20))
    (top / "large punched").write_bytes(noise(LARGE))
    (top / "zeros punched").write_bytes(bytes(4 << 20))
    sparse(top / "zeros written", 4 << 20, (0, noise(65536)))


def _move_holes(top: Path) -> None:
    with (top / "filled").open("r+b") as file:
        file.seek(1 << 20)
        file.write(noise(70000))
    sparse(top / "moved", 4 << 20, (1 << 20, noise(1 << 20)))
    for name in ("punched", "large punched", "zeros punched"):
        status = (top / name).stat()
        _punch(top / name, 1 << 20, 1 << 20)
        os.utime(top / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    overwrite(top / "zeros written", 2 << 20, bytes(65536))


def _punch(path: Path, offset: int, length: int) -> None:
    subprocess.run(["fallocate", "--punch-hole", "--offset", str(offset), "--length", str(length), str(path)], check=True)


def holes_filled_by_others(top: Path) -> None:
    sparse(top / "zeros", 4 << 20, (0, noise(65536)))
    sparse(top / "noise", 4 << 20, (0, noise(65536)))
    (top / "data").write_bytes(bytes(1 << 20))


def _fill_holes(dest: Path, outside: Path) -> None:
    overwrite(dest / "zeros", 1 << 20, bytes(1 << 20))
    overwrite(dest / "noise", 1 << 20, noise(1 << 20))
    status = (dest / "data").stat()
    _punch(dest / "data", 0, 524288)
    os.utime(dest / "data", ns=(status.st_atime_ns, status.st_mtime_ns))


def symlinks_retargeted(top: Path) -> None:
    for name in ("one", "two"):
        (top / name).symlink_to("before")
        os.utime(top / name, ns=(1, 10**18), follow_symlinks=False)


def _retarget(top: Path) -> None:
    for name, target in (("one", "behind"), ("two", "another length")):
        (top / name).unlink()
        (top / name).symlink_to(target)
        os.utime(top / name, ns=(1, 10**18), follow_symlinks=False)


def exchanged(top: Path) -> None:
    for name in ("a", "b"):
        (top / name).mkdir()
        (top / name / "file").write_text(name)
        os.chmod(top / name, 0o700 if name == "a" else 0o2755)


def _exchange(top: Path) -> None:
    libc, at_cwd, rename_exchange = ctypes.CDLL(None, use_errno=True), -100, 2
    if libc.renameat2(at_cwd, os.fsencode(top / "a"), at_cwd, os.fsencode(top / "b"), rename_exchange):
        raise OSError(ctypes.get_errno(), "renameat2")


def surplus(top: Path) -> None:
    (top / "directory").mkdir()
    (top / "directory" / "file").write_text("f")


def _add_surplus(dest: Path, outside: Path) -> None:
    for kind in KINDS:
        make_entry(dest / f"surplus {kind}", kind)
        make_entry(dest / "directory" / f"surplus {kind}", kind)
    for name in ("file.rclonelink", "file.partial", ".file.AbCdEf"):
        (dest / "directory" / name).write_text("x")
    (dest / "surplus out").symlink_to(outside)
    for path in (dest, dest / "directory", dest / "directory" / "file"):
        os.setxattr(path, "user.surplus", b"x")
        os.chown(path, 5, 5)
        os.chmod(path, 0o1777)
    os.setxattr(dest, "system.posix_acl_default", acl(5))


def links_that_lead_outside(top: Path) -> None:
    (top / "directory").mkdir(0o755)
    (top / "directory" / "file").write_text("new content")
    (top / "file").write_text("plain")
    (top / "large").write_bytes(noise(LARGE))
    make_entry(top / "fifo", "fifo")


def _lead_outside(dest: Path, outside: Path) -> None:
    (outside / "directory").mkdir(0o700)
    for name in ("file", "large", "fifo", "directory/file", "directory/stays"):
        (outside / name).write_text("canary")
        os.chmod(outside / name, 0o600)
    for name in ("directory", "file", "large", "fifo"):
        if (dest / name).exists():
            _remove(dest / name)
        (dest / name).symlink_to(outside / name)


def own_lost_and_found(top: Path) -> None:
    (top / "file").write_text("f")


def _make_lost_and_found(dest: Path, outside: Path) -> None:
    (dest / "lost+found").mkdir(0o700)


LATER = (
    Case("other content of the same size and mtime", same_size_and_mtime, change=_other_content),
    Case("grown, shrunk, emptied, filled", grown_and_shrunk, change=_grow_and_shrink),
    Case("removed and renamed", removed_and_renamed, change=_remove_and_rename),
    Case("two directories exchanged", exchanged, change=_exchange),
    Case("every kind of entry becomes every other", every_kind_becomes_every_other, change=_turn),
    Case("mode or owner alone", metadata_alone, change=_change_metadata),
    Case("mtime by one nanosecond", mtime_by_a_nanosecond, change=_a_nanosecond_later),
    Case("xattrs, ACLs and file capabilities removed and changed", attributes_removed, change=_remove_attributes),
    Case("inode flags removed", flags_removed, change=_remove_flags),
    Case("hard links broken up", hard_links_broken, change=_break_links),
    Case("hard links made of what was single", hard_links_since, change=_link_since),
    Case("hard links regrouped", hard_links_regrouped, change=_regroup),
    Case("holes punched, filled, moved", holes_that_moved, change=_move_holes),
    Case("symlinks with another target", symlinks_retargeted, change=_retarget),
    Case("the copy rotted: other content of the same size and mtime", copy_that_rotted, pollute=_rot),
    Case("surplus entries of every kind, attributes, owners and modes", surplus, pollute=_add_surplus),
    Case("hard links that the source does not have, from outside too", wrongly_linked, pollute=_link_wrongly),
    Case("holes of the copy filled, and data punched", holes_filled_by_others, pollute=_fill_holes),
    Case("symlinks that lead outside: nothing is written through them", links_that_lead_outside, pollute=_lead_outside),
    Case("the destination's own empty lost+found stays", own_lost_and_found, pollute=_make_lost_and_found, stays=("lost+found",)),
)
ALL = FRESH + LATER
