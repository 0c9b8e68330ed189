"""What an expression can stand for, written without the names that a program gives to things: plain frozen records.

Two values are equal when they are made in the same way; `repr` of a value is the same in two programs that make it
in the same way, whatever they call it.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, fields

from guards.source.index import NameScope

MOST_NODES = 80  # larger values are named by their digest


@dataclass(frozen=True, slots=True)
class Value:
    """nodes: how many values it is made of. seeded: whether the harness's seed is one of them."""

    nodes: int = field(init=False, repr=False, compare=False)
    seeded: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes, seeded = 1, self._is_seed()
        for part in self.parts():
            nodes += part.nodes
            seeded = seeded or part.seeded
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "seeded", seeded)

    def _is_seed(self) -> bool:
        return False

    def parts(self) -> Iterator["Value"]:
        """The values that this one is made of."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Harness(Value):
    """The seed that the referee gives on the command line."""

    def _is_seed(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Constant(Value):
    """kind: name of the type, so that 1, 1.0 and True differ."""

    kind: str
    value: object


@dataclass(frozen=True, slots=True)
class Path(Value):
    """Something of an imported module: "numpy.random.default_rng"."""

    dotted: str


@dataclass(frozen=True, slots=True)
class Option(Value):
    """What another command line option gives."""

    flag: str


@dataclass(frozen=True, slots=True)
class Unknown(Value):
    """why: opaque (nothing is known), cycle (bound to itself), deep (nested too deeply to follow), self, nothing."""

    why: str = "opaque"


@dataclass(frozen=True, slots=True)
class Counting(Value):
    """Any of the numbers that a name takes that is raised by one again and again."""


@dataclass(frozen=True, slots=True)
class Free(Value):
    """A parameter that nobody in the program gives a value, by its place."""

    place: int


@dataclass(frozen=True, slots=True)
class Function(Value):
    """A function, method or lambda of the program; equal code has an equal repr."""

    scope: NameScope


@dataclass(frozen=True, slots=True)
class Class(Value):
    """A class of the program."""

    scope: NameScope


@dataclass(frozen=True, slots=True)
class Instance(Value):
    """An object of a class of the program. Whose it is does not count between programs."""

    scope: NameScope = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class OneOf(Value):
    """Any of several, in an order that depends on nothing but them."""

    choices: tuple[Value, ...]

    def parts(self) -> Iterator[Value]:
        return iter(self.choices)


@dataclass(frozen=True, slots=True)
class Each(Value):
    """An element of something that is gone through. place: where in the element, for unpacked ones."""

    of: Value
    place: str | int = ""

    def parts(self) -> Iterator[Value]:
        yield self.of


@dataclass(frozen=True, slots=True)
class Item(Value):
    """`of[index]`."""

    of: Value
    index: Value

    def parts(self) -> Iterator[Value]:
        yield self.of
        yield self.index


@dataclass(frozen=True, slots=True)
class Attribute(Value):
    """`of.name`, where nothing is known to be stored under the name."""

    of: Value
    name: str

    def parts(self) -> Iterator[Value]:
        yield self.of


@dataclass(frozen=True, slots=True)
class Compound(Value):
    """An operation, a list, a text with values in it, ...: what it is called, and what of."""

    kind: str
    of: tuple[Value, ...]

    def parts(self) -> Iterator[Value]:
        return iter(self.of)


@dataclass(frozen=True, slots=True)
class Keyword(Value):
    """`name=value` of a call."""

    name: str
    value: Value

    def parts(self) -> Iterator[Value]:
        yield self.value


@dataclass(frozen=True, slots=True)
class Call(Value):
    """What a call of something that is not the program's own gives back."""

    called: Value
    arguments: tuple[Value, ...]
    keywords: tuple[Keyword, ...] = ()

    def parts(self) -> Iterator[Value]:
        yield self.called
        yield from self.arguments
        yield from self.keywords


@dataclass(frozen=True, slots=True)
class Large(Value):
    """A value that is too large to carry along, by its digest."""

    digest: str
    kept: tuple[Value, ...]

    def parts(self) -> Iterator[Value]:
        return iter(self.kept)


HARNESS = Harness()
OPAQUE, CYCLE, DEEP, SELF = Unknown(), Unknown("cycle"), Unknown("deep"), Unknown("self")


