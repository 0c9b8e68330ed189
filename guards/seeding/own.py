"""Random numbers of a program's own making: congruential and shift-register generators, hashes of a counter."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from guards.seeding.counters import counter_noise
from guards.seeding.counting import is_read
from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.seeding.recurrences import DIGESTS, recurrences
from guards.source.index import Index, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.value import Call, Constant, Each, Value, is_fixed, last_of
from guards.source.values import Values

# Multipliers and increments of published generators (Knuth, Numerical Recipes, glibc, java.util.Random, MINSTD,
# PCG, SplitMix64, xorshift*, MT19937, RANDU, Borland, MSVC) and of the sine hash of shaders.
_KNOWN = {
    1103515245, 1664525, 1013904223, 6364136223846793005, 1442695040888963407, 16807, 48271, 69069, 22695477,
    214013, 2531011, 134775813, 0x5DEECE66D, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB,
    0x2545F4914F6CDD1D, 1812433253, 0x9908B0DF, 65539, 2862933555777941757, 3037000493, 2654435769,
    747796405, 2891336453, 277803737,
}  # fmt: skip
# Of these, what hashes of data are mixed with, too (Boost's hash_combine, SplitMix64's finaliser).
_MIXERS = {2654435769, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB}
_SINE_SCALE = 1000.0
_LARGE = 1000
_BITS = (ast.BitXor, ast.Mod, ast.BitAnd, ast.LShift, ast.RShift)
_FAST_SINE = 12.0
# Digests of any length: numbers for the asking.
_STREAMS = {"shake_128", "shake_256", "pbkdf2_hmac", "scrypt"}
_COUNTERS = {"range", "count", "arange", "enumerate"}


def own_generators(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Each by its kind. Plain: a state that is made anew from itself and constants alone."""
    for index in program.indexes.values():
        for seen in (*index.assigned, *index.augmented):
            if name := _recurrence(seen.node, seen.scope, values):
                yield Kind.OWN, name, (), seen, True
        for seen in index.products:
            if name := _hash(seen, values):
                yield Kind.OWN, name, (), seen, name != "fast sine of a counter"
        for seen in index.numbers:
            if getattr(seen.node, "value", None) in _KNOWN:
                yield Kind.OWN, "a published generator's constant", (), seen, not _may_hash(seen, values)
        yield from _mixing_functions(index, values)
    yield from recurrences(program, values)
    yield from counter_noise(program, values)
    for call in _running_digests(program, values):
        yield Kind.OWN, "digests of constants", (), call, False
    for call in program.calls:
        if _is_digest_of_a_counter(call, values):
            yield Kind.OWN, "hash of a counter", (), call, False
        if _is_stream_of_constants(call, values):
            yield Kind.OWN, "a stream of digests of constants", (), call, True


def _may_hash(seen: Seen, values: Values) -> bool:
    """Whether a number may hash what it stands beside, as in `key ^ before + 0x9E3779B9`, which is not known here."""
    if getattr(seen.node, "value", None) not in _MIXERS or not isinstance(seen.parent, ast.BinOp):
        return False
    beside = seen.parent.left if seen.parent.right is seen.node else seen.parent.right
    return not is_fixed(values.of(beside, seen.scope))


def _running_digests(program: SourceProgram, values: Values) -> Iterator[Seen]:
    """`mill.update(b"137")` again and again, and nothing else: no file's hash, but numbers for the asking."""
    fed: dict[tuple[int, str], list[Seen]] = defaultdict(list)
    for call in program.calls_by_name.get("update", ()):
        assert isinstance(call.node, ast.Call)
        function = call.node.func
        if len(call.node.args) != 1 or not isinstance(function, ast.Attribute):
            continue
        receiver = values.of(function.value, call.scope)
        if isinstance(receiver, Call) and last_of(receiver.called) in DIGESTS | _STREAMS:
            fed[id(call.scope), ast.unparse(function.value)].append(call)
    for calls in fed.values():
        parts = [(one, call.scope) for call in calls for one in getattr(call.node, "args", ())]
        given = [values.of(one, scope) for one, scope in parts]
        if any(call.place.looped for call in calls) and all(is_fixed(one) and not is_read(one) for one in given):
            yield calls[0]


def _is_digest_of_a_counter(call: Seen, values: Values) -> bool:
    """`sha256(f"{i}")` for i in a range: numbers for the asking. A hash of words or tokens is none."""
    assert isinstance(call.node, ast.Call)
    node, name = call.node, last_name(call.node.func)
    if name not in DIGESTS or not node.args:
        return False
    given = [values.of(one, call.scope) for one in node.args]
    return any(map(_is_counter, given)) and all(_is_counter(one) or is_fixed(one) for one in given)


def _is_stream_of_constants(call: Seen, values: Values) -> bool:
    """`shake_256(b"137")`: as good as a seed, and salted by nobody."""
    assert isinstance(call.node, ast.Call)
    if last_name(call.node.func) not in _STREAMS or not call.node.args:
        return False
    given = [values.of(one, call.scope) for one in call.node.args]
    return all(is_fixed(one) or _is_counter(one) for one in given)


