"""Names of everything we create, within Kubernetes' 63 characters.

A name that would be longer is cut and closed with `-` and 8 hex digits of the full name's sha256, so that two long names never meet; the
full name then stands in the annotation labels.FULL_NAME. 63 and not 253 since these names become label values and pod host names.
"""
from __future__ import annotations

import hashlib
import re

LIMIT = 63
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def is_label(name: str) -> bool:
    """What a namespace and a volumeClaimTemplate can be called (RFC 1123)."""
    return len(name) <= LIMIT and re.fullmatch(_LABEL, name) is not None


def is_subdomain(name: str, limit: int = 253) -> bool:
    """What a StatefulSet and a StorageClass can be called (RFC 1123)."""
    return len(name) <= limit and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name) is not None


def fitted(full: str, limit: int = LIMIT) -> str:
    """`full`, or its head and a hash when it is longer than `limit` characters."""
    if len(full) <= limit:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    return f"{full[:limit - 9].rstrip('-.')}-{digest}"


def claim(volume: str, statefulset: str, ordinal: int) -> str:
    """The claim that the StatefulSet controller looks for; never cut, since the controller does not cut it either."""
    return f"{volume}-{statefulset}-{ordinal}"


def temporary_claim(volume: str, statefulset: str, ordinal: int) -> str:
    return fitted(f"{claim(volume, statefulset, ordinal)}-new")


def pod(statefulset: str, ordinal: int) -> str:
    return f"{statefulset}-{ordinal}"


def mover(migration: str, ordinal: int, volume: str) -> str:
    return fitted(f"{migration}-migrator-{ordinal}-{volume}")


def measurer(migration: str, ordinal: int, volume: str) -> str:
    return fitted(f"{migration}-measure-{ordinal}-{volume}")


def lease(statefulset: str) -> str:
    return fitted(f"volresize-{statefulset}")


def job(migration: str, attempt: int = 1) -> str:
    """Job of a migration's first run, or of its `attempt`th after resumes."""
    return fitted(f"{migration}-runner" if attempt == 1 else f"{migration}-runner-{attempt}")


def migration(statefulset: str, taken: frozenset[str]) -> str:
    """`statefulset`, else `statefulset-N` with the least N >= 2 that is not in `taken` (names of CRs and of StatefulSets other than ours)."""
    if fitted(statefulset) not in taken:
        return fitted(statefulset)
    number = 2
    while fitted(f"{statefulset}-{number}") in taken:
        number += 1
    return fitted(f"{statefulset}-{number}")


def ordinal_of(pod_name: str, statefulset: str) -> int | None:
    """The ordinal of a pod of this StatefulSet by its name, None when the name is not of that form."""
    found = re.fullmatch(re.escape(statefulset) + r"-(0|[1-9]\d*)", pod_name)
    return int(found.group(1)) if found else None
