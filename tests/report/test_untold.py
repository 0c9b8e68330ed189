"""A change whose trials were disturbed has not failed: every view counts it apart."""

from typing import Any

import pytest

from harness.ledger.rows import row_of
from harness.ledger.session_record import SessionRecord
from harness.report.analysis import rejections
from harness.report.charts.marks import kind_of, legend
from harness.report.charts.progress import WIDE, progress_chart
from harness.report.escape import as_markdown
from harness.report.headline import headline
from harness.report.html.claimed import claimed, claimed_table
from harness.report.html.page import html_report
from harness.report.markdown import markdown_report
from harness.report.terminal.lines import event_line, final_lines
from harness.report.words import counted, shift_text, verdict
from harness.ui.session_page import FILTERS, proposal_fold
from tests.report.conftest import Maker, recorded

CLAIMS = {"claimed": 0.98, "claimed_before": 1.0}
DISTURBED, PARTLY, LATE = 5, 6, 7


def trials(made: Maker, number: int, scores: list[float], disturbed: int) -> float | None:
    """Trials of which the first ones are called disturbed; the mean of the others."""
    commit, counting = f"{number:040x}", []
    made.add(
        "proposed", proposal=number, commit=commit, parent="b" * 40, rationale=f"idea {number}", state=CLAIMS
    )
    for place, score in enumerate(scores):
        value = made.trial("candidate", score, commit, number)
        made.rows[-1]["side"] = {"bpb_as_printed": value}
        trial_id = made.rows[-1]["trial_id"]
        if place < disturbed:
            made.add("verdict", proposal=number, stage="runtime", trial_id=trial_id, guard="budget_honesty",
                     judgement="inconclusive", reason="budget.disturbed", message="the machine was faster")  # fmt: skip
        else:
            counting.append(value)
    return sum(counting) / len(counting) if counting else None


@pytest.fixture
def session() -> SessionRecord:
    """Four ordinary proposals; one that three disturbed trials left without an answer; one of which one of two trials
    counts; one that was measured on another machine than the incumbent.
    """
    made = Maker()
    made.baseline()
    for number in range(1, 5):
        made.propose(number)
    trials(made, DISTURBED, [1.9, 1.8, 1.7], disturbed=3)
    lost: dict[str, Any] = {"decision": "discard", "incumbent_score": 1.9}
    made.add("decided", proposal=DISTURBED, reason="inconclusive.disturbed", message="3 trials were disturbed",
             decided_by="trial", score=None, **lost)  # fmt: skip
    score = trials(made, PARTLY, [1.2, 1.95], disturbed=1)
    made.add(
        "decided", proposal=PARTLY, reason="keep.not_promising", decided_by="statistics", score=score, **lost
    )
    score = trials(made, LATE, [1.9], disturbed=0)
    made.add(
        "decided",
        proposal=LATE,
        reason="keep.unlike_conditions",
        decided_by="statistics",
        score=score,
        **lost,
    )
    return recorded(made.rows)


def test_the_record_tells_it_from_a_failure(session: SessionRecord) -> None:
    """By the reason of a discard alone; what was judged and dropped is judged."""
    assert [number for number, each in session.proposals.items() if each.untold] == [DISTURBED, LATE]
    assert verdict(session.proposals[DISTURBED]) == "discard, cannot tell"
    assert verdict(session.proposals[PARTLY]) == "discard"


def test_every_view_counts_it_apart(session: SessionRecord) -> None:
    """Sentence, terminal, page, Markdown, chart with its legend, and the live page's filter."""
    assert headline(session).startswith("7 ideas (2 of them: cannot tell)")
    assert any("discard, cannot tell" in line for line in final_lines(session))
    assert "| 5 | discard, cannot tell |" in markdown_report(session)
    assert {("cannot tell", "inconclusive.disturbed", 1), ("cannot tell", "keep.unlike_conditions", 1)} <= {
        *rejections(session)
    }
    assert ("untold", "cannot tell whether it helps") in legend(session)
    assert kind_of(session.proposals[DISTURBED]) == "untold"
    assert 'data-kind="untold"' in proposal_fold(session.proposals[DISTURBED])
    assert "untold" in FILTERS


def test_the_chart_does_not_show_it_as_a_crash(session: SessionRecord) -> None:
    """No red cross, and a row of its own among those without a score."""
    session.decided[:] = [session.proposals[DISTURBED]]
    drawn = progress_chart(session, WIDE)
    assert 'class="failed"' not in drawn
    assert 'class="untold"' in drawn
    assert ">untold<" in drawn


def test_claimed_against_measured_adds_up(session: SessionRecord) -> None:
    """Held up, did not, could not be told: together all changes; a trial that was disturbed enters no column."""
    found = claimed_table(session)
    assert found is not None
    assert "Measured again on fresh seeds, none held up, 1 did not, 2 could not be told." in found.about
    rows = {row[0]: row for row in found.rows}
    printed, here, made = (found.headings.index(name) for name in ("as they print it", "bpb here", "trials"))
    assert rows[PARTLY][printed] == rows[PARTLY][here]
    assert (rows[PARTLY][made], rows[DISTURBED][made], rows[LATE][made]) == ("1 of 2", "0 of 3", "1")
    assert rows[DISTURBED][printed] == rows[DISTURBED][here] == "-"
    assert "could not be told" in claimed(session)


def test_the_page_says_the_words(session: SessionRecord, tmp_path: Any) -> None:
    """Tile, fold and glossary."""
    page = html_report(session, tmp_path)
    assert "2 cannot tell" in page
    assert "cannot tell: inconclusive.disturbed" in page
    assert "<dt>cannot tell</dt>" in page


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0012, "+0.12%"), (-0.02, "-2.00%"), (0.00002, "less than 0.01%"), (0.0, "nothing")],
)
def test_a_small_shift_is_not_called_nothing(share: float, words: str) -> None:
    assert shift_text(share) == words


def test_one_is_no_plural() -> None:
    assert (counted(1, "trial"), counted(0, "trial"), counted(1200, "trial")) == (
        "1 trial",
        "0 trials",
        "1,200 trials",
    )


def test_a_first_trial_says_what_it_waits_for(maker: type[Maker]) -> None:
    """Once a sitting, and only where interpreters are warmed: the next trial is no news."""
    warm = maker(config={"sandbox": {"warm": True}})
    cold = maker(config={"sandbox": {"warm": False}})
    for made, lines in ((warm, 1), (cold, 0)):
        made.baseline(2)
        session, said = SessionRecord(), []
        for row in map(row_of, made.rows):
            session.add(row)
            said.append(event_line(session, row))
        assert sum("an interpreter with the task's libraries is started" in line for line in said) == lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("log_loss of net(x) -> y", "log_loss of net(x) -> y"),
        ("-0.0426", "-0.0426"),
        ("_a_ __b__", "\\_a\\_ \\_\\_b\\_\\_"),
        ("[a](b) ![c](d)", "\\[a\\](b) !\\[c\\](d)"),
        ("> quoted", "\\> quoted"),
        ("# head", "\\# head"),
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("---", "\\---"),
        ("<b>&amp;", "&lt;b>&amp;amp;"),
    ],
)
def test_markdown_is_readable_and_inert(text: str, shown: str) -> None:
    """Escaped is what would be markup where it stands, and nothing else."""
    assert as_markdown(text) == shown
