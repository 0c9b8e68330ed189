"""Configuration values that must not leave the machine."""

import re
from collections.abc import Mapping
from typing import Any

_SECRET = re.compile(
    r"(^|_)(key|keys|secret|password|passwd|credential|credentials|authorization|bearer)($|_)"
)
_SECRET_TOKEN = re.compile(r"(^|_)(api|auth|access|bearer|session|refresh)_?token$|^token$")
_SECRET_VALUE = re.compile(
    r"\b(sk-[\w-]{8,}|gh[pousr]_\w{16,}|AKIA[0-9A-Z]{16}|hf_\w{16,}|xox[abp]-[\w-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY)|(?<=//)[^/\s:@]+:[^/\s@]+(?=@)"
)
REDACTED = "[redacted]"


def redacted(value: Any, key: str = "") -> Any:
    """A copy of plain data in which every value that is, or is named like, a secret is replaced."""
    name = key.lower().replace("-", "_")
    if (_SECRET.search(name) or _SECRET_TOKEN.search(name)) and isinstance(value, str) and value:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(inner): redacted(item, str(inner)) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, key) for item in value]
    return _SECRET_VALUE.sub(REDACTED, value) if isinstance(value, str) else value
