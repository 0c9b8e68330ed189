"""From a `_target_` to the class or function that it names: one of ours, or a class of the user's own."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.config.choices import did_you_mean
from harness.config.locations import config_folders
from harness.errors import UserError

OURS = ("harness", "guards", "tasks")


def is_ours(target: Callable[..., Any]) -> bool:
    return target.__module__.partition(".")[0] in OURS


def locate(where: str, target: object) -> Callable[..., Any]:
    """The class or function at a dotted path below `harness.`, `guards.` or `tasks.`, or a class in any other
    importable module; the standard library's are refused.

    `where` is the key that holds it. A module is looked for on Python's path, then in the current folder and beside
    the folders of config groups. Raises UserError when there is none, or when it is defined elsewhere:
    `harness.sandbox.open.os.system` is a path through our module to something that is not ours.
    """
    if (
        not isinstance(target, str)
        or "." not in target
        or target.partition(".")[0] in sys.stdlib_module_names
    ):
        listed = ", ".join(f"{name}." for name in OURS)
        raise UserError(
            f"{where}: {target!r} is not below {listed} and not in a module of your own, as in my_file.MyClass"
        )
    module, names = _deepest_module(where, target)
    found = _attribute(where, target, module, names)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise UserError(f"{where}: {target} is not a class or a function")
    top = target.partition(".")[0]
    if top in OURS and not is_ours(found):
        raise UserError(f"{where}: {target} is defined in {found.__module__}, which is not allowed")
    if not is_ours(found) and not inspect.isclass(found):
        raise UserError(f"{where}: {target} is a function; of your own only a class can be named")
    if found.__module__.partition(".")[0] in sys.stdlib_module_names:
        raise UserError(f"{where}: {target} is defined in {found.__module__}, which is not allowed")
    return found


def _attribute(where: str, target: str, module: ModuleType, names: list[str]) -> Any:
    found: Any = module
    for name in names:
        if not hasattr(found, name):
            public = [known for known in vars(module) if not known.startswith("_")]
            raise UserError(f"{where}: there is no {target}; {did_you_mean(name, public)}")
        found = getattr(found, name)
    return found


def _deepest_module(where: str, target: str) -> tuple[ModuleType, list[str]]:
    """The module that a dotted path starts with, and the names below it."""
    parts = target.split(".")
    if not all(part.isidentifier() for part in parts):
        raise UserError(f"{where}: {target!r} is not a dotted path")
    module = None
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        try:
            module = _imported(where, name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise UserError(f"{where}: {target} needs the package {error.name}: install it") from error
            break
    if module is None:
        folders = ", ".join(map(str, own_folders()))
        raise UserError(f"{where}: there is no module {parts[0]}, neither installed nor in {folders}")
    return module, parts[module.__name__.count(".") + 1 :]


def _imported(where: str, name: str) -> ModuleType:
    """Raises ModuleNotFoundError, and UserError for whatever else a module of the user's does while it is imported."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name or "." in name or name in OURS:
            raise
    except Exception as error:  # any code of the user's may run here, and its mistake is the user's
        raise UserError(f"{where}: {name} cannot be imported: {place_of(error)}") from error
    make_importable(own_folders())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # as above
        raise UserError(f"{where}: {name} cannot be imported: {place_of(error)}") from error


def make_importable(folders: Iterable[Path]) -> None:
    """Python looks there last: nothing that is installed is shadowed."""
    sys.path += [folder for folder in dict.fromkeys(map(str, folders)) if folder not in sys.path]


def own_folders() -> list[Path]:
    """Where a user's modules may lie although Python does not look there: here, and beside config groups."""
    beside = [folder.parent for folder in config_folders()]
    return [*dict.fromkeys([Path.cwd(), *beside])]


def place_of(error: BaseException) -> str:
    """What was raised and where, in a line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        place = f" ({Path(error.filename or '').name}, line {error.lineno})"
        return f"SyntaxError: {error.msg}{place}"
    return f"{type(error).__name__}: {error}{place}"
