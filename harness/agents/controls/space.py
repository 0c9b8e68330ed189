"""What the controls search: numeric constants of the editable files, each with a range around its value."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.agents.controls.constants import (
    Number,
    TunableConstant,
    find_constants,
    replace_constants,
    written,
)
from harness.records import Files, Json, View

_POWERS_OF_TWO = {1 << exponent for exponent in range(2, 31)}


@dataclass(frozen=True, slots=True)
class Range:
    """kind: "float" (logarithmic), "int" (logarithmic) or "power" (of two, so that sizes keep dividing)."""

    kind: str
    low: float
    high: float
    first: float

    def clip(self, value: float) -> Number:
        """The nearest value of this range."""
        value = min(max(value, self.low), self.high)
        if self.kind == "float":
            return float(f"{value:.3g}")
        return 2 ** round(math.log2(value)) if self.kind == "power" else round(value)


def constants_of(editable: Files) -> dict[str, TunableConstant]:
    """Constants by name, files in the order of their names."""
    found = [constant for file in sorted(editable) for constant in find_constants(file, editable[file])]
    return {constant.name: constant for constant in found}


def range_around(value: Number, factor: float) -> Range:
    """From value / factor to value * factor, for the value's size: signs are kept by the caller.

    Floats between 0.5 and 1 are momenta and decay rates: they stay below 1.
    """
    size = abs(value)
    if isinstance(value, int):
        kind = "power" if size in _POWERS_OF_TWO else "int"
        low = 2.0 ** math.ceil(math.log2(max(size / factor, 1))) if kind == "power" else max(size / factor, 1)
        high = 2.0 ** math.floor(math.log2(size * factor)) if kind == "power" else size * factor
        return Range(kind, low, high, size)
    high = min(size * factor, 0.999) if 0.5 <= size < 0.999 else size * factor
    return Range("float", size / factor, high, size)


def written_as(constant: TunableConstant, size: Number) -> Number:
    return -size if constant.value < 0 else size


def apply_sizes(editable: Files, sizes: Mapping[str, Number]) -> dict[str, bytes]:
    """New bytes of the files in which a value changes; names that are gone are passed over."""
    constants = constants_of(editable)
    by_file: dict[str, dict[TunableConstant, Number]] = {}
    for name, size in sizes.items():
        constant = constants.get(name)
        if constant is not None and (value := written_as(constant, size)) != constant.value:
            by_file.setdefault(constant.file, {})[constant] = value
    return {file: replace_constants(editable[file], values) for file, values in by_file.items()}


def described(editable: Files, sizes: Mapping[str, Number]) -> str:
    """`lr 0.01 -> 0.02, ...` for what changes."""
    constants = constants_of(editable)
    pairs = [(constants[name], size) for name, size in sizes.items() if name in constants]
    changes = [(old, written_as(old, size)) for old, size in pairs]
    return ", ".join(
        f"{old.name.partition(':')[2]} {written(old.value)} -> {written(new)}"
        for old, new in changes
        if new != old.value
    )


def past_sizes(view: View) -> list[dict[str, Number]]:
    """The `sizes` that earlier proposals of a control wrote into their state."""
    return [_numbers(past.state.get("sizes")) for past in view.history]


def _numbers(value: "Json | None") -> dict[str, Number]:
    if not isinstance(value, dict):
        return {}
    return {name: size for name, size in value.items() if isinstance(size, int | float)}


def first_space(view: View, factor: float, most: int, names: Sequence[str] = ()) -> "dict[str, Range]":
    """The ranges as they were for the first proposal, so that all of the history lies in them."""
    for past in view.history:
        kept = past.state.get("space")
        if isinstance(kept, dict):
            return {name: _range(entry) for name, entry in kept.items()}
    constants = chosen(names, constants_of(view.editable), most)
    return {constant.name: range_around(constant.value, factor) for constant in constants}


def as_state(space: "Mapping[str, Range]") -> dict[str, Json]:
    """For a proposal's state, where `first_space` finds it again."""
    return {name: [span.kind, span.low, span.high, span.first] for name, span in space.items()}


def _range(entry: Json) -> Range:
    """What `as_state` wrote. Raises ValueError for anything else."""
    match entry:
        case [str(kind), int() | float() as low, int() | float() as high, int() | float() as first]:
            return Range(kind, low, high, first)
    raise ValueError(f"not a range: {entry!r}")


def chosen(
    names: Sequence[str], constants: Mapping[str, TunableConstant], most: int
) -> list[TunableConstant]:
    """Those that `names` names (whole, or the part after the colon); without names, the first that may be tuned."""
    if names:
        return [c for c in constants.values() if c.name in names or c.name.partition(":")[2] in names]
    return [constant for constant in constants.values() if constant.tuned][:most]
