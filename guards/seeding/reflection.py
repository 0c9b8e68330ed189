"""Names that are worked out at run time: getattr and setattr on something that may hold a seed or seed a generator."""

import ast
from collections.abc import Iterator

from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.source.index import NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.value import SELF, Attribute, Call, Instance, Path, Value, alternatives, walk
from guards.source.values import Values, module_behind

_INTERCEPTORS = ("__getattr__", "__getattribute__", "__setattr__", "__class_getitem__", "__missing__")
_ALWAYS = {"attrgetter", "methodcaller", "__getattribute__"}
_HARMLESS_MODULES = ("torch.nn", "torch.optim", "torch.float", "math")


def computed_names(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Each by its callee alone: the numbers that a helper sets by name are no fact about seeding."""
    for call in program.calls:
        assert isinstance(call.node, ast.Call)
        name = last_name(call.node.func)
        if name in _ALWAYS:
            yield Kind.REFLECTION, name, (), call, True
        elif name in ("getattr", "setattr", "delattr"):
            yield from _by_name(call, call.node, name, values)
        elif isinstance(call.node.func, ast.Subscript) and _is_from_a_module(
            call.node.func, call.scope, values
        ):
            yield Kind.REFLECTION, "a module's dictionary", (), call, True


def _is_from_a_module(node: ast.Subscript, scope: NameScope, values: Values) -> bool:
    """`vars(torch)[name]` with a name that cannot be worked out."""
    return values.text_of(node.slice, scope) is None and bool(module_behind(values.of(node.value, scope)))


def _by_name(call: Seen, node: ast.Call, name: str, values: Values) -> Iterator[Handed]:
    if len(node.args) < 2:
        yield Kind.REFLECTION, name, (), call, True
    elif values.text_of(node.args[1], call.scope) is None:
        target = node.args[0]
        if not _is_harmless(target, call.scope, values):
            is_called = isinstance(call.parent, ast.Call) and call.parent.func is node
            yield Kind.REFLECTION, name, (), call, _is_dangerous(target, call.scope, values, name, is_called)


def _is_harmless(target: ast.expr, scope: NameScope, values: Values) -> bool:
    """self, an object of a class, a part of torch that holds no generator."""
    if found := values.dotted(target, scope):
        return all(path.startswith(_HARMLESS_MODULES) for path in found)
    return all(_is_object(one) for one in alternatives(values.of(target, scope)))


def _is_dangerous(target: ast.expr, scope: NameScope, values: Values, name: str, is_called: bool) -> bool:
    """A module whose function is called or replaced, or what holds the harness's seed."""
    value = values.of(target, scope)
    if any(_holds_seed(one) for one in walk(value)):
        return True
    of_module = bool(values.dotted(target, scope)) or any(isinstance(one, Path) for one in _outer(value))
    return of_module and (is_called or name != "getattr")


def _outer(value: Value) -> Iterator[Value]:
    """The value without what was handed to calls."""
    yield value
    if not isinstance(value, Call):
        for part in value.parts():
            yield from _outer(part)


def _holds_seed(value: Value) -> bool:
    match value:
        case Call(called=Attribute(name="parse_args" | "parse_known_args")):
            return True
    return value.seeded and not value.nodes > 1


def _is_object(value: Value) -> bool:
    """An object of a class, by the way in which it was made."""
    match value:
        case Instance():
            return True
        case Call(called=Path(dotted)):
            return dotted.rpartition(".")[2][:1].isupper()
        case Call(called=Attribute(of=of)) if not _holds_seed(value):
            return _is_object(of)  # model.to(device) is a model
    return value == SELF


def interceptors(program: SourceProgram) -> Iterator[Handed]:
    """Classes that answer for any name; plain where the answer does not come from another object."""
    for index in program.indexes.values():
        for name in _INTERCEPTORS:
            for scope in index.functions.get(name, ()):
                seen = Seen(scope.node, scope.parent or scope, scope.place, scope.node)
                yield Kind.REFLECTION, name, (), seen, not _passes_on(scope.node, name)


def _passes_on(node: ast.AST, name: str) -> bool:
    """Whether every value that a method returns is another object's attribute: a wrapper."""
    returned = [
        part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value is not None
    ]
    calls = [last_name(one.func) if isinstance(one, ast.Call) else "" for one in returned]
    return bool(returned) and all(call in ("getattr", name) for call in calls)
