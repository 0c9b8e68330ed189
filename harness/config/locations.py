"""Where the harness's own files are, from a checkout and from a wheel alike, and where others may add to them.

In a checkout `conf/`, `tasks/` and `program.md` lie beside the package; a wheel carries them inside it. Standard
library only.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ENTRY_POINT = "harness.conf"  # group of entry points; each names a package that holds config groups


def _beside_or_inside(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parent / name


def conf_folder() -> Path:
    """The folder that holds config.yaml and the config groups."""
    return _beside_or_inside("conf")


def config_folders(named: Sequence[Path] = ()) -> dict[Path, str]:
    """Folders that add choices to the config groups, and who says so: the command line, the current folder, packages.

    named: folders that were given with --config-dir. Harness's own is not among them.
    """
    found = {folder.resolve(): "command-line" for folder in named}
    here = Path.cwd() / "conf"
    if here.is_dir():
        found.setdefault(here.resolve(), "current-folder")
    for folder, package in _installed(tuple(sys.path)):
        found.setdefault(folder, package)
    found.pop(conf_folder().resolve(), None)
    return found


@lru_cache(maxsize=4)
def _installed(_: tuple[str, ...]) -> tuple[tuple[Path, str], ...]:
    """Folders of installed packages, and whose they are; read once for each of Python's paths: it takes a while."""
    if not _announced():
        return ()
    from importlib.metadata import entry_points

    return tuple(
        (folder, entry.name)
        for entry in entry_points(group=ENTRY_POINT)
        for folder in _package_folders(entry.value)
    )


def _announced() -> bool:
    """Whether any package's metadata name the group: importing what reads them well takes half of `--help`'s time."""
    places = [Path(entry) for entry in sys.path]
    files = (file for place in places for file in place.glob("*-info/entry_points.txt"))
    return any(place.is_file() for place in places) or any(
        ENTRY_POINT in file.read_text(encoding="utf-8", errors="replace") for file in files
    )


def _package_folders(package: str) -> list[Path]:
    """Where an installed package lies; [] for one that cannot be found."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    places = spec.submodule_search_locations if spec else None
    return [Path(place).resolve() for place in places or ()]


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
