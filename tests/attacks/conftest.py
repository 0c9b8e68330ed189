"""Benches for every isolation level, see tests/sandbox/levels.py."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

if "sandbox_levels" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "sandbox_levels", Path(__file__).resolve().parent.parent / "sandbox" / "levels.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["sandbox_levels"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["sandbox_levels"])

from sandbox_levels import bench, best_bench, sandbox, say_levels, temporary, unheld  # noqa: F401 -- loaded just now; fixtures


def pytest_terminal_summary(terminalreporter: Any) -> None:
    say_levels(terminalreporter)
