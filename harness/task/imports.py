"""What programs import, read from their text: what takes long can be there before they are."""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from harness.records import Files
from harness.task.task import Task

_SLOW = ("numpy", "torch", "safetensors.torch", "safetensors.numpy")
_OF_OPTIMISERS = "torch._dynamo"  # what building the first torch.optim.Optimizer imports, for seconds
_MOST = 100
_REMEMBERED = 64  # files


def early_imports(task: Task) -> tuple[str, ...]:
    """What is imported before there is a candidate: of what takes long, the packages that the unmodified task's
    programs name, and what its task.yaml names besides.
    """
    source = task.source()
    found = imports(source)
    slow = [name for name in _SLOW if any(f"{other}.".startswith(f"{name}.") for other in found)]
    if "torch" in slow and any(_builds_optimisers(content) for content in source.values()):
        slow.append(_OF_OPTIMISERS)
    return tuple(dict.fromkeys([*slow, *task.imports]))


def imports(source: Files) -> list[str]:
    """Modules that a tree's Python files import and do not hold themselves."""
    files = {PurePosixPath(name): content for name, content in source.items() if name.endswith(".py")}
    own = {"harness", *(part.removesuffix(".py") for path in files for part in path.parts)}
    found = {name for content in files.values() for name in _imported(content)}
    return sorted(name for name in found if name.partition(".")[0] not in own)[:_MOST]


def _builds_optimisers(content: bytes) -> bool:
    """Whether torch.optim is used; a comment that names it costs every process twice the memory and its start."""
    named = any(f"{name}.".startswith("torch.optim.") for name in _imported(content))
    return named or any(
        isinstance(node, ast.Attribute)
        and node.attr == "optim"
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
        for node in _nodes(content)
    )


def _nodes(content: bytes) -> list[ast.AST]:
    """Empty for what is no Python: the interpreter will say so."""
    try:
        return list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError, RecursionError):
        return []


@lru_cache(_REMEMBERED)
def _imported(content: bytes) -> frozenset[str]:
    """`from a import b` may mean a module a.b: both are named. Asked at every score, of the same few files."""
    return frozenset(_named(content))


def _named(content: bytes) -> Iterator[str]:
    for node in _nodes(content):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
