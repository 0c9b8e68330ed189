"""Where a session's time went follows from its rows alone, and the parts add up to the whole."""

from collections.abc import Iterable

from harness.ledger.rows import (
    ProposalAskedRow,
    ProposedRow,
    Row,
    ScoredRow,
    SessionResumedRow,
    SessionStartedRow,
    TrialFinishedRow,
    TrialStartedRow,
)
from harness.ledger.session_record import SessionRecord
from harness.records import Outcome
from harness.report.html.evidence import cost
from harness.report.markdown import markdown_report
from harness.report.terminal.lines import final_lines


def finished(name: str, at: float, startup: float, billed: float, wall: float, prepared: float = 0.0) -> Row:
    return TrialFinishedRow(
        preparation_seconds=prepared,
        sitting_seconds=at,
        trial_id=name,
        outcome=Outcome.COMPLETED,
        startup_seconds=startup,
        billed_seconds=billed,
        wall_seconds=wall,
    )


ROWS: tuple[Row, ...] = (
    SessionStartedRow(sitting_seconds=1.0),
    TrialStartedRow(sitting_seconds=2.0, trial_id="a"),
    finished("a", 14.0, startup=1.0, billed=9.0, wall=11.5),
    ScoredRow(sitting_seconds=16.0, trial_id="a", value=1.0, seconds=1.5),
    ProposalAskedRow(sitting_seconds=16.5, proposal=1),
    ProposedRow(sitting_seconds=21.5, proposal=1),
    TrialStartedRow(sitting_seconds=22.0, trial_id="b"),
    finished("b", 34.0, startup=2.0, billed=9.0, wall=11.5),
    ScoredRow(sitting_seconds=36.0, trial_id="b", value=1.0, seconds=1.5),
)


def seconds(rows: Iterable[Row]) -> dict[str, float]:
    return {part.name: part.seconds for part in SessionRecord(rows).time_shares}


def test_every_second_has_a_name() -> None:
    """Billed, start-up, scoring and the agent as measured; the rest is the referee's; all shares make 1."""
    session = SessionRecord(ROWS)
    assert seconds(ROWS) == {
        "billed training": 18.0,
        "waiting for the processor": 2.0,
        "start-up of trials": 3.0,
        "scoring": 3.0,
        "waiting for the agent": 5.0,
        "the referee's own": 5.0,
    }
    assert abs(sum(part.share for part in session.time_shares) - 1) < 1e-12
    assert session.time_shares[0].share == 0.5


def test_threads_bill_no_more_than_passed() -> None:
    """Two threads use two CPU seconds a second: the wall clock has only one of them."""
    found = seconds([*ROWS[:2], finished("a", 14.0, startup=1.0, billed=18.0, wall=11.0)])
    assert (found["billed training"], found["waiting for the processor"]) == (10.0, 0.0)


def test_a_question_that_nobody_answered_is_no_wait() -> None:
    """The harness was killed while the agent thought: the next sitting asks again."""
    again = (
        SessionResumedRow(sitting_seconds=0.5),
        ProposalAskedRow(sitting_seconds=1.0, proposal=1),
        ProposedRow(sitting_seconds=3.0, proposal=1),
    )
    assert seconds([*ROWS[:5], *again])["waiting for the agent"] == 2.0


def test_trials_side_by_side_are_shares_of_their_sum() -> None:
    """More seconds of trials than passed: nothing is negative, and shares still make 1."""
    session = SessionRecord([*ROWS, finished("c", 36.5, startup=1.0, billed=90.0, wall=91.0)])
    assert all(part.seconds >= 0 for part in session.time_shares)
    assert abs(sum(part.share for part in session.time_shares) - 1) < 1e-12


def test_people_see_it() -> None:
    """On the terminal's last lines, in the HTML report (which `harness ui` shows, too) and as Markdown."""
    session = SessionRecord(ROWS)
    assert final_lines(session)[-1].startswith(
        "where the session's 36 s went: billed training 50%, waiting for the processor 6%,"
    )
    assert '<td class="">billed training</td>' in cost(session)
    assert "start-up of trials 8%" in markdown_report(session)
    assert SessionRecord(ROWS[:2]).time_shares == []
    assert final_lines(SessionRecord(ROWS[:2])) == []


def test_what_was_compiled_beforehand_has_a_name() -> None:
    """A preparation goes before its trial and is in no other part."""
    rows = [*ROWS, finished("c", 80.0, startup=1.0, billed=9.0, wall=11.0, prepared=30.0)]
    assert seconds(rows)["compiling beforehand"] == 30.0
    assert sum(seconds(rows).values()) == 80.0


def test_a_trial_that_was_stopped_is_not_the_referees_own() -> None:
    """Ctrl-C ends a trial whose row says nothing of its time; the time until then has a name all the same."""
    begun = TrialStartedRow(sitting_seconds=37.0, trial_id="c")
    stopped = TrialFinishedRow(
        sitting_seconds=137.0, trial_id="c", outcome=Outcome.INFRA_FAILED, reason="stopped"
    )
    again = (SessionResumedRow(sitting_seconds=0.5), TrialStartedRow(sitting_seconds=1.0, trial_id="c"))
    found = seconds([*ROWS, begun, stopped, *again, finished("c", 13.0, startup=1.0, billed=9.0, wall=11.0)])
    assert found["trials that were stopped"] == 100.0
    assert found["the referee's own"] == 5.0 + 1.0 + 1.0 + 1.0
