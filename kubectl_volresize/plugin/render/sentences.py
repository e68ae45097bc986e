"""Errors as sentences: the API server's own words where it has said what is wrong, without our paths around them."""
from __future__ import annotations

from ...errors import ApiError, Forbidden, VolresizeError

_UNAUTHORIZED = 401


def sentence(error: VolresizeError) -> tuple[str, str]:
    """(message, hint); the hint may be empty."""
    if not isinstance(error, ApiError):
        return error.message, error.advice
    said = str(error.fields["message"])
    if error.status == _UNAUTHORIZED:
        return "the API server does not accept your credentials", "log in again, or choose another context with --context"
    if isinstance(error, Forbidden):
        return said or error.message, "ask an admin for the role `edit` in the namespace, which `kubectl volresize install` extends by VolumeResizes"
    return said or error.message, error.advice
