"""Records to JSON and back, exactly: what the ledger stores and what a resumed session reads."""

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.records import Json

Record = TypeVar("Record")


def to_json(value: Any) -> Json:
    """A record, enumeration, mapping, sequence or scalar as plain JSON values. Raises TypeError for others."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value  # type: ignore[no-any-return] # ours hold int and str
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} cannot be written to the ledger")


def from_json(kind: type[Record], row: Mapping[str, Any]) -> Record:
    """The record that `row` holds; other keys of the row are passed over, missing ones take their defaults."""
    hints = _hints(kind)  # type: ignore[arg-type] # every class can be hashed
    return kind(**{name: _convert(hint, row[name]) for name, hint in hints.items() if name in row})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _convert(hint: Any, value: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = [part for part in get_args(hint) if part is not type(None)][:1]
        return None if value is None else _convert(hint, value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, value)
    return tuple(value) if get_origin(hint) is tuple else value
