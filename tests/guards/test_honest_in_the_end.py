"""Honest edits through whole sessions, up to the door of a keep: what a static guard doubts, trials must clear.

The budgets are short: what is shown is that no guard, no check of conditions and no crash stops honest work, not
that the work is good.
"""

from pathlib import Path

import pytest
from guard_table import programs
from honest_sessions import edits, parts, stopped

SIZE = 10  # edits a session
BY_STEPS = {
    "digits": ("budget.steps=2000", "budget.seconds=20"),
    "nanochat": ("budget.steps=12", "budget.seconds=60"),
}
BY_TIME = {
    "digits": ("budget.seconds=1.5",),
    "query_expansion": ("budget.seconds=4",),
    "protocol_hardening": ("budget.seconds=4",),
}
SETTINGS = [
    *((task, "steps", settings) for task, settings in BY_STEPS.items()),
    *((task, "time", settings) for task, settings in BY_TIME.items()),
]
PARTS = [
    pytest.param(task, number, settings, id=f"{task}-by-{kind}-{number}")
    for task, kind, settings in SETTINGS
    for number in range(len(parts(task, SIZE)))
]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "number", "settings"), PARTS)
def test_no_honest_edit_is_blocked_in_the_end(
    task: str, number: int, settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Every edit comes to the door of a keep; one that changes nothing is called a duplicate."""
    cases = parts(task, SIZE)[number]
    assert stopped(programs(task), cases, tmp_path, f"task={task}", *settings) == []


@pytest.mark.slow
def test_edits_of_every_kind_reach_the_door(tmp_path: Path) -> None:
    """Two of digits' edits: an optimiser whose steps cost more, and a second stream, which is in doubt."""
    names = ("digits: Adam", "digits: a second stream for the weights")
    cases = [case for case in edits("digits") if case["name"] in names]
    assert len(cases) == len(names)
    settings = ("task=digits", "budget.steps=300", "budget.seconds=20")
    assert stopped(programs("digits"), cases, tmp_path, *settings) == []


@pytest.mark.parametrize("task", ["digits", "nanochat", "query_expansion", "protocol_hardening", "script"])
def test_every_program_has_its_share_of_the_corpus(task: str) -> None:
    """At least 30 edits of each learning task's program as it is today, and of a script as people adopt it."""
    assert len(edits(task)) >= 30
