"""Which statements a proposal changes, and where they stand; comments, prints and layout are not statements."""

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from guards.source.syntax import Source


@dataclass(frozen=True, slots=True)
class Changed:
    """A statement that is new, or gone (old). around: the classes and functions that it stands in, outermost first.

    in_loop: inside a loop that calls backward().
    """

    node: ast.stmt
    around: tuple[ast.AST, ...]
    in_loop: bool
    old: bool


def changed_statements(before: Source | None, after: Source | None) -> list[Changed]:
    """The smallest statements that hold a changed line, those that are gone last."""
    old_lines = code_lines(before) if before else ()
    new_lines = code_lines(after) if after else ()
    head, tail = _equal_ends(old_lines, new_lines)  # a proposal changes little: what is equal costs no matching
    old_middle, new_middle = old_lines[head : len(old_lines) - tail], new_lines[head : len(new_lines) - tail]
    matcher = difflib.SequenceMatcher(None, old_middle, new_middle, autojunk=False)
    gone, new = set[int](), set[int]()
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind != "equal":
            gone.update(range(head + old_from + 1, head + old_to + 1))
            new.update(range(head + new_from + 1, head + new_to + 1))
    found = list(_statements(after, {n for n in new if new_lines[n - 1]}, False)) if after else []
    if before:
        found += _statements(before, {n for n in gone if old_lines[n - 1]}, True)
    return found


def _equal_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """How many lines at the beginning are the same, and how many of the rest at the end."""
    shorter = min(len(old), len(new))
    head = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    rest = range(1, shorter - head + 1)
    return head, next((place - 1 for place in rest if old[-place] != new[-place]), len(rest))


@lru_cache(maxsize=64)
def code_lines(source: Source) -> tuple[str, ...]:
    """The lines without spaces and, where no quotation mark makes that unsafe, without comments."""
    return tuple(_code("".join(line.split())) for line in source.text.replace("\r\n", "\n").split("\n"))


def _code(line: str) -> str:
    before, mark, _ = line.partition("#")
    return line if mark and before and ("'" in line or '"' in line) else before


def _statements(source: Source, lines: set[int], old: bool) -> Iterator[Changed]:
    if lines:
        yield from _inside(source.tree.body, lines, (), False, old)


def _inside(
    body: list[ast.stmt], lines: set[int], around: tuple[ast.AST, ...], in_loop: bool, old: bool
) -> Iterator[Changed]:
    for node in body:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        last = node.end_lineno or node.lineno
        if not any(first <= line <= last for line in lines):
            continue
        inner = around
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*around, node)
        loop = in_loop or (isinstance(node, ast.While | ast.For) and _trains(node))
        blocks = [block for block in _blocks(node) if block]
        if any(line < blocks[0][0].lineno and line >= first for line in lines) if blocks else True:
            yield Changed(node, inner if blocks else around, loop, old)
        for block in blocks:
            yield from _inside(block, lines, inner, loop, old)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        if isinstance(block := getattr(node, name, None), list):
            yield block
    for holder in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield holder.body


def _trains(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "backward"
        for part in ast.walk(node)
    )
