"""From a `_target_` to the class or function that it names; only ours can be named."""

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from harness.config.choices import did_you_mean
from harness.errors import UserError

ALLOWED = ("harness", "guards", "tasks")


def locate(where: str, target: object) -> Callable[..., Any]:
    """The class or function at a dotted path below `harness.`, `guards.` or `tasks.`.

    `where` is the key that holds it. Raises UserError when there is none, or when it is defined elsewhere:
    `harness.sandbox.open.os.system` is a path through our module to something that is not ours.
    """
    if not isinstance(target, str) or target.split(".")[0] not in ALLOWED or "." not in target:
        raise UserError(f"{where}: {target!r} is not below {', '.join(name + '.' for name in ALLOWED)}")
    module, names = _deepest_module(where, target)
    found = _attribute(where, target, module, names)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise UserError(f"{where}: {target} is not a class or a function")
    if found.__module__.split(".")[0] not in ALLOWED:
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
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise UserError(f"{where}: {target} needs the package {error.name}: install it") from error
            break
    if module is None:
        raise UserError(f"{where}: there is no package {parts[0]}")
    return module, parts[module.__name__.count(".") + 1 :]
