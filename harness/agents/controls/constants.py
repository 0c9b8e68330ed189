"""Numeric constants of a Python file: where they stand, and how to put others there, byte for byte.

Found by syntax, not by meaning: numbers that are assigned to a name (in a module or a class), defaults
of parameters, keyword arguments of calls and values of literal dicts. Flags, seeds and private names are left
out. A number on a line that ends with the comment `# not tuned` (or `# not tuned: why`) is found, and marked.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.agents.python_source import tree_of

Number = int | float
_SEED = re.compile(r"seed|random_state|rng|version|print|log|verbose", re.IGNORECASE)
_NOT_TUNED = re.compile(rb"#\s*not tuned\b")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class TunableConstant:
    """name: "file:where.name", unique in the tree and stable while only values change.

    start, end: byte offsets of the number, its sign included. tuned: False where its line says "not tuned".
    """

    name: str
    file: str
    value: Number
    start: int
    end: int
    tuned: bool = True


def find_constants(file: str, source: bytes) -> list[TunableConstant]:
    """Constants in the order in which they stand; none for a file that is no Python."""
    try:
        tree = tree_of(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    starts = _line_starts(source)
    found: list[TunableConstant] = []
    seen: dict[str, int] = {}
    for name, node in _named(tree, ""):
        value = _value(node)
        if value is None or not _tunable(name, value):
            continue
        seen[name] = seen.get(name, 0) + 1
        unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        start = starts[node.lineno - 1] + node.col_offset
        tuned = _NOT_TUNED.search(_LINE_END.split(source[end:], maxsplit=1)[0]) is None
        found.append(TunableConstant(f"{file}:{unique}", file, value, start, end, tuned))
    return sorted(found, key=lambda constant: constant.start)


def replace_constants(source: bytes, values: Mapping[TunableConstant, Number]) -> bytes:
    """`source` with other numbers at the given places; every other byte stays."""
    for constant, value in sorted(values.items(), key=lambda pair: -pair[0].start):
        source = source[: constant.start] + written(value).encode() + source[constant.end :]
    return source


def written(value: Number) -> str:
    """Python's spelling of a number; a float stays one."""
    return repr(value)


def _named(node: ast.AST, where: str) -> Iterator[tuple[str, ast.expr]]:
    """(dotted name, expression) of all that could be a constant, in any depth."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}{node.name}."
    yield from ((f"{where}{name}", value) for name, value in _own(node))
    for child in ast.iter_child_nodes(node):
        yield from _named(child, where)


def _own(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Module() | ast.ClassDef():
            for statement in node.body:
                yield from _assigned(statement)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            arguments = node.args
            positional = [*arguments.posonlyargs, *arguments.args]
            defaults = arguments.defaults
            yield from zip(
                (a.arg for a in positional[len(positional) - len(defaults) :]), defaults, strict=True
            )
            for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
                if default is not None:
                    yield argument.arg, default
        case ast.Call():
            called = ast.unparse(node.func).rpartition(".")[2][:40]
            yield from ((f"{called}({k.arg})", k.value) for k in node.keywords if k.arg is not None)
        case ast.Dict():
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple(elts=values)):
            yield from ((f"{name}[{index}]", value) for index, value in enumerate(values))
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(
            values
        ):
            yield from ((n.id, v) for n, v in zip(names, values, strict=True) if isinstance(n, ast.Name))
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value


def _value(node: ast.expr) -> Number | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand) if isinstance(node.operand, ast.Constant) else None
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        assert isinstance(node.value, int | float)
        return node.value
    return None


def _tunable(name: str, value: Number) -> bool:
    last = re.split(r"[.(]", name.rstrip(")"))[-1]
    if last.startswith("_") or _SEED.search(last):
        return False
    if isinstance(value, int):  # small integers are mostly flags, axes and indices
        return 2 <= abs(value) <= 1 << 30
    return value != 0.0 and 1e-30 < abs(value) < 1e30


def _line_starts(source: bytes) -> list[int]:
    """Byte offset of each line as ast counts them; ast does not count a byte-order mark."""
    first = len(_BOM) if source.startswith(_BOM) else 0
    return [first, *(match.end() for match in _LINE_END.finditer(source))]
