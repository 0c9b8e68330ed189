"""How much a program's text says beyond code: names, constants and comments, as bytes after compression.

A table of answers can be spelled as short names, small numbers or comments; none of that makes it smaller.
Compression is a rough measure of information from above.
"""

import ast
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from guards.source.syntax import Source, identifiers

_ANNOTATED: tuple[tuple[type[ast.AST], str], ...] = (
    (ast.AnnAssign, "annotation"), (ast.arg, "annotation"), (ast.FunctionDef, "returns"),
    (ast.AsyncFunctionDef, "returns"),
)  # fmt: skip
_ROWS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Call)
_LEAST_ROW = 2  # what stands in a row is told by its order, too: [a, b, b, a]


Said = Callable[[Source], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Told:
    """Bytes after compression of what one program says and another does not."""

    names: int
    constants: int
    comments: int
    rows: int

    @property
    def total(self) -> int:
        return self.names + self.constants + self.comments + self.rows


@lru_cache(maxsize=8)
def told(before: Sequence[Source], after: Sequence[Source]) -> Told:
    """What `after` tells beyond `before`: new names, constants that are more often there, new words in comments, and
    what is put in a row though every word of it is known: names, True and False, empty lists."""
    old_names = {name for source in before for name in identifiers(source)}
    new_names = {name for source in after for name in identifiers(source)} - old_names
    constants, comments, rows = (_added(of, before, after) for of in (_constants, _comments, _rows))
    return Told(_packed(sorted(new_names)), _packed(constants), _packed(comments), _packed(rows))


def _added(of: Said, before: Sequence[Source], after: Sequence[Source]) -> Iterator[str]:
    """What is there more often than before, in the order in which it stands: order tells, too."""
    known = Counter(one for source in before for one in of(source))
    for source in after:
        for one in of(source):
            known[one] -= 1
            if known[one] < 0:
                yield one


@lru_cache(maxsize=64)
def _constants(source: Source) -> tuple[str, ...]:
    bare = {id(node.value) for node in source.of(ast.Expr)}
    nodes = [node for node in source.of(ast.Constant) if id(node) not in bare]
    nodes.sort(key=lambda node: (node.lineno, node.col_offset))
    return tuple(repr(node.value) for node in nodes if not isinstance(node.value, bool | None))


@lru_cache(maxsize=64)
def _comments(source: Source) -> tuple[str, ...]:
    """Lines of comments and docstrings: text beyond what the parser keeps as code."""
    found = [line.partition("#")[2].strip() for line in source.text.splitlines() if "#" in line]
    for node in source.of(ast.Expr):
        if isinstance(node.value, ast.Constant):
            found += _without_margin(str(node.value.value).splitlines())
    return tuple(found)


def _without_margin(lines: list[str]) -> list[str]:
    """The margin is layout; blanks beyond it, and at the end, can be read."""
    first, later = lines[:1], lines[1:]
    margin = min((len(line) - len(line.lstrip(" ")) for line in later if line.strip()), default=0)
    return [*first, *(line[margin:] if line[:margin].isspace() else line for line in later)]


@lru_cache(maxsize=64)
def _rows(source: Source) -> tuple[str, ...]:
    """Each row with its order; the same row again is known."""
    nodes = [node for node in source.of(*_ROWS) if not isinstance(getattr(node, "ctx", None), ast.Store)]
    nodes.sort(key=lambda node: (node.lineno, node.col_offset))
    rows = [[*filter(None, map(_plain, _parts(node)))] for node in nodes]
    rows += [[node.id for node in ast.walk(said) if isinstance(node, ast.Name)] for said in _annotations(source)]
    return tuple(" ".join(row) for row in rows if len(row) >= _LEAST_ROW)


def _annotations(source: Source) -> Iterator[ast.expr]:
    """What stands behind a colon or an arrow: any expression, and a class keeps what it gives."""
    for kind, field in _ANNOTATED:
        yield from filter(None, (getattr(node, field) for node in source.of(kind)))


def _parts(node: ast.AST) -> list[ast.expr | None]:
    if isinstance(node, ast.Dict):
        return [*node.keys, *node.values]
    return list(node.args if isinstance(node, ast.Call) else getattr(node, "elts", ()))


def _plain(node: ast.expr | None) -> str:
    """What stands there as it is, "" for what is worked out; constants are counted as such."""
    while isinstance(node, ast.UnaryOp | ast.Starred):
        node = node.operand if isinstance(node, ast.UnaryOp) else node.value
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | None):
        return str(node.value)
    return type(node).__name__ if isinstance(node, _ROWS) and not any(_parts(node)) else ""


def _packed(parts: Iterable[str]) -> int:
    text = "\n".join(parts)
    return len(zlib.compress(text.encode("utf-8", "surrogatepass"), 9)) - 8 if text else 0
