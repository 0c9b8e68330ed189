"""Records as plain JSON values: what the ledger stores. Reading them back is the business of the rows' classes."""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

from harness.records import Json


def to_json(value: Any) -> Json:
    """A record, enumeration, mapping, sequence or scalar as plain JSON values. Raises TypeError for others."""
    if isinstance(value, Enum):
        return value.value  # type: ignore[no-any-return] # ours hold int and str
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} cannot be written to the ledger")
