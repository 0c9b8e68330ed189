"""Secrets of the referee's that are kept: one a session for seeds, one a data cache for what is held out.

A secret lies in a file of its own that its owner alone may read. It is never in an environment, on a command line, in
a tree, in a log or in a ledger.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from harness.errors import UserError, refusal

SECRET_BYTES = 32
_LEAST_DISTINCT_BYTES = 8  # 32 bytes of chance have fewer once in 10^20 times; a file of zeros has one


def kept_secret(path: Path) -> bytes:
    """The secret in the file, made now if there is none. Raises UserError for a file that cannot be one,
    HarnessError for a disk that refuses.
    """
    try:
        _remove_halves(path)
        if not path.exists():
            _write(path)
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(SECRET_BYTES + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        kind = type(refusal(error))  # a full disk is not the user's mistake
        raise kind(f"the secret {path} cannot be used: {error.strerror}") from error
    if len(content) != SECRET_BYTES or len(set(content)) < _LEAST_DISTINCT_BYTES:
        raise UserError(
            f"{path} is no secret (it should hold {SECRET_BYTES} bytes of chance): what is drawn with it could be "
            "guessed. Restore it, or remove it to have a new one drawn"
        )
    if mode & 0o077:
        raise UserError(f"{path} can be read by others: chmod 600 it, or remove it to have a new one drawn")
    return content


def _write(path: Path) -> None:
    """Whoever comes first: a file of that name is always whole, and never replaced."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        os.unlink(beside)


def _remove_halves(path: Path) -> None:
    """What a process left that was killed while it drew one."""
    for half in path.parent.glob(f".{path.name}.*.new"):
        drawer = half.suffixes[-2].removeprefix(".")
        if not Path("/proc", drawer).exists():
            half.unlink(missing_ok=True)


def derived_secret(secret: bytes, purpose: str) -> bytes:
    """Another secret that says nothing about this one."""
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()
