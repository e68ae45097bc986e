"""How the server writes a quantity: the largest suffix that leaves a whole number. Source: apimachinery pkg/api/resource/quantity.go."""
from __future__ import annotations

import re
from typing import Any

from kubectl_volresize.model.quantity import parse_bytes

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("", "k", "M", "G", "T", "P", "E")


def canonical(text: Any) -> str:
    """The same size in the server's words: 1024Mi is 1Gi, 1.5Gi is 1536Mi. Sizes in whole bytes only. Raises BadQuantity."""
    size, written = parse_bytes(text), str(text)
    if written.endswith("i") and size >= 1024:
        return _shortest(size, 1024, _BINARY)
    if re.search(r"[eE]-?\d", written):
        return _shortest(size, 1000, tuple(f"e{power * 3}" if power else "" for power in range(7)))
    return _shortest(size, 1000, _DECIMAL)


def _shortest(size: int, base: int, suffixes: tuple[str, ...]) -> str:
    power = 0
    while size and size % base == 0 and power < len(suffixes) - 1:
        size, power = size // base, power + 1
    return f"{size}{suffixes[power]}"
