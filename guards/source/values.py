"""Evaluates expressions without executing anything.

Symbolic and without regard to order: a name stands for everything that is ever bound to it, a parameter for
every argument that is ever passed, an attribute for everything that is ever stored under its name. Renaming,
moving into helpers, constants and defaults change nothing of it; another number does.
"""

import ast
from collections.abc import Callable
from functools import lru_cache

from guards.source import folding, operations
from guards.source.index import NameScope
from guards.source.names import Environment, Names
from guards.source.program import SourceProgram
from guards.source.syntax import Source
from guards.source.value import (
    DEEP,
    OPAQUE,
    Attribute,
    Call,
    Class,
    Compound,
    Constant,
    Function,
    Instance,
    Keyword,
    Path,
    Unknown,
    Value,
    alternatives,
    bounded,
    constant,
    union,
)

_IDENTITIES = {
    "builtins.int",
    "operator.index",
    "numpy.int64",
    "numpy.uint32",
    "numpy.uint64",
    "numpy.random.SeedSequence",
    "numpy.random.PCG64",
}
_STEPS = 30_000
_DEPTH = 60
_INLINE_DEPTH = 8


class TooComplex(Exception):
    """The program makes its values in more ways than can be followed."""


class Values(Names):
    """Evaluates expressions of one program; remembers what it has found."""

    def __init__(self, program: SourceProgram) -> None:
        super().__init__(program)
        self._inlined: dict[tuple[int, tuple[Value, ...]], Value] = {}
        self._steps = self._depth = self._inline_depth = 0

    def of(self, node: ast.AST | None, scope: NameScope, environment: Environment | None = None) -> Value:
        """The value of an expression that stands in `scope`. Raises TooComplex."""
        self._steps += 1
        if self._steps > _STEPS:
            raise TooComplex
        if node is None or self._depth > _DEPTH:
            return DEEP if node is not None else constant(None)
        if self._depth == 0:
            self._passing.clear()
        self._depth += 1
        try:
            handler = _HANDLERS.get(type(node), Values._generic)
            return bounded(handler(self, node, scope, environment))
        finally:
            self._depth -= 1

    def text_of(self, node: ast.expr, scope: NameScope) -> str | None:
        """The text that an expression comes down to, None where it is not known."""
        value = self.of(node, scope)
        return value.value if isinstance(value, Constant) and isinstance(value.value, str) else None

    def dotted(self, node: ast.AST, scope: NameScope) -> tuple[str, ...]:
        """The dotted paths into imported modules that a name or an attribute may stand for."""
        return self.paths.of(node, scope)

    # names, attributes, subscripts

    def _constant(self, node: ast.Constant, *_: object) -> Value:
        return constant(node.value)

    def _name(self, node: ast.Name, scope: NameScope, environment: Environment | None) -> Value:
        return self.name(node.id, scope, environment)

    def _attribute(self, node: ast.Attribute, scope: NameScope, environment: Environment | None) -> Value:
        if found := self.paths.of(node, scope):
            return union(self.at(path) for path in found)
        return self._member(node.value, node.attr, scope, environment)

    def _member(self, base: ast.expr, name: str, scope: NameScope, environment: Environment | None) -> Value:
        stored = self.field(name)
        if stored != OPAQUE:
            return stored
        if methods := self.program.methods(name):
            return union(Function(method) for method in methods)
        return Attribute(self.of(base, scope, environment), name)

    def _subscript(self, node: ast.Subscript, scope: NameScope, environment: Environment | None) -> Value:
        base = self.of(node.value, scope, environment)
        if isinstance(base, Constant):
            found = operations.folded(lambda: folding.subscript(base.value, node.slice))
            return found or operations.element(base, self.of(node.slice, scope, environment))
        key = self.of(node.slice, scope, environment)
        if isinstance(key, Constant) and isinstance(key.value, str):
            return self._keyed(base, key, key.value)
        return operations.element(base, key)

    def _keyed(self, base: Value, key: Value, name: str) -> Value:
        """`base["name"]`: what is stored under it; in a module's dictionary, the module's."""
        stored = self.field(name)
        if _is_namespace(base) or stored != OPAQUE:
            return stored
        modules = [module for one in alternatives(base) if (module := module_behind(one))]
        if modules:
            return union(Path(f"{module}.{name}") for module in modules)
        return operations.element(base, key)

    # operations

    def _binary(self, node: ast.BinOp, scope: NameScope, environment: Environment | None) -> Value:
        left, right = self.of(node.left, scope, environment), self.of(node.right, scope, environment)
        return operations.binary(type(node.op).__name__, left, right)

    def _unary(self, node: ast.UnaryOp, scope: NameScope, environment: Environment | None) -> Value:
        return operations.unary(type(node.op).__name__, self.of(node.operand, scope, environment))

    def _either(self, node: ast.IfExp, scope: NameScope, environment: Environment | None) -> Value:
        test = self.of(node.test, scope, environment)
        if isinstance(test, Constant):
            return self.of(node.body if test.value else node.orelse, scope, environment)
        return union(self.of(part, scope, environment) for part in (node.body, node.orelse))

    def _boolean(self, node: ast.BoolOp, scope: NameScope, environment: Environment | None) -> Value:
        return union(self.of(part, scope, environment) for part in node.values)

    def _sequence(
        self, node: ast.Tuple | ast.List | ast.Set, scope: NameScope, environment: Environment | None
    ) -> Value:
        return operations.sequence([self.of(part, scope, environment) for part in node.elts])

    def _text(self, node: ast.JoinedStr, scope: NameScope, environment: Environment | None) -> Value:
        return operations.text([self.of(part, scope, environment) for part in node.values])

    def _formatted(self, node: ast.FormattedValue, scope: NameScope, environment: Environment | None) -> Value:
        value = self.of(node.value, scope, environment)
        if node.format_spec is None and node.conversion == -1:
            return value
        return Compound("formatted", (value, constant(node.conversion)))

    def _lambda(self, node: ast.Lambda, scope: NameScope, _: object) -> Value:
        return Function(self.program.scope_of(node) or scope)

    def _walrus(self, node: ast.NamedExpr, scope: NameScope, environment: Environment | None) -> Value:
        return self.of(node.value, scope, environment)

    def _starred(self, node: ast.Starred, scope: NameScope, environment: Environment | None) -> Value:
        return Compound("star", (self.of(node.value, scope, environment),))

    def _generic(self, node: ast.AST, scope: NameScope, environment: Environment | None) -> Value:
        inner = self.program.scope_of(node) or scope
        children = [one for one in ast.iter_child_nodes(node) if _counts(one)]
        return Compound(type(node).__name__, tuple(self.of(one, inner, environment) for one in children))

    # calls

    def _call(self, node: ast.Call, scope: NameScope, environment: Environment | None) -> Value:
        called = self.of(node.func, scope, environment)
        return union(self._result(one, node, scope, environment) for one in alternatives(called))

    def _result(self, called: Value, node: ast.Call, scope: NameScope, environment: Environment | None) -> Value:
        match called:
            case Function(function):
                return self._inline(function, node, scope, environment)
            case Class(own):
                return Instance(own)
        arguments = tuple(self.of(argument, scope, environment) for argument in node.args)
        found = None if node.keywords else self._known_call(called, node, scope, environment, arguments)
        if found is not None:
            return found
        keywords = sorted((str(k.arg), self.of(k.value, scope, environment)) for k in node.keywords)
        return Call(called, arguments, tuple(Keyword(name, value) for name, value in keywords))

    def _known_call(
        self,
        called: Value,
        node: ast.Call,
        scope: NameScope,
        environment: Environment | None,
        arguments: tuple[Value, ...],
    ) -> Value | None:
        """The result of a call that can be seen through: int(x), getattr(x, "name"), a constant's methods."""
        match called, arguments:
            case Path(path), (only,) if path in _IDENTITIES and not isinstance(only, Constant):
                return only
            case Path("builtins.getattr"), (_, Constant(value=str(name)), *_):
                if reached := self.paths.of(node, scope):
                    return union(self.at(one) for one in reached)
                return self._member(node.args[0], name, scope, environment)
            case Path(path), _ if (found := operations.builtin(path, arguments)) is not None:
                return found
        if isinstance(node.func, ast.Attribute):
            receiver = self.of(node.func.value, scope, environment)
            return operations.method(receiver, node.func.attr, arguments)
        return None

    def _inline(
        self, function: NameScope, call: ast.Call, scope: NameScope, environment: Environment | None
    ) -> Value:
        if self._inline_depth >= _INLINE_DEPTH:
            return DEEP
        bound = self.arguments(function, call, scope, environment)
        key = (id(function), tuple(bound.values()))
        if key in self._inlined:
            return self._inlined[key]
        self._inline_depth += 1
        try:
            before = self._cycles
            value = self.returned(function, bound)
            if self._cycles == before:
                self._inlined[key] = value
            return value
        finally:
            self._inline_depth -= 1

    def returned(self, function: NameScope, environment: Environment) -> Value:
        """What a function gives back, its parameters being what the environment says."""
        if not function.returns:
            is_async = isinstance(function.node, ast.AsyncFunctionDef)
            return Unknown("nothing" if not is_async else "awaitable")
        return union(self.of(part, function, environment) for part in function.returns)


