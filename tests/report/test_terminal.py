"""Terminal output: what people read of a session while it goes on."""

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from harness.ledger.rows import row_of
from harness.report.terminal.lines import doing
from harness.report.terminal.tracker import Terminal
from harness.report.terminal.view import live_view
from harness.report.words import signed, verdict
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


def test_the_folder_and_the_next_command_are_said_at_start_and_end(maker):
    """With a terminal and without one: where the session lies, and what can be typed."""
    made = maker()
    made.baseline()
    made.propose(1)
    for live in (False, True):
        stream = io.StringIO()
        terminal = Terminal(stream, live=live)
        show(terminal, made.rows)
        assert "session folder: sessions/x" in stream.getvalue()
        assert "harness watch sessions/x" in stream.getvalue()
        terminal.close()
        assert stream.getvalue().rstrip().endswith("next: harness resume sessions/x")
    made.end()
    assert "next: harness report sessions/x" in plain_output(made.rows)


def test_every_event_stays_as_a_line_and_is_never_cut(maker):
    """On a terminal, too: verdicts are not only in the live view, and long reasons are wrapped, not clipped."""
    made = maker(0, "word " * 30)
    made.baseline()
    for number in range(1, 13):
        made.propose(number)
    made.end()
    stream = io.StringIO()
    terminal = Terminal(stream, live=True)
    show(terminal, made.rows)
    terminal.close()
    text = stream.getvalue()
    assert all(
        f"proposal {number}: discard" in text or f"proposal {number}: keep" in text for number in range(1, 13)
    )
    assert text.count("word ") >= 25 * 12


def test_rejections_have_one_name_everywhere(rows):
    """keep, discard and crash: in the lines, in the table and in results.tsv."""
    made = rows(8)
    session = recorded(made)
    text = plain_output(made)
    for proposal in session.decided:
        assert f"proposal {proposal.number}: {verdict(proposal)}" in text
        assert re.search(rf"^{proposal.number} +\| {verdict(proposal)}", text, re.MULTILINE)
        assert verdict(proposal).split(",")[0] in ("keep", "discard", "crash")


def test_between_two_trials_it_says_what_goes_on(maker):
    """Scoring, weighing, guards at work, asking: never nothing."""
    made = maker()
    made.baseline()
    made.propose(1)
    said = {doing(row_of(row)) for row in made.rows}
    assert any(words.startswith("scoring trial") for words in said)
    assert "asking for the next proposal" in said
    assert doing(None) == "getting ready for the first trial"


def test_no_gain_has_no_minus():
    """An incumbent that is the baseline has gained +0, also where less is better."""
    assert signed(-0.0) == "+0.0000"


def panel(rows):
    """The live view as text."""
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    console.print(live_view(recorded(rows)))
    return console.file.getvalue()


def test_nothing_is_drawn_before_the_first_row():
    """No panel of a session that is not known yet, with question marks and in red."""
    stream = io.StringIO()
    terminal = Terminal(stream, live=True)
    terminal.open(Path("sessions/x"), recorded([]))
    terminal.close()
    assert "task ?" not in stream.getvalue()


def test_the_panel_tells_of_certifying_and_not_of_the_plan(maker):
    """An agent that was asked and will not be heard any more is not what goes on; the plan stands above already."""
    made = maker(config={"budget": {"certificate": 2}})
    made.add("notice", text="plan: about 2 decisions")
    made.baseline()
    made.propose(1)
    made.add("proposal_asked", proposal=2)
    assert "the agent works on proposal 2" in panel(made.rows)
    made.trial("certificate_head", 1.9, "c" * 40, split="test")
    text = panel(made.rows)
    assert "certifying: 1 of 4 trials made" in text
    assert "the agent works" not in text
    assert "plan:" not in text


def test_a_stopped_trial_is_no_fault_and_is_counted_when_the_session_goes_on(maker):
    """Ctrl-C: the trial will be run again, and the resumed session says of how many that is true."""
    made = maker()
    made.trial("baseline", 1.9, "b" * 40)
    made.trial("baseline", 1.9, "b" * 40, outcome="infra_failed")
    made.rows[-1]["reason"] = "stopped"
    made.add("session_resumed", interrupted=[])
    text = plain_output(made.rows)
    assert "trial baseline-2: stopped, it will be run again" in text
    assert "1 interrupted trial is run again" in text


RESIZED = """
import os, signal, sys
from pathlib import Path
from harness.ledger.rows import SessionStartedRow
from harness.ledger.session_record import SessionRecord
from harness.report.terminal.tracker import Terminal
terminal = Terminal()
terminal.open(Path("sessions/x"), SessionRecord([SessionStartedRow()]))
print("READY", file=sys.stderr, flush=True)
sys.stdin.readline()
terminal.close()
"""


def test_another_size_of_the_terminal_is_drawn_anew():
    """A real terminal made narrower in the middle: the screen is wiped and the last lines are shown again."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    command = [sys.executable, "-c", RESIZED]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=slave, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stderr.readline() == "READY\n"
        before = _read_all(master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 50, 0, 0))
        process.send_signal(signal.SIGWINCH)
        after = ""
        while after.count("harness watch") < 1 or "\x1b[2J" not in after:
            after += os.read(master, 65536).decode()
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait()
    os.close(slave)
    os.close(master)
    assert "harness watch sessions/x" in before


def _read_all(master):
    """What has been written so far; the first line is there already."""
    text = ""
    while "harness watch" not in text:
        text += os.read(master, 65536).decode()
    return text


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
