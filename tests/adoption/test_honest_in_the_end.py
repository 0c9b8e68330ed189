"""Honest edits of a script as people adopt it, through whole sessions of the adopted task, up to the door of a keep."""

from pathlib import Path

import pytest
from checkout import PREPARE, make_checkout
from guard_table import programs
from honest_sessions import edits, parts, stopped
from shapes import changed

from harness.task.adoption.survey import survey
from harness.task.adoption.writing import write

pytestmark = pytest.mark.slow
SIZE = 8  # edits a session
PAIRS = changed(
    PREPARE,
    ("batch[:, 1:].contiguous(), epoch\n", "batch[:, 1:].contiguous()\n"),
    ("x, y, _ = next(loader)", "x, y = next(loader)"),
)


COMPILING = "torch.compile("  # such edits trace in billed time, for longer than the others train
SESSIONS = [
    *(
        pytest.param([one for one in cases if COMPILING not in str(one["change"])], 3, id=str(number))
        for number, cases in enumerate(parts("script", SIZE))
    ),
    pytest.param([one for one in edits("script") if COMPILING in str(one["change"])], 60, id="compiling"),
]


@pytest.mark.parametrize(("cases", "seconds"), SESSIONS)
def test_no_honest_edit_of_an_adopted_script_is_blocked_in_the_end(
    cases: list, seconds: int, home: Path, vocabulary: dict, tmp_path: Path
) -> None:
    """The script seeds itself with a constant, which the referee salts: nothing of that stands in an edit's way."""
    assert cases
    files = programs("script")
    checkout = make_checkout(tmp_path / "checkout", train=files["train.py"], prepare=PAIRS, night=False)
    write(survey(checkout, home), vocabulary, tmp_path / "tasks" / "mine")
    cache = str(tmp_path / "cache")
    settings = (f"budget.seconds={seconds}", "guards.budget_honesty.startup_seconds=250")  # for a compiler on the CPU
    assert stopped(files, cases, tmp_path, "task=mine", *settings, HARNESS_CACHE=cache) == []
