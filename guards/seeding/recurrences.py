"""Random numbers from a state that is made anew from itself and constants alone, in however many statements.

In a loop, in a function of the program's that is called again and again, or in one that calls itself.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from guards.seeding.counting import WORD, is_read
from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.seeding.helpers import Helper, Helpers, updates_with
from guards.seeding.updates import (
    Updates,
    calling_themselves,
    keeping_functions,
    name_of,
    outlasting,
    updates_of,
)
from guards.source.index import Comprehension, Index, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.value import Constant, Counting, Path, Unknown, Value, leaves
from guards.source.values import Values

_LARGE = 1000
_LOOPS = (ast.For, ast.While, *Comprehension.__args__)
_REMAINDERS = {"mod", "fmod", "remainder", "divmod", "bitwise_and"}
_PRODUCTS = {"multiply", "mul", "power", "convolve", "correlate", "dot", "matmul", "einsum"}
_WAVES = {"sin", "cos", "tan"}
_WHOLE = {"int", "floor", "trunc", "modf", "round", "rint"}
_SHIFTS = {"left_shift", "right_shift", "lshift", "rshift"}
_FOLDS = {"min", "max", "minimum", "maximum", "where"}
_PLAIN_CALLS = {
    "int", "abs", "float", "round", "pow", "divmod", "min", "max", "len", "str", "bytes", "bytearray", "ord", "chr",
    "hex", "bin", "format", "list", "tuple", "sum", "reversed", "range", "enumerate", "zip",
}  # fmt: skip
# Methods that give what their object holds in another form.
_FORMS = {
    "to_bytes", "from_bytes", "zfill", "encode", "decode", "hex", "digest", "hexdigest", "astype", "copy", "reshape",
    "ravel", "join", "item", "tobytes", "roll", "translate",
}  # fmt: skip
_TEXTS = {"str", "bytes", "hex", "bin", "to_bytes", "format", "encode"}
DIGESTS = {
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "crc32", "adler32", "hash",
}  # fmt: skip
_SUMS = {"cumsum", "cumprod"}
_REPEATING = {"reduce", "accumulate", "scan", "fori_loop"}
_COUNTERS = {"range", "arange", "count"}


@dataclass(frozen=True, slots=True)
class _Region:
    """What is done again and again: a loop, in its scope. updates: name -> what it becomes there."""

    node: ast.AST
    scope: NameScope
    updates: Updates
    fixed: frozenset[str]  # counters of the loop, imported modules
    lasting: frozenset[str] | None = None  # names whose values outlast a round; None: all
    reads: dict[str, set[str]] = field(default_factory=dict)  # of those names, by name
    others: dict[str, list[ast.expr]] = field(default_factory=dict)  # what else a name is made of
    helpers: Helpers | None = None
    stored: frozenset[str] = frozenset()  # names whose elements alone are written
    plain: bool = True  # whether it may be a reason to reject

    def __post_init__(self) -> None:
        for name, made in self.updates.items():
            places = set[str]()  # names that say which elements are read
            leaves = [leaf for value in made for leaf in _leaves(value, self, places)]
            self.reads[name] = ({name_of(leaf) for leaf in leaves} | places) & self.updates.keys()
            known = self.reads[name] | self.fixed
            self.others[name] = [leaf for leaf in leaves if name_of(leaf) not in known]

    def helper(self, called: ast.expr) -> Helper | None:
        return self.helpers.get(last_name(called)) if self.helpers is not None else None

    def value(self, node: ast.expr, values: Values) -> Value:
        """What an expression stands for; a helper's own name, in the helper."""
        if isinstance(node, ast.Name) and ":" in node.id:
            function, _, name = node.id.partition(":")
            if helper := self.helper(ast.Name(function)):
                return values.of(ast.Name(name), helper.scope)
        return values.of(node, self.scope)

    def reached(self, name: str) -> set[str]:
        """The names that the next value of `name` is made of, in the end."""
        found: set[str] = set()
        waiting = [*self.reads[name]]
        while waiting:
            if (one := waiting.pop()) not in found:
                found.add(one)
                waiting += self.reads[one]
        return found