def _is_counter(value: Value) -> bool:
    """Whether it is made of constants and of at least one counter."""
    if isinstance(value, Each):
        return isinstance(value.of, Call) and last_of(value.of.called) in _COUNTERS
    parts = list(value.parts())
    return any(map(_is_counter, parts)) and all(_is_counter(one) or is_fixed(one) for one in parts)


def _mixing_functions(index: Index, values: Values) -> Iterator[Handed]:
    """`def next_state(x): return (a * x + c) % m`. A hash looks the same, so this is not plain."""
    for scope in index.scopes.values():
        for value in scope.returns if scope.kind == "function" else ():
            if isinstance(value, ast.BinOp) and _mixes(value, None, scope, values):
                leaves = set(_leaves(value, scope, values))
                if len(leaves) == 1 and leaves <= set(scope.bindings):
                    yield Kind.OWN, "congruential function", (), Seen(value, scope, scope.place, value), False


def _recurrence(node: ast.AST, scope: NameScope, values: Values) -> str:
    """`x = (a * x + c) % m`, `x ^= x << 13`: nothing but x and constants on the right."""
    assert isinstance(node, ast.AugAssign | ast.Assign)
    target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
    if not isinstance(target, ast.Name | ast.Attribute) or not isinstance(node.value, ast.BinOp | ast.Call):
        return ""
    if isinstance(node.value, ast.Call) and last_name(node.value.func) != "int":
        return ""  # what else is called gives something else
    if isinstance(node, ast.Assign) and not _has_bit_operation(node.value):
        return ""
    if set(_leaves(node.value, scope, values)) != {ast.unparse(target)}:
        return ""
    outer = node.op if isinstance(node, ast.AugAssign) else None
    return _mixes(node.value, outer, scope, values, ast.unparse(target) if outer is None else "")


def _has_bit_operation(node: ast.expr) -> bool:
    return any(isinstance(one, ast.BinOp) and isinstance(one.op, _BITS) for one in ast.walk(node))


def _reads(node: ast.expr, name: str) -> bool:
    return any(
        isinstance(one, ast.Name | ast.Attribute) and ast.unparse(one) == name for one in ast.walk(node)
    )


def _mixes(
    value: ast.expr, outer: ast.operator | None, scope: NameScope, values: Values, state: str = ""
) -> str:
    """state: the name that is made anew, where it is one."""
    # A product without the state is a stride: `place = (place + BATCH * LENGTH) % SIZE` goes through the data.
    operations = (
        one for one in ast.walk(value) if isinstance(one, ast.BinOp) and (not state or _reads(one, state))
    )
    operators = {type(one.op) for one in operations} | {type(outer)}
    if ast.BitXor in operators and operators & {ast.LShift, ast.RShift}:
        return "shift register"
    if ast.Mult not in operators or not operators & {ast.Mod, ast.BitAnd}:
        return ""
    large = any(abs(one) >= _LARGE for one in _numbers(value, scope, values))
    return "congruential generator" if large else ""


def _hash(seen: Seen, values: Values) -> str:
    """`sin(x) * 43758.5`: a shader's hash; `sin(137 * arange(n))`: fast sines of a counter, which may be honest."""
    node = seen.node
    assert isinstance(node, ast.BinOp)
    for one, other in ((node.left, node.right), (node.right, node.left)):
        wave, counter = _calls(one, {"sin", "cos"}), _is_sine(seen) and _calls(one, {"arange", "linspace"})
        number = _number(other, seen.scope, values) if wave or counter else None
        if number is not None and wave and abs(number) >= _SINE_SCALE:
            return "sine hash"
        if number is not None and counter and abs(number) >= _FAST_SINE:
            return "fast sine of a counter"
    return ""


def _calls(node: ast.expr, names: set[str]) -> bool:
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call) and last_name(node.func) in names:
            return True
        node = node.func if isinstance(node, ast.Call) else node.value
    return False


def _leaves(node: ast.expr, scope: NameScope, values: Values) -> Iterator[str]:
    """What an expression is made of beside numbers, as text."""
    match node:
        case ast.BinOp(left=left, right=right):
            yield from _leaves(left, scope, values)
            yield from _leaves(right, scope, values)
        case ast.UnaryOp(operand=operand):
            yield from _leaves(operand, scope, values)
        case ast.Call(func=ast.Name(id="int"), args=[only]):
            yield from _leaves(only, scope, values)
        case _:
            if _number(node, scope, values) is None:
                yield ast.unparse(node)


def _numbers(node: ast.expr, scope: NameScope, values: Values) -> list[float]:
    found = (_number(one, scope, values) for one in ast.walk(node) if isinstance(one, ast.expr))
    return [one for one in found if one is not None]


def _number(node: ast.expr, scope: NameScope, values: Values) -> float | None:
    value = values.of(node, scope)
    if isinstance(value, Constant) and isinstance(value.value, int | float):
        return value.value
    return None


def _is_sine(seen: Seen) -> bool:
    """Whether a product stands inside a sine."""
    return isinstance(seen.parent, ast.Call) and last_name(seen.parent.func) in ("sin", "cos")
