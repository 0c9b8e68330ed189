"""Constant expressions worked out, within bounds: `"manual" + "_seed"` is a name, `40 + 2` is 42."""

import ast
import operator
from collections.abc import Callable
from typing import Any

_LIMIT_BITS = 512
_LIMIT_LENGTH = 4_096

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
    "BitXor": operator.xor,
    "BitOr": operator.or_,
    "BitAnd": operator.and_,
    "LShift": operator.lshift,
    "RShift": operator.rshift,
}
_UNARY: dict[str, Callable[[Any], Any]] = {
    "USub": operator.neg,
    "UAdd": operator.pos,
    "Invert": operator.invert,
    "Not": operator.not_,
}
_METHODS = {
    "join", "lower", "upper", "replace", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix",
    "format", "decode", "encode", "title", "capitalize", "swapcase", "casefold", "translate", "fromhex",
}  # fmt: skip
_BUILTINS: dict[str, Callable[..., Any]] = {
    "chr": chr,
    "ord": ord,
    "len": len,
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "abs": abs,
    "min": min,
    "max": max,
    "sum": sum,
    "bytes": bytes,
    "round": round,
    "reversed": lambda value: value[::-1],
    "tuple": tuple,
    "list": tuple,
}
_FAILURES = (ArithmeticError, TypeError, ValueError, LookupError, AttributeError, MemoryError)


class Unfoldable(Exception):
    """Not a constant, or one that is too large to work out."""


def binary(name: str, left: object, right: object) -> object:
    """The value of a binary operation on constants. Raises Unfoldable."""
    if name not in _BINARY or _too_large(name, left, right):
        raise Unfoldable
    return _checked(lambda: _BINARY[name](left, right))


def unary(name: str, operand: object) -> object:
    """The value of a unary operation on a constant. Raises Unfoldable."""
    return _checked(lambda: _UNARY[name](operand))


def method(receiver: object, name: str, arguments: list[object]) -> object:
    """The value of a harmless method of a str or bytes constant. Raises Unfoldable."""
    if name not in _METHODS or not isinstance(receiver, str | bytes) or _any_large(arguments):
        raise Unfoldable
    if (
        name == "format"
        and isinstance(receiver, str)
        and any(mark in receiver for mark in (":", "!", ".", "["))
    ):
        raise Unfoldable  # widths make long strings, attributes reach into objects
    return _checked(lambda: getattr(receiver, name)(*arguments))


def builtin(name: str, arguments: list[object]) -> object:
    """The value of a harmless builtin on constants. Raises Unfoldable."""
    if name not in _BUILTINS or _any_large(arguments):
        raise Unfoldable
    if name == "bytes" and any(isinstance(argument, int) for argument in arguments):
        raise Unfoldable
    return _checked(lambda: _BUILTINS[name](*arguments))


def subscript(receiver: object, node: ast.expr) -> object:
    """`receiver[constant or slice of constants]`. Raises Unfoldable."""
    return _checked(lambda: receiver[_index(node)])  # type: ignore[index]  # a TypeError is a failure to fold


def _index(node: ast.expr) -> Any:
    if isinstance(node, ast.Slice):
        return slice(
            *(None if part is None else _index(part) for part in (node.lower, node.upper, node.step))
        )
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_index(node.operand)
    if isinstance(node, ast.Constant):
        return node.value
    raise Unfoldable


def _checked(compute: Callable[[], object]) -> object:
    try:
        value = compute()
    except _FAILURES:
        raise Unfoldable from None
    if _size(value) > _LIMIT_LENGTH or _any_large([value]):
        raise Unfoldable
    return value


def _too_large(name: str, left: object, right: object) -> bool:
    if _any_large([left, right]):
        return True
    if name in ("Pow", "LShift"):
        return not isinstance(right, int) or abs(right) > _LIMIT_BITS
    if name == "Mod" and isinstance(left, str | bytes):
        return True  # %-format: widths make long strings
    if name == "Mult":
        return (_size(left) > 0 or _size(right) > 0) and _product(left, right) > _LIMIT_LENGTH
    return False


def _product(left: object, right: object) -> int:
    count = left if isinstance(left, int) else right
    return max(_size(left), _size(right)) * abs(count) if isinstance(count, int) else 0


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | bytes | tuple) else 0


def _any_large(values: list[object]) -> bool:
    return any(
        (isinstance(value, int) and value.bit_length() > _LIMIT_BITS) or _size(value) > _LIMIT_LENGTH
        for value in values
    )
