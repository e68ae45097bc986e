"""The further names of hard-linked inodes: made after the first name of each, which carries the content, was copied."""
from __future__ import annotations

import os

from . import scan
from .failures import MoverFailure, NotReproducible, of_os_error, shown
from .finish import REFUSALS
from .prepare import Preparation
from .scan import Place, Tree


def link(dest: int, tree: Tree, done: Preparation) -> int:
    """Give each hard-linked inode its other names; returns how many were made. Raises NoSpace, InputOutput, NotReproducible."""
    made = 0
    for places in tree.links.values():
        missing = [(path, name) for path, name in places[1:] if (path, name) not in done.linked]
        if missing:
            made += _link_names(dest, places[0], missing)
    return made


def _link_names(dest: int, first: Place, missing: list[Place]) -> int:
    origin = scan.open_directory(dest, first[0])
    try:
        for path, name in missing:
            directory = scan.open_directory(dest, path)
            try:
                os.link(first[1], name, src_dir_fd=origin, dst_dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                # The first name vanished from a live source before it was copied; verification will miss the others.
                return 0
            except OSError as error:
                raise _unlinkable(error, scan.join(path, name)) from error
            finally:
                os.close(directory)
    finally:
        os.close(origin)
    return len(missing)


def _unlinkable(error: OSError, path: str) -> MoverFailure:
    if error.errno in REFUSALS:
        return NotReproducible(f"cannot make the hard link {shown(path)}: {error.strerror}")
    return of_os_error(error, path, "cannot make the hard link")
