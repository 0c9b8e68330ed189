"""The quick hunt: trials without a sandbox, of programs that end as they like."""

import json
from pathlib import Path

import pytest
import seed_hunt


@pytest.mark.slow
def test_a_quick_hunt_measures_what_it_hunts(tmp_path: Path) -> None:
    """One seed of digits at 20 steps: every trial has a loss, although the program ends by os._exit."""
    file = tmp_path / "hunt.json"
    quick = ["task=digits", "budget.steps=20", "--quick", "--seeds", "1", "--fresh", "2", "--dice", "both"]
    assert seed_hunt.main([*quick, "--json", str(file)]) == 0
    [found] = json.loads(file.read_text())
    losses = [*found["hunted"].values(), *(loss for group in found["fresh"].values() for loss in group)]
    assert len(losses) == 9
    assert all(0.5 < loss < 5 for loss in losses)
