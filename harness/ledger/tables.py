"""The rows' classes as the tables of docs/ledger.md: `harness ledger schema` prints them, a test compares."""

import types
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from harness.ledger.rows import KINDS, Row

_PLAIN = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Any: "value",
    type(None): "null",
}


def schema() -> str:
    """The section "Every row", then "Kinds", as Markdown."""
    every = [f"| `{name}` | {field.description} |" for name, field in Row.model_fields.items()]
    kinds = [f"| `{kind}` | {row.when} | {_fields(row)} |" for kind, row in KINDS.items()]
    return "\n".join(
        (
            "## Every row",
            "| key | meaning |",
            "|---|---|",
            *every,
            "",
            "## Kinds",
            "| kind | when | keys |",
            "|---|---|---|",
            *kinds,
        )
    )


def _fields(row: type[Row]) -> str:
    said = []
    for name, field in row.model_fields.items():
        if name not in Row.model_fields:
            about = [_type_text(field.annotation), field.description]
            said.append(f"`{name}` ({'; '.join(part for part in about if part)})")
    return ", ".join(said)


def _type_text(hint: Any) -> str:
    """A field's type in a few words; an enumeration's by its values, a record's by its keys."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_text(each) for each in arguments if not (each is int and float in arguments))
    if origin is Literal:
        return ", ".join(arguments)
    if origin is dict:
        return f"{{name: {_type_text(arguments[1])}}}"
    if origin is list or origin is tuple:
        return f"[{', '.join(_type_text(each) for each in arguments)}]"
    if hint in _PLAIN:
        return _PLAIN[hint]
    if issubclass(hint, Enum):
        return ", ".join(str(each.value) for each in hint)
    return "{" + ", ".join(hint.__dataclass_fields__) + "}"