def recurrences(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Each once a loop. Plain: products with a remainder of a large number, shifts with exclusive or."""
    for index in program.indexes.values():
        modules = frozenset(_imported(index))
        for region in _regions(index, modules):
            names = region.updates if region.lasting is None else region.lasting
            found = [(_kind(region, name, values), name) for name in sorted(names)]
            if kinds := sorted({kind for kind, _ in found if kind is not None}, key=lambda one: not one[1]):
                what, plain = kinds[0]
                where = Seen(region.node, region.scope, region.scope.place, region.node)
                yield Kind.OWN, what, (), where, plain and region.plain


def _imported(index: Index) -> Iterator[str]:
    for scope in (index.module, *index.scopes.values()):
        for name, bindings in scope.bindings.items():
            if any(one.how == "import" for one in bindings):
                yield name


def _regions(index: Index, modules: frozenset[str]) -> Iterator[_Region]:
    own = Helpers(index)
    for node, scope in index.nodes():
        if isinstance(node, _LOOPS):
            yield _Region(node, scope, updates_with(node, own), modules | {*_counters(node)}, helpers=own)
        elif isinstance(node, ast.Call) and last_name(node.func) in _REPEATING:
            yield from _folded(node, index, scope, modules)
    for function, scope in keeping_functions(index):
        yield from _function(function, scope, modules, own)
    for function, scope, updates in calling_themselves(index):
        yield _Region(function, scope, updates, modules, plain=False)


def _function(
    node: ast.FunctionDef, scope: NameScope, modules: frozenset[str], own: Helpers
) -> Iterator[_Region]:
    """A function that may be called again and again: what it leaves outside of itself is there the next time."""
    kept, stored = outlasting(node, updates_of(node))
    if kept or stored:
        updates = updates_with(node, own)
        yield _Region(node, scope, updates, modules, lasting=kept | stored, helpers=own, stored=stored)


def _folded(call: ast.Call, index: Index, scope: NameScope, modules: frozenset[str]) -> Iterator[_Region]:
    """`reduce(lambda x, _: ..., range(n), 137)`: the first parameter becomes what the function gives."""
    for given in call.args:
        if isinstance(given, ast.Lambda) and given.args.args:
            first, inner = given.args.args[0].arg, index.scopes.get(id(given), scope)
            yield _Region(given, inner, {first: [given.body]}, modules)


def _counters(loop: ast.AST) -> Iterator[str]:
    """Names that count."""
    pairs = [(loop.target, loop.iter)] if isinstance(loop, ast.For) else []
    pairs += [(one.target, one.iter) for one in getattr(loop, "generators", ())]
    for target, gone_through in pairs:
        counts = isinstance(gone_through, ast.Call) and last_name(gone_through.func) in _COUNTERS
        if counts and isinstance(target, ast.Name):
            yield target.id


def _kind(region: _Region, name: str, values: Values) -> tuple[str, bool] | None:
    """What kind of generator the name's values come from, and whether that is plain; None for none."""
    made = region.reached(name)
    others = [other for one in made for other in region.others[one]]
    if name not in made or not all(
        isinstance(one, ast.Name | ast.Attribute | ast.Subscript) for one in others
    ):
        return None
    cycle = {one for one in made if name in region.reached(one)}
    shapes = [one for each in sorted(cycle) for value in region.updates[each] for one in _computed(value)]
    kind = _shape([one for one in shapes if _names(one) & cycle], cycle, region, values)
    if kind is None and _wraps(shapes, cycle, region, values):
        kind = "products that overflow", False
    if kind is None or not all(_is_fixed(one, region, values) for one in others):
        return None
    starts = (ast.Name(one) for one in sorted(made) if one.isidentifier())
    is_plain = kind[1] and region.plain and name not in region.stored
    if not is_plain and not all(_is_fixed(one, region, values) for one in starts):
        return None  # an iteration towards something that is given, like Newton's
    return kind


def _computed(node: ast.AST) -> Iterator[ast.AST]:
    """What a value is worked out from, and no conditions."""
    if isinstance(node, ast.Compare):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.IfExp) and child is node.test):
            yield from _computed(child)


