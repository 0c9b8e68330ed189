"""Numbers that look random because of how they are written or cut: digits, bits, words that overflow, fixed orders.

Made of constants and counters alone, like those of counters.py, and like them in doubt: a table of positions is a
smooth function, a filter a short list, but nobody trains with the bits of a sine.
"""

import ast
import re
from collections.abc import Callable
from itertools import pairwise

from guards.seeding.counting import WORD, counts, has_power
from guards.source.index import NameScope
from guards.source.program import last_name
from guards.source.value import Call, Compound, Constant, Value, is_fixed, last_of, leaves, walk
from guards.source.values import Values

_LARGE = 1 << 16
_WIDE = 1 << 64  # more than a word: a number is kept for its digits
_LEAST_ORDER = 16
_UNSIGNED = re.compile(r"(?:^|\.)uint(?:8|16|32|64)$")
_FILLED = {"full", "ones", "repeat", "tile", "arange"}
_SCATTERING = {"sin", "cos", "tan", "hash", "sha256", "md5", "sha1", "blake2b"}
_SEQUENCES = {"Sobol", "Halton", "SobolEngine"}


def is_numeral(node: ast.BinOp) -> bool:
    """Whether an operation is to be looked at, without a look at values."""
    match node.op:
        case ast.RShift():
            return True
        case ast.FloorDiv():
            return any(
                isinstance(one, ast.BinOp) and isinstance(one.op, ast.Pow) for one in ast.walk(node.left)
            )
        case ast.Mult():
            return _is_square(node) or _is_odd(node.left) or _is_odd(node.right)
        case ast.Pow():
            return _is_odd(node.left)
    return False


def _is_square(node: ast.BinOp) -> bool:
    left, right = node.left, node.right
    return isinstance(left, ast.Name) and isinstance(right, ast.Name) and left.id == right.id


def _is_odd(node: ast.expr) -> bool:
    """A large odd number, or one of a fixed width."""
    if isinstance(node, ast.Call):
        return WORD.search(last_name(node.func)) is not None
    number = node.value if isinstance(node, ast.Constant) else 0
    return isinstance(number, int) and number % 2 == 1 and number >= _LARGE


def numeral(node: ast.BinOp | ast.Call, scope: NameScope, values: Values) -> str:
    """What it looks like, "" for nothing."""
    if isinstance(node, ast.Call):
        return _CALLS[last_name(node.func)](node, scope, values)
    left, right = values.of(node.left, scope), values.of(node.right, scope)
    match node.op:
        case ast.RShift() | ast.FloorDiv():
            return "digits of a large number" if is_fixed(left) and _is_wide(left) else ""
        case ast.Pow():
            return _overflow if counts(right) and _has_odd(left) and _is_whole(right) else ""
    if left == right:
        return _overflow if counts(left) and _names(left, _UNSIGNED) else ""
    return _overflow if _is_scaled(left, right) or _is_scaled(right, left) else ""


_overflow = "products of a counter that overflow"


def _is_scaled(counter: Value, by: Value) -> bool:
    return counts(counter) and is_fixed(by) and _has_odd(by) and _is_whole(counter) and _is_whole(by)


def _has_odd(value: Value) -> bool:
    return any(
        isinstance(one.value, int) and one.value % 2 and one.value >= _LARGE for one in _constants(value)
    )


def _is_whole(value: Value) -> bool:
    return not any(isinstance(one.value, float) for one in _constants(value))


def _constants(value: Value) -> list[Constant]:
    return [one for one in leaves(value) if isinstance(one, Constant)]


def _names(value: Value, pattern: re.Pattern[str]) -> bool:
    """Whether a type is named in it: `dtype=np.uint32`, `"uint32"`."""
    texts = (getattr(one, "dotted", getattr(one, "value", "")) for one in leaves(value))
    return any(isinstance(text, str) and pattern.search(text) for text in texts)


def _is_wide(value: Value) -> bool:
    """Whether a number of more digits than a word holds is in it."""
    for one in walk(value):
        match one:
            case Constant(value=int() as number) if number >= _WIDE:
                return True
            case Compound("Pow", (_, Constant(value=int() as power))) if power >= 64:
                return True
            case Call() if last_of(one.called) == "factorial":
                return True
    return False


def given_to(node: ast.Call, scope: NameScope, values: Values) -> list[Value]:
    """Values of its arguments, and of what it is a method of."""
    parts = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
    return [values.of(one, scope) for one in parts]


def _bits(node: ast.Call, scope: NameScope, values: Values) -> str:
    """`sin(k).view(np.uint64)`, `sqrt(k).tobytes()`. A tensor's `view(rows, -1)` is another thing."""
    if last_name(node.func) == "view":
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Attribute | ast.Name | ast.Constant):
            return ""
        if not _names(values.of(node.args[0], scope), WORD):
            return ""
    return "bits of a counter's function" if any(map(counts, given_to(node, scope, values))) else ""


