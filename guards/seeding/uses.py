"""Where the harness's seed goes beside generators: it may be logged, but nothing may depend on it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from guards.source.index import FunctionNode, Index, NameScope, Seen, all_arguments
from guards.source.program import SourceProgram, last_name
from guards.source.seed_names import RANDOM_OBJECTS, SINKS, is_seed_keyword, is_seeding_path, takes_a_seed
from guards.source.value import fixed_beside_the_seed
from guards.source.values import Values

_LOGGED = {
    "print", "write", "writelines", "info", "debug", "warning", "log", "dump", "dumps", "fromkeys", "save_file",
    "append", "write_text", "claim", "add_argument",
}  # fmt: skip
_COPIED = {
    "int",
    "str",
    "repr",
    "format",
    "dict",
    "list",
    "tuple",
    "asdict",
    "vars",
    "float",
    "round",
    "encode",
}
_STORED = {
    "SimpleNamespace",
    "Namespace",
    "replace",
    "_replace",
    "set_defaults",
    "update",
    "setattr",
    "namedtuple",
}
_DERIVED = {"hash", "md5", "sha1", "sha256", "sha512", "blake2b", "crc32", "adler32", "abs"}
"""What a seed may go through on its way to a generator; where that gets it is looked at there."""
_PASSES = (
    ast.keyword, ast.Starred, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.FormattedValue, ast.JoinedStr, ast.IfExp,
    ast.NamedExpr, ast.Attribute, ast.BinOp,
)  # fmt: skip
_HARMLESS = (
    ast.Assign, ast.AnnAssign, ast.Return, ast.Expr, ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.Yield, ast.Assert,
)  # fmt: skip
_ROUNDS = 6
_FIELD = 0  # instead of a scope's id: an attribute or key of that name, of any object
Held = set[tuple[int, str]]
"""Names that hold the seed: id of the scope that binds them, and the name."""


@dataclass(frozen=True, slots=True)
class Use:
    """where: kind of place. value: repr of what stands there. certain: something is steered by the seed; else it
    goes into a library that may make a generator of it."""

    where: str
    value: str
    seen: Seen
    certain: bool


def mixed(program: SourceProgram, values: Values, names: Held) -> Iterator[tuple[str, Seen]]:
    """What may stand in the seed's place, and where that is decided: an assignment, a condition, an attribute.

    Not parameters: a function that is called with the seed and, to warm up, with a constant decides nothing.
    """
    for index in program.indexes.values():
        for leaf in index.leaves:
            if not _is_tainted(leaf.node, leaf.scope, names, program.seed_names) or _is_parameter(leaf):
                continue
            around = index.parents.get(id(leaf.node))
            node = around if isinstance(around, ast.IfExp | ast.BoolOp) else leaf.node
            found = sorted({repr(one) for one in fixed_beside_the_seed(values.of(node, leaf.scope))})
            yield from ((one, leaf) for one in found)


def _is_parameter(leaf: Seen) -> bool:
    home = leaf.scope.find(leaf.node.id) if isinstance(leaf.node, ast.Name) else None
    return home is not None and any(one.how == "parameter" for one in home.bindings[last_name(leaf.node)])


def uses(program: SourceProgram, values: Values, names: Held) -> Iterator[Use]:
    """The places where the harness's seed steers something. names: `tainted_names` of the program."""
    for index in program.indexes.values():
        for leaf in index.leaves:
            if not _is_tainted(leaf.node, leaf.scope, names, program.seed_names):
                continue
            if (found := _steered(leaf, index, program)) is not None:
                yield Use(
                    type(found).__name__,
                    repr(values.of(found, leaf.scope)),
                    leaf,
                    not _is_opaque(found, leaf, values),
                )


def _steered(leaf: Seen, index: Index, program: SourceProgram) -> ast.AST | None:
    """The expression or statement around a leaf that depends on the seed, None for harmless places."""
    node = leaf.node
    while (parent := index.parents.get(id(node))) is not None:
        if isinstance(parent, ast.Call):
            verdict = _call(parent, node, leaf.scope, program)
            if verdict != "on":
                return parent if verdict == "use" else None
        elif isinstance(parent, _HARMLESS) or _is_presence_test(parent):
            return None
        elif not isinstance(parent, _PASSES) or (isinstance(parent, ast.IfExp) and parent.test is node):
            return parent
        elif isinstance(parent, ast.keyword) and (is_seed_keyword(parent.arg) or takes_a_seed(parent.arg)):
            return None  # looked at as a seeding call
        node = parent
    return None


def _is_presence_test(node: ast.AST) -> bool:
    """`seed is None`."""
    return isinstance(node, ast.Compare) and all(
        isinstance(one, ast.Constant) and one.value is None for one in node.comparators
    )


