"""What of ours lies within the folders that untrusted programs may read. They may see nothing of it but the gate.

However the harness is installed: a wheel puts every task's private files into site-packages, beside the libraries that
a trial needs; a checkout may lie below /usr or beside the environment. With namespaces an empty folder is mounted over
what is ours. Landlock knows no exception within a folder that it opens, so at level 1 the folder is not opened, but
each of its other entries is, and the interpreter finds them through a folder of links.
"""

import importlib.metadata
import os
import sysconfig
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from harness.sandbox.host.interpreter import readable_folders

_PACKAGE = Path(__file__).resolve().parents[2]
_BESIDE = ("guards",)  # what of ours is installed beside the package


@lru_cache(maxsize=16)
def concealed(readable: tuple[str, ...]) -> tuple[str, ...]:
    """Real paths of ours that lie in one of these folders."""
    tops = {os.path.realpath(path) for path in readable}
    found: set[str] = set()
    for path in ours():
        inside = [top for top in tops if _within(top, path)]
        if any(_within(path, top) for top in tops) and not inside:
            found.add(path)
        elif inside:  # an environment inside a checkout: everything beside it
            found.update(p for p in _others(path, inside) if any(_within(p, top) for top in tops))
    return tuple(sorted(found))


def private() -> list[str]:
    """All of ours, wherever it lies; without what is readable by right, as an environment inside a checkout is."""
    readable = [os.path.realpath(path) for path in readable_folders()]
    return [
        path
        for top in ours()
        for path in _others(top, [other for other in readable if _within(other, top)])
        if os.path.exists(path)
    ]


@cache
def ours() -> tuple[str, ...]:
    """The package, what was installed with it, and the checkout that it is part of."""
    root = _PACKAGE.parent
    own = {str(_PACKAGE), *(str(root / name) for name in _BESIDE if (root / name).exists())}
    if (root / "pyproject.toml").exists():
        own.add(str(root))
    try:
        installed = importlib.metadata.distribution("harness")
    except importlib.metadata.PackageNotFoundError:
        return tuple(own)
    for file in installed.files or ():
        top = file if file.parts[0] == ".." else file.parts[0]
        own.add(os.path.realpath(str(installed.locate_file(top))))
    return tuple(own)


class Pieces(NamedTuple):
    """readable: instead of the folders that were to be. linked: folder (below the private one) -> what it links to.

    packages: instead of the library folders on the path; those that begin with "{folder}" are linked ones.
    """

    readable: tuple[str, ...]
    linked: dict[str, list[str]]
    packages: list[str]
    environment: dict[str, str]


@lru_cache(maxsize=16)
def in_pieces(readable: tuple[str, ...], packages: tuple[str, ...], hidden: tuple[str, ...]) -> Pieces:
    """For level 1. Links of the machine are not followed: where they lead is readable by itself, or is not."""
    pieces = tuple(piece for path in readable for piece in _pieces(os.path.realpath(path), hidden))
    linked: dict[str, list[str]] = {}
    instead = []
    for number, folder in enumerate(packages):
        if not _holds(folder, hidden):
            instead.append(folder)
            continue
        linked[f"packages{number}"] = _children(os.path.realpath(folder), hidden)
        instead.append(f"{{folder}}/packages{number}")
    environment = {}
    library = sysconfig.get_path("stdlib")
    if _holds(library, hidden):  # installed without an environment of its own
        children = [path for path in _children(os.path.realpath(library), hidden) if not _holds(path, hidden)]
        linked[f"python/lib/{os.path.basename(library)}"] = children
        environment["PYTHONHOME"] = "{folder}/python"
    return Pieces(pieces, linked, instead, environment)


def _holds(folder: str, hidden: Sequence[str]) -> bool:
    return any(_within(path, os.path.realpath(folder)) for path in hidden)


def _pieces(path: str, hidden: Sequence[str]) -> list[str]:
    if path in hidden:
        return []
    if not _holds(path, hidden):
        return [path]
    entries = [f"{path}/{name}" for name in sorted(os.listdir(path))]
    return [piece for entry in entries if not os.path.islink(entry) for piece in _pieces(entry, hidden)]


def _children(folder: str, hidden: Sequence[str]) -> list[str]:
    return [path for name in sorted(os.listdir(folder)) if (path := f"{folder}/{name}") not in hidden]


def _others(folder: str, inside: Sequence[str]) -> list[str]:
    """Everything in `folder` that neither is nor holds one of these."""
    if folder in inside:
        return []
    if not any(_within(path, folder) for path in inside):
        return [folder]
    return [other for name in sorted(os.listdir(folder)) for other in _others(f"{folder}/{name}", inside)]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
