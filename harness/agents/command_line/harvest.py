"""Takes what an untrusted program left in a folder: regular files of bounded size, links noted and never followed."""

import os
import stat
from dataclasses import dataclass, field

_MOST_FILES = 2000
_MOST_FILE_BYTES = 1 << 20
_MOST_DEPTH = 12
_LEFT_OUT = {"__pycache__", "node_modules"}
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class UnreadableFolder(Exception):
    """What is there cannot be taken: too much of it, or no ordinary files. One line."""


@dataclass
class Harvest:
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def harvest(folder: int, name: str) -> Harvest:
    """Everything below `name` in the open folder, hidden files and caches left out. Raises UnreadableFolder."""
    found = Harvest()
    try:
        top = os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
        try:
            _walk(top, "", found, 0)
        finally:
            os.close(top)
    except OSError as error:
        raise UnreadableFolder(f"the agent's folder cannot be read: {error.strerror}") from None
    return found


def open_one(folder: int, name: str) -> int | None:
    """A descriptor of one regular file; None if there is none."""
    try:
        file = os.open(name, _FLAGS, dir_fd=folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def _walk(folder: int, prefix: str, found: Harvest, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise UnreadableFolder(f"the agent's folders are deeper than {_MOST_DEPTH}")
    for name in sorted(os.listdir(folder)):
        if name.startswith(".") or name in _LEFT_OUT:
            continue
        if len(found.files) + len(found.links) >= _MOST_FILES:
            raise UnreadableFolder(f"the agent left more than {_MOST_FILES} files")
        _take(folder, name, f"{prefix}{name}", found, depth)


def _take(folder: int, name: str, path: str, found: Harvest, depth: int) -> None:
    kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(kind):
        found.links[path] = os.readlink(name, dir_fd=folder)
        return
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise UnreadableFolder(f"{path!a} is no ordinary file")
    opened = os.open(name, _FLAGS, dir_fd=folder)
    try:
        if stat.S_ISDIR(kind):
            _walk(opened, f"{path}/", found, depth + 1)
        else:
            content = _read(opened, _MOST_FILE_BYTES + 1)
            if len(content) > _MOST_FILE_BYTES:
                raise UnreadableFolder(f"{path!a} is larger than {_MOST_FILE_BYTES} bytes")
            found.files[path] = content
    finally:
        os.close(opened)


def _read(file: int, most: int) -> bytes:
    parts: list[bytes] = []
    while most > 0 and (part := os.read(file, min(most, 1 << 20))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
