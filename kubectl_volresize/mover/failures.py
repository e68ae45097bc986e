"""How a copy can fail: one class for each exit code of the contract mover -> runner (DESIGN section 9). Nothing here decides or prints."""
from __future__ import annotations

import errno

from ..errors import VolresizeError

NO_SPACE_ERRORS = (errno.ENOSPC, errno.EDQUOT)
# What a live source may answer between the listing of a name and its use: the name is gone, or it is something else now.
VANISHED_ERRORS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)
# ... or a socket or a device without a driver, which cannot be opened.
REPLACED_ERRORS = (errno.ENXIO, errno.ENODEV, errno.EISDIR)


class MoverFailure(VolresizeError):
    """{message}"""

    code = 24


class BadUsage(MoverFailure):
    """{message}"""

    code = 2


class NoSpace(MoverFailure):
    """{message}"""

    code = 20


class DoesNotFit(NoSpace):
    """{message}"""


class NotReproducible(MoverFailure):
    """{message}"""

    code = 21


class Different(MoverFailure):
    """{message}"""

    code = 22


class SourceChanged(MoverFailure):
    """{message}"""

    code = 23


class InputOutput(MoverFailure):
    """{message}"""

    code = 24


class RcloneFailed(MoverFailure):
    """{message}"""

    def __init__(self, message: str = "", rclone_exit: int = 1) -> None:
        super().__init__(message)
        self.rclone_exit = rclone_exit
        self.code = rclone_exit


class Interrupted(MoverFailure):
    """{message}"""

    def __init__(self, message: str = "", signal_number: int = 15) -> None:
        super().__init__(message)
        self.code = 128 + signal_number


def shown(name: str) -> str:
    """A name for people and JSON: bytes that are not UTF-8, and control characters, as backslash escapes."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text) or "."


def of_os_error(error: OSError, path: str, action: str) -> MoverFailure:
    """The failure that an error of the kernel means, naming the path."""
    sentence = f"{action} {shown(path)}: {error.strerror or error}"
    if error.errno in NO_SPACE_ERRORS:
        return NoSpace(sentence)
    return InputOutput(sentence)
