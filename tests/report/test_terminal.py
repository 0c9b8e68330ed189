"""Terminal output: what people read of a session while it goes on."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.ledger.rows import row_of
from harness.report.terminal.tracker import Terminal
from harness.report.terminal.view import live_view
from tests.report.conftest import recorded

HOSTILE = "[bold red]x[/] [/]\x1b[2J\x1b]0;owned\x07\r KEEP \u202egnp \ud800 \x9b31m\nproposal 9: KEEP"
FORBIDDEN = ("\x1b[2J", "\x1b]", "\x07", "\r", "\x9b", "\u202e", "\ud800")


def show(tracker, rows, first=0, folder=Path("sessions/x")):
    """As the trial runner does: the record first, then whoever shows it."""
    session = recorded(rows[:first])
    tracker.open(folder, session)
    for row in map(row_of, rows[first:]):
        session.add(row)
        tracker.record(row)


def plain_output(rows, first=0):
    stream = io.StringIO()
    terminal = Terminal(stream, live=False)
    show(terminal, rows, first)
    terminal.close()
    terminal.close()
    return stream.getvalue()


def test_plain_output_tells_every_event_on_a_line_and_ends_with_the_table(rows):
    """Not a terminal: verdicts, reasons and scores as they come, then the table and the certificate."""
    text = plain_output(rows(8))
    assert "task nanochat" in text
    assert "isolation L3" in text
    assert "guard seed_change: reject (seed.literal) only a seed changes" in text
    assert "proposal | decision" in text
    assert "certificate passed: gain +" in text
    assert "trigram 1.4350" in text
    assert all(f"proposal {number}: " in text for number in range(1, 9))


def test_text_of_agents_cannot_steer_the_terminal_or_forge_a_line(rows):
    """Escape codes, carriage returns, markup and line breaks in a rationale arrive as visible characters."""
    text = plain_output(rows(4, hostile=HOSTILE))
    assert not any(code in text for code in FORBIDDEN)
    assert "\\x1b[2J" in text
    assert "[bold red]x[/]" in text
    assert not any(line.startswith("proposal 9") for line in text.splitlines())


def test_live_view_shows_what_is_running_and_survives_hostile_text(maker):
    """The live view names the trial under way, the time left, the incumbent and the verdicts with reasons."""
    made = maker(0, HOSTILE)
    made.baseline()
    for number in range(1, 9):
        made.propose(number)
    made.propose(9, finish=False)
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    console.print(live_view(recorded(made.rows)))
    text = console.file.getvalue()
    assert "▶ p0009" in text
    assert "left" in text
    assert "incumbent 1." in text
    assert "seed.literal" in text
    assert not any(code in text for code in FORBIDDEN)


def test_live_terminal_ends_with_table(rows):
    """On a terminal the live view goes away and the table of verdicts stays."""
    stream = io.StringIO()
    terminal = Terminal(stream, live=True)
    made = rows(6)
    show(terminal, made, 3)
    terminal.close()
    assert "certificate passed" in stream.getvalue()
    assert "decision" in stream.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_stream_will_do(rows, encoding):
    """A stream that cannot show a character gets an escape instead of an error."""
    raw = io.BytesIO()
    terminal = Terminal(io.TextIOWrapper(raw, encoding=encoding), live=False)
    show(terminal, rows(3, hostile=" naïve 模型 \ud800"))
    terminal.close()
    assert b"session ended" in raw.getvalue()


def test_closed_stream_does_not_end_the_session(rows):
    """The reader of a pipe may leave: recording goes on without a word."""
    stream = io.StringIO()
    terminal = Terminal(stream, live=False)
    stream.close()
    show(terminal, rows(2))
    terminal.close()


def test_unverified_isolation_is_said_in_the_title_and_under_the_certificate(maker):
    """Where isolation was not proven, every view says so."""
    made = maker(certified=False, level=0)
    made.baseline()
    for number in range(1, 9):
        made.propose(number)
    made.end(certified=False)
    text = plain_output(made.rows)
    assert "isolation L0 UNVERIFIED" in text
    assert "UNVERIFIED: isolation was not proven" in text


def test_resumed_view_does_not_repeat_the_past(rows):
    """Rows from before the resumption are known but not told again."""
    made = rows(8)
    text = plain_output(made, first=len(made) - 1)
    assert text.count("proposal 1: ") == 0
    assert "proposal | decision" in text