def _call(call: ast.Call, inside: ast.AST, scope: NameScope, program: SourceProgram) -> str:
    """ "stop": harmless or looked at elsewhere; "on": the seed passes through; "use": something depends on it."""
    name = last_name(call.func)
    if call.func is inside:
        return "stop" if name in SINKS else "on" if name in _COPIED else "use"
    if name in SINKS or name in _LOGGED or name in _STORED or is_seeding_path(f"random.{name}"):
        return "stop"
    if name in _COPIED | _DERIVED:
        return "on"
    own = program.is_own(call.func, scope) or program.is_own_class(call.func, scope)
    return "stop" if own else "use"


def _is_opaque(found: ast.AST, leaf: Seen, values: Values) -> bool:
    """A positional argument of a library's class or random function, which may well be a seed."""
    if not isinstance(found, ast.Call) or leaf.node not in found.args:
        return False
    names = {path.rpartition(".")[2] for path in values.dotted(found.func, leaf.scope)}
    return any(name in RANDOM_OBJECTS or name[:1].isupper() or "random" in name for name in names)


def tainted_names(program: SourceProgram) -> Held:
    """Variables and parameters that hold the harness's seed, or something plainly made of it."""
    names: Held = set()
    for _ in range(_ROUNDS):
        size = len(names)
        for scope in program.all_scopes():
            names.update(_bound(scope, names, program))
        for index in program.indexes.values():
            names.update(_stored(index, names, program))
        for call in program.calls:
            names.update(_passed(call, names, program))
        if len(names) == size:
            break
    return names


def _bound(scope: NameScope, names: Held, program: SourceProgram) -> Held:
    found: Held = set()
    for name, bindings in scope.bindings.items():
        key = (id(scope), name)
        if key not in names and any(
            one.how == "expression" and _carries(one.node, one.scope, names, program) for one in bindings
        ):
            found.add(key)
    return found


def _stored(index: Index, names: Held, program: SourceProgram) -> Held:
    """Attributes of the program's own objects: `self.order_seed = seed + 1`."""
    found: Held = set()
    for store in index.stores:
        value = getattr(store.parent, "value", None)
        if isinstance(store.node, ast.Attribute) and _carries(value, store.scope, names, program):
            found.add((_FIELD, store.node.attr))
    return found


def _passed(call: Seen, names: Held, program: SourceProgram) -> Iterator[tuple[int, str]]:
    assert isinstance(call.node, ast.Call)
    carrying = [n for n, one in enumerate(call.node.args) if _carries(one, call.scope, names, program)]
    keywords = [k.arg for k in call.node.keywords if k.arg and _carries(k.value, call.scope, names, program)]
    if not carrying and not keywords:
        return
    for function in _called(call, program):
        found = [
            *(keyword for keyword in keywords if keyword in function.bindings),
            *_positional(function, carrying),
        ]
        yield from ((id(function), name) for name in found)


def _called(call: Seen, program: SourceProgram) -> list[NameScope]:
    assert isinstance(call.node, ast.Call)
    if last_name(call.node.func) != "__init__":
        return program.entered(call.node.func, call.scope)
    return [one for one in program.own_functions("__init__") if program.enters(call, one)]


def _positional(function: NameScope, indexes: list[int]) -> Iterator[str]:
    node = function.node
    assert isinstance(node, FunctionNode)
    arguments = all_arguments(node.args)
    shift = 1 if function.parent is not None and function.parent.kind == "class" else 0
    for index in indexes:
        if index + shift < len(arguments):
            yield arguments[index + shift].arg


def _carries(node: ast.AST | None, scope: NameScope, names: Held, program: SourceProgram) -> bool:
    """Whether an expression is the seed or plainly made of it (what a generator draws is not)."""
    parts: list[ast.expr] = []
    match node:
        case None:
            return False
        case ast.Call():
            parts = node.args if last_name(node.func) in _COPIED | _DERIVED else []
        case ast.BinOp():
            parts = [node.left, node.right]
        case ast.IfExp():
            parts = [node.body, node.orelse]
        case ast.JoinedStr():
            parts = node.values
        case ast.Tuple() | ast.List():
            parts = node.elts
        case ast.FormattedValue() | ast.NamedExpr():
            parts = [node.value]
        case _:
            return _is_tainted(node, scope, names, program.seed_names)
    return any(_carries(part, scope, names, program) for part in parts)


def _is_tainted(node: ast.AST, scope: NameScope, names: Held, fields: set[str]) -> bool:
    if isinstance(node, ast.Name):
        home = scope.find(node.id)
        return home is not None and (id(home), node.id) in names
    return isinstance(node, ast.Attribute) and (node.attr in fields or (_FIELD, node.attr) in names)