def _order(node: ast.Call, scope: NameScope, values: Values) -> str:
    return "the order of a formula's values" if any(map(counts, given_to(node, scope, values))) else ""


def _products(node: ast.Call, scope: NameScope, values: Values) -> str:
    """A running product of whole numbers. That of shares (a noise schedule) does not overflow."""
    of = next((one for one in given_to(node, scope, values) if not _is_path(one)), None)
    if of is None or not is_fixed(of) or not _is_whole(of):
        return ""
    filled = any(isinstance(one, Call) and last_of(one.called) in _FILLED for one in walk(of))
    large = any(isinstance(one.value, int) and one.value >= _LARGE >> 6 for one in _constants(of))
    return "running products that overflow" if filled and (large or _names(of, WORD)) else ""


def _is_path(value: Value) -> bool:
    return hasattr(value, "dotted")


def _digits(node: ast.Call, scope: NameScope, values: Values) -> str:
    """`math.isqrt(137 * 10 ** 9000)`, `math.factorial(3000)`."""
    given = [values.of(one, scope) for one in node.args]
    if not given or not all(map(is_fixed, given)):
        return ""
    many = last_name(node.func) == "factorial" and any(_is_hundred(one) for one in given)
    return "digits of a large number" if many or any(map(_is_wide, given)) else ""


def _is_hundred(value: Value) -> bool:
    return any(isinstance(one.value, int) and one.value >= 100 for one in _constants(value))


def _precision(*_: object) -> str:
    return "more digits than a number has"


def _in_a_base(node: ast.Call, scope: NameScope, values: Values) -> str:
    """`int(f"{k:b}"[::-1], 2)`, `int(repr(sqrt(k))[-4:-2])`."""
    cut = node.args and isinstance(node.args[0], ast.Subscript) and isinstance(node.args[0].slice, ast.Slice)
    if len(node.args) != 2 and not cut:
        return ""
    return "digits of a counter" if counts(values.of(node.args[0], scope)) else ""


def _chirp(node: ast.Call, scope: NameScope, values: Values) -> str:
    """`exp(1j * k ** 2)`."""
    if not any(isinstance(one, ast.Constant) and isinstance(one.value, complex) for one in ast.walk(node)):
        return ""
    return "a wave of a counter's powers" if any(map(has_power, given_to(node, scope, values))) else ""


def _sorted(node: ast.Call, scope: NameScope, values: Values) -> str:
    """`sorted(range(n), key=lambda k: sin(k * k))`."""
    keys = [one.value.body for one in node.keywords if one.arg == "key" and isinstance(one.value, ast.Lambda)]
    if not any(map(_scatters, keys)):
        return ""
    return "the order of a formula's values" if any(map(counts, given_to(node, scope, values))) else ""


def _scatters(key: ast.expr) -> bool:
    parts = list(ast.walk(key))
    operators = {type(one.op) for one in parts if isinstance(one, ast.BinOp)}
    calls = {last_name(one.func) for one in parts if isinstance(one, ast.Call)}
    return bool(calls & _SCATTERING) or {ast.Mult, ast.Mod} <= operators or {ast.Pow, ast.Mod} <= operators


def _known(*_: object) -> str:
    return "a shift register's bits"


def _sequence(node: ast.Call, scope: NameScope, values: Values) -> str:
    """A low-discrepancy sequence that is not scrambled, or not by default: the same numbers in every trial."""
    given = {one.arg: values.of(one.value, scope) for one in node.keywords}
    if last_name(node.func) == "SobolEngine" and len(node.args) > 1:
        given.setdefault("scramble", values.of(node.args[1], scope))
    scrambled = given.get("scramble", Constant("bool", last_name(node.func) != "SobolEngine"))
    return (
        "" if not isinstance(scrambled, Constant) or scrambled.value else "a sequence that is not scrambled"
    )


_CALLS: dict[str, Callable[[ast.Call, NameScope, Values], str]] = {
    "view": _bits,
    "tobytes": _bits,
    "pack": _bits,
    "argsort": _order,
    "sorted": _sorted,
    "sort": _sorted,
    "max_len_seq": _known,
    "cumprod": _products,
    "isqrt": _digits,
    "factorial": _digits,
    "getcontext": _precision,
    "localcontext": _precision,
    "int": _in_a_base,
    "exp": _chirp,
    **dict.fromkeys(_SEQUENCES, _sequence),
}
NUMERALS = _CALLS.keys()


def is_order(node: ast.List | ast.Tuple) -> bool:
    """Whether a permutation is written out that no stride makes. A zigzag through a block has few strides."""
    size = len(node.elts)
    if size < _LEAST_ORDER or not all(isinstance(one, ast.Constant) for one in node.elts):
        return False
    numbers = [one.value for one in node.elts if isinstance(one, ast.Constant) and type(one.value) is int]
    if sorted(numbers) != list(range(size)) and sorted(numbers) != list(range(1, size + 1)):
        return False
    strides = {(after - before) % size for before, after in pairwise(numbers)}
    return len(strides) > size // 3
