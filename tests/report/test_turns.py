"""Sessions that share a machine: real processes on a real socket, one measuring at a time, in the order of asking."""

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.trial.turns import VARIABLE, Turn, Turns, card_variable, turn
from tests.report.conftest import recorded, wait_until

SESSION = """
import sys, time
from harness.trial.turns import turn
for number in range(int(sys.argv[2])):
    with turn() as waited:
        print("in", sys.argv[1], flush=True)
        time.sleep(0.1)
        print("out", sys.argv[1], flush=True)
"""


def start(turns: Turns, name: str, count: int, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-c", SESSION, name, str(count)], stdout=file, env={VARIABLE: turns.path}
        )


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch):
    with contextlib.closing(Turns(1)) as turns:
        monkeypatch.setenv(VARIABLE, turns.path)
        yield turns


def test_one_measures_at_a_time_and_everybody_comes_round(one: Turns, tmp_path: Path) -> None:
    """Nobody enters before the other has left, and nobody has two turns more than one that waits."""
    log = tmp_path / "log"
    with contextlib.ExitStack() as stack:  # noqa: SIM117 -- the turn ends before the sessions do
        with turn():
            for name in "abc":
                stack.enter_context(start(one, name, 4, log))
            wait_until(lambda: len(one._waiting) == 3)
    words = log.read_text().split()
    assert words[0::4] == ["in"] * 12
    assert words[2::4] == ["out"] * 12
    order = words[1::4]
    assert order == words[3::4]
    for taken in range(3, 10, 3):  # while all three are there
        counts = [order[:taken].count(name) for name in "abc"]
        assert max(counts) - min(counts) <= 1


def test_a_killed_session_gives_its_turn_back(one: Turns, tmp_path: Path) -> None:
    """One that measures, and one that waits."""
    code = "import time\n"
    code += "from harness.trial.turns import turn\nwith turn():\n    print(1, flush=True)\n    time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={VARIABLE: one.path})
    assert first.stdout is not None
    assert first.stdout.readline()
    second = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={VARIABLE: one.path})
    wait_until(lambda: len(one._waiting) == 1)
    with pytest.raises(TimeoutError), turn(0.1):
        pass
    for process in (second, first):
        process.kill()
        process.communicate()
    with turn(10.0) as waited:
        assert waited < 10.0


def test_as_many_as_there_is_room_for() -> None:
    with contextlib.closing(Turns(2)) as turns, pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, turns.path)
        with turn(), turn(), pytest.raises(TimeoutError), turn(0.1):
            pass


def test_each_card_has_turns_of_its_own(one: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody named a card for shares those of the whole."""
    with contextlib.closing(Turns(1)) as other:
        monkeypatch.setenv(card_variable(1), other.path)
        with turn(), turn(gpu=1):
            for gpu in (None, 0, 1):
                with pytest.raises(TimeoutError), turn(0.1, gpu):
                    pass


def test_nobody_waits_for_a_sweep_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor outside of one."""
    with turn() as waited:
        assert waited == 0.0
    turns = Turns(1)
    monkeypatch.setenv(VARIABLE, turns.path)
    entered = threading.Event()

    def waits() -> None:
        with turn():
            entered.set()

    with turn():
        thread = threading.Thread(target=waits)
        thread.start()
        wait_until(lambda: len(turns._waiting) == 1)
        assert not entered.is_set()
        turns.close()
        thread.join(10)
        assert entered.is_set()
    with turn():
        pass


def test_waits_for_a_turn_are_no_time_of_the_session() -> None:
    """Neither for its limits nor for what is shown; a pause between two sittings is none either."""
    rows = [
        {"seq": 0, "kind": "session_started", "time": "2026-01-01T00:00:00+00:00", "direction": "minimize",
         "baseline_commit": "b", "level": 3, "certified": True},
        {"seq": 1, "kind": "trial_started", "time": "2026-01-01T00:10:00+00:00", "trial_id": "t", "role": "baseline",
         "commit": "b", "waited_seconds": 540.0},
        {"seq": 2, "kind": "notice", "time": "2026-01-01T00:15:00+00:00", "text": "late"},
        {"seq": 3, "kind": "session_resumed", "time": "2026-01-01T09:00:00+00:00", "level": 3, "certified": True},
        {"seq": 4, "kind": "notice", "time": "2026-01-01T09:01:00+00:00", "text": "later"},
    ]  # fmt: skip
    assert recorded(rows).active_seconds == 60 + 300 + 60


def test_turns_are_asked_for_without_waiting(one: Turns, tmp_path: Path) -> None:
    """For trials that are made elsewhere: granted in the order of asking, given back by closing, and nobody's own
    session takes two while another waits."""
    first, second, third = Turn(), Turn(), Turn()
    wait_until(first.granted)
    assert not second.granted()
    first.close()
    wait_until(second.granted)
    assert not third.granted()
    second.close()
    wait_until(third.granted)
    third.close()


def test_outside_of_a_sweep_every_turn_is_granted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Turn().granted()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    assert Turn().granted()
