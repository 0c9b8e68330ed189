"""Values of operations on values: worked out where everything is constant, named by what they are made of elsewhere."""

from collections.abc import Callable, Sequence

from guards.source import folding
from guards.source.value import (
    Compound,
    Constant,
    Counting,
    Item,
    Value,
    all_constant,
    constant,
    plain,
    union,
)


def folded(compute: Callable[[], object]) -> Value | None:
    """The constant that a computation gives; None where it cannot or must not be worked out."""
    try:
        return constant(compute())
    except folding.Unfoldable:
        return None


def binary(name: str, left: Value, right: Value) -> Value:
    """`left <name> right`."""
    if isinstance(left, Constant) and isinstance(right, Constant):
        found = folded(lambda: folding.binary(name, left.value, right.value))
        if found is not None:
            return found
    if isinstance(right, Constant) and left.seeded and _keeps_all_bits(name, right.value):
        return left
    return Compound(name, (left, right))


def unary(name: str, operand: Value) -> Value:
    """`<name> operand`."""
    if isinstance(operand, Constant):
        found = folded(lambda: folding.unary(name, operand.value))
        if found is not None:
            return found
    return Compound(name, (operand,))


def sequence(parts: Sequence[Value]) -> Value:
    """A list, tuple or set display."""
    if parts and all_constant(parts):
        return constant(tuple(plain(parts)))
    return Compound("list", tuple(parts))


def text(parts: Sequence[Value]) -> Value:
    """An f-string."""
    if all_constant(parts):
        return constant("".join(str(part) for part in plain(parts)))
    return Compound("text", tuple(parts))


def element(whole: Value, index: Value) -> Value:
    """`whole[index]`, looked up where the whole is a display with that many elements."""
    match whole, index:
        case Compound("list", parts), Constant(value=int(place)) if -len(parts) <= place < len(parts):
            return parts[place]
    return Item(whole, index)


def builtin(path: str, arguments: Sequence[Value]) -> Value | None:
    """What a harmless builtin gives for constants; None for anything else."""
    if not path.startswith("builtins.") or not all_constant(arguments):
        return None
    return folded(lambda: folding.builtin(path.removeprefix("builtins."), plain(arguments)))


def method(receiver: Value, name: str, arguments: Sequence[Value]) -> Value | None:
    """What a harmless method of a constant text gives for constants; None for anything else."""
    if not isinstance(receiver, Constant) or not all_constant(arguments):
        return None
    return folded(lambda: folding.method(receiver.value, name, plain(arguments)))


def augmented(value: Value, changes: Sequence[tuple[str, Value]]) -> Value:
    """A name that is changed in place, here and there: before or after any of the changes."""
    for name, right in changes:
        once = [value, binary(name, value, right)]
        value = union([*once, Counting()] if (name, right) == ("Add", constant(1)) else once)
    return value


def _keeps_all_bits(name: str, value: object) -> bool:
    """`% 2**32` and `& 0xFFFFFFFF`: what numpy wants of a seed, no choice of one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    modulus = value if name == "Mod" else value + 1 if name == "BitAnd" else 0
    return modulus in (2**31, 2**32, 2**63, 2**64)
