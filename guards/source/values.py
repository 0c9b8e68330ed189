"""What an expression stands for, written without the names that a program gives to things.

Symbolic and without regard to order: a name stands for everything that is ever bound to it, a parameter for
every argument that is ever passed, an attribute for everything that is ever stored under its name. Renaming,
moving into helpers, constants and defaults change nothing of it; another number does.
"""

import ast
import hashlib
from collections.abc import Callable, Iterable

from guards.source import folding
from guards.source.index import Binding, FunctionNode, Scope, Seen, all_arguments
from guards.source.program import Program

Value = tuple[object, ...]
Environment = dict[str, Value]

HARNESS: Value = ("harness",)  # the seed that the referee gives on the command line
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
_VALUE_SIZE = 300


class TooComplex(Exception):
    """The program makes its values in more ways than can be followed."""


def constant(value: object) -> Value:
    return ("constant", type(value).__name__, value)


def union(values: Iterable[Value]) -> Value:
    """Any of them. Nested unions are flattened; one value is itself."""
    flat: set[Value] = set()
    for value in values:
        flat.update(value[1] if value[0] == "any" else (value,))  # type: ignore[arg-type]  # a tuple of values
    if len(flat) > 1:
        flat.discard(("cycle",))  # what is bound to itself gets nothing new from that
    if len(flat) == 1:
        return flat.pop()
    return ("any", tuple(sorted(flat, key=repr)))


def alternatives(value: Value) -> tuple[Value, ...]:
    return value[1] if value[0] == "any" else (value,)  # type: ignore[return-value]  # as above


def mentions(value: object, wanted: Value) -> bool:
    """Whether `wanted` occurs anywhere inside a value."""
    if value == wanted:
        return True
    return isinstance(value, tuple) and any(mentions(part, wanted) for part in value)


def paths(value: Value) -> tuple[str, ...]:
    """The dotted paths among the alternatives of a value."""
    return tuple(str(one[1]) for one in alternatives(value) if one[0] == "path")


