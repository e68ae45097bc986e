"""labelSelector and fieldSelector of a list or a watch."""
from __future__ import annotations

import re
from typing import Any

from .refusal import bad_request

_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$")


def matches_labels(selector: str, labels: dict[str, str]) -> bool:
    """The text form: a=b, a==b, a!=b, a in (b, c), a notin (b), a, !a, joined by commas."""
    return all(_matches(term.strip(), labels) for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _matches(term: str, labels: dict[str, str]) -> bool:
    if found := _SET.match(term):
        key, operator, values = found.groups()
        inside = labels.get(key) in [value.strip() for value in values.split(",")]
        return inside if operator == "in" else not inside
    if "!=" in term:
        key, value = term.split("!=")
        return labels.get(key.strip()) != value.strip()
    if "=" in term:
        key, value = re.split("==?", term)
        return labels.get(key.strip()) == value.strip()
    if term.startswith("!"):
        return term[1:].strip() not in labels
    return term in labels


def matches_fields(selector: str, obj: dict[str, Any]) -> bool:
    """PATH=VALUE or PATH!=VALUE, joined by commas."""
    for term in filter(None, selector.split(",")):
        found = re.match(r"^([^!=]+)(!=|==?)(.*)$", term)
        if not found:
            raise bad_request(f"invalid field selector {term!r}")
        path, operator, value = found.groups()
        here: Any = obj
        for key in path.split("."):
            here = (here or {}).get(key)
        if ((here or "") == value) is (operator == "!="):
            return False
    return True