@lru_cache(maxsize=16)
def analysed(files: tuple[Source, ...]) -> Values:
    """The values of a program, made once for all who ask."""
    return Values(SourceProgram(files))


def _is_namespace(base: Value) -> bool:
    """vars(something)."""
    match base:
        case Call(called=Path("builtins.vars")):
            return not module_behind(base)
    return False


def module_behind(value: Value) -> str:
    """The module behind vars(module) and module.__dict__, "" for others."""
    match value:
        case Path(dotted) if dotted.endswith(".__dict__"):
            return dotted.removesuffix(".__dict__")
        case Call(called=Path("builtins.vars"), arguments=(Path(module), *_)):
            return module
    return ""


def _counts(child: ast.AST) -> bool:
    return isinstance(child, ast.expr | ast.keyword | ast.comprehension)


_HANDLERS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Constant: Values._constant,
    ast.Name: Values._name,
    ast.Attribute: Values._attribute,
    ast.Subscript: Values._subscript,
    ast.BinOp: Values._binary,
    ast.UnaryOp: Values._unary,
    ast.IfExp: Values._either,
    ast.BoolOp: Values._boolean,
    ast.Tuple: Values._sequence,
    ast.List: Values._sequence,
    ast.Set: Values._sequence,
    ast.JoinedStr: Values._text,
    ast.FormattedValue: Values._formatted,
    ast.Lambda: Values._lambda,
    ast.NamedExpr: Values._walrus,
    ast.Starred: Values._starred,
    ast.Call: Values._call,
}
