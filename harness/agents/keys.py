"""Keys of providers: read from the environment of the harness, never shown, never handed to a child process."""

import os
from collections.abc import Mapping

from harness.errors import UserError

_LEAST_SECRET = 8  # characters; a shorter one could stand in any text
_taken: dict[str, str] = {}


def present(variable: str) -> bool:
    return bool(_taken.get(variable) or os.environ.get(variable, "").strip())


def require(variable: str, what: str) -> None:
    """Raises UserError, one line, when the key is not there. Called by constructors: before anything starts."""
    if not present(variable):
        raise UserError(f"{what} needs a key: set {variable} in the environment of this command")


def take(variable: str) -> str:
    """The key, which from now on is no longer in the environment: no child process can inherit it.

    "" when there is none (a local server needs none).
    """
    value = os.environ.pop(variable, "").strip()
    if value:
        _taken[variable] = value
    return _taken.get(variable, "")


def remember(name: str, value: str) -> str:
    """A secret that came from elsewhere (a login's file): it, too, is redacted wherever it turns up."""
    if value:
        _taken[name] = value
    return value


def remember_sent(headers: Mapping[str, str]) -> None:
    """What a login has become in a request: tokens that a cloud's library fetches by itself are redacted, too."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    for value in (token if scheme.lower() == "bearer" else "", headers.get("x-amz-security-token", "")):
        if value and value not in _taken.values():
            _taken[f"login#{len(_taken)}"] = value


def redacted(text: str) -> str:
    """`text` without any key that was taken: providers repeat keys in their error messages."""
    for name, value in sorted(_taken.items(), key=lambda item: -len(item[1])):
        if len(value) >= _LEAST_SECRET or text == value:
            text = text.replace(value, f"<{name.partition('#')[0]}>")
    return text


def redacted_bytes(content: bytes) -> bytes:
    """The same for a file's content, whatever it is."""
    return redacted(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
