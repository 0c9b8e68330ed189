"""SHA-256 of everything that a trial must not change, from the bytes themselves."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import guards
from harness.config.locations import PACKAGE
from harness.task.task import Task, TaskData

Manifest = dict[str, str]
_SKIPPED = ("__pycache__",)
_WHOLE_BYTES = 1 << 17  # files below that, most of them, are read in one call


def manifest(task: Task, data: TaskData) -> Manifest:
    """Label -> digest: the task's folder, its prepared data, the installed harness and the guards.

    A file that cannot be read has the digest "unreadable": that differs from before, which is the point.
    """
    found: Manifest = {}
    for label, folder in (
        ("task", task.path),
        ("public", data.public),
        ("private", data.private),
        ("harness", PACKAGE),
        ("guards", Path(guards.__file__).parent),
    ):
        for name, file in _files(str(folder)):
            found[f"{label}/{name}"] = _digest(file)
    return found


def _files(folder: str, within: str = "") -> Iterator[tuple[str, str]]:
    """Name seen from the folder, and path. Plain words for paths, not Path: this is done for every trial."""
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in there:
        if entry.name in _SKIPPED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, f"{within}{entry.name}/")
        elif entry.is_file():
            yield f"{within}{entry.name}", entry.path


def _digest(file: str) -> str:
    try:
        with open(file, "rb") as stream:
            content = stream.read(_WHOLE_BYTES)
            if len(content) < _WHOLE_BYTES:
                return hashlib.sha256(content).hexdigest()
            stream.seek(0)
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "unreadable"
