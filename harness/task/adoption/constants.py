"""Module-level constants of a script, read without running it."""

import ast
import os
from collections.abc import Callable, Mapping
from pathlib import Path

Value = int | float | str | bool | list["Value"] | None

_NUMBERS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Div: lambda left, right: left / right,
}
_LARGEST_POWER = 64


class NotConstant(ValueError):
    """The expression is more than a constant."""


def constants(tree: ast.Module, home: Path) -> dict[str, Value]:
    """Name -> value of every assignment at the top of a module that can be worked out. home: what `~` is."""
    found: dict[str, Value] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                try:
                    found[target.id] = evaluated(value, found, home)
                except NotConstant:
                    found.pop(target.id, None)
    return found


def evaluated(node: ast.expr, known: Mapping[str, Value], home: Path) -> Value:
    """The value of an expression of numbers, strings, names and paths. Raises NotConstant."""
    match node:
        case ast.Constant(value=(int() | float() | str() | bool() | None) as value):
            return value
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(evaluated(operand, known, home))
        case ast.BinOp():
            return _binary(node, known, home)
        case ast.JoinedStr(values=parts):
            return "".join(_piece(part, known, home) for part in parts)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [evaluated(item, known, home) for item in items]
        case ast.ListComp():
            return _comprehension(node, known, home)
        case ast.Call():
            return _call(node, known, home)
    raise NotConstant(ast.dump(node)[:80])


def _number(value: Value) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotConstant(repr(value))
    return value


def _binary(node: ast.BinOp, known: Mapping[str, Value], home: Path) -> Value:
    left, right = (evaluated(side, known, home) for side in (node.left, node.right))
    if isinstance(left, str) and isinstance(right, str) and isinstance(node.op, ast.Div | ast.Add):
        return os.path.join(left, right) if isinstance(node.op, ast.Div) else left + right
    one, other = _number(left), _number(right)
    if isinstance(node.op, ast.Pow) and abs(other) <= _LARGEST_POWER:
        return one**other
    if (
        isinstance(node.op, ast.LShift)
        and isinstance(one, int)
        and isinstance(other, int)
        and 0 <= other <= _LARGEST_POWER
    ):
        return one << other
    work = _NUMBERS.get(type(node.op))
    try:
        if work is not None:
            return work(one, other)
    except ArithmeticError:
        pass
    raise NotConstant(ast.dump(node.op))


def _piece(part: ast.expr, known: Mapping[str, Value], home: Path) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    if isinstance(part, ast.FormattedValue) and part.conversion == -1:
        form = part.format_spec
        text = (
            "".join(_piece(each, known, home) for each in form.values)
            if isinstance(form, ast.JoinedStr)
            else ""
        )
        try:
            return format(evaluated(part.value, known, home), text)
        except ValueError:
            raise NotConstant(text) from None
    raise NotConstant("f-string")


def _comprehension(node: ast.ListComp, known: Mapping[str, Value], home: Path) -> Value:
    """`[f"<|reserved_{i}|>" for i in range(4)]` and the like."""
    match node.generators:
        case [
            ast.comprehension(
                target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=[stop]), ifs=[]
            )
        ]:
            count = _number(evaluated(stop, known, home))
            if isinstance(count, int) and 0 <= count <= 1 << 16:
                return [evaluated(node.elt, {**known, name: number}, home) for number in range(count)]
    raise NotConstant("comprehension")


def _call(node: ast.Call, known: Mapping[str, Value], home: Path) -> Value:
    """Paths as people write them: os.path.join, expanduser, Path(...), Path.home(), os.environ.get with a default."""
    name = ast.unparse(node.func)
    if name in ("Path.home", "pathlib.Path.home"):
        return str(home)
    given = [evaluated(argument, known, home) for argument in node.args]
    texts = [value for value in given if isinstance(value, str)]
    if len(texts) != len(given) or not texts:
        raise NotConstant(name)
    if name.endswith("path.join") or name in ("Path", "pathlib.Path"):
        return os.path.join(*texts)
    if name.endswith("expanduser"):
        return texts[0].replace("~", str(home), 1)
    if name in ("os.environ.get", "os.getenv") and len(texts) == 2:
        return os.environ.get(texts[0], texts[1])
    raise NotConstant(name)
