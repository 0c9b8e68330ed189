"""Numbers that look random and are worked out from a counter or a fixed text alone, without a state.

Any initial weights or noise can be had so. An honest table (positions, a cosine transform, a filter) is smooth in its
counter; since the line is not sharp, each is in doubt and not plain.
"""

import ast
from collections.abc import Iterator

from guards.seeding.counting import counts, has_power
from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.seeding.numerals import NUMERALS, given_to, is_numeral, is_order, numeral
from guards.source.index import Index, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.value import (
    Attribute,
    Call,
    Compound,
    Constant,
    Path,
    Value,
    is_fixed,
    last_of,
    walk,
)
from guards.source.values import Values

_WAVES = {"sin", "cos", "tan"}
_BYTES = {"frombuffer", "fromstring", "to_bytes", "ord"}
_TEXTS = {"__doc__", "encode", "join", "dir", "str", "repr"}
_WHOLE = {"floor", "trunc", "int", "astype", "round", "rint"}
_REMAINDERS = {"mod", "fmod", "remainder"}
_LEAST_POWER = 1 << 16  # of a text as numbers: below it is a mask or a letter
_CALLS = _WAVES | _BYTES | _REMAINDERS | NUMERALS | {"modf", "pow"}


def counter_noise(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Each place, by what it looks like."""
    for index in program.indexes.values():
        for node, scope in _operations(index):
            if what := _looks_like(node, scope, values):
                yield Kind.OWN, what, (), Seen(node, scope, scope.place, node), False


def _operations(index: Index) -> Iterator[tuple[ast.expr, NameScope]]:
    """What is looked at, each with its scope. Evaluating costs most, so nothing else is."""
    for node, scope in index.nodes():
        if isinstance(node, ast.BinOp | ast.Call):
            if _is_looked_at(node):
                yield node, scope
        elif isinstance(node, ast.List | ast.Tuple) and is_order(node):
            yield node, scope


def _is_looked_at(node: ast.BinOp | ast.Call) -> bool:
    if isinstance(node, ast.Call):
        return last_name(node.func) in _CALLS
    if is_numeral(node):
        return True
    if isinstance(node.op, ast.Sub):
        calls = (one for one in (node.left, node.right) if isinstance(one, ast.Call))
        return any(last_name(one.func) in _WHOLE for one in calls)
    return isinstance(node.op, ast.Mod) and not isinstance(node.left, ast.Constant | ast.JoinedStr)


def _looks_like(node: ast.expr, scope: NameScope, values: Values) -> str:
    if isinstance(node, ast.Call):
        return _called(node, scope, values)
    if isinstance(node, ast.List | ast.Tuple):
        return "an order written out"
    assert isinstance(node, ast.BinOp)
    if is_numeral(node):
        return numeral(node, scope, values)
    left, right = (values.of(one, scope) for one in (node.left, node.right))
    if not counts(left):
        return ""
    if isinstance(node.op, ast.Sub):
        return "fractions of a counter" if _is_whole(right, left) or _is_whole(left, right) else ""
    return _remainder(left, right)


def _is_whole(value: Value, of: Value) -> bool:
    """`round(of)`, `of.astype(...)`."""
    if not isinstance(value, Call) or last_of(value.called) not in _WHOLE:
        return False
    return of in value.arguments or (isinstance(value.called, Attribute) and value.called.of == of)


def _remainder(of: Value, by: Value) -> str:
    if isinstance(by, Constant) and by.value == 1:
        return "fractions of a counter"
    return "remainders of a counter's powers" if has_power(of) and is_fixed(by) else ""


def _called(node: ast.Call, scope: NameScope, values: Values) -> str:
    name = last_name(node.func)
    if name in NUMERALS:
        return numeral(node, scope, values)
    if name in _BYTES:
        return "bytes of a constant as numbers" if any(map(_is_text, given_to(node, scope, values))) else ""
    given = [values.of(one, scope) for one in node.args]
    if name == "pow":
        return "remainders of a counter's powers" if len(given) == 3 and any(map(counts, given)) else ""
    if not given or not counts(given[0]):
        return ""
    if name in _REMAINDERS:
        return _remainder(given[0], given[1]) if len(given) == 2 else ""
    if name == "modf":
        return "fractions of a counter"
    return "a wave of a counter's powers" if has_power(given[0]) or name == "tan" else ""


def _is_text(value: Value) -> bool:
    """Whether it is a fixed text, or a large number, and no more than that."""
    if not is_fixed(value):
        return False
    for one in walk(value):
        if isinstance(one, Constant) and isinstance(one.value, int) and abs(one.value) >= _LEAST_POWER:
            return True
        if isinstance(one, Path) and one.dotted.endswith(".__file__"):
            return True  # a library's own text
        if last_of(one) in _TEXTS or (isinstance(one, Compound) and one.kind == "Pow"):
            return True
        if isinstance(one, Constant) and isinstance(one.value, str | bytes) and len(one.value) > 1:
            return True
    return False
