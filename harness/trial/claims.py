"""What a candidate wrote about itself in out/claims.jsonl: read defensively, shown, never believed."""

import json
import math
import os
from collections.abc import Mapping

from harness.records import Json
from harness.trial.artefact import ArtefactRefused, open_regular

NAME = "claims.jsonl"
_MOST_FILE_BYTES = 1 << 30
_TAIL_BYTES = 1 << 18
_MOST_KEYS, _MOST_KEY_LENGTH, _MOST_POINTS = 32, 64, 200
_LARGEST = 1e300


def read_claims(out: int, tail_bytes: int = _TAIL_BYTES) -> dict[str, Json]:
    """The last line's finite numbers, and as "curve" up to 200 of the last lines' losses; {} if there are none.

    tail_bytes: how much of the file's end is read.
    """
    try:
        with open_regular(out, NAME, _MOST_FILE_BYTES) as file:
            size = os.fstat(file.fileno()).st_size
            tail = os.pread(file.fileno(), tail_bytes, max(0, size - tail_bytes))
    except (ArtefactRefused, OSError):
        return {}
    return parse_claims(tail)


def parse_claims(tail: bytes) -> dict[str, Json]:
    """Claims from the end of a file; lines that are not objects are passed over."""
    lines = [line for line in map(_numbers, tail.splitlines()) if line]
    if not lines:
        return {}
    losses = [line["loss"] for line in lines if "loss" in line]
    every = max(1, math.ceil(len(losses) / _MOST_POINTS))
    claims: dict[str, Json] = dict(lines[-1])
    if len(losses) > 1:
        claims["curve"] = list(losses[::-1][::every][::-1])
    return claims


def _numbers(line: bytes) -> Mapping[str, float]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    pairs = [(key, number) for key, number in value.items() if _is_name(key) and _is_number(number)]
    return dict(pairs[:_MOST_KEYS])


def _is_name(key: str) -> bool:
    return 0 < len(key) <= _MOST_KEY_LENGTH and key.isascii() and key.isprintable() and key != "curve"


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -_LARGEST <= value <= _LARGEST  # type: ignore[operator] # just checked; NaN fails
