"""What the API server answers when it says no: HTTP code, reason and a metav1.Status."""
from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An HTTP error. `retry_after` in seconds becomes the header of that name."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None, retry_after: int | None = None) -> None:
        self.code, self.reason, self.details, self.retry_after = code, reason, details or {}, retry_after
        super().__init__(message)

    def status(self) -> dict[str, Any]:
        """The answer's body."""
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(self), "reason": self.reason,
                "details": self.details, "code": self.code}


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def forbidden(message: str) -> Refusal:
    return Refusal(403, "Forbidden", message)


def not_found(plural: str, name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{plural} "{name}" not found', {"name": name, "kind": plural})


def no_such_resource() -> Refusal:
    return Refusal(404, "NotFound", "the server could not find the requested resource")


def already_exists(plural: str, name: str, terminating: bool) -> Refusal:
    prefix = "object is being deleted: " if terminating else ""
    return Refusal(409, "AlreadyExists", f'{prefix}{plural} "{name}" already exists', {"name": name, "kind": plural})


_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(plural: str, name: str, why: str = _MODIFIED) -> Refusal:
    return Refusal(409, "Conflict", f'Operation cannot be fulfilled on {plural} "{name}": {why}', {"name": name, "kind": plural})


def gone() -> Refusal:
    return Refusal(410, "Expired", "The resourceVersion for the provided watch is too old.")


def invalid(kind: str, name: str, message: str) -> Refusal:
    return Refusal(422, "Invalid", f'{kind} "{name}" is invalid: {message}', {"name": name, "kind": kind})


def other_uid(kind: str, name: str, uid: str) -> Refusal:
    """To a patch that names another UID; a PUT gets a conflict instead."""
    why = f'Invalid value: "{uid}": field is immutable'
    return Refusal(422, "Invalid", f'{kind} "{name}" is invalid: metadata.uid: {why}',
                   {"name": name, "kind": kind, "causes": [{"reason": "FieldValueInvalid", "message": why, "field": "metadata.uid"}]})


def bad_patch(message: str) -> Refusal:
    return Refusal(422, "Invalid", "the server rejected our request due to an error in our request", {"causes": [{"message": message}]})
