"""A smoke test is held as a trial is, or there is none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.agents.context import AgentContext
from harness.agents.smoke import make_smoke_test
from harness.sandbox.open import open_sandbox


def test_no_smoke_test_where_nothing_holds(tmp_path: Path) -> None:
    """What an agent tries has passed no guard: without isolation it is not started, though trials may be."""
    nothing: Any = SimpleNamespace()
    context = AgentContext(open_sandbox("L0", allow_unsafe=True), nothing, nothing, nothing, tmp_path)
    assert make_smoke_test(context) is None
    assert list(tmp_path.iterdir()) == []
