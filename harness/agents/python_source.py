"""Python text as a tree, from any thread."""

import ast

_ATTEMPTS = 20


def tree_of(source: str | bytes) -> ast.Module:
    """`ast.parse`, asked again where CPython 3.11 takes two threads that parse at the same moment for one and raises
    SystemError ("AST constructor recursion depth mismatch"): an agent thinks ahead while guards read."""
    for _ in range(_ATTEMPTS):
        try:
            return ast.parse(source)
        except SystemError:
            continue
    return ast.parse(source)
