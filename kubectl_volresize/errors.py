"""The one tree of errors. A class is a message template (its docstring), an exit code and a hint; nothing here knows Kubernetes."""
from __future__ import annotations

from typing import Any

# Of the plugin.
EXIT_CODES: dict[int, str] = {
    0: "Done, or nothing to do.",
    1: "Error; or you were asked and did not agree.",
    2: "Wrong usage.",
    3: "Nothing to do, with `--error-unchanged`.",
    4: "Refused before anything was touched.",
    5: "Failed, no data lost, the replica at work is back on its old volumes: remove the cause, then `resume`.",
    6: "A human is needed.",
    124: "`--timeout` passed; the migration goes on.",
    130: "Interrupted with ^C; the migration goes on.",
}
JOB_DONE = 0
JOB_REFUSED = 41
JOB_NEEDS_HUMAN = 42
JOB_FENCED = 43  # another runner works on it: starting this one again would only take it away from that one
JOB_TERMINATED = 143  # 128 + SIGTERM: the next pod of the Job goes on
# Of the Job's container.
JOB_CODES: dict[int, str] = {
    JOB_DONE: "Done, or there is nothing to do any more.",
    JOB_REFUSED: "Refused, or stopped for a cause that has to be removed first. The Job fails at once.",
    JOB_NEEDS_HUMAN: "A human is needed. The Job fails at once.",
    JOB_FENCED: "Another runner is at work on the migration. Not started again in this pod.",
    JOB_TERMINATED: "It was asked to end (SIGTERM), and left at a safe point; the Job's next pod goes on.",
}


class VolresizeError(Exception):
    """{message}"""

    exit_code = 1
    hint = ""

    # What was found, as data (plan/findings.py: Finding.as_dict).
    findings: tuple[dict[str, Any], ...] = ()

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
