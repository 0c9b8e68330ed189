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

from guards.source.syntax import Source

_NAMED: tuple[tuple[type[ast.AST], str], ...] = (
    (ast.Name, "id"), (ast.Attribute, "attr"), (ast.arg, "arg"), (ast.keyword, "arg"), (ast.FunctionDef, "name"),
    (ast.AsyncFunctionDef, "name"), (ast.ClassDef, "name"), (ast.alias, "asname"), (ast.alias, "name"),
    (ast.MatchAs, "name"),
)  # fmt: skip


Said = Callable[[Source], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Told:
    """Bytes after compression of what one program says and another does not."""

    names: int
    constants: int
    comments: int

    @property
    def total(self) -> int:
        return self.names + self.constants + self.comments


def told(before: Sequence[Source], after: Sequence[Source]) -> Told:
    """What `after` tells beyond `before`: new names, constants that are more often there, new words in comments."""
    old_names = {name for source in before for name in _names(source)}
    new_names = {name for source in after for name in _names(source)} - old_names
    constants, comments = (_added(of, before, after) for of in (_constants, _comments))
    return Told(_packed(sorted(new_names)), _packed(constants), _packed(comments))


def _added(of: Said, before: Sequence[Source], after: Sequence[Source]) -> Iterator[str]:
    """What is there more often than before, in the order in which it stands: order tells, too."""
    known = Counter(one for source in before for one in of(source))
    for source in after:
        for one in of(source):
            known[one] -= 1
            if known[one] < 0:
                yield one


@lru_cache(maxsize=64)
def _names(source: Source) -> frozenset[str]:
    found = (getattr(node, attribute) for kind, attribute in _NAMED for node in source.of(kind))
    return frozenset(name for name in found if isinstance(name, str))


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
            found += [line.strip() for line in str(node.value.value).splitlines()]
    return tuple(found)


def _packed(parts: Iterable[str]) -> int:
    text = "\n".join(parts)
    return len(zlib.compress(text.encode("utf-8", "surrogatepass"), 9)) - 8 if text else 0
