"""How the end of a trial is judged: pure, and never ours to retry when the candidate can be the cause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Clock, Outcome
from harness.sandbox.open import End
from harness.trial.trial import Times, _file_name, _verdict

CLOCK = Clock("wall", 10.0, 60.0)
GOOD = End(0, 1.0, 0)
TIMES = Times(startup=1.0, billed=5.0, wall=6.0, suspended=0.0)


@pytest.mark.parametrize(
    ("end", "ended_for", "times", "expected"),
    [
        (GOOD, "", TIMES, (Outcome.COMPLETED, "")),
        (End(-9, 1.0, 0, killed=True), "deadline", TIMES, (Outcome.COMPLETED, "deadline")),
        (End(3, 1.0, 0), "", TIMES, (Outcome.CRASHED, "exit_3")),
        (End(-11, 1.0, 0), "", TIMES, (Outcome.CRASHED, "sigsegv")),
        (End(-40, 1.0, 0), "", TIMES, (Outcome.CRASHED, "signal_40")),
        (End(-9, 1.0, 0, limit="memory"), "", TIMES, (Outcome.CRASHED, "memory")),
        (End(-9, 1.0, 0, limit="memory", proven=False), "", TIMES, (Outcome.CRASHED, "memory")),
        (End(-9, 1.0, 0, killed=True), "startup", TIMES, (Outcome.TIMED_OUT, "startup")),
        (End(-9, 1.0, 0, killed=True), "idle", TIMES, (Outcome.TIMED_OUT, "idle")),
        (GOOD, "", TIMES._replace(billed=10.1, opened=False), (Outcome.TIMED_OUT, "late")),
        (GOOD, "", TIMES._replace(billed=10.1), (Outcome.COMPLETED, "")),
        (GOOD, "", TIMES._replace(billed=13.0), (Outcome.TIMED_OUT, "late")),
        (GOOD, "", TIMES._replace(suspended=5.0), (Outcome.INFRA_FAILED, "suspended")),
        (End(-9, 1.0, 0, proven=False), "", TIMES, (Outcome.INFRA_FAILED, "launcher_lost")),
    ],
)
def test_each_end_has_its_word(end: End, ended_for: str, times: Times, expected: tuple[Outcome, str]) -> None:
    """One word for every way to end; the elapsed time is looked at after the wait, too."""
    assert _verdict(end, ended_for, CLOCK, times) == expected


@given(st.text())
def test_file_names_stay_in_their_folder(trial_id: str) -> None:
    """Whatever the trial's id, its artefact lies in artefacts/ and is not hidden."""
    name = _file_name(trial_id)
    assert "/" not in name
    assert name
    assert not name.startswith(".")
