"""Deleting from the destination what does not belong there, a directory with all that it holds; never through a link."""
from __future__ import annotations

import os
import stat

from . import scan
from .failures import NotReproducible, of_os_error, shown
from .finish import REFUSALS


def is_empty(directory: int, name: str) -> bool:
    inner = os.open(name, scan.DIRECTORY, dir_fd=directory)
    try:
        return not os.listdir(inner)
    finally:
        os.close(inner)


def remove(directory: int, name: str, path: str) -> None:
    """Delete an entry, a directory with all that it holds. Raises NotReproducible when the file system refuses, InputOutput."""
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=directory)
            return
        _remove_directory(directory, name)
    except OSError as error:
        if error.errno in REFUSALS:
            raise NotReproducible(f"cannot remove {shown(path)} from the destination: {error.strerror}") from error
        raise of_os_error(error, path, "cannot remove from the destination") from error


def _remove_directory(parent: int, name: str) -> None:
    """Depth first with a stack of open directories, each with the names that are left in it: a tree may be deeper than the interpreter's stack."""
    stack = [_opened(parent, name)]
    try:
        while stack:
            above, own_name, current, left = stack[-1]
            deeper = ""
            while left and not deeper:
                entry = left.pop()
                if stat.S_ISDIR(os.stat(entry, dir_fd=current, follow_symlinks=False).st_mode):
                    deeper = entry
                else:
                    os.unlink(entry, dir_fd=current)
            if deeper:
                stack.append(_opened(current, deeper))
                continue
            os.close(current)
            stack.pop()
            os.rmdir(own_name, dir_fd=above)
    finally:
        for _, _, descriptor, _ in stack:
            os.close(descriptor)


def _opened(parent: int, name: str) -> tuple[int, str, int, list[str]]:
    descriptor = os.open(name, scan.DIRECTORY, dir_fd=parent)
    return parent, name, descriptor, os.listdir(descriptor)
