"""Python source as the guards see it: parsed once per content, never imported, never executed."""

import ast
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from harness.records import Files

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


Node = TypeVar("Node", bound=ast.AST)


class Unreadable(Exception):
    """The source cannot be parsed or is nested too deeply to be judged; the text says where."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One parsed file; the same content under the same path is the same object.

    nodes: every node by its class, in no order that matters.
    """

    path: str
    text: str
    tree: ast.Module
    nodes: Mapping[type[ast.AST], Sequence[ast.AST]]

    def of(self, *kinds: type[Node]) -> Iterator[Node]:
        """The nodes of these classes."""
        for kind in kinds:
            yield from self.nodes.get(kind, ())  # type: ignore[misc]  # filed under their own class


@lru_cache(maxsize=64)
def identifiers(source: Source) -> Mapping[str, int]:
    """Every name and a line in which it stands, from whatever field of the syntax: keywords of a pattern, parameters of
    a type, parts of what is imported."""
    found: dict[str, int] = {}
    for nodes in source.nodes.values():
        for node in nodes:
            for value in () if isinstance(node, ast.Constant) else map(vars(node).get, node._fields):
                texts = value if isinstance(value, list) else [value]
                for text in filter(lambda one: isinstance(one, str), texts):
                    found.update((name, getattr(node, "lineno", 0)) for name in text.split("."))
    return found


def sources(files: Files, paths: tuple[str, ...]) -> tuple[Source, ...]:
    """The Python files among `paths`, parsed, in that order; absent ones are left out.

    Raises Unreadable for the first that cannot be parsed.
    """
    return tuple(parsed(path, files[path]) for path in paths if path.endswith(".py") and path in files)


@lru_cache(maxsize=64)
def parsed(path: str, content: bytes) -> Source:
    """Parses one file. Raises Unreadable: no UTF-8, no Python, or nesting that a parser cannot follow."""
    try:
        text = content.decode("utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the source warns about is the candidate's affair
            tree = _tree(text)
        return Source(path, text, tree, _by_class(tree))
    except _UNREADABLE as error:
        raise Unreadable(f"{path}: {_one_line(error)}") from None


def _tree(text: str) -> ast.Module:
    """Asked again where CPython 3.11 takes two threads that parse at the same moment for one: SystemError, "AST
    constructor recursion depth mismatch". An agent may think ahead while guards read."""
    for _ in range(20):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)


def _by_class(tree: ast.Module) -> dict[type[ast.AST], list[ast.AST]]:
    """Three times as fast as with `ast.walk`. Whether a name is read or written is left out."""
    found: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        found[node.__class__].append(node)
        for name in node._fields:
            if name == "ctx":
                continue
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                todo.append(value)
            elif value.__class__ is list:
                todo += [one for one in value if isinstance(one, ast.AST)]
    return found


def _one_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return " ".join(str(error).split()) or type(error).__name__
