"""Assignments to what belongs to generators, and environment variables that fix hashing or determinism."""

import ast
from collections.abc import Iterator

from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.source.index import Index, Seen, field_name
from guards.source.program import SourceProgram, last_name
from guards.source.seed_names import FAMOUS, SINKS, STREAMS, SWITCHES, VARIABLES
from guards.source.value import OPAQUE, Value
from guards.source.values import Values

_OVERWRITES = {
    "__defaults__",
    "__kwdefaults__",
    "__code__",
    "__dict__",
    "__getattribute__",
    "__class__",
    "__bases__",
}


def stores(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Stores that replace a seeding function, a generator's state, defaults or the command line."""
    for index in program.indexes.values():
        for store in index.stores:
            name = field_name(store.node) if isinstance(store.node, ast.expr) else None
            if name is not None and _matters(store, name, values):
                kind = Kind.SWITCH if name in SWITCHES else Kind.STATE
                yield kind, f"{name} =", (_stored(store, values),), store, True


def _matters(store: Seen, name: str, values: Values) -> bool:
    if name in _OVERWRITES or name == "argv":
        return True
    base = getattr(store.node, "value", None)
    found = values.dotted(base, store.scope) if base is not None else ()
    if name in FAMOUS | STREAMS | SWITCHES:
        return bool(found) and isinstance(store.node, ast.Attribute)
    is_state = name == "state" and last_name(base) in ("bit_generator", "_bit_generator") if base else False
    return name in SINKS or is_state


def _stored(store: Seen, values: Values) -> Value:
    value = getattr(store.parent, "value", None)
    return values.of(value, store.scope) if isinstance(value, ast.expr) else OPAQUE


def variables(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Environment variables that fix hashing or determinism, however they are set."""
    for index in program.indexes.values():
        yield from _named(index, program, values)
        for call in index.calls:
            assert isinstance(call.node, ast.Call)
            for keyword in call.node.keywords:
                if keyword.arg in VARIABLES:
                    value = values.of(keyword.value, call.scope)
                    yield Kind.SWITCH, str(keyword.arg), (value,), call, True


def _named(index: Index, program: SourceProgram, values: Values) -> Iterator[Handed]:
    for text in index.strings:
        assert isinstance(text.node, ast.Constant)
        name, parent = str(text.node.value), text.parent
        if name not in VARIABLES:
            continue
        parts = (
            [*parent.args, *(one.value for one in parent.keywords)] if isinstance(parent, ast.Call) else []
        )
        given = tuple(values.of(part, text.scope) for part in parts)
        stored = tuple(values.of(node, scope) for node, scope in program.stored(name))
        yield Kind.SWITCH, name, given + stored, text, True
