"""Whether a text is a quantity, and which: model/quantity.py against the parser of a real API server, by dry runs alone.

Asked with a LimitRange, the one object whose quantities may also be negative, broken or nothing. A text that does not parse is a 400, and no
LimitRange; one that parses comes back in the server's own writing.
"""
from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubectl_volresize.errors import ApiError, BadQuantity
from kubectl_volresize.kube.auth import from_kubeconfig
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model.quantity import parse, parse_bytes

pytestmark = pytest.mark.cluster
SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
NO_SUFFIXES = ["K", "mi", "ki", "MI", "B", "GB", "GiB", "i", "Em", "e", "E+", "ee3", "Ki5", "1.5", "e1.5", "\N{MICRO SIGN}", " Mi", "M i"]
ALPHABET = "0123456789.+-eEinumkKMGTP _,x\t\n\N{NO-BREAK SPACE}\N{ARABIC-INDIC DIGIT THREE}\N{FULLWIDTH DIGIT FIVE}"
# An API server needs seconds and gigabytes for exponents that are long enough.
SANE = re.compile(r"(?!.*[eE][+-]?0*[1-9]\d{2})", re.DOTALL)
# 0 to the server: nobody means that.
NO_DIGIT = re.compile(r" *[+-]?\.?([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)? *")
TOO_MUCH = 10**21  # from here on the server forgets the exponent: 1000E comes back as 1

numbers = st.builds("{}{}".format, st.text("0123456789", max_size=20), st.just("") | st.text("0123456789", max_size=14).map(".{}".format))
exponents = st.builds("{}{}".format, st.sampled_from(["e", "E", "e+", "E+", "e-", "E-"]), st.integers(0, 99) | st.sampled_from(["00", "007", "0018"]))
spaces = st.sampled_from(["", "", "", " ", "  "])
right = st.builds("{}{}{}{}{}".format, spaces, st.sampled_from(["", "", "-", "+"]), numbers, st.sampled_from(SUFFIXES) | exponents, spaces)
wrong = st.builds("{}{}{}".format, st.sampled_from(["", "-", "--", "+-"]), numbers, st.sampled_from(NO_SUFFIXES))
typed = st.builds(lambda text, at, key: text[:at % (len(text) + 1)] + key + text[at % (len(text) + 1):], right, st.integers(0, 40),
                  st.sampled_from(ALPHABET))
texts = (right | wrong | typed | st.text(ALPHABET, max_size=6)).filter(lambda text: SANE.match(text) is not None)


@pytest.fixture(scope="module")
def client(kubeconfig: str) -> Client:
    return from_kubeconfig(kubeconfig).client


def as_the_server_writes(client: Client, given: Any) -> str | None:
    """None when it is no quantity to the server."""
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "asked"},
            "spec": {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": given}}]}}
    try:
        made = client.create("/api/v1/namespaces/default/limitranges", body, dry_run=True)
    except ApiError as error:
        assert error.status == 400 and "quantit" in error.message, error.message
        return None
    return str(made["spec"]["limits"][0]["max"]["storage"])


def is_one(given: Any) -> bool:
    try:
        parse(given)
    except BadQuantity:
        return False
    return True


def agreed(client: Client, given: Any) -> bool:
    """Whether both take it for a quantity; then it must be the same one. Raises AssertionError when they do not agree."""
    written = as_the_server_writes(client, given)
    assert is_one(given) == (written is not None), f"{given!r} is {written!r} to the server"
    if written is None:
        return False
    if abs(parse(given)) < TOO_MUCH:
        # Of what is negative only that it is: it is refused everywhere, and rounded in another direction.
        assert parse_bytes(written) == parse_bytes(given) if parse(given) >= 0 else parse(written) < 0, f"{given!r} is {written!r} to the server"
    return True


@given(given=texts)
@example("500M i")
@example("-1Gi")
@example("0.5Gi")
@example("1Ki5")
@example("1Gi\n")
@example("7.99999999999999999999Ei")
@example("9223372036854775808Gi")
@example("0.0000000000000000001Ki")
@settings(max_examples=900, deadline=None, derandomize=True, database=None)
def test_a_text_is_the_quantity_that_the_server_reads_or_none(client: Client, given: str) -> None:
    if not NO_DIGIT.fullmatch(given):
        agreed(client, given)


@pytest.mark.parametrize("given", [0, 7, -7, 2**63 - 1, 2.5, 1e-7, 1.5e9, True, [], {}])
def test_a_number_in_json_is_read_alike(client: Client, given: Any) -> None:
    agreed(client, given)


def test_each_suffix_is_known_to_both_and_none_in_another_case(client: Client) -> None:
    for suffix in SUFFIXES:
        assert agreed(client, f"3{suffix}")
    for suffix in {suffix.swapcase() for suffix in SUFFIXES} - set(SUFFIXES) | set(NO_SUFFIXES) - {"1.5"}:
        assert not agreed(client, f"3{suffix}"), suffix


@pytest.mark.parametrize("given", ["Mi", "E", "+", "-", ".", ".e3", "-.Gi", "1e1000", "0" * 999 + "1", None])
def test_what_the_server_reads_although_nobody_can_mean_it_is_refused_by_us(client: Client, given: str | None) -> None:
    assert as_the_server_writes(client, given) is not None
    assert not is_one(given)


def test_from_1000e_on_the_server_itself_forgets_the_exponent(client: Client) -> None:
    assert (as_the_server_writes(client, "999E"), as_the_server_writes(client, "1000E")) == ("999E", "1")
    assert parse_bytes("1000E") == TOO_MUCH
