"""Task folders as modules: each has a prepare, an evaluate and a train, so they may not stay in sys.modules."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

TASKS = Path(__file__).parents[2] / "tasks"


def load_modules(folder: Path, *names: str) -> SimpleNamespace:
    """The named modules of a task's folder, which see each other and nobody else."""
    siblings = {file.stem for file in folder.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in siblings if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        return SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path = [entry for entry in sys.path if entry != str(folder)]
        for name in siblings:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def load_file(folder: Path, name: str, prefix: str) -> ModuleType:
    """One file of a task's folder, kept in sys.modules under a name of its own: what it defines can be pickled."""
    module_name = f"{prefix}_{name.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(module_name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Subject:
    """What evaluate.py is given, without a sandbox in between: JSON goes out and comes back."""

    def __init__(self, answers: Callable[[list[Any]], Any]) -> None:
        self._answers = answers

    def answers(self, items: list[Any]) -> Any:
        return json.loads(json.dumps(self._answers(json.loads(json.dumps(items)))))
