"""What becomes of which name in a piece of code that is done again and again, statement by statement."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from guards.source.index import Index, NameScope

Updates = dict[str, list[ast.expr]]
_LEFT_OUT = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.expr_context, ast.operator, ast.cmpop,
    ast.Constant,
)  # fmt: skip
_GROWING = {"append", "insert", "extend"}
_IN_PLACE: dict[str, type[ast.operator]] = {
    "mul_": ast.Mult,
    "multiply_": ast.Mult,
    "add_": ast.Add,
    "sub_": ast.Sub,
    "pow_": ast.Pow,
    "remainder_": ast.Mod,
    "fmod_": ast.Mod,
    "bitwise_and_": ast.BitAnd,
    "bitwise_xor_": ast.BitXor,
    "bitwise_left_shift_": ast.LShift,
    "bitwise_right_shift_": ast.RShift,
}


def updates_of(code: ast.AST) -> Updates:
    """Name -> what it becomes there."""
    found: Updates = defaultdict(list)
    for node in inside(code):
        for target, value in _written(node):
            if name := name_of(target):
                found[name].append(value)
    return found


@lru_cache(maxsize=2048)
def inside(code: ast.AST) -> tuple[ast.AST, ...]:
    """Everything in it but what functions and classes hold, looked at once for all who ask."""
    found: list[ast.AST] = []
    waiting = [code]
    while waiting:
        children = [one for one in ast.iter_child_nodes(waiting.pop()) if not isinstance(one, _LEFT_OUT)]
        found += children
        waiting += children
    return tuple(found)


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
        case ast.Call():
            yield from _changed(node)


def _changed(call: ast.Call) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What a call changes: `out=`, the list that grows, the tensor of `mul_`."""
    yield from ((one.value, call) for one in call.keywords if one.arg == "out")
    match call:
        case ast.Call(func=ast.Attribute(value=grown, attr=how), args=[*_, value]) if how in _GROWING:
            yield grown, value
        case ast.Call(func=ast.Attribute(value=of, attr=how), args=[value, *_]) if how in _IN_PLACE:
            while isinstance(of, ast.Call) and isinstance(of.func, ast.Attribute):
                of = of.func.value  # `state.mul_(a).add_(c)`
            yield of, ast.BinOp(of, _IN_PLACE[how](), value)


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if not isinstance(target, ast.Tuple):
        yield target, value
    elif isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield from ((one, value) for one in target.elts)


def name_of(node: ast.expr) -> str:
    """What is written to or read: of `state[k]`, `state`; "" for what is neither name nor attribute."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        return node.id
    return ast.unparse(node) if isinstance(node, ast.Attribute) else ""


def function_of(scope: NameScope) -> NameScope:
    """The function, class or module that a comprehension stands in."""
    while scope.kind == "comprehension" and scope.parent is not None:
        scope = scope.parent
    return scope


def keeping_functions(index: Index) -> Iterator[tuple[ast.FunctionDef, NameScope]]:
    """Functions that may leave something outside of themselves."""
    keeping = {id(function_of(scope)): function_of(scope) for node, scope in index.nodes() if _keeps(node)}
    for scope in keeping.values():
        if isinstance(scope.node, ast.FunctionDef):
            yield scope.node, scope


def _keeps(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()) | ast.Global() | ast.Nonlocal():
            return True
        case ast.Call(func=ast.Attribute(attr=how)) if how in _GROWING or how in _IN_PLACE:
            return True
        case ast.keyword(arg="out"):
            return True
    return False


def calling_themselves(index: Index) -> Iterator[tuple[ast.FunctionDef, NameScope, Updates]]:
    """Functions that call themselves, and what their parameters become there."""
    found: dict[int, tuple[ast.FunctionDef, NameScope, Updates]] = {}
    for call in index.calls:
        scope = function_of(call.scope)
        match scope.node, call.node:
            case ast.FunctionDef(name=name) as function, ast.Call(func=ast.Name(id=called)) as node if (
                called == name
            ):
                updates = found.setdefault(id(scope), (function, scope, defaultdict(list)))[2]
                for parameter, given in zip(function.args.args, node.args, strict=False):
                    updates[parameter.arg].append(given)
    yield from found.values()


def outlasting(function: ast.FunctionDef, updates: Updates) -> tuple[frozenset[str], frozenset[str]]:
    """Names whose values are there at the next call: attributes and declared ones, and those with elements written."""
    declared, bound, stored = set[str](), set[str](), set[str]()
    for node in inside(function):
        if isinstance(node, ast.Global | ast.Nonlocal):
            declared.update(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            stored.add(name_of(node))
    kept = {one for one in updates if "." in one} | (declared & updates.keys())
    return frozenset(kept), frozenset((stored & updates.keys()) - bound - kept)
