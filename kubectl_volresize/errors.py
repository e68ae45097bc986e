"""The one tree of errors. A class is a message template (its docstring), an exit code and a hint; nothing here knows Kubernetes.

Exit codes of the plugin: 0 done, 1 error, 2 usage, 3 nothing to do (with --error-unchanged), 4 refused before anything was touched,
5 failed and safe to resume, 6 a human is needed, 124 a --timeout passed, 130 interrupted. Exit codes of the Job's container: JOB_*.
"""
from __future__ import annotations

from typing import Any

JOB_DONE = 0
JOB_REFUSED = 41
JOB_NEEDS_HUMAN = 42
JOB_FENCED = 43  # another runner works on it: starting this one again would only take it away from that one
JOB_TERMINATED = 143  # 128 + SIGTERM: the next pod of the Job goes on


class VolresizeError(Exception):
    """{message}"""

    exit_code = 1
    hint = ""

    def __init__(self, message: str = "", **fields: Any) -> None:
        self.fields = {"message": message, **fields}
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The sentence for people: what happened, to which object."""
        return (type(self).__doc__ or "{message}").format(**self.fields).strip()

    @property
    def advice(self) -> str:
        """What to do about it; empty when there is nothing to advise."""
        return self.hint.format(**self.fields)


class UsageError(VolresizeError):
    """{message}"""

    exit_code = 2


class Refused(VolresizeError):
    """{message}"""

    exit_code = 4


class Resumable(VolresizeError):
    """{message}"""

    exit_code = 5


class NeedsHuman(VolresizeError):
    """{message}"""

    exit_code = 6


class BadQuantity(UsageError):
    """{text!r} is not a Kubernetes quantity"""

    hint = "write a size like 500Mi, 1.5Gi or 20G"


class InvariantBroken(NeedsHuman):
    """stopped before a write that could lose data: {message}"""


class ApiError(VolresizeError):
    """{verb} {path}: {status} {message}"""

    def __init__(self, *, status: int, verb: str, path: str, message: str, reason: str = "", body: dict[str, Any] | None = None,
                 retry_after: float | None = None) -> None:
        self.status, self.reason, self.body, self.retry_after = status, reason, body or {}, retry_after
        super().__init__(message, status=status, verb=verb, path=path)


class NotFound(ApiError):
    """{verb} {path}: not found"""


class Forbidden(ApiError):
    """{verb} {path}: forbidden: {message}"""


class Conflict(ApiError):
    """{verb} {path}: conflict: {message}"""


class AlreadyExists(Conflict):
    """{verb} {path}: already exists"""


class Unprocessable(ApiError):
    """{verb} {path}: the API server refused the object: {message}"""


class TooManyRequests(ApiError):
    """{verb} {path}: not allowed now: {message}"""


class Gone(ApiError):
    """{verb} {path}: the watch's resourceVersion is too old"""


class Unreachable(VolresizeError):
    """the API server at {server} cannot be reached: {message}"""

    hint = "check the kubeconfig's server and context, or your network"