class Values:
    """Evaluates expressions of one program; remembers what it has found."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._names: dict[tuple[int, str], Value] = {}
        self._fields: dict[str, Value] = {}
        self._passing: dict[tuple[object, str], Value] = {}
        self._dotted: dict[tuple[int, str], tuple[str, ...]] = {}
        self._inlined: dict[tuple[int, tuple[Value, ...]], Value] = {}
        self._open: set[tuple[object, str]] = set()
        self._cycles = self._steps = self._depth = self._inline_depth = 0

    def of(self, node: ast.AST | None, scope: Scope, environment: Environment | None = None) -> Value:
        """The value of an expression that stands in `scope`. Raises TooComplex."""
        self._steps += 1
        if self._steps > _STEPS:
            raise TooComplex
        if node is None or self._depth > _DEPTH:
            return ("deep",) if node is not None else constant(None)
        if self._depth == 0:
            self._passing.clear()
        self._depth += 1
        try:
            handler = _HANDLERS.get(type(node), Values._generic)
            return _bounded(handler(self, node, scope, environment))
        finally:
            self._depth -= 1

    # names

    def _constant(self, node: ast.Constant, *_: object) -> Value:
        return constant(node.value)

    def _name(self, node: ast.Name, scope: Scope, environment: Environment | None) -> Value:
        return self.name(node.id, scope, environment)

    def name(self, name: str, scope: Scope, environment: Environment | None = None) -> Value:
        """Everything that a name can stand for where it is read."""
        home = scope.find(name)
        if home is None:
            return ("path", f"builtins.{name}")
        if environment is not None and home.kind in ("function", "comprehension"):
            if name in environment:
                return environment[name]
            return self._bound(name, home, environment)
        key = (id(home), name)
        if key in self._passing:
            self._cycles += 1
            return self._passing[key]
        if key not in self._names:
            before = self._cycles
            value = self._bound(name, home, None)
            if self._cycles != before and self._open:
                self._passing[key] = value  # seen from inside a cycle: right for now, not for ever
                return value
            self._names[key] = value
        return self._names[key]

    def _bound(self, name: str, home: Scope, environment: Environment | None) -> Value:
        key = (id(home), name)
        if key in self._open:
            self._cycles += 1
            return ("cycle",)
        self._open.add(key)
        try:
            bindings = home.bindings[name]
            plain = [self._binding(one, environment) for one in bindings if one.how != "augmented"]
            value = union(plain) if plain else ("opaque",)
            for one in bindings:
                if one.how == "augmented":
                    assert isinstance(one.node, ast.AugAssign)
                    right = self.of(one.node.value, one.scope, environment)
                    value = union([value, _operation(str(one.detail), value, right)])
            return value
        finally:
            self._open.discard(key)

    def _binding(self, binding: Binding, environment: Environment | None) -> Value:
        match binding.how:
            case "expression":
                return self.of(binding.node, binding.scope, environment)
            case "each":
                return ("each", self.of(binding.node, binding.scope, environment), binding.detail)
            case "item":
                whole = self.of(binding.node, binding.scope, environment)
                if isinstance(binding.node, ast.Call) and _last_name(binding.node.func) == "parse_known_args":
                    return whole
                return self._element(whole, binding.detail)
            case "import":
                return self._imported(str(binding.detail))
            case "function" | "class":
                return (binding.how, binding.scope)
            case "parameter":
                return self.parameter(binding.scope, str(binding.detail))
        return ("opaque",)

    def _imported(self, dotted: str) -> Value:
        found = self.program.lookup(dotted)
        return self.name(found[1], found[0]) if found else ("path", dotted)

    def parameter(self, function: Scope, name: str) -> Value:
        """Everything that is passed for a parameter anywhere, its default where it is left out."""
        key = (function, name)
        if key in self._open:
            self._cycles += 1
            return ("cycle",)
        self._open.add(key)
        try:
            return (
                union(self._passed(function, name))
                if self._has_sites(function)
                else self._free(function, name)
            )
        finally:
            self._open.discard(key)

    def _has_sites(self, function: Scope) -> bool:
        return bool(self.program.sites(function) or self.program.escapes(function))

    def _free(self, function: Scope, name: str) -> Value:
        node = function.node
        assert isinstance(node, FunctionNode)
        default = defaults(node).get(name)
        names = [argument.arg for argument in all_arguments(node.args)]
        free: Value = ("parameter", names.index(name))
        return union([free, self.of(default, _outer(function))]) if default is not None else free

    def _passed(self, function: Scope, name: str) -> Iterable[Value]:
        for site in self.program.sites(function):
            assert isinstance(site.node, ast.Call)
            bound = self.arguments(function, site.node, site.scope, None)
            yield bound.get(name, ("opaque",))
        yield from self._decorated(function)
        for escape in self.program.escapes(function):
            yield ("passed", self._siblings(escape))

    def _decorated(self, function: Scope) -> Iterable[Value]:
        """What a decorator of the program's own may pass instead: it is named by its code."""
        marks = function.node.decorator_list if isinstance(function.node, ast.FunctionDef) else []
        for mark in marks:
            target = mark.func if isinstance(mark, ast.Call) else mark
            if not self.dotted(target, _outer(function)):
                yield ("decorated", self.of(mark, _outer(function)))

    def _siblings(self, escape: Seen) -> Value:
        """What goes along where a function is handed on: map(function, values), partial(function, value)."""
        parent = escape.parent
        if not isinstance(parent, ast.Call):
            return ("opaque",)
        others = [argument for argument in parent.args if argument is not escape.node]
        others += [keyword.value for keyword in parent.keywords if keyword.value is not escape.node]
        return ("along", tuple(self.of(other, escape.scope) for other in others))

    def arguments(
        self, function: Scope, call: ast.Call, scope: Scope, environment: Environment | None
    ) -> Environment:
        """Parameter -> value for one call of a function of the program."""
        node = function.node
        assert isinstance(node, FunctionNode)
        positional = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        bound: Environment = {}
        if is_method(function) and positional:
            bound[positional.pop(0)] = ("self",)
        rest: list[Value] = []
        for index, argument in enumerate(call.args):
            value = self.of(argument, scope, environment)
            if isinstance(argument, ast.Starred) or index >= len(positional):
                rest.append(value)
            else:
                bound[positional[index]] = value
        for keyword in call.keywords:
            value = self.of(keyword.value, scope, environment)
            if keyword.arg is None:
                rest.append(value)
            else:
                bound[keyword.arg] = value
        for name, default in defaults(node).items():
            bound.setdefault(name, self.of(default, _outer(function)))
        for parameter in all_arguments(node.args):
            bound.setdefault(parameter.arg, ("star", tuple(rest)) if rest else ("opaque",))
        return bound

    # attributes, subscripts and what is stored under a name

    def dotted(self, node: ast.AST, scope: Scope, depth: int = 0) -> tuple[str, ...]:
        """The dotted paths into imported modules that a name or an attribute may stand for.

        Follows plain aliases and getattr only; much cheaper than a value.
        """
        if depth > _DEPTH:
            return ()
        if isinstance(node, ast.Attribute):
            return tuple(f"{base}.{node.attr}" for base in self.dotted(node.value, scope, depth + 1))
        if isinstance(node, ast.IfExp):
            return self.dotted(node.body, scope, depth + 1) + self.dotted(node.orelse, scope, depth + 1)
        if isinstance(node, ast.NamedExpr):
            return self.dotted(node.value, scope, depth + 1)
        if isinstance(node, ast.Call):
            return self._reached_by_name(node, scope, depth)
        return self._dotted_name(node.id, scope, depth) if isinstance(node, ast.Name) else ()

    def _dotted_name(self, name: str, scope: Scope, depth: int) -> tuple[str, ...]:
        home = scope.find(name)
        if home is None:
            return (f"builtins.{name}",)
        key = (id(home), name)
        if key not in self._dotted:
            self._dotted[key] = ()  # for cycles
            found: list[str] = []
            for one in home.bindings[name]:
                if one.how == "import" and (target := self.program.lookup(str(one.detail))):
                    found += self._dotted_name(target[1], target[0], depth + 1)
                elif one.how == "import":
                    found.append(str(one.detail))
                elif one.how == "expression" and one.node is not None:
                    found += self.dotted(one.node, one.scope, depth + 1)
            self._dotted[key] = tuple(dict.fromkeys(found))
        return self._dotted[key]

    def _reached_by_name(self, node: ast.Call, scope: Scope, depth: int) -> tuple[str, ...]:
        """getattr(module, "name"), __import__("module"), import_module("module")."""
        called = self.dotted(node.func, scope, depth + 1)
        if "builtins.getattr" in called and len(node.args) >= 2:
            name = self.of(node.args[1], scope)
            bases = self.dotted(node.args[0], scope, depth + 1)
            return tuple(f"{base}.{name[2]}" for base in bases) if name[0] == "constant" else ()
        if node.args and {"builtins.__import__", "importlib.import_module"} & set(called):
            name = self.of(node.args[0], scope)
            return (str(name[2]),) if name[0] == "constant" else ()
        return ()

    def _attribute(self, node: ast.Attribute, scope: Scope, environment: Environment | None) -> Value:
        if found := self.dotted(node, scope):
            return union(self._at(path) for path in found)
        return self._member(node.value, node.attr, scope, environment)

    def _at(self, path: str) -> Value:
        found = self.program.lookup(path)
        return self.name(found[1], found[0]) if found else ("path", path)

    def _member(self, base: ast.expr, name: str, scope: Scope, environment: Environment | None) -> Value:
        stored = self.field(name)
        if stored != ("opaque",):
            return stored
        if methods := self.program.methods(name):
            return union(("function", method) for method in methods)
        return ("attribute", self.of(base, scope, environment), name)

    def field(self, name: str) -> Value:
        """Everything that is stored under an attribute or a string key anywhere in the program."""
        if name in self._fields:
            return self._fields[name]
        key = ("field", name)
        if key in self._open:
            self._cycles += 1
            return ("cycle",)
        self._open.add(key)
        before = self._cycles
        try:
            found = [self.of(node, scope) for node, scope in self.program.stored(name)]
            found += [
                self.returned(method, {}) for method in self.program.methods(name) if _is_property(method)
            ]
        finally:
            self._open.discard(key)
        if name in self.program.seed_names:
            found.append(HARNESS)
        elif name in self.program.options:
            found.append(("option", self.program.options[name]))
        value = union(found) if found else ("opaque",)
        if self._cycles == before or not self._open:
            self._fields[name] = value
        return value

    def _subscript(self, node: ast.Subscript, scope: Scope, environment: Environment | None) -> Value:
        base = self.of(node.value, scope, environment)
        if base[0] == "constant":
            try:
                return constant(folding.subscript(base[2], node.slice))
            except folding.Unfoldable:
                return ("item", base, self.of(node.slice, scope, environment))
        key = self.of(node.slice, scope, environment)
        if key[0] == "constant" and isinstance(key[2], str):
            stored = self.field(key[2])
            if (base[0] == "call" and mentions(base, ("path", "builtins.vars"))) or stored != ("opaque",):
                return stored
            modules = [one for one in alternatives(base) if _module_of(one)]
            if modules:
                return union(("path", f"{_module_of(one)}.{key[2]}") for one in modules)
        return self._element(base, key)

    def _element(self, whole: Value, index: object) -> Value:
        position = index[2] if isinstance(index, tuple) and index[0] == "constant" else index
        if whole[0] == "list" and isinstance(position, int) and isinstance(whole[1], tuple):
            parts: tuple[Value, ...] = whole[1]
            if -len(parts) <= position < len(parts):
                return parts[position]
        return ("item", whole, index)

    # operations

    def _binary(self, node: ast.BinOp, scope: Scope, environment: Environment | None) -> Value:
        left, right = self.of(node.left, scope, environment), self.of(node.right, scope, environment)
        return _operation(type(node.op).__name__, left, right)

    def _unary(self, node: ast.UnaryOp, scope: Scope, environment: Environment | None) -> Value:
        operand, name = self.of(node.operand, scope, environment), type(node.op).__name__
        if operand[0] == "constant":
            try:
                return constant(folding.unary(name, operand[2]))
            except folding.Unfoldable:
                pass
        return ("operation", name, operand)

    def _either(self, node: ast.IfExp, scope: Scope, environment: Environment | None) -> Value:
        test = self.of(node.test, scope, environment)
        if test[0] == "constant":
            return self.of(node.body if test[2] else node.orelse, scope, environment)
        return union(self.of(part, scope, environment) for part in (node.body, node.orelse))

    def _boolean(self, node: ast.BoolOp, scope: Scope, environment: Environment | None) -> Value:
        return union(self.of(part, scope, environment) for part in node.values)

    def _sequence(
        self, node: ast.Tuple | ast.List | ast.Set, scope: Scope, environment: Environment | None
    ) -> Value:
        parts = tuple(self.of(part, scope, environment) for part in node.elts)
        if parts and all(part[0] == "constant" for part in parts):
            return constant(tuple(part[2] for part in parts))
        return ("list", parts)

    def _text(self, node: ast.JoinedStr, scope: Scope, environment: Environment | None) -> Value:
        parts = [self.of(part, scope, environment) for part in node.values]
        if all(part[0] == "constant" for part in parts):
            return constant("".join(str(part[2]) for part in parts))
        return ("text", tuple(parts))

    def _formatted(self, node: ast.FormattedValue, scope: Scope, environment: Environment | None) -> Value:
        value = self.of(node.value, scope, environment)
        plain = node.format_spec is None and node.conversion == -1
        return value if plain else ("formatted", value, node.conversion)

    def _lambda(self, node: ast.Lambda, *_: object) -> Value:
        return ("function", self.program.scope_of(node))

    def _walrus(self, node: ast.NamedExpr, scope: Scope, environment: Environment | None) -> Value:
        return self.of(node.value, scope, environment)

    def _starred(self, node: ast.Starred, scope: Scope, environment: Environment | None) -> Value:
        return ("star", self.of(node.value, scope, environment))

    def _generic(self, node: ast.AST, scope: Scope, environment: Environment | None) -> Value:
        inner = self.program.scope_of(node) or scope
        children = [
            self.of(child, inner, environment) for child in ast.iter_child_nodes(node) if _counts(child)
        ]
        return (type(node).__name__, tuple(children))

    # calls

    def _call(self, node: ast.Call, scope: Scope, environment: Environment | None) -> Value:
        called = self.of(node.func, scope, environment)
        results = [self._result(one, node, scope, environment) for one in alternatives(called)]
        return union(results)

    def _result(self, called: Value, node: ast.Call, scope: Scope, environment: Environment | None) -> Value:
        if called[0] == "function" and isinstance(called[1], Scope):
            return self._inline(called[1], node, scope, environment)
        if called[0] == "class" and isinstance(called[1], Scope):
            return ("instance",)
        arguments = tuple(self.of(argument, scope, environment) for argument in node.args)
        if called[0] == "path" and not node.keywords:
            path = str(called[1])
            if path in _IDENTITIES and len(arguments) == 1 and arguments[0][0] != "constant":
                return arguments[0]
            if path == "builtins.getattr" and len(arguments) >= 2 and arguments[1][0] == "constant":
                if reached := self.dotted(node, scope):
                    return union(self._at(one) for one in reached)
                return self._member(node.args[0], str(arguments[1][2]), scope, environment)
            if path.startswith("builtins.") and all(argument[0] == "constant" for argument in arguments):
                try:
                    return constant(
                        folding.builtin(path.removeprefix("builtins."), [a[2] for a in arguments])
                    )
                except folding.Unfoldable:
                    pass
        if isinstance(node.func, ast.Attribute) and not node.keywords:
            receiver = self.of(node.func.value, scope, environment)
            if receiver[0] == "constant" and all(argument[0] == "constant" for argument in arguments):
                try:
                    return constant(folding.method(receiver[2], node.func.attr, [a[2] for a in arguments]))
                except folding.Unfoldable:
                    pass
        keywords = sorted((str(k.arg), self.of(k.value, scope, environment)) for k in node.keywords)
        return ("call", called, arguments, tuple(keywords))

    def _inline(
        self, function: Scope, call: ast.Call, scope: Scope, environment: Environment | None
    ) -> Value:
        if self._inline_depth >= _INLINE_DEPTH:
            return ("deep",)
        bound = self.arguments(function, call, scope, environment)
        key = (id(function), tuple(bound.values()))
        if key not in self._inlined:
            self._inline_depth += 1
            try:
                before = self._cycles
                value = self.returned(function, bound)
                if self._cycles != before:
                    return value
                self._inlined[key] = value
            finally:
                self._inline_depth -= 1
        return self._inlined[key]

    def returned(self, function: Scope, environment: Environment) -> Value:
        """What a function gives back, its parameters being what the environment says."""
        if not function.returns:
            return ("nothing", isinstance(function.node, ast.AsyncFunctionDef))
        return union(self.of(part, function, environment) for part in function.returns)


