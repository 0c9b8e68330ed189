"""What a part must be able to do: said when it is composed, not in the middle of a night."""

import inspect
from collections.abc import Callable
from typing import Any

from harness.errors import UserError

STAGES = ("static", "runtime", "promotion")
_METHODS = {  # of the seams in harness/protocols.py, harness/ledger/tracker.py and harness/trial/local.py
    "agent": ("propose",),
    "guards": ("__call__",),
    "keep": ("next_step", "between"),
    "executor": ("open",),
    "tracking": ("open", "record", "close"),
}
_ATTRIBUTES = {"guards": ("name", "stages"), "keep": ("incumbent_runs", "settling_trials")}


def check_class(where: str, target: Callable[..., Any]) -> None:
    """A class of the wrong kind is named before it is built. Raises UserError."""
    role = where.partition(".")[0]
    if where.count(".") > (role == "guards") or not inspect.isclass(target):  # parts inside a part
        return
    for method in _METHODS.get(role, ()):
        if not any(
            method in vars(base) for base in inspect.getmro(target)
        ):  # a class itself can always be called
            raise UserError(
                f"{where}: {target.__module__}.{target.__name__} has no {method}(...): see docs/own_parts.md"
            )
    if role == "task":
        from harness.task.task import Task

        if not issubclass(target, Task):
            raise UserError(
                f"{where}: {target.__module__}.{target.__name__} is no harness.task.Task: inherit from it"
            )


def check_built(where: str, part: object) -> None:
    """What only an object has. Raises UserError."""
    role = where.partition(".")[0]
    for name in _ATTRIBUTES.get(role, ()):
        if not hasattr(part, name):
            raise UserError(f"{where}: {type(part).__name__} has no attribute {name}: see docs/own_parts.md")
    if role == "guards":
        stages = part.stages  # type: ignore[attr-defined] # just looked for
        if isinstance(stages, str) or not stages or set(stages) - set(STAGES):
            raise UserError(
                f"{where}: stages must be a tuple of {', '.join(map(repr, STAGES))}, not {stages!r}"
            )
