"""Keys of providers: read from the environment of the harness, never shown, never handed to a child process."""

import os

from harness.errors import UserError

_taken: dict[str, str] = {}


def require(variable: str, what: str) -> None:
    """Raises UserError, one line, when the key is not there. Called by constructors: before anything starts."""
    if not (_taken.get(variable) or os.environ.get(variable, "").strip()):
        raise UserError(f"{what} needs a key: set {variable} in the environment of this command")


def take(variable: str) -> str:
    """The key, which from now on is no longer in the environment: no child process can inherit it.

    "" when there is none (a local server needs none).
    """
    value = os.environ.pop(variable, "").strip()
    if value:
        _taken[variable] = value
    return _taken.get(variable, "")


def redacted(text: str) -> str:
    """`text` without any key that was taken: providers repeat keys in their error messages."""
    for variable, value in _taken.items():
        text = text.replace(value, f"<{variable}>")
    return text