def _operation(name: str, left: Value, right: Value) -> Value:
    if left[0] == right[0] == "constant":
        try:
            return constant(folding.binary(name, left[2], right[2]))
        except folding.Unfoldable:
            pass
    if right[0] == "constant" and _keeps_all_bits(name, right[2]) and mentions(left, HARNESS):
        return left
    return ("operation", name, left, right)


def _keeps_all_bits(name: str, value: object) -> bool:
    """`% 2**32` and `& 0xFFFFFFFF`: what numpy wants of a seed, no choice of one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    modulus = value if name == "Mod" else value + 1 if name == "BitAnd" else 0
    return modulus in (2**31, 2**32, 2**63, 2**64)


def _module_of(value: Value) -> str:
    """The module behind vars(module), module.__dict__ and sys.modules["module"], "" for others."""
    if value[0] == "path" and str(value[1]).endswith(".__dict__"):
        return str(value[1]).removesuffix(".__dict__")
    if value[0] == "call" and value[1] == ("path", "builtins.vars"):
        return "".join(paths(value[2][0])[:1]) if value[2] else ""  # type: ignore[index]  # arguments of a call
    return ""


def _counts(child: ast.AST) -> bool:
    return isinstance(child, ast.expr | ast.keyword | ast.comprehension)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _bounded(value: Value) -> Value:
    """Large values are named by their digest; whether the harness's seed is inside stays visible."""
    if _size(value, _VALUE_SIZE) <= _VALUE_SIZE:
        return value
    digest = hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()
    return ("large", digest, HARNESS if mentions(value, HARNESS) else ())


def _size(value: object, limit: int) -> int:
    if not isinstance(value, tuple):
        return 1
    total = 1
    for part in value:
        total += _size(part, limit - total)
        if total > limit:
            break
    return total


def defaults(node: FunctionNode) -> dict[str, ast.expr]:
    """Parameter -> its default."""
    positional = [*node.args.posonlyargs, *node.args.args]
    tail = positional[len(positional) - len(node.args.defaults) :]
    found = {argument.arg: default for argument, default in zip(tail, node.args.defaults, strict=True)}
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return found | {argument.arg: default for argument, default in pairs if default is not None}


def is_method(function: Scope) -> bool:
    """Whether the first parameter is the object itself."""
    node = function.node
    if function.parent is None or function.parent.kind != "class" or not isinstance(node, ast.FunctionDef):
        return False
    return not any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in node.decorator_list)


def _is_property(method: Scope) -> bool:
    marks = method.node.decorator_list if isinstance(method.node, ast.FunctionDef) else []
    return any(_last_name(mark) in ("property", "cached_property") for mark in marks)


def _outer(function: Scope) -> Scope:
    return function.parent or function


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
