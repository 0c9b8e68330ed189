"""Where the harness's own files are, from a checkout and from a wheel alike. Standard library only.

In a checkout `conf/`, `tasks/` and `program.md` lie beside the package; a wheel carries them inside it.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def _beside_or_inside(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parent / name


def conf_folder() -> Path:
    """The folder that holds config.yaml and the config groups."""
    return _beside_or_inside("conf")


def program_file() -> Path:
    """The human program that is used unless another one is named."""
    return _beside_or_inside("program.md")


def tasks_folders() -> tuple[Path, ...]:
    """Folders that may hold task folders; where two hold a task of one name, the earlier one wins.

    HARNESS_TASKS (several are separated as in PATH), then `tasks/` in the current folder, then our own.
    """
    named = [Path(entry) for entry in os.environ.get("HARNESS_TASKS", "").split(os.pathsep) if entry]
    candidates = [*named, Path.cwd() / "tasks", _beside_or_inside("tasks")]
    return tuple(dict.fromkeys(folder.resolve() for folder in candidates if folder.is_dir()))


def task_folders() -> dict[str, Path]:
    """Task name -> its folder, for every folder with a task.yaml: there is no registry."""
    found: dict[str, Path] = {}
    for tasks in tasks_folders():
        for file in sorted(tasks.glob("*/task.yaml")):
            if not file.parent.name.startswith((".", "_")):
                found.setdefault(file.parent.name, file.parent)
    return dict(sorted(found.items()))