def _leaves(node: ast.expr, region: _Region, places: set[str]) -> Iterator[ast.expr]:
    """Names and attributes that an expression is made of; a call of what is no library's stands for itself."""
    match node:
        case ast.Constant():
            return
        case ast.Name() | ast.Attribute() | ast.Subscript():
            base: ast.expr = node
            while isinstance(base, ast.Attribute | ast.Subscript) and name_of(base) not in region.updates:
                base = base.value
            if isinstance(node, ast.Subscript):
                places |= _names(node.slice)
            if isinstance(node, ast.Subscript) and not isinstance(
                base, ast.Name | ast.Attribute | ast.Subscript
            ):
                yield from _leaves(base, region, places)  # a part of what is worked out on the spot
            else:
                yield base if name_of(base) in region.updates else node
        case ast.Call(func=called) if helper := region.helper(called):
            yield helper.result
        case ast.Call(func=called) if _is_plain_call(called, region):
            yield from (
                leaf for one in (*node.args, *node.keywords) for leaf in _leaves_of(one, region, places)
            )
        case ast.Call(func=ast.Attribute(value=of, attr=form)) if form in _FORMS:
            yield from (leaf for one in (of, *node.args) for leaf in _leaves_of(one, region, places))
        case ast.Call():
            yield node
        case (
            ast.ListComp(elt=element, generators=generators)
            | ast.GeneratorExp(elt=element, generators=generators)
        ):
            bound = {name_of(one.target) for one in generators}
            parts = (element, *(each.iter for each in generators))
            inner = (leaf for one in parts for leaf in _leaves(one, region, places))
            yield from (leaf for leaf in inner if name_of(leaf) not in bound)
        case _:
            yield from (
                leaf for one in ast.iter_child_nodes(node) for leaf in _leaves_of(one, region, places)
            )


def _leaves_of(node: ast.AST, region: _Region, places: set[str]) -> Iterator[ast.expr]:
    if isinstance(node, ast.keyword):
        node = node.value
    if isinstance(node, ast.expr):
        yield from _leaves(node, region, places)


def _is_plain_call(called: ast.expr, region: _Region) -> bool:
    if isinstance(called, ast.Name):
        return called.id in _PLAIN_CALLS or called.id in region.fixed
    base = called
    while isinstance(base, ast.Attribute):
        base = base.value
    return isinstance(base, ast.Name) and base.id in region.fixed and "random" not in ast.unparse(called)


def _shape(nodes: list[ast.AST], made: set[str], region: _Region, values: Values) -> tuple[str, bool] | None:
    """nodes: the operations on what is made anew, `made`."""
    operators = {type(one.op) for one in nodes if isinstance(one, ast.BinOp)}
    calls = {last_name(one.func) for one in nodes if isinstance(one, ast.Call)}
    product = bool(operators & {ast.Mult, ast.Pow, ast.MatMult} or calls & _PRODUCTS)
    cut = bool(operators & {ast.Mod, ast.BitAnd} or calls & _REMAINDERS)
    cut = cut or {ast.FloorDiv, ast.Sub, ast.Mult} <= operators
    cut = cut or bool(calls & _TEXTS and any(_is_slice(one) for one in nodes))
    shift = bool(operators & {ast.LShift, ast.RShift} or calls & _SHIFTS)
    if shift and (ast.BitXor in operators or "bitwise_xor" in calls):
        return "shift register", True
    if product and cut:
        large = any(abs(one) >= _LARGE for one in _numbers(nodes, region, values))
        return (
            ("congruential generator", True)
            if large
            else ("congruential generator with small numbers", False)
        )
    if any(_adds_two(one, made) for one in nodes):
        return "lagged sums", False
    if calls & DIGESTS:
        return "digests of a digest", False
    if any(_mixes_bits(one, made) for one in nodes):
        return "automaton", False
    if calls & _SUMS:
        return "sums upon sums", False
    if product and calls & _WAVES:
        return "waves of waves", False
    if (product or ast.Div in operators) and any(_is_fraction(one) for one in nodes):
        return "fractions of fractions", False
    if any(_looks_up(one, made) for one in nodes):
        return "walk through a table", False
    if any(_is_chaotic(one, made, product=product) for one in nodes):
        return "chaotic sequence", False
    return None


