"""Takes the artefact out of a dead trial's out/ folder: an ordinary file of the promised format, or refused.

Nothing in it is executed or unpickled. Whoever wrote it is gone, so what was checked is what was copied.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from harness.sandbox.safetensors_header import arrays_in
from harness.sandbox.strict_json import NotStrictJson, parsed

_MOST_JSON_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20


class ArtefactRefused(Exception):
    """reason: one word, e.g. "artefact_link"; "no_artefact" when there is none."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def take_artefact(out: int, name: str, most_bytes: int, target: Path) -> str:
    """Copy out/`name` to `target` and return its SHA-256. out: descriptor of the folder. Raises ArtefactRefused."""
    with open_regular(out, name, most_bytes) as source:
        beside = target.with_name(f".{target.name}.new")
        try:
            with open(beside, "wb") as copy:
                digest = _copy(source.fileno(), copy.write, most_bytes)
            _check_format(beside, name)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    return digest


def whole(file: Path, sha256: str) -> bool:
    """Whether the file is still what was taken. sha256: "" in rows that do not say."""
    try:
        with file.open("rb") as stream:
            return not sha256 or hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except OSError:
        return False


def open_regular(out: int, name: str, most_bytes: int) -> Any:
    """A binary file object: a regular file with one name and no more than so many bytes. Raises ArtefactRefused."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        kind = os.stat(name, dir_fd=out, follow_symlinks=False).st_mode
        if not stat.S_ISREG(kind):  # a device or a FIFO is not even opened
            _refuse("artefact_link" if stat.S_ISLNK(kind) else "artefact_not_regular")
        descriptor = os.open(name, flags, dir_fd=out)
    except FileNotFoundError:
        _refuse("no_artefact")
    except OSError as error:
        _refuse("artefact_unreadable", str(error.strerror))
    file = open(descriptor, "rb", buffering=0)  # noqa: SIM115 -- the caller closes it
    state = os.fstat(descriptor)
    problem = ""
    if not stat.S_ISREG(state.st_mode):
        problem = "artefact_not_regular"
    elif state.st_nlink != 1:
        problem = "artefact_hard_link"
    elif state.st_size > most_bytes:
        problem = "artefact_too_large"
    if problem:
        file.close()
        _refuse(problem, f"{state.st_size} bytes, {state.st_nlink} names")
    return file


def _copy(source: int, write: Callable[[bytes], object], most_bytes: int) -> str:
    digest, left = hashlib.sha256(), most_bytes
    while chunk := os.read(source, _CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            _refuse("artefact_too_large", "it grew")
        digest.update(chunk)
        write(chunk)
    return digest.hexdigest()


def _check_format(path: Path, name: str) -> None:
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            if name.endswith(".safetensors"):
                arrays_in(file.read, size)
            elif size > _MOST_JSON_BYTES:
                _refuse("artefact_too_large", f"{size} bytes of JSON")
            else:
                parsed(file.read())
    except NotStrictJson as error:
        _refuse("artefact_malformed", f"not JSON as it must be: {error}")
    except ValueError as error:
        _refuse("artefact_malformed", str(error))


def _refuse(reason: str, detail: str = "") -> NoReturn:
    raise ArtefactRefused(reason, detail)
