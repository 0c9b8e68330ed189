"""Python source as the guards see it: parsed once per content, never imported, never executed."""

import ast
import warnings
from dataclasses import dataclass
from functools import lru_cache

from harness.records import Files

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


class Unreadable(Exception):
    """The source cannot be parsed or is nested too deeply to be judged; the text says where."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One parsed file; the same content under the same path is the same object.

    nodes: every node, parents before children.
    """

    path: str
    text: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]


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
            tree = ast.parse(text)
        return Source(path, text, tree, tuple(ast.walk(tree)))
    except _UNREADABLE as error:
        raise Unreadable(f"{path}: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return " ".join(str(error).split()) or type(error).__name__


def docstring_nodes(source: Source) -> set[int]:
    """Ids of the expression statements that are docstrings or other bare constants: they do nothing."""
    return {
        id(node)
        for node in source.nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
