"""JSON that an untrusted program wrote: bounded before it is parsed, and plain afterwards. Standard library only.

Python's parser takes more than JSON has (NaN, 1e999, the same name twice) and makes up to 30 bytes of objects out of
one byte of text. What passes here can be written as JSON again, fits into 64-bit numbers and nests a little only.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from harness.records import Json

MOST_VALUES = 1 << 20
MOST_DEPTH = 64
_WHOLE_BITS, _WHOLE_DIGITS = 63, 20


class NotStrictJson(ValueError):
    """The text is not such JSON; the message is one of few, and quotes nothing of the text."""


def parsed(content: bytes, most_values: int = MOST_VALUES) -> Json:
    """The value. most_values: of every kind and depth together, counted before anything is made. Raises NotStrictJson.

    Memory: at most about 100 bytes a value, and four a byte of text.
    """
    if content.count(b",") + content.count(b":") + content.count(b"[") + content.count(b"{") > most_values:
        raise NotStrictJson("it holds too many values")
    try:
        value = json.loads(
            content,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_unique,
        )
    except NotStrictJson:
        raise
    except RecursionError:
        raise NotStrictJson("it nests too deeply") from None
    except ValueError:
        raise NotStrictJson("it is not JSON") from None
    _check_depth_and_text(value)
    return value  # type: ignore[no-any-return] # what json.loads makes


def _no_constant(_: str) -> NoReturn:
    raise NotStrictJson("it holds a number that is not finite")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_constant(text)


def _whole(text: str) -> int:
    if len(text) <= _WHOLE_DIGITS and -(1 << _WHOLE_BITS) <= (value := int(text)) < 1 << _WHOLE_BITS:
        return value
    raise NotStrictJson("it holds a whole number of more than 64 bits")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrictJson("a name appears twice")
    return found


def _check_depth_and_text(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
        if below and depth == MOST_DEPTH:
            raise NotStrictJson("it nests too deeply")
        level = below


def _check_text(text: str) -> None:
    """Half a surrogate pair is no text: whatever writes it fails."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise NotStrictJson("a text holds half a character")
