"""Values that are made of constants and of all numbers that a counter takes."""

import re

from guards.source.value import (
    CYCLE,
    Call,
    Compound,
    Constant,
    Counting,
    Each,
    Path,
    Value,
    last_of,
    leaves,
    walk,
)

_VECTORS = {"arange", "linspace", "indices", "range", "count"}
WORD = re.compile(r"(?:^|\.)u?int(?:8|16|32|64)$")  # a type of whole numbers with a width
_OUTSIDE = {"os", "pathlib", "sys", "io", "time", "platform", "json", "csv"}
_POWERS = {"power", "square", "polyval"}


def counts(value: Value) -> bool:
    """Whether it is made of constants and of all numbers that a counter takes."""
    counter = any(_is_counter(one) for one in walk(value))
    return counter and all(
        isinstance(one, Constant | Path | Counting) or one == CYCLE for one in leaves(value)
    )


def _is_counter(value: Value) -> bool:
    of = value.of if isinstance(value, Each) else value
    return isinstance(of, Call) and last_of(of.called) in _VECTORS


def has_power(value: Value) -> bool:
    """Whether a counter is multiplied by itself somewhere: `k * k`, `k ** 3`. An outer product of two is none."""
    for one in walk(value):
        match one:
            case Compound("Mult", (left, right)) if left == right and counts(left):
                return True
            case Compound("Pow", (base, Constant(value=int() | float() as power))):
                if power > 1 and counts(base):
                    return True
            case Call(called=called, arguments=given) if last_of(called) in _POWERS and any(
                map(counts, given)
            ):
                return True
    return False


def is_read(value: Value) -> bool:
    """Whether it comes out of a file or from the machine, though the file's name is a constant."""
    paths = (one.dotted for one in leaves(value) if isinstance(one, Path))
    return any(path == "builtins.open" or path.split(".")[0] in _OUTSIDE for path in paths)
