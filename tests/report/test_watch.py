"""Watching a session from outside: everything is seen, little is spent, nothing is touched."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time

import psutil
import pytest

from harness.commands.watch import follow, latest, main
from harness.errors import UserError
from harness.report.terminal.tracker import Terminal


def test_follows_a_ledger_that_grows_and_ends_with_the_session(rows, tmp_path):
    """Rows that are appended while it watches are shown as they would be in the session's own output."""
    made = rows(4)
    text = "".join(json.dumps(row) + "\n" for row in made)
    script = "import sys, time\n"
    script += f"text = {text!r}\n"
    script += "for start in range(0, len(text), 900):\n"
    script += "    open(sys.argv[1], 'a').write(text[start : start + 900]); time.sleep(0.005)\n"
    file = tmp_path / "ledger.jsonl"
    file.touch()
    with subprocess.Popen([sys.executable, "-c", script, file]):
        stream = io.StringIO()
        follow(tmp_path, Terminal(stream, live=False), look_seconds=0.02)
    assert "session ended" in stream.getvalue()
    assert all(f"proposal {number}: " in stream.getvalue() for number in (1, 2, 3, 4))


def test_into_a_pipe_it_tells_at_once_where_the_session_stands(maker, tmp_path):
    """The last lines, what goes on now and since when, not itself as the next command; then rows as they come."""
    made = maker()
    made.baseline()
    made.propose(1)
    made.propose(2, finish=False)
    file = tmp_path / "ledger.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in made.rows))
    words = [sys.executable, "-m", "harness.watch", tmp_path]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            said = []
            while not said or "now: " not in said[-1]:
                line = watcher.stdout.readline()
                assert line, said
                said.append(line.strip())
            with file.open("a") as stream:
                made.add("notice", text="the disk is nearly full")
                stream.write(json.dumps(made.rows[-1]) + "\n")
            later = watcher.stdout.readline()
        finally:
            watcher.kill()
    text = "\n".join(said)
    assert "harness watch" not in text
    assert "proposal 1: " in text
    assert re.search(r"now: trial p0002-\d+ \(candidate\) since \d\d:\d\d:\d\d", said[-1])
    assert "nearly full" in later


def test_of_several_sessions_the_one_that_wrote_last_is_shown(rows, written, tmp_path):
    """In a sweep's folder, the live session is found."""
    for name in ("a", "b"):
        written(tmp_path / name / "session", rows(1))
    os.utime(tmp_path / "a" / "session" / "ledger.jsonl", (2e9, 2e9))
    assert latest(tmp_path) == tmp_path / "a" / "session"


def test_wrong_use_is_one_line(tmp_path):
    """No folder, or a folder without a session."""
    for arguments in ([], [str(tmp_path)], ["-x"]):
        with pytest.raises(UserError):
            main(arguments)


def drain(terminal, shown):
    """Reads as a terminal would: a full buffer would stop the writer and make it look cheap."""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 1 << 16):
            shown += data


@pytest.mark.slow
def test_watching_costs_less_than_two_per_cent_of_a_core(maker, tmp_path):
    """While a session trains, its watcher (live view in a real terminal) leaves the machine alone."""
    made = maker()
    made.baseline()
    for number in range(1, 200):
        made.propose(number)
    made.propose(200, finish=False)
    (tmp_path / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made.rows))
    terminal, inside = os.openpty()
    shown = bytearray()
    threading.Thread(target=drain, args=(terminal, shown), daemon=True).start()
    with subprocess.Popen(
        [sys.executable, "-m", "harness.watch", tmp_path],
        stdout=inside,
        stderr=inside,
        env={**os.environ, "TERM": "xterm"},
    ) as watcher:
        try:
            process = psutil.Process(watcher.pid)
            time.sleep(5)  # start-up
            before, started = sum(process.cpu_times()[:2]), time.monotonic()
            time.sleep(20)
            share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - started)
        finally:
            watcher.kill()
            os.close(inside)
    assert "p0200" in shown.decode(errors="replace")
    assert len(shown) > 20_000
    assert share < 0.02, f"{share:.1%} of a core"
