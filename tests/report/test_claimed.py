"""A recorded night's claims beside what was measured again: from the ledger's rows alone."""

from collections.abc import Callable
from typing import Any

from harness.ledger.rows import row_of
from harness.ledger.session_record import SessionRecord
from harness.report.html.claimed import claimed, gains
from harness.report.markdown import markdown_report

Rows = Callable[..., list[dict[str, Any]]]
CLAIMS = {"claimed": 0.98, "claimed_before": 1.0}


def session(rows: list[dict[str, Any]], state: dict[str, float], **side: float) -> SessionRecord:
    """A made-up session, every proposal with this state and every score with these side metrics."""
    changed = {"proposed": {"state": state}, "scored": {"side": side}}
    return SessionRecord(row_of({**row, **changed.get(row["kind"], {})}) for row in rows)


def test_other_sessions_have_no_such_section(rows: Rows) -> None:
    assert claimed(session(rows(6), {})) == ""


def test_claims_stand_beside_measured_gains(rows: Rows) -> None:
    """Both gains with their signs, positive is better; the sum over keeps is of measured ones."""
    found = session(rows(24), CLAIMS)
    page = claimed(found)
    assert "24 changes of a recorded night" in page
    assert "+0.0200" in page
    kept = [proposal for proposal in found.proposals.values() if proposal.kept]
    assert kept
    for proposal in kept:
        before, here = gains(found, proposal)
        assert before is not None
        assert abs(before - 0.02) < 1e-9
        assert here is not None
        assert here == proposal.ruling.incumbent_score - proposal.ruling.score
    assert f"{len(kept)} held up (" in page


def test_a_rising_metric_turns_the_gains(rows: Rows) -> None:
    found = session(rows(3, metric="acc", direction="maximize"), CLAIMS)
    assert {gains(found, each)[0] for each in found.proposals.values()} == {0.98 - 1.0}


def test_the_count_of_bytes_is_said_with_its_shift(rows: Rows) -> None:
    """The first trial's two numbers give it; sessions without claims say it, too."""
    page = claimed(session(rows(3), {}, bpb_as_printed=1.5))
    assert "Beside what the checkout prints" in page
    assert "no whole UTF-8" in page
    assert "as they print it" in claimed(session(rows(3), CLAIMS, bpb_as_printed=1.5))


def test_kernels_that_torch_stood_in_for_are_counted(rows: Rows) -> None:
    made = [
        {**row, "claims": {"kernels_stand_in": 1}} if row["kind"] == "trial_finished" else row
        for row in rows(3)
    ]
    found = session(made, {})
    count = len(found.trials)
    assert f"In {count} of {count} trials" in claimed(found)


def test_words_of_a_night_are_data(rows: Rows) -> None:
    """Markup in a change's title is shown, not obeyed."""
    page = claimed(session(rows(3, hostile="<script>alert(1)</script>"), CLAIMS))
    assert "<script>" not in page


def test_the_markdown_says_the_same(rows: Rows) -> None:
    """Title, summary and a line a change; other sessions have no such section; words of a change are inert."""
    text = markdown_report(session(rows(24, hostile="<b>|x"), {**CLAIMS, "carried": "whole"}))
    section = text.partition("## Claimed against measured again")[2].partition("\n## ")[0]
    assert "24 changes of a recorded night" in section
    assert section.count("+0.0200") >= 24
    assert "the whole file of then" in section
    assert "<b>" not in section
    assert "Claimed against" not in markdown_report(session(rows(6), {}))