def _numbers(nodes: Iterable[ast.AST], region: _Region, values: Values) -> Iterator[float]:
    inner = (
        part for one in nodes if isinstance(one, ast.BinOp | ast.Call) for part in ast.iter_child_nodes(one)
    )
    for one in inner:
        if isinstance(one, ast.Call) and WORD.search(last_name(one.func)):  # np.uint32(747796401)
            one = one.args[0] if one.args else one
        if isinstance(one, ast.Constant | ast.Name | ast.BinOp):
            value = region.value(one, values)
            if isinstance(value, Constant) and isinstance(value.value, int | float):
                yield value.value


def _wraps(shapes: Sequence[ast.AST], cycle: set[str], region: _Region, values: Values) -> bool:
    """Whether products are cut by the width of a word: `x = np.uint32(137)`, then `x = x * 747796401 + 1`."""
    nodes = [one for one in shapes if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Mult)]
    nodes = [one for one in nodes if _names(one) & cycle]
    literals = (_literal(one, region.scope) for node in nodes for one in ast.walk(node))
    if not any(one % 2 and one >= _LARGE for one in literals):
        return False
    starts = (leaves(values.of(ast.Name(one), region.scope)) for one in cycle if one.isidentifier())
    return any(isinstance(one, Path) and WORD.search(one.dotted) for found in starts for one in found)


def _literal(node: ast.AST, scope: NameScope) -> int:
    """A whole number as it is written, or as a name's only value; else 0."""
    if isinstance(node, ast.Name) and (home := scope.find(node.id)) is not None:
        bindings = home.bindings[node.id]
        node = bindings[0].node if len(bindings) == 1 and bindings[0].node is not None else node
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else 0


def _is_fraction(node: ast.AST) -> bool:
    """`x - int(x)`, `modf(x)`."""
    if isinstance(node, ast.Call):
        return last_name(node.func) == "modf"
    if not (
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and isinstance(node.right, ast.Call)
    ):
        return False
    return last_name(node.right.func) in _WHOLE and ast.unparse(node.left) in map(
        ast.unparse, node.right.args
    )


def _looks_up(node: ast.AST, made: set[str]) -> bool:
    """`table[x]`."""
    if not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Slice):
        return False
    return bool(_names(node.slice) & made) and not _names(node.value) & made


def _is_slice(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)


def _adds_two(node: ast.AST, made: set[str]) -> bool:
    """`(a + b) % m` of two that are made anew, or of one and itself in another place."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.BitAnd)):
        return False
    sums = (one for one in ast.walk(node.left) if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Add))
    return any(_reads_two(one, made) for one in sums)


def _reads_two(node: ast.BinOp, made: set[str]) -> bool:
    left, right = _names(node.left) & made, _names(node.right) & made
    if not left or not right:
        return False
    return left != right or any(_moves(one) for one in ast.walk(node))


def _moves(node: ast.AST) -> bool:
    """Whether it reads another place of an array."""
    return isinstance(node, ast.Subscript) or (isinstance(node, ast.Call) and last_name(node.func) == "roll")


def _mixes_bits(node: ast.AST, made: set[str]) -> bool:
    """`row ^ roll(row, 1)`."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor) and _reads_two(node, made)


def _is_chaotic(node: ast.AST, made: set[str], *, product: bool) -> bool:
    """`r * x * (1 - x)`, `x ** 2 - c`, `r * min(x, 1 - x)`."""
    if isinstance(node, ast.Call) and last_name(node.func) in _FOLDS:
        return product and sum(bool(_names(one) & made) for one in node.args) > 1
    if not isinstance(node, ast.BinOp):
        return False
    if isinstance(node.op, ast.Pow):
        return bool(_names(node.left) & made)
    return isinstance(node.op, ast.Mult) and bool(_names(node.left) & made and _names(node.right) & made)


def _names(node: ast.AST) -> set[str]:
    return {name_of(one) for one in ast.walk(node) if isinstance(one, ast.Name | ast.Attribute)}


def _is_fixed(node: ast.expr, region: _Region, values: Values) -> bool:
    """Whether it is made of constants, counters and libraries' functions, and of itself."""
    value = region.value(node, values)
    if is_read(value):
        return False
    return all(
        isinstance(one, Constant | Counting | Path) or one == Unknown("cycle") for one in leaves(value)
    )
