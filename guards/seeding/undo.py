"""Ways around what the referee does to seeds in a trial: fresh modules, C-level calls, hidden originals."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from guards.seeding.facts import Kind
from guards.seeding.handing import Handed
from guards.source.index import Binding, NameScope, Seen
from guards.source.program import SourceProgram, last_name
from guards.source.values import Values

_MODULES = (
    "ctypes", "_ctypes", "cffi", "importlib", "imp", "runpy", "pkgutil", "zipimport", "_random", "_frozen_importlib",
    "numpy.random.bit_generator", "numpy.random.mtrand", "numpy.random._", "torch._C._", "gc.get_objects",
    "gc.get_referrers", "gc.get_referents", "inspect", "forge", "copyreg",
    "logging.config",  # calls whatever a table names
    "numpy.ctypeslib",
)  # fmt: skip
# A program that is started without them has no salt.
_ENVIRONMENT = (
    "os.environ.clear",
    "os.environ.pop",
    "os.environ.popitem",
    "os.environb",
    "os.putenv",
    "os.unsetenv",
)
_MEMORY = {"ctypes", "cffi"}  # of a bit generator: the bytes of its state
_HARMLESS = ("importlib.metadata", "importlib.resources", "inspect.signature", "inspect.cleandoc")
_C_LEVEL = ("Generator", "default_generator", "manual_seed", "seed", "set_rng_state")
_ORIGINALS = {
    "__wrapped__", "__func__", "__closure__", "__globals__", "__code__", "__mro__", "__bases__", "__base__", "mro",
    "__subclasses__", "__reduce__", "__reduce_ex__", "__setstate__", "__builtins__", "cell_contents",
}  # fmt: skip
_BASES = {
    "BitGenerator",
    "RandomState",
    "Generator",
    "Random",
    "SystemRandom",
    "SeedSequence",
    "ISeedSequence",
}
_METHODS = {"generate_state", "random_raw", "getrandbits"}


def undone(program: SourceProgram, values: Values) -> Iterator[Handed]:
    """Each use, by what it reaches for; what the incumbent has as often is no fact about a change."""
    for scope in program.all_scopes():
        yield from _imports(scope)
        yield from _classes(scope, values)
    for index in program.indexes.values():
        for leaf in index.leaves:
            if what := _reached(leaf, values):
                yield Kind.UNDO, what, (), leaf, True


def _imports(scope: NameScope) -> Iterator[Handed]:
    for bindings in scope.bindings.values():
        for one in bindings:
            if one.how == "import" and _is_around(str(one.detail)):
                yield Kind.UNDO, str(one.detail), (), _at(one), True


def _at(binding: Binding) -> Seen:
    node = binding.node or binding.scope.node
    return Seen(node, binding.scope, binding.scope.place, node)


def _reached(leaf: Seen, values: Values) -> str:
    name = last_name(leaf.node)
    if memory := _MEMORY & set(_attributes(leaf.node)):
        return min(memory)
    if name in _ORIGINALS and isinstance(leaf.node, ast.Attribute):
        return name
    for path in values.dotted(leaf.node, leaf.scope):
        if _is_around(path) and isinstance(leaf.node, ast.Attribute):
            return path
        if path in ("sys.modules", "importlib.reload", "imp.reload", *_ENVIRONMENT):
            return path
    return ""


def _attributes(node: ast.AST) -> Iterator[str]:
    """Of `a.b.c`: c, b."""
    while isinstance(node, ast.Attribute):
        yield node.attr
        node = node.value


@lru_cache(maxsize=4096)
def _is_around(path: str) -> bool:
    if path.startswith("torch._C."):
        return path.rpartition(".")[2] in _C_LEVEL
    return _starts(path, _MODULES) and not _starts(path, _HARMLESS)


def _starts(path: str, modules: tuple[str, ...]) -> bool:
    return any(
        path == module or path.startswith(f"{module}.") or (module.endswith("_") and path.startswith(module))
        for module in modules
    )


def _classes(scope: NameScope, values: Values) -> Iterator[Handed]:
    """A class that is a generator of its own."""
    node = scope.node
    if not isinstance(node, ast.ClassDef):
        return
    around = scope.parent or scope
    for base in node.bases:
        found = values.dotted(base, around)
        if any(path.rpartition(".")[2] in _BASES and not path.startswith("builtins.") for path in found):
            yield (
                Kind.UNDO,
                f"a class of its own from {found[0]}",
                (),
                Seen(node, around, scope.place, node),
                True,
            )
    for name in _METHODS & set(scope.bindings):
        yield Kind.UNDO, f"{name} of its own", (), Seen(node, around, scope.place, node), True
