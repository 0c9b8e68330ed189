"""Agents think ahead in a thread while guards read in another: both parse Python."""

import ast
from collections.abc import Callable
from typing import Any

import pytest

from guards.source import syntax
from harness.agents import python_source


@pytest.mark.parametrize(
    "parse", [python_source.tree_of, lambda text: syntax.parsed("a.py", str(text).encode()).tree]
)
def test_threads_that_parse_at_the_same_moment_are_survived(
    parse: Callable[[str], ast.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython 3.11 raises SystemError then, about once in a thousand: it is asked again, and no guard has crashed. What
    is no Python is said at once."""
    failures = [SystemError("AST constructor recursion depth mismatch (before=54, after=47)")] * 2
    real = ast.parse

    def sometimes(*arguments: Any) -> ast.Module:
        if failures:
            raise failures.pop()
        return real(*arguments)

    monkeypatch.setattr(ast, "parse", sometimes)
    assert len(parse("x = 4711").body) == 1
    assert not failures
    with pytest.raises((SyntaxError, syntax.Unreadable)):
        parse("x = (")
