"""Both levels in every view: certified steps, what is provisional and what was rolled back."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from harness.ledger.session_record import SessionRecord
from harness.report.html.page import html_report
from harness.report.markdown import markdown_report
from harness.report.tables import proposals_frame
from harness.report.terminal.lines import event_line
from harness.report.terminal.view import live_view
from harness.report.wandb.rows import metrics_of, summary_of
from tests.report.conftest import Maker, recorded


def settled(maker: Maker, number: int, keeps: list[int], action: str, reason: str) -> None:
    scores = [maker.trial(role, 1.9, "c" * 40) for role in ("step_head", "step_certified")]
    maker.add("settled", race=number, keeps=keeps, action=action, reason=f"keep.{reason}", head_commit="c" * 40,
              certified_commit="b" * 40, head_scores=scores[:1], certified_scores=scores[1:],
              message="z 3.10 against 2.20 after 3 trials",
              statistics={"z": 3.1, "bound": 2.2, "effect": 0.04, "alpha": 0.02})  # fmt: skip


def kept(maker: Maker, number: int) -> None:
    commit = f"{number:040x}"
    maker.add("proposed", proposal=number, commit=commit, parent="b" * 40, rationale=f"Idea <{number}>",
              files={"train.py": "e" * 64})  # fmt: skip
    maker.trial("candidate", 1.9, commit, number)
    maker.add("decided", proposal=number, decision="keep", reason="keep.promising", commit=commit, score=1.9,
              provisional=True, statistics={"z": 0.9})  # fmt: skip


@pytest.fixture
def maker() -> Maker:
    """A step of 1 and 2, a roll-back of 3, and 4 still provisional; the step was taken apart."""
    made = Maker(choices={"keep": "stack"})
    made.baseline()
    for number in (1, 2):
        kept(made, number)
    settled(made, 1, [1, 2], "certify", "crossed_bound")
    kept(made, 3)
    settled(made, 2, [3], "roll_back", "futile")
    kept(made, 4)
    changes: list[dict[str, Any]] = [
        {"proposal": 0, "how": "whole", "status": "carries", "effect": 0.05, "low": 0.03, "high": 0.07},
        {"proposal": 1, "how": "taken_back", "status": "carries", "effect": 0.04, "low": 0.02, "high": 0.06},
        {"proposal": 2, "how": "added", "status": "not_shown", "effect": 0.01, "low": -0.01, "high": 0.03},
    ]
    made.add("ablation", step=1, head_commit="c" * 40, start_commit="b" * 40, changes=changes)
    return made


def test_the_page_shows_both_levels(maker: Maker, tmp_path: Path) -> None:
    """A line a race with its proposals, one for what is not settled, the ablation in a fold; names are inert."""
    text = html_report(recorded(maker.rows), tmp_path)
    section = text.partition("Certified steps and roll-backs</h2>")[2].partition("</section>")[0]
    for words in (
        "certified step (crossed bound)",
        "rolled back (futile)",
        "not settled yet",
        "1: Idea &lt;1&gt;; 2: Idea &lt;2&gt;",
        "1 certified step, 1 stack rolled back",
        "which changes carry certified step 1",
        "proposal 1 (Idea &lt;1&gt;): carries it, +0.0400",
        "added where it came in",
    ):
        assert words in section, words
    assert "<1>" not in text
    assert "1 provisional, 1 rolled back: keeps" in text


def test_a_rule_with_one_level_shows_no_such_section(tmp_path: Path) -> None:
    maker = Maker()
    maker.baseline()
    assert "roll-backs</h2>" not in html_report(recorded(maker.rows), tmp_path)


def test_terminal_tables_and_markdown_name_the_level(maker: Maker) -> None:
    """Each keep as certified, rolled back or provisional; the counts of both levels."""
    from rich.console import Console

    session = recorded(maker.rows)
    console = Console(width=160, record=True, file=StringIO())
    console.print(live_view(session))
    shown = console.export_text()
    assert "3 kept (1 provisional; 1 certified step)" in shown
    assert [word in shown for word in ("certified", "rolled back", "provisional")] == [True] * 3
    frame = proposals_frame(session)
    assert frame["level"].tolist() == ["certified", "certified", "rolled back", "provisional"]
    assert frame["certified_step"].dropna().tolist() == [1, 1]
    markdown = markdown_report(session)
    assert "| 3 | discard, rolled back |" in markdown
    said = event_line(session, session.ablations[0])
    assert said == "ablation of certified step 1: shown to carry it: 1"


def test_wandb_is_told_of_both_levels(maker: Maker) -> None:
    """Counts with every decision and race, and sums for the table of sessions."""
    session = SessionRecord()
    logged = []
    for row in recorded_rows(maker):
        session.add(row)
        logged.append(metrics_of(session, row) or {})
    provisional = [found["provisional_keeps"] for found in logged if "provisional_keeps" in found]
    assert provisional == [1, 2, 0, 1, 0, 1]
    assert [found["certified_steps"] for found in logged if "race/number" in found] == [1, 1]
    summary = summary_of(session)
    assert (summary["certified_steps"], summary["rolled_back"], summary["keeps"]) == (1, 1, 3)


def recorded_rows(maker: Maker) -> list[Any]:
    from harness.ledger.rows import row_of

    return [row_of(row) for row in maker.rows]