def constant(value: object) -> Constant:
    return Constant(type(value).__name__, value)


def union(values: Iterable[Value]) -> Value:
    """Any of them. Nested unions are flattened; one value is itself."""
    flat = {choice for value in values for choice in alternatives(value)}
    if len(flat) > 1:
        flat.discard(CYCLE)  # what is bound to itself gets nothing new from that
    if len(flat) == 1:
        return flat.pop()
    return OneOf(tuple(sorted(flat, key=repr)))


def alternatives(value: Value) -> tuple[Value, ...]:
    return value.choices if isinstance(value, OneOf) else (value,)


def without(value: Value, known: Collection[Value]) -> Value:
    """The value with these alternatives left out wherever there are others, inside of operations and calls, too."""
    match value:
        case OneOf(choices):
            left = [without(one, known) for one in choices if one not in known]
            return union(left) if left else value
        case Compound(kind, parts):
            return Compound(kind, tuple(without(part, known) for part in parts))
        case Call(called, arguments, keywords):
            given = tuple(Keyword(one.name, without(one.value, known)) for one in keywords)
            return Call(without(called, known), tuple(without(one, known) for one in arguments), given)
        case Each(of, place):
            return Each(without(of, known), place)
        case Item(of, index):
            return Item(without(of, known), without(index, known))
        case Attribute(of, name):
            return Attribute(without(of, known), name)
    return value


def dotted_paths(value: Value) -> Iterator[str]:
    """The dotted paths among the alternatives of a value."""
    yield from (one.dotted for one in alternatives(value) if isinstance(one, Path))


def walk(value: Value) -> Iterator[Value]:
    """The value and everything that it is made of."""
    yield value
    for part in value.parts():
        yield from walk(part)


def leaves(value: Value) -> Iterator[Value]:
    """What it is made of that is made of nothing else."""
    return (one for one in walk(value) if not any(True for _ in one.parts()))


def mentions(value: Value, wanted: Value) -> bool:
    """Whether `wanted` occurs anywhere inside a value."""
    return any(one == wanted for one in walk(value))


def bounded(value: Value) -> Value:
    """Large values are named by their digest; whether the harness's seed is inside stays visible."""
    if value.nodes <= MOST_NODES:
        return value
    digest = hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()
    return Large(digest, (HARNESS,) if value.seeded else ())


def all_constant(values: Iterable[Value]) -> bool:
    return all(isinstance(value, Constant) for value in values)


def plain(values: Iterable[Value]) -> list[object]:
    """The Python values behind constants."""
    return [value.value for value in values if isinstance(value, Constant)]


def differing_constants(old: Value, new: Value) -> list[tuple[object, object]]:
    """The constants that differ between two values of one shape; empty when the shapes differ or nothing does."""
    if isinstance(old, Constant) and isinstance(new, Constant):
        return [(old.value, new.value)] if old != new else []
    old_parts, new_parts = list(old.parts()), list(new.parts())
    if _label(old) != _label(new) or len(old_parts) != len(new_parts):
        return []
    pairs = zip(old_parts, new_parts, strict=True)
    found = [differing_constants(one, other) for one, other in pairs if one != other]
    return [pair for some in found for pair in some] if all(found) else []


def _label(value: Value) -> tuple[object, ...]:
    """What a value is apart from its parts."""
    own = [getattr(value, one.name) for one in fields(value) if one.init]
    return (type(value), *(one for one in own if isinstance(one, str | int)))


def is_fixed(value: Value) -> bool:
    """Whether a value is made of constants, counters and a library's functions alone."""
    return all(isinstance(one, Constant | Counting | Path) for one in leaves(value))


def fixed_beside_the_seed(value: Value) -> Iterator[Value]:
    """Constants that stand, anywhere inside, as an alternative to the harness's seed."""
    for part in walk(value):
        if isinstance(part, OneOf) and part.seeded:
            yield from (one for one in part.choices if is_fixed(one))


def any_ends_in(value: Value, test: Callable[[str], bool]) -> bool:
    """Whether the last name of a path or an attribute inside a value passes a test."""
    return any(test(last_of(one)) for one in walk(value))


def last_of(value: Value) -> str:
    """`name` of a path or an attribute, "" for anything else."""
    match value:
        case Path(dotted):
            return dotted.rpartition(".")[2]
        case Attribute():
            return value.name
    return ""
