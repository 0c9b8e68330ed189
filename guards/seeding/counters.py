"""Numbers that look random and are worked out from a counter or a fixed text alone, without a state.

Any initial weights or noise can be had so. An honest table (positions, a cosine transform, a filter) is smooth in its
counter; since the line is not sharp, each is in doubt and not plain.
"""

import ast
from collections.abc import Iterator

from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.source.index import Index, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.value import (
    Call,
    Compound,
    Constant,
    Counting,
    Each,
    Path,
    Value,
    is_fixed,
    last_of,
    leaves,
    walk,
)
from guards.source.values import Values

_VECTORS = {"arange", "linspace", "indices", "range", "count"}
_WAVES = {"sin", "cos", "tan"}
_BYTES = {"frombuffer", "fromstring", "to_bytes", "ord"}
_TEXTS = {"__doc__", "encode", "join", "dir", "str", "repr"}
_WHOLE = {"floor", "trunc", "int", "astype", "round", "rint"}
_REMAINDERS = {"mod", "fmod", "remainder"}
_LEAST_POWER = 1 << 16  # of a text as numbers: below it is a mask or a letter
_CALLS = _WAVES | _BYTES | _REMAINDERS | {"modf", "pow"}


def counter_noise(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Each place, by what it looks like."""
    for index in program.indexes.values():
        for node, scope in _operations(index):
            if what := _looks_like(node, scope, values):
                yield Kind.OWN, what, (), Seen(node, scope, scope.place, node), False


def _operations(index: Index) -> Iterator[tuple[ast.expr, NameScope]]:
    """What is looked at, each with its scope. Evaluating costs most, so nothing else is."""
    for node, scope in index.nodes():
        if isinstance(node, ast.BinOp | ast.Call) and _is_looked_at(node):
            yield node, scope


def _is_looked_at(node: ast.BinOp | ast.Call) -> bool:
    if isinstance(node, ast.Call):
        return last_name(node.func) in _CALLS
    if isinstance(node.op, ast.Sub):
        return isinstance(node.right, ast.Call) and last_name(node.right.func) in _WHOLE
    return isinstance(node.op, ast.Mod) and not isinstance(node.left, ast.Constant | ast.JoinedStr)


def _looks_like(node: ast.expr, scope: NameScope, values: Values) -> str:
    if isinstance(node, ast.Call):
        return _called(node, scope, values)
    assert isinstance(node, ast.BinOp)
    left, right = (values.of(one, scope) for one in (node.left, node.right))
    if not _counts(left):
        return ""
    if isinstance(node.op, ast.Sub):
        whole = isinstance(right, Call) and last_of(right.called) in _WHOLE and left in right.arguments
        return "fractions of a counter" if whole else ""
    return _remainder(left, right)


def _remainder(of: Value, by: Value) -> str:
    if isinstance(by, Constant) and by.value == 1:
        return "fractions of a counter"
    return "remainders of a counter's powers" if _has_power(of) and is_fixed(by) else ""


def _called(node: ast.Call, scope: NameScope, values: Values) -> str:
    name = last_name(node.func)
    given = [values.of(one, scope) for one in node.args]
    if name in _BYTES:
        of = [*given, *([values.of(node.func.value, scope)] if isinstance(node.func, ast.Attribute) else [])]
        return "bytes of a constant as numbers" if any(map(_is_text, of)) else ""
    if name == "pow":
        return "remainders of a counter's powers" if len(given) == 3 and any(map(_counts, given)) else ""
    if not given or not _counts(given[0]):
        return ""
    if name in _REMAINDERS:
        return _remainder(given[0], given[1]) if len(given) == 2 else ""
    if name == "modf":
        return "fractions of a counter"
    return "a wave of a counter's powers" if _has_power(given[0]) or name == "tan" else ""


def _counts(value: Value) -> bool:
    """Whether it is made of constants and of all numbers that a counter takes."""
    counter = any(_is_counter(one) for one in walk(value))
    return counter and all(isinstance(one, Constant | Path | Counting) for one in leaves(value))


def _is_counter(value: Value) -> bool:
    of = value.of if isinstance(value, Each) else value
    return isinstance(of, Call) and last_of(of.called) in _VECTORS


def _has_power(value: Value) -> bool:
    """Whether a counter is multiplied by itself somewhere: `k * k`, `k ** 3`. An outer product of two is none."""
    for one in walk(value):
        match one:
            case Compound("Mult", (left, right)) if left == right and _counts(left):
                return True
            case Compound("Pow", (base, Constant(value=int() | float() as power))):
                if power > 1 and _counts(base):
                    return True
    return False


def _is_text(value: Value) -> bool:
    """Whether it is a fixed text, or a large number, and no more than that."""
    if not is_fixed(value):
        return False
    for one in walk(value):
        if isinstance(one, Constant) and isinstance(one.value, int) and abs(one.value) >= _LEAST_POWER:
            return True
        if last_of(one) in _TEXTS or (isinstance(one, Compound) and one.kind == "Pow"):
            return True
        if isinstance(one, Constant) and isinstance(one.value, str | bytes) and len(one.value) > 1:
            return True
    return False
