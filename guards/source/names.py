"""What names, parameters, attributes and string keys of one program stand for."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

from guards.source import operations
from guards.source.index import Binding, FunctionNode, NameScope, Seen, all_arguments
from guards.source.paths import Paths
from guards.source.program import SourceProgram, last_name
from guards.source.value import (
    CYCLE,
    HARNESS,
    OPAQUE,
    SELF,
    Class,
    Compound,
    Each,
    Free,
    Function,
    Option,
    Path,
    Value,
    constant,
    union,
)

Environment = dict[str, Value]


class Names(ABC):
    """Remembers what it has found. Values that were seen from inside a cycle are not remembered for ever."""

    def __init__(self, program: SourceProgram) -> None:
        self.program = program
        self.paths = Paths(program, self.text_of)
        self._names: dict[tuple[int, str], Value] = {}
        self._fields: dict[str, Value] = {}
        self._passing: dict[tuple[object, str], Value] = {}
        self._open: set[tuple[object, str]] = set()
        self._cycles = 0

    @abstractmethod
    def of(self, node: ast.AST | None, scope: NameScope, environment: Environment | None = None) -> Value:
        """The value of an expression that stands in `scope`."""

    @abstractmethod
    def text_of(self, node: ast.expr, scope: NameScope) -> str | None:
        """The text that an expression comes down to, None where it is not known."""

    @abstractmethod
    def returned(self, function: NameScope, environment: Environment) -> Value:
        """What a function gives back, its parameters being what the environment says."""

    def name(self, name: str, scope: NameScope, environment: Environment | None = None) -> Value:
        """Everything that a name can stand for where it is read."""
        home = scope.find(name)
        if home is None:
            return Path(f"builtins.{name}")
        if environment is not None and home.kind in ("function", "comprehension"):
            return environment[name] if name in environment else self._bound(name, home, environment)
        key = (id(home), name)
        if key in self._passing:
            self._cycles += 1
            return self._passing[key]
        return self._names[key] if key in self._names else self._remembered(key, name, home)

    def _remembered(self, key: tuple[int, str], name: str, home: NameScope) -> Value:
        before = self._cycles
        value = self._bound(name, home, None)
        if self._cycles != before and self._open:
            self._passing[key] = value  # seen from inside a cycle: right for now, not for ever
        else:
            self._names[key] = value
        return value

    def _guarded(self, key: tuple[object, str], compute: Callable[[], Value]) -> Value:
        """The value, or CYCLE where it is being worked out already."""
        if key in self._open:
            self._cycles += 1
            return CYCLE
        self._open.add(key)
        try:
            return compute()
        finally:
            self._open.discard(key)

    def _bound(self, name: str, home: NameScope, environment: Environment | None) -> Value:
        bindings = home.bindings[name]

        def compute() -> Value:
            whole = [self._binding(one, environment) for one in bindings if one.how != "augmented"]
            changes = [
                (str(one.detail), self.of(one.node.value, one.scope, environment))
                for one in bindings
                if isinstance(one.node, ast.AugAssign)
            ]
            return operations.augmented(union(whole) if whole else OPAQUE, changes)

        return self._guarded((id(home), name), compute)

    def _binding(self, binding: Binding, environment: Environment | None) -> Value:
        match binding.how:
            case "expression":
                return self.of(binding.node, binding.scope, environment)
            case "each":
                return Each(self.of(binding.node, binding.scope, environment), binding.detail)
            case "item":
                whole = self.of(binding.node, binding.scope, environment)
                if isinstance(binding.node, ast.Call) and last_name(binding.node.func) == "parse_known_args":
                    return whole
                return operations.element(whole, constant(binding.detail))
            case "import":
                return self.at(str(binding.detail))
            case "function":
                return Function(binding.scope)
            case "class":
                return Class(binding.scope)
            case "parameter":
                return self.parameter(binding.scope, str(binding.detail))
        return OPAQUE

    def at(self, path: str) -> Value:
        """What stands at a dotted path: something of the program's own, or of an imported module."""
        found = self.program.lookup(path)
        return self.name(found[1], found[0]) if found else Path(path)

    # parameters

    def parameter(self, function: NameScope, name: str) -> Value:
        """Everything that is passed for a parameter anywhere, its default where it is left out."""

        if is_self(function, name):
            return SELF

        def compute() -> Value:
            called = self.program.sites(function) or self.program.escapes(function)
            return union(self._passed(function, name)) if called else self._free(function, name)

        return self._guarded((function, name), compute)

    def _free(self, function: NameScope, name: str) -> Value:
        node = function.node
        assert isinstance(node, FunctionNode)
        default = defaults(node).get(name)
        names = [argument.arg for argument in all_arguments(node.args)]
        free = Free(names.index(name))
        return union([free, self.of(default, outer(function))]) if default is not None else free

    def _passed(self, function: NameScope, name: str) -> Iterable[Value]:
        for site in self.program.sites(function):
            assert isinstance(site.node, ast.Call)
            yield self.arguments(function, site.node, site.scope, None).get(name, OPAQUE)
        yield from self._decorated(function)
        for escape in self.program.escapes(function):
            yield Compound("passed", self._siblings(escape))

    def _decorated(self, function: NameScope) -> Iterable[Value]:
        """What a decorator of the program's own may pass instead: it is named by its code."""
        marks = function.node.decorator_list if isinstance(function.node, ast.FunctionDef) else []
        for mark in marks:
            target = mark.func if isinstance(mark, ast.Call) else mark
            if not self.paths.of(target, outer(function)):
                yield Compound("decorated", (self.of(mark, outer(function)),))

    def _siblings(self, escape: Seen) -> tuple[Value, ...]:
        """What goes along where a function is handed on: map(function, values), partial(function, value)."""
        parent = escape.parent
        if not isinstance(parent, ast.Call):
            return (OPAQUE,)
        others = [argument for argument in parent.args if argument is not escape.node]
        others += [keyword.value for keyword in parent.keywords if keyword.value is not escape.node]
        return tuple(self.of(other, escape.scope) for other in others)

    def arguments(
        self, function: NameScope, call: ast.Call, scope: NameScope, environment: Environment | None
    ) -> Environment:
        """Parameter -> value for one call of a function of the program."""
        node = function.node
        assert isinstance(node, FunctionNode)
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        bound: Environment = {names.pop(0): SELF} if is_method(function) and names else {}
        rest: list[Value] = []
        for index, argument in enumerate(call.args):
            value = self.of(argument, scope, environment)
            if isinstance(argument, ast.Starred) or index >= len(names):
                rest.append(value)
            else:
                bound[names[index]] = value
        for keyword in call.keywords:
            value = self.of(keyword.value, scope, environment)
            if keyword.arg is None:
                rest.append(value)
            else:
                bound[keyword.arg] = value
        return self._completed(function, node, bound, rest)

    def _completed(
        self, function: NameScope, node: FunctionNode, bound: Environment, rest: list[Value]
    ) -> Environment:
        """Defaults for what was not passed, and starred arguments for what may come out of them."""
        for name, default in defaults(node).items():
            bound.setdefault(name, self.of(default, outer(function)))
        starred = Compound("star", tuple(rest)) if rest else OPAQUE
        for parameter in all_arguments(node.args):
            bound.setdefault(parameter.arg, starred)
        return bound

    # what is stored under a name

    def field(self, name: str) -> Value:
        """Everything that is stored under an attribute or a string key anywhere in the program."""
        if name in self._fields:
            return self._fields[name]
        before = self._cycles
        value = self._guarded(("field", name), lambda: self._stored(name))
        if self._cycles == before or not self._open:
            self._fields[name] = value
        return value

    def _stored(self, name: str) -> Value:
        found = [self.of(node, scope) for node, scope in self.program.stored(name)]
        found += [self.of(node, scope) for node, scope in self._computed_stores().get(name, ())]
        found += [self.returned(method, {}) for method in self.program.methods(name) if _is_property(method)]
        if name in self.program.seed_names:
            found.append(HARNESS)
        elif name in self.program.options:
            found.append(Option(self.program.options[name]))
        return union(found) if found else OPAQUE

    def _computed_stores(self) -> dict[str, list[tuple[ast.expr, NameScope]]]:
        """Key -> what is stored under it, for keys that are spelled as an expression: `"".join(["se", "ed"])`."""
        if self._spelled is None:
            self._spelled = {}  # for keys that depend on each other
            for key, value, scope in self.program.spelled_stores:
                if text := self.text_of(key, scope):
                    self._spelled.setdefault(text, []).append((value, scope))
        return self._spelled

    _spelled: dict[str, list[tuple[ast.expr, NameScope]]] | None = None


