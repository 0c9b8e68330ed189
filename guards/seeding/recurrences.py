"""Random numbers from a state that a loop makes anew from itself and constants alone, in however many statements."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.source.index import Comprehension, Index, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.value import Constant, Counting, Path, Unknown, leaves
from guards.source.values import Values

_LARGE = 1000
_LOOPS = (ast.For, ast.While, *Comprehension.__args__)
_OWN_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_REMAINDERS = {"mod", "fmod", "remainder", "divmod", "bitwise_and"}
_PRODUCTS = {"multiply", "mul", "power"}
_SHIFTS = {"left_shift", "right_shift", "lshift", "rshift"}
_FOLDS = {"min", "max", "minimum", "maximum", "where"}
_PLAIN_CALLS = {"int", "abs", "float", "round", "pow", "divmod", "min", "max", "len"}
_COUNTERS = {"range", "arange", "count"}
_GROWING = {"append", "insert", "extend"}
Updates = dict[str, list[ast.expr]]


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

    def __post_init__(self) -> None:
        for name, made in self.updates.items():
            leaves = [leaf for value in made for leaf in _leaves(value, self)]
            self.reads[name] = {_name(leaf) for leaf in leaves} & self.updates.keys()
            known = self.reads[name] | self.fixed
            self.others[name] = [leaf for leaf in leaves if _name(leaf) not in known]

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
                yield Kind.OWN, what, (), where, plain


def _imported(index: Index) -> Iterator[str]:
    for scope in (index.module, *index.scopes.values()):
        for name, bindings in scope.bindings.items():
            if any(one.how == "import" for one in bindings):
                yield name


def _regions(index: Index, modules: frozenset[str]) -> Iterator[_Region]:
    for node, scope in index.nodes():
        if isinstance(node, _LOOPS):
            yield _Region(node, scope, _updates(node), modules | {*_counters(node)})
        elif isinstance(node, ast.FunctionDef):
            yield _method(node, index.scopes.get(id(node), scope), modules)


def _method(node: ast.FunctionDef, scope: NameScope, modules: frozenset[str]) -> _Region:
    """A function that may be called again and again: what it leaves in an object is there the next time."""
    updates = _updates(node)
    return _Region(node, scope, updates, modules, lasting=frozenset(one for one in updates if "." in one))


def _counters(loop: ast.AST) -> Iterator[str]:
    """Names that count."""
    pairs = [(loop.target, loop.iter)] if isinstance(loop, ast.For) else []
    pairs += [(one.target, one.iter) for one in getattr(loop, "generators", ())]
    for target, gone_through in pairs:
        counts = isinstance(gone_through, ast.Call) and last_name(gone_through.func) in _COUNTERS
        if counts and isinstance(target, ast.Name):
            yield target.id


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """Everything in it but what functions and classes hold."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _OWN_SCOPES):
            yield child
            yield from _inside(child)


def _updates(loop: ast.AST) -> Updates:
    found: Updates = defaultdict(list)
    for node in _inside(loop):
        for target, value in _written(node):
            if name := _name(target):
                found[name].append(value)
    return found


def _written(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _unpacked(target, value)
        case (
            ast.AnnAssign(target=target, value=ast.expr() as value)
            | ast.NamedExpr(target=target, value=value)
        ):
            yield target, value
        case ast.AugAssign(target=target, op=operator, value=value):
            yield target, ast.BinOp(target, operator, value)
        case ast.Call(func=ast.Attribute(value=grown, attr=how), args=[*_, value]) if how in _GROWING:
            yield grown, value


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if not isinstance(target, ast.Tuple):
        yield target, value
    elif isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield from ((one, value) for one in target.elts)


def _name(node: ast.expr) -> str:
    """What is written to or read: of `state[k]`, `state`; "" for what is neither name nor attribute."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        return node.id
    return ast.unparse(node) if isinstance(node, ast.Attribute) else ""


def _kind(region: _Region, name: str, values: Values) -> tuple[str, bool] | None:
    """What kind of generator the name's values come from, and whether that is plain; None for none."""
    made = region.reached(name)
    others = [other for one in made for other in region.others[one]]
    if name not in made or not all(isinstance(one, ast.Name | ast.Attribute) for one in others):
        return None
    cycle = {one for one in made if name in region.reached(one)}
    shapes = [one for each in sorted(cycle) for value in region.updates[each] for one in _computed(value)]
    kind = _shape([one for one in shapes if _names(one) & cycle], cycle, region, values)
    if kind is None or not all(_is_fixed(one, region.scope, values) for one in others):
        return None
    starts = (ast.Name(one) for one in sorted(made) if one.isidentifier())
    if not kind[1] and not all(_is_fixed(one, region.scope, values) for one in starts):
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


def _leaves(node: ast.expr, region: _Region) -> Iterator[ast.expr]:
    """Names and attributes that an expression is made of; a call of what is no library's stands for itself."""
    match node:
        case ast.Constant():
            return
        case ast.Name() | ast.Attribute() | ast.Subscript():
            base: ast.expr = node
            while isinstance(base, ast.Attribute | ast.Subscript) and _name(base) not in region.updates:
                base = base.value
            yield base if _name(base) in region.updates else node
        case ast.Call(func=called) if _is_plain_call(called, region):
            yield from (leaf for one in (*node.args, *node.keywords) for leaf in _leaves_of(one, region))
        case ast.Call():
            yield node
        case _:
            yield from (leaf for one in ast.iter_child_nodes(node) for leaf in _leaves_of(one, region))


def _leaves_of(node: ast.AST, region: _Region) -> Iterator[ast.expr]:
    if isinstance(node, ast.keyword):
        node = node.value
    if isinstance(node, ast.expr):
        yield from _leaves(node, region)


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
    if len(made) > 1 and any(_adds_two(one, made) for one in nodes):
        return "lagged sums", False
    if any(_is_chaotic(one, made, product=product) for one in nodes):
        return "chaotic sequence", False
    return None


def _numbers(nodes: Iterable[ast.AST], region: _Region, values: Values) -> Iterator[float]:
    inner = (
        part for one in nodes if isinstance(one, ast.BinOp | ast.Call) for part in ast.iter_child_nodes(one)
    )
    for one in inner:
        if isinstance(one, ast.Constant | ast.Name | ast.BinOp):
            value = values.of(one, region.scope)
            if isinstance(value, Constant) and isinstance(value.value, int | float):
                yield value.value


def _adds_two(node: ast.AST, made: set[str]) -> bool:
    """`(a + b) % m` of two that are made anew."""
    if not (
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.BinOp)
    ):
        return False
    left, right = _names(node.left.left) & made, _names(node.left.right) & made
    return bool(left and right and left != right)


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
    return {_name(one) for one in ast.walk(node) if isinstance(one, ast.Name | ast.Attribute)}


def _is_fixed(node: ast.expr, scope: NameScope, values: Values) -> bool:
    """Whether it is made of constants, counters and libraries' functions, and of itself."""
    made_of = leaves(values.of(node, scope))
    return all(isinstance(one, Constant | Counting | Path) or one == Unknown("cycle") for one in made_of)
