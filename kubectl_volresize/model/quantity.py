"""Kubernetes quantities as exact integers of bytes. Source: k8s.io/apimachinery/pkg/api/resource/quantity.go.

Read as the API server reads them, with these exceptions: a mantissa without a digit (`Mi`, `.e3`), which is 0 to it, an exponent of more than three
digits, and more than 999 characters are refused. Held against a real server in tests/e2e/test_quantities_as_the_server.py.
"""
from __future__ import annotations

import re
from fractions import Fraction

from ..errors import BadQuantity

_SUFFIXES: dict[str, Fraction] = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40), "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}
_QUANTITY = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?0*\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII)
_LONGEST = 999  # characters; Python itself reads no number of more than 4300 digits
_MOST = Fraction(2**63 - 1)  # what the server makes of anything above that is written with a binary suffix


def parse(text: str | int | float) -> Fraction:
    """A quantity such as 500Mi, 1.5Gi, 2e9, 250m. Raises BadQuantity."""
    # Spaces alone: what else is white is escaped in JSON, and no quantity to the server.
    written = str(text).strip(" ")
    found = _QUANTITY.fullmatch(written)
    if not found or len(written) > _LONGEST:
        raise BadQuantity(text=text)
    sign, digits, exponent, suffix = found.groups()
    value = Fraction(digits + "0" if digits.endswith(".") else digits)
    value *= Fraction(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""]
    value = min(value, _MOST) if (suffix or "").endswith("i") else value
    return -value if sign == "-" else value


def parse_bytes(text: str | int | float) -> int:
    """Bytes of a quantity; rounded up, as the API server does. Raises BadQuantity."""
    value = parse(text)
    return -((-value.numerator) // value.denominator)


def human(size: int) -> str:
    """Bytes for people: 469.3Mi, 1.5Gi, 12B; the largest binary unit below the value, at most one decimal."""
    value = float(size)
    for unit in ("B", "Ki", "Mi", "Gi", "Ti", "Pi"):
        if abs(value) < 1024 or unit == "Pi":
            text = f"{value:.1f}".removesuffix(".0")
            return f"{text}{unit}"
        value /= 1024
    raise AssertionError("unreachable")
