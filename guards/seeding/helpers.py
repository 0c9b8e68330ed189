"""Small functions of the program's own, written out where they are called: `x = after(x)`."""

import ast
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from guards.seeding.updates import Updates, function_of, inside, updates_of
from guards.source.index import Index, NameScope
from guards.source.program import last_name

_MOST_STATEMENTS = 12
_CUTTING = (ast.Mod, ast.BitAnd, ast.BitXor, ast.LShift, ast.RShift)
_CALLS = {
    "divmod", "mod", "fmod", "remainder", "bitwise_and", "bitwise_xor", "md5", "sha1", "sha256", "sha512", "blake2b",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Helper:
    """What its names become, under names of its own. parameters: in their order, without `self`; calls: it makes."""

    parameters: Sequence[str]
    updates: Updates
    result: ast.Name
    scope: NameScope
    calls: Sequence[ast.Call] = ()

    def add_to(self, found: Updates, call: ast.Call, others: "Helpers") -> None:
        """Adds what a call of it does, and what the calls in it do."""
        is_new = self.result.id not in found
        for parameter, given in zip(self.parameters, call.args, strict=False):
            found[parameter].append(given)
        for keyword in call.keywords:
            found[f"{self.result.id}{keyword.arg}"].append(keyword.value)
        if not is_new:
            return
        for name, values in self.updates.items():
            found[name] += values
        for inner in self.calls:
            if helper := others.get(last_name(inner.func)):
                helper.add_to(found, inner, others)


class Helpers:
    """By name, those that could make a generator's next state: short, with a remainder or bits in them or behind them.

    Written out when they are asked for, which most never are.
    """

    def __init__(self, index: Index) -> None:
        cutting = {id(function_of(scope)) for node, scope in index.nodes() if _cuts(node)}
        nodes = ((scope, scope.node) for scope in index.scopes.values()) if cutting else ()
        small = [(scope, one) for scope, one in nodes if isinstance(one, ast.FunctionDef) and _is_small(one)]
        wanted = {node.name for scope, node in small if id(scope) in cutting}
        if wanted:
            called = _called(index)
            wanted |= {name for name, names in called.items() if names & wanted}
            for _ in range(2):  # what they call in turn
                wanted |= {one for name in wanted & called.keys() for one in called[name]}
        self._functions = {node.name: (scope, node) for scope, node in small if node.name in wanted}
        self._made = dict[str, Helper]()

    def get(self, name: str) -> Helper | None:
        """None for a name that is none of theirs."""
        if name not in self._made:
            if name not in self._functions:
                return None
            self._made[name] = _helper(name, *self._functions[name])
        return self._made[name]


def updates_with(code: ast.AST, helpers: Helpers) -> Updates:
    """Name -> what it becomes there, and in the helpers that are called there."""
    found = updates_of(code)
    for node in inside(code):
        if isinstance(node, ast.Call) and (helper := helpers.get(last_name(node.func))):
            helper.add_to(found, node, helpers)
    return found


def _called(index: Index) -> dict[str, set[str]]:
    """Function -> names of what it calls."""
    found: dict[str, set[str]] = defaultdict(set)
    for call in index.calls:
        if isinstance(call.node, ast.Call):
            found[getattr(function_of(call.scope).node, "name", "")].add(last_name(call.node.func))
    return found


def _is_small(function: ast.FunctionDef) -> bool:
    return len(function.body) <= _MOST_STATEMENTS and bool(function.args.args)


def _cuts(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp | ast.AugAssign):
        if isinstance(node.op, ast.Sub):  # `x - x // m * m`
            right = node.right if isinstance(node, ast.BinOp) else node.value
            return isinstance(right, ast.BinOp) and isinstance(right.left, ast.BinOp)
        return isinstance(node.op, _CUTTING)
    called = node.func if isinstance(node, ast.Call) else None
    return getattr(called, "attr", getattr(called, "id", "")) in _CALLS


def _helper(name: str, scope: NameScope, function: ast.FunctionDef) -> Helper:
    result, renamed = f"{name}:", _Renamed(name, scope)
    updates: Updates = defaultdict(list)
    for changed, values in updates_of(function).items():
        updates[renamed.name(changed)] += [renamed.copied(value) for value in values]
    updates[result] += [renamed.copied(value) for value in scope.returns]
    is_method = scope.parent is not None and scope.parent.kind == "class" and not function.decorator_list
    parameters = [f"{result}{one.arg}" for one in function.args.args[is_method:]]
    inner = (node for node in inside(function) if isinstance(node, ast.Call))
    calls = [one for call in inner if isinstance(one := renamed.copied(call), ast.Call)]
    return Helper(parameters, updates, ast.Name(result), scope, calls)


class _Renamed:
    """Copies of expressions in which the names of a function are its own."""

    def __init__(self, prefix: str, scope: NameScope) -> None:
        self._prefix, self._own = prefix, scope.bindings.keys()

    def name(self, name: str) -> str:
        return f"{self._prefix}:{name}" if name in self._own else name

    def copied(self, node: ast.expr) -> ast.expr:
        copy = self._copy(node)
        assert isinstance(copy, ast.expr)
        return copy

    def _copy(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Name):
            return ast.Name(self.name(node.id))
        fields = {name: self._of(value) for name, value in ast.iter_fields(node)}
        return type(node)(**fields)

    def _of(self, value: object) -> object:
        if isinstance(value, ast.AST):
            return self._copy(value)
        return [self._of(one) for one in value] if isinstance(value, list) else value
