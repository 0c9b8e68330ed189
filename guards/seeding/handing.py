"""A seeding function that is handed on (to map, partial, a table) or named in a text instead of being called."""

import ast
from collections.abc import Iterator

from guards.seeding.facts import Kind
from guards.source.index import Index, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.seed_names import FAMOUS, MAKERS, READS, SINKS, STREAMS, SWITCHES, TELLING
from guards.source.value import Value
from guards.source.values import Values

Handed = tuple[Kind, str, tuple[Value, ...], Seen, bool]
"""kind, what, values, where, certain: see Sink."""
_REFLECTION = {"attrgetter", "methodcaller", "__getattribute__"}


def handed_on(program: SourceProgram, values: Values, called: set[int]) -> Iterator[Handed]:
    """called: ids of the callees that were looked at as calls."""
    for index in program.indexes.values():
        yield from _leaves(index, values, called)
        for text in index.strings:
            assert isinstance(text.node, ast.Constant)
            name = str(text.node.value).rpartition(".")[2]
            if name in TELLING and not isinstance(text.parent, ast.Expr | ast.Compare):
                yield Kind.MENTION, name, (), text, True


def _leaves(index: Index, values: Values, called: set[int]) -> Iterator[Handed]:
    for leaf in index.leaves:
        name = last_name(leaf.node)
        if id(leaf.node) in called or not _is_sink(leaf, name, values):
            continue
        if isinstance(leaf.parent, ast.Assign) and isinstance(leaf.parent.targets[0], ast.Name):
            continue  # a plain alias is followed
        if isinstance(leaf.parent, ast.Attribute) and name in READS | MAKERS | {"Random"}:
            continue  # rng.bit_generator.seed_seq; what is done with it is looked at there
        if isinstance(leaf.parent, ast.Call) and last_name(leaf.parent.func) in ("isinstance", "issubclass"):
            continue
        yield Kind.MENTION, name, (), leaf, name not in READS and not _carries_seed(leaf, name, values)


def _is_sink(leaf: Seen, name: str, values: Values) -> bool:
    if isinstance(leaf.node, ast.Name):
        return _imported_sink(name, leaf.scope)
    if name in _REFLECTION:
        return not (isinstance(leaf.parent, ast.Call) and leaf.parent.func is leaf.node)
    if name not in SINKS - SWITCHES - {"seed"}:
        return False
    return name not in FAMOUS | STREAMS or bool(values.dotted(leaf.node, leaf.scope))


def _imported_sink(name: str, scope: NameScope) -> bool:
    home = scope.find(name)
    if home is None:
        return False
    ends = (str(one.detail).rpartition(".")[2] for one in home.bindings[name] if one.how == "import")
    return any(end in SINKS for end in ends)


def _carries_seed(leaf: Seen, name: str, values: Values) -> bool:
    """Whether a maker goes along with the harness's seed: map(default_rng, SeedSequence(seed).spawn(2))."""
    if name not in MAKERS or not isinstance(leaf.parent, ast.Call):
        return False
    return any(values.of(one, leaf.scope).seeded for one in leaf.parent.args if one is not leaf.node)
