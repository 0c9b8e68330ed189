"""`scripts/bench_against.py`: what this build costs beside an earlier one."""

import subprocess
import sys
from pathlib import Path

import pytest
from bench_against import Cost, shown

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "bench_against.py"


def test_what_is_not_billed_is_what_a_build_adds() -> None:
    """Seconds of a session less what its trials were billed, a trial; CPU seconds alike."""
    cost = Cost(seconds=20.0, cpu_seconds=16.0, trials=4, billed=8.0)
    assert cost.a_trial == {
        "seconds a trial": 5.0,
        "of them not billed": 3.0,
        "CPU seconds not billed": 2.0,
    }
    assert cost.billed_percent == 40.0
    assert shown("x", {"earlier": [1.0, 2.0, 9.0], "this": [3.0]}).split() == ["x", "2.00", "3.00", "+1.00", "1.50x"]


def test_no_checkout_is_said_in_one_line(tmp_path: Path) -> None:
    """The folder comes first."""
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["bench_against takes the folder of an earlier checkout, then key=value"]


@pytest.mark.slow
def test_a_build_beside_itself() -> None:
    """Both play the same session to its end, with as many trials."""
    settings = ["task=digits", "budget.seconds=1", "budget.proposals=1", "budget.certificate=0", "pairs=1"]
    done = subprocess.run([sys.executable, SCRIPT, ROOT, *settings], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {line[:24].strip(): line[24:].split() for line in done.stdout.splitlines()}
    assert float(rows["of them not billed"][0]) > 0
    assert float(rows["seconds a session"][1]) > float(rows["seconds a trial"][1])
