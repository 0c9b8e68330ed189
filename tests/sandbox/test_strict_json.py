"""JSON of an untrusted program: what passes is plain, what does not is refused in fixed words."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sandbox.strict_json import MOST_DEPTH, NotStrictJson, parsed

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)
REFUSED = {
    "nothing": b"",
    "no_json": b"{",
    "no_text": b"\xff\xfe",
    "nan": b"[NaN]",
    "infinity": b"[-Infinity]",
    "infinity_as_a_number": b'{"value": 1e999}',
    "a_huge_whole_number": b"[1" + b"0" * 400 + b"]",
    "more_digits_than_python_reads": b"[" + b"9" * 5000 + b"]",
    "just_beyond_64_bits": str(1 << 63).encode(),
    "a_name_twice": b'{"a": 1, "b": {"c": 1, "c": 2}}',
    "a_name_twice_once_escaped": b'{"a": 1, "\\u0061": 2}',
    "half_a_character": b'["\\ud800"]',
    "half_a_character_in_a_name": b'{"\\udfff": 1}',
    "too_deep": b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1),
    "far_too_deep": b"[" * 200_000,
    "too_many_values": b"[" + b"0," * (1 << 20) + b"0]",
    "too_many_empty_ones": b"[" + b"[]," * (1 << 20) + b"0]",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_json_has_not_is_refused(name: str) -> None:
    """And the message quotes nothing of it."""
    with pytest.raises(NotStrictJson) as refused:
        parsed(REFUSED[name])
    assert str(refused.value).startswith(("it ", "a "))


@settings(max_examples=50)
@given(PLAIN)
def test_plain_values_come_back(value: object) -> None:
    """Whatever JSON can say, in ASCII or not, up to 64 bits."""
    for ascii_only in (True, False):
        assert parsed(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_whatever_comes_is_json_or_refused(content: bytes) -> None:
    """No other error; and what passes can be written as JSON again without NaN."""
    try:
        value = parsed(content)
    except NotStrictJson:
        return
    json.dumps(value, allow_nan=False).encode()


def test_the_edges_are_inside() -> None:
    """The largest numbers and the deepest list."""
    assert parsed(str((1 << 63) - 1).encode()) == (1 << 63) - 1
    assert math.isfinite(parsed(b"[1.7e308]")[0])  # type: ignore[index] # a list
    parsed(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)