def defaults(node: FunctionNode) -> dict[str, ast.expr]:
    """Parameter -> its default."""
    positional = [*node.args.posonlyargs, *node.args.args]
    tail = positional[len(positional) - len(node.args.defaults) :]
    found = {argument.arg: default for argument, default in zip(tail, node.args.defaults, strict=True)}
    return found | dict(_keyword_defaults(node))


def _keyword_defaults(node: FunctionNode) -> Iterator[tuple[str, ast.expr]]:
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if default is not None:
            yield argument.arg, default


def is_method(function: NameScope) -> bool:
    """Whether the first parameter is the object itself."""
    node = function.node
    if function.parent is None or function.parent.kind != "class" or not isinstance(node, ast.FunctionDef):
        return False
    return not any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in node.decorator_list)


def is_self(function: NameScope, name: str) -> bool:
    """Whether a parameter is the object that a method is called on."""
    node = function.node
    if not is_method(function) or not isinstance(node, ast.FunctionDef):
        return False
    first = [*node.args.posonlyargs, *node.args.args][:1]
    is_class = any(last_name(mark) == "classmethod" for mark in node.decorator_list)
    return not is_class and bool(first) and first[0].arg == name


def outer(function: NameScope) -> NameScope:
    """Where a function's defaults and decorators are read."""
    return function.parent or function


def _is_property(method: NameScope) -> bool:
    marks = method.node.decorator_list if isinstance(method.node, ast.FunctionDef) else []
    return any(last_name(mark) in ("property", "cached_property") for mark in marks)
