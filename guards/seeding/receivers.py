"""Whether an object with a method of a seeding function's name is a generator at all."""

import ast

from guards.source.index import NameScope
from guards.source.program import SourceProgram, last_name
from guards.source.seed_names import FAMOUS, RANDOM_OBJECTS
from guards.source.value import (
    Attribute,
    Call,
    Class,
    Constant,
    Function,
    Instance,
    Path,
    Value,
    alternatives,
    walk,
)
from guards.source.values import Values


def is_generator_call(node: ast.Call, scope: NameScope, values: Values) -> bool:
    """Whether `object.name(...)`, name being a seeding function's, may be a call of a generator."""
    assert isinstance(node.func, ast.Attribute)
    name, receiver = node.func.attr, node.func.value
    if is_own_method(values.program, receiver, scope, name):
        return False
    found = values.of(receiver, scope)
    if is_random(found):
        return True
    if all(is_other_object(one) for one in alternatives(found)):
        return False
    return name not in FAMOUS or not _holds_layers(values, receiver, name)


def is_own_method(program: SourceProgram, receiver: ast.expr, scope: NameScope, name: str) -> bool:
    """Whether the object is of a class of the program that has a method of that name itself."""
    known = program.class_of(receiver, scope)
    owners = [method.parent for method in program.methods(name)]
    return known is not None and any(
        owner is not None and program.are_related(known, owner) for owner in owners
    )


def is_random(value: Value) -> bool:
    """Whether a generator has to do with a value: one is made in it, or a part of one is looked at."""
    for part in walk(value):
        match part:
            case Path(dotted) if dotted.rpartition(".")[2] in RANDOM_OBJECTS or ".random" in f".{dotted}":
                return True
            case Attribute(name="bit_generator"):
                return True
    return False


def is_other_object(value: Value) -> bool:
    """An object of a class that is no generator, a constant, a function."""
    match value:
        case Instance() | Constant() | Function() | Class():
            return True
        case Call(called=Path(dotted)):
            return dotted.rpartition(".")[2][:1].isupper()
        case Call(called=Attribute(of=of)):
            return is_other_object(of)  # model.to(device) is a model
    return False


def _holds_layers(values: Values, receiver: ast.expr, name: str) -> bool:
    """`self.jump(x)` where the program stores something of its own under that name."""
    stored = values.field(name)
    return last_name(receiver) == "self" and all(is_other_object(one) for one in alternatives(stored))
