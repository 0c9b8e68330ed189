"""SHA-256 of everything that a trial must not change, from the bytes themselves."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import guards
from harness.config.locations import PACKAGE
from harness.task.task import Task, TaskData

Manifest = dict[str, str]
_SKIPPED = ("__pycache__",)


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
        for file in _files(folder):
            found[f"{label}/{file.relative_to(folder).as_posix()}"] = _digest(file)
    return found


def _files(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part in _SKIPPED for part in path.parts):
            yield path


def _digest(file: Path) -> str:
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "unreadable"
