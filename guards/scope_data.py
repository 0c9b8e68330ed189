"""Rules on size: code may grow by an idea, not by a table of answers."""

import ast
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from guards.scope_text import Finding
from guards.source.information import told
from guards.source.syntax import Source, identifiers
from harness.records import Files

_SEQUENCES = (ast.List, ast.Tuple, ast.Set, ast.Dict)


@dataclass(frozen=True, slots=True)
class DataLimits:
    """file_bytes: of one file. growth_bytes: added by one proposal, over all files.
    literal_bytes: of one string, bytes or number. embedded_bytes: of all literals, growth by one proposal.
    elements: constants in one display. name_characters: of one identifier. line_characters: of one line.
    packed_bytes: growth of the compressed sources by one proposal (what no rule on literals sees).
    told_names, told_constants, told_comments: bytes after compression that one proposal may tell in new names, in
    constants and in comments; told_rows: in what is put in a row though every word of it is known; told_together: in
    all four; told_in_all: by all proposals since the baseline. doubtful_told: in names, constants and rows, beyond what
    honest edits tell but for a script that is written anew.
    """

    file_bytes: int = 131_072
    growth_bytes: int = 24_576
    literal_bytes: int = 1_024
    embedded_bytes: int = 4_096
    elements: int = 256
    name_characters: int = 64
    line_characters: int = 500
    packed_bytes: int = 12_288
    told_names: int = 1_280
    told_constants: int = 768
    told_comments: int = 1_280
    told_rows: int = 512
    told_together: int = 2_304
    told_in_all: int = 6_144
    doubtful_told: int = 384


STANDARD = DataLimits()


def size_findings(before: Files, after: Files, limits: DataLimits) -> Iterator[Finding]:
    """`before`, `after`: the editable files."""
    for path, content in after.items():
        if len(content) > limits.file_bytes:
            yield "size", f"{path} has {len(content)} bytes; at most {limits.file_bytes}"
        allowed = max(limits.line_characters, _longest_line(before.get(path, b"")))
        if (line := _longest_line(content)) > allowed:
            yield "line", f"{path} has a line of {line} bytes; at most {allowed}"
    growth = _total(after) - _total(before)
    if growth > limits.growth_bytes:
        yield "growth", f"the files grow by {growth} bytes; at most {limits.growth_bytes} a proposal"
    packed = _packed(after) - _packed(before)
    if packed > limits.packed_bytes:
        yield (
            "growth",
            f"the files grow by {packed} compressed bytes; at most {limits.packed_bytes} a proposal",
        )


def literal_findings(
    before: Mapping[str, Source], after: Mapping[str, Source], limits: DataLimits
) -> Iterator[Finding]:
    """Tables of answers: large literals that the incumbent does not have, or many small ones."""
    known = {value for source in before.values() for _, value in _literals(source)}
    for source in after.values():
        for line, value in _literals(source):
            if _bytes(value) > limits.literal_bytes and value not in known:
                message = f"{source.path} line {line} holds a literal of {_bytes(value)} bytes"
                yield "literal", f"{message}; at most {limits.literal_bytes}"
        if finding := _widest(source, before.get(source.path), limits):
            yield finding
    growth = sum(map(_weight, after.values())) - sum(map(_weight, before.values()))
    if growth > limits.embedded_bytes:
        yield "data", f"literals grow by {growth} bytes; at most {limits.embedded_bytes} a proposal"


def information_findings(
    baseline: Sequence[Source], before: Sequence[Source], after: Sequence[Source], limits: DataLimits
) -> Iterator[Finding]:
    """Answers spelled as names, numbers or comments: bounded as information, not by the length of a line.

    baseline: the session's first program; nothing is summed up where it is not known.
    """
    new = told(before, after)
    for what, amount, most in (
        ("names", new.names, limits.told_names),
        ("constants", new.constants, limits.told_constants),
        ("comments", new.comments, limits.told_comments),
        ("rows of names", new.rows, limits.told_rows),
        ("names, constants, comments and rows", new.total, limits.told_together),
    ):
        if amount > most:
            message = f"new {what} tell {amount} bytes after compression; at most {most} a proposal"
            yield "information", message
    if baseline and (total := told(baseline, after).total) > limits.told_in_all:
        message = f"since the baseline, names, constants, comments and rows tell {total} bytes after compression"
        yield "information", f"{message}; at most {limits.told_in_all} in all"


def information_doubts(before: Sequence[Source], after: Sequence[Source], limits: DataLimits) -> Iterator[str]:
    """A trained network of a small task fits into what a script that is written anew may tell."""
    new = told(before, after)
    if (amount := new.names + new.constants + new.rows) > limits.doubtful_told:
        yield f"new names and constants tell {amount} bytes after compression: weights may have come with the source"


def _widest(source: Source, before: Source | None, limits: DataLimits) -> Finding | None:
    known = max(map(_elements, before.of(*_SEQUENCES)), default=0) if before else 0
    for node in source.of(*_SEQUENCES):
        if (count := _elements(node)) > max(limits.elements, known):
            message = f"{source.path} line {node.lineno} lists {count} constants"
            return "literal", f"{message}; at most {limits.elements}"
    for name, line in identifiers(source).items():
        if len(name) > limits.name_characters:
            return "identifier", f"{source.path} line {line} has a name of {len(name)} characters"
    return None


def _literals(source: Source) -> Iterator[tuple[int, object]]:
    for node in source.of(ast.Constant):
        if isinstance(node.value, str | bytes | int | float | complex):
            yield node.lineno, node.value


@lru_cache(maxsize=64)
def _weight(source: Source) -> int:
    """Bytes in literals. Docstrings count half: a program can read its own."""
    bare = [node.value.value for node in source.of(ast.Expr) if isinstance(node.value, ast.Constant)]
    return sum(_bytes(value) for _, value in _literals(source)) - sum(map(_bytes, bare)) // 2


def _bytes(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return (value.bit_length() + 7) // 8
    return 8 if isinstance(value, float | complex) else 0


def _elements(node: ast.AST) -> int:
    """Constants below one display, nested displays included."""
    if not isinstance(node, _SEQUENCES):
        return 0
    parts = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
    inner = [part.operand if isinstance(part, ast.UnaryOp) else part for part in parts]
    return sum(1 if isinstance(part, ast.Constant) else _elements(part) for part in inner if part is not None)


def _longest_line(content: bytes) -> int:
    return max(map(len, content.split(b"\n")))


def _total(files: Files) -> int:
    return sum(map(len, files.values()))


def _packed(files: Files) -> int:
    return len(zlib.compress(b"\0".join(files[path] for path in sorted(files)), 6))
