"""A size is the number of bytes that the API server would read from the same text, exactly; whatever it would refuse is refused."""
from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_volresize.errors import BadQuantity
from kubectl_volresize.model.quantity import human, parse_bytes

# Written out once more, and not taken from the code: resource.Quantity's documentation.
POWERS = {"n": (10, -9), "u": (10, -6), "m": (10, -3), "": (10, 0), "k": (10, 3), "M": (10, 6), "G": (10, 9), "T": (10, 12), "P": (10, 15),
          "E": (10, 18), "Ki": (2, 10), "Mi": (2, 20), "Gi": (2, 30), "Ti": (2, 40), "Pi": (2, 50), "Ei": (2, 60)}


@given(whole=st.integers(0, 10**12), decimals=st.text("0123456789", max_size=12), suffix=st.sampled_from(sorted(POWERS)))
def test_a_quantity_is_exact_and_a_broken_byte_is_rounded_up(whole: int, decimals: str, suffix: str) -> None:
    base, exponent = POWERS[suffix]
    exact = (whole + Fraction(int(decimals or "0"), 10 ** len(decimals))) * Fraction(base) ** exponent
    text = f"{whole}.{decimals}{suffix}" if decimals else f"{whole}{suffix}"
    assert parse_bytes(text) == min(math.ceil(exact), 2**63 - 1 if base == 2 else math.inf)


@given(st.integers(-(10**6), 10**6), st.integers(-20, 20), st.sampled_from("eE"))
def test_decimal_exponents_are_exact(number: int, exponent: int, letter: str) -> None:
    assert parse_bytes(f"{number}{letter}{exponent}") == math.ceil(number * Fraction(10) ** exponent)


@pytest.mark.parametrize(("text", "size"), [
    ("500Mi", 524288000), ("1.5Gi", 1610612736), (".5Ki", 512), ("1.", 1), ("+1k", 1000), ("0", 0), ("1E", 10**18), ("1E3", 1000), ("1e0", 1),
    ("1m", 1), ("1Mi ", 1 << 20), ("0.1", 1), ("8Ei", 2**63 - 1), ("10E", 10**19), ("1e0009", 10**9), (7, 7),
    (2.5, 3)])
def test_what_people_and_manifests_write(text: str | int | float, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", " ", "Mi", "1 Mi", "1mi", "1MI", "1K", "1GiB", "1Gib", "5GB", "0x10", "1,5Gi", "1_000", "--1", "1e", "1e1.5",
                                  "1Ki1", ".", "nan", "inf", "1\n2", "1Gi\n", "\t1Gi", "\u00a01Gi", "500M i", "1e1000", "+", "-", ".e3",
                                  "\N{ARABIC-INDIC DIGIT THREE}Mi", True, None, {}, "1e9999", "1" * 5000])
def test_what_is_no_quantity_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(BadQuantity) as refused:
        parse_bytes(text)  # type: ignore[arg-type]
    assert repr(text) in refused.value.message
    assert "500Mi" in refused.value.advice


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1023, "1023B"), (1024, "1Ki"), (500 << 20, "500Mi"), (1610612736, "1.5Gi"), (1 << 50, "1Pi"),
                                            (5 << 60, "5120Pi")])
def test_people_read_binary_units(size: int, text: str) -> None:
    assert human(size) == text


@given(st.integers(1024, 1 << 62))
def test_what_people_read_is_right_to_a_decimal_and_can_be_typed_back(size: int) -> None:
    assert abs(parse_bytes(human(size)) - size) <= size / 20
