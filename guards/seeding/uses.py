"""Where the harness's seed goes beside generators: it may be logged, but nothing may depend on it."""

import ast
from collections.abc import Iterator

from guards.source.index import FunctionNode, Index, Scope, Seen, all_arguments
from guards.source.program import Program, last_name
from guards.source.seed_names import SINKS
from guards.source.values import HARNESS, Values

_LOGGED = {"print", "write", "writelines", "info", "debug", "warning", "log", "dump", "dumps", "fromkeys"}
_COPIED = {"int", "str", "repr", "format", "dict", "list", "tuple", "asdict", "vars", "float", "round"}
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
_PASSES = (
    ast.keyword, ast.Starred, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.FormattedValue, ast.JoinedStr, ast.IfExp,
    ast.NamedExpr, ast.Attribute,
)  # fmt: skip
_HARMLESS = (
    ast.Assign,
    ast.AnnAssign,
    ast.Return,
    ast.Expr,
    ast.FunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.Yield,
)
_ROUNDS = 6


def uses(program: Program, values: Values) -> Iterator[tuple[str, str, Seen]]:
    """(kind of place, value there, leaf) for each place where the harness's seed steers something."""
    names = _tainted_names(program)
    for index in program.indexes.values():
        for leaf in index.leaves:
            if not _is_tainted(leaf.node, leaf.scope, names, program.seed_names):
                continue
            if (found := _steered(leaf, index, program, values)) is not None:
                yield type(found).__name__, repr(values.of(found, leaf.scope)), leaf


def _steered(leaf: Seen, index: Index, program: Program, values: Values) -> ast.AST | None:
    """The expression or statement around a leaf that depends on the seed, None for harmless places."""
    node, computed = leaf.node, None
    while (parent := index.parents.get(id(node))) is not None:
        if isinstance(parent, ast.Call):
            verdict = _call(parent, node, program)
            if verdict == "stop":
                return None
            if verdict == "use":
                return parent
        elif isinstance(parent, ast.BinOp):
            if values.of(parent, leaf.scope) != HARNESS:
                computed = parent
        elif isinstance(parent, _HARMLESS):
            return computed
        elif not isinstance(parent, _PASSES) or (isinstance(parent, ast.IfExp) and parent.test is node):
            return parent
        node = parent
    return computed


def _call(call: ast.Call, inside: ast.AST, program: Program) -> str:
    """ "stop": harmless or looked at elsewhere; "on": the seed passes through; "use": something depends on it."""
    name = last_name(call.func)
    if call.func is inside:
        return "stop" if name in SINKS else "use"
    if name in SINKS or name in _LOGGED or name in _STORED or name in ("add_argument",):
        return "stop"
    if name in _COPIED:
        return "on"
    return "stop" if program.is_own(name) else "use"


Held = set[tuple[int, str]]
"""Names that hold the seed: id of the scope that binds them, and the name."""


def _tainted_names(program: Program) -> Held:
    """Variables and parameters that hold the harness's seed, or something plainly made of it."""
    names: Held = set()
    for _ in range(_ROUNDS):
        size = len(names)
        for scope in program.all_scopes():
            for name, bindings in scope.bindings.items():
                if (id(scope), name) not in names and any(
                    one.how == "expression" and _carries(one.node, one.scope, names, program)
                    for one in bindings
                ):
                    names.add((id(scope), name))
        for call in program.calls:
            names.update(_passed(call, names, program))
        if len(names) == size:
            break
    return names


def _passed(call: Seen, names: Held, program: Program) -> Iterator[tuple[int, str]]:
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


def _called(call: Seen, program: Program) -> list[Scope]:
    assert isinstance(call.node, ast.Call)
    name = last_name(call.node.func)
    found = program.own_functions(name)
    return found if name != "__init__" else [one for one in found if program.enters(call, one)]


def _positional(function: Scope, indexes: list[int]) -> Iterator[str]:
    node = function.node
    assert isinstance(node, FunctionNode)
    arguments = all_arguments(node.args)
    shift = 1 if function.parent is not None and function.parent.kind == "class" else 0
    for index in indexes:
        if index + shift < len(arguments):
            yield arguments[index + shift].arg


def _carries(node: ast.AST | None, scope: Scope, names: Held, program: Program) -> bool:
    """Whether an expression is the seed or plainly made of it (what a generator draws is not)."""
    parts: list[ast.expr] = []
    match node:
        case None:
            return False
        case ast.Call():
            parts = node.args if last_name(node.func) in _COPIED else []
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


def _is_tainted(node: ast.AST, scope: Scope, names: Held, fields: set[str]) -> bool:
    if isinstance(node, ast.Name):
        home = scope.find(node.id)
        return home is not None and (id(home), node.id) in names
    return isinstance(node, ast.Attribute) and node.attr in fields
