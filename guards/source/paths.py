"""Which part of an imported module a name or an attribute stands for, through plain aliases and getattr."""

import ast
from collections.abc import Callable

from guards.source.index import Binding, NameScope
from guards.source.program import SourceProgram

_DEPTH = 60
_IMPORTERS = {"builtins.__import__", "importlib.import_module"}


class Paths:
    """Finds dotted paths; remembers them. Much cheaper than a value.

    text_of: the text that an expression comes down to, None where it is not known.
    """

    def __init__(self, program: SourceProgram, text_of: Callable[[ast.expr, NameScope], str | None]) -> None:
        self._program, self._text_of = program, text_of
        self._known: dict[tuple[int, str], tuple[str, ...]] = {}
        self._asked: dict[tuple[int, int], tuple[str, ...]] = {}  # id of an attribute and of its scope -> paths

    def of(self, node: ast.AST, scope: NameScope, depth: int = 0) -> tuple[str, ...]:
        """The dotted paths that an expression may stand for; nothing for what is the program's own."""
        if depth > _DEPTH:
            return ()
        if node.__class__ is ast.Name:
            return self._name(node.id, scope, depth)
        if depth == 0 and node.__class__ is ast.Attribute:  # many ask about the same ones
            key = (id(node), id(scope))
            if key not in self._asked:
                self._asked[key] = self._followed(node, scope, depth)
            return self._asked[key]
        return self._followed(node, scope, depth)

    def _followed(self, node: ast.AST, scope: NameScope, depth: int) -> tuple[str, ...]:
        match node:
            case ast.Attribute(value=base, attr=name):
                found = self.of(base, scope, depth + 1)
                return tuple([f"{path}.{name}" for path in found]) if found else ()
            case ast.IfExp(body=one, orelse=other):
                return self.of(one, scope, depth + 1) + self.of(other, scope, depth + 1)
            case ast.NamedExpr(value=value):
                return self.of(value, scope, depth + 1)
            case ast.Call():
                return self._reached_by_name(node, scope, depth)
        return ()

    def _name(self, name: str, scope: NameScope, depth: int) -> tuple[str, ...]:
        home = scope.find(name)
        if home is None:
            return (f"builtins.{name}",)
        key = (id(home), name)
        if key not in self._known:
            self._known[key] = ()  # for cycles
            found = [path for one in home.bindings[name] for path in self._bound(one, depth)]
            self._known[key] = tuple(dict.fromkeys(found))
        return self._known[key]

    def _bound(self, binding: Binding, depth: int) -> tuple[str, ...]:
        if binding.how == "import":
            target = self._program.lookup(str(binding.detail))
            return self._name(target[1], target[0], depth + 1) if target else (str(binding.detail),)
        if binding.how == "expression" and binding.node is not None:
            return self.of(binding.node, binding.scope, depth + 1)
        return ()

    def _reached_by_name(self, node: ast.Call, scope: NameScope, depth: int) -> tuple[str, ...]:
        """getattr(module, "name"), __import__("module"), import_module("module")."""
        called = self.of(node.func, scope, depth + 1)
        if "builtins.getattr" in called and len(node.args) >= 2:
            name = self._text_of(node.args[1], scope)
            return tuple(f"{base}.{name}" for base in self.of(node.args[0], scope, depth + 1) if name)
        if node.args and _IMPORTERS & set(called):
            name = self._text_of(node.args[0], scope)
            return (name,) if name else ()
        return ()
