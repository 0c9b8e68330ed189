"""Short sessions under faults: the ledger verifies, no finished trial is lost or repeated, the verdicts are those of
an undisturbed session, nobody sees a traceback and nothing is left behind."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from harness.ledger import chain
from tests.faults import played
from tests.faults.checks import (
    assert_each_trial_once,
    assert_no_traceback,
    assert_nothing_left,
    assert_nothing_lost,
    rows_of,
    verdicts,
)

SIGNALS = {
    "kill": lambda pid: os.kill(pid, signal.SIGKILL),
    "kill_group": lambda pid: os.killpg(pid, signal.SIGKILL),
    "terminate": lambda pid: os.kill(pid, signal.SIGTERM),
    "interrupt": lambda pid: os.kill(pid, signal.SIGINT),
    "hang_up": lambda pid: os.kill(pid, signal.SIGHUP),
    "stop": lambda pid: (os.kill(pid, signal.SIGSTOP), time.sleep(0.3), os.kill(pid, signal.SIGCONT)),
}
SAMPLE = (0, 1, 2, 3, 5, 7, 9, 13, 14, 17, 19, 20)  # each signal twice; the rest with `make test-faults`
ALL = 216
ENDINGS = (0, 1, 130, -signal.SIGKILL)  # ended, said in a line, interrupted, killed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("undisturbed") / "session"
    folder.mkdir()
    assert sit(folder) == 0
    return folder, rows_of(folder)


def sit(folder: Path) -> int | None:
    """A sitting without a fault."""
    process = played.start(folder)
    process.join(120)
    assert process.exitcode is not None, "the session hangs"
    return process.exitcode


def settled(folder: Path, before: list[dict], undisturbed: list[dict]) -> None:
    """The same command again, and then everything must hold."""
    assert sit(folder) == 0, Path(f"{folder}.log").read_text()
    chain.check(folder)
    rows = rows_of(folder)
    assert_nothing_lost(before, rows)
    assert_each_trial_once(rows)
    assert verdicts(rows) == verdicts(undisturbed)
    assert_no_traceback(Path(f"{folder}.log"))
    assert_nothing_left(folder)


def under_signal(folder: Path, number: int, undisturbed: list[dict]) -> None:
    """One fault at a random row, then one more moment: sessions differ in speed, rows do not."""
    draw = random.Random(number)
    name, row = draw.choice(list(SIGNALS)), draw.randrange(len(undisturbed))
    folder.mkdir()
    process = played.start(folder)
    end = time.monotonic() + 60
    while lines(folder) < row and process.is_alive() and time.monotonic() < end:
        time.sleep(0.0005)
    time.sleep(draw.random() * 0.01)
    if process.is_alive():
        with contextlib.suppress(ProcessLookupError):  # it had just ended
            SIGNALS[name](process.pid)
    process.join(120)
    assert process.exitcode in ENDINGS, (name, process.exitcode, Path(f"{folder}.log").read_text())
    settled(folder, rows_of(folder), undisturbed)


def lines(folder: Path) -> int:
    try:
        return (folder / chain.FILE_NAME).read_bytes().count(b"\n")
    except FileNotFoundError:
        return -1


@pytest.mark.parametrize(
    "number", [pytest.param(each, marks=[] if each in SAMPLE else pytest.mark.faults) for each in range(ALL)]
)
def test_a_signal_at_a_random_moment(
    number: int, tmp_path: Path, undisturbed: tuple[Path, list[dict]]
) -> None:
    """SIGKILL of the process or its group, SIGTERM, SIGINT, SIGHUP, SIGSTOP and SIGCONT."""
    under_signal(tmp_path / "session", number, undisturbed[1])


@pytest.mark.parametrize(
    "row", [pytest.param(each, marks=[] if each % 20 == 4 else pytest.mark.faults) for each in range(1, 61)]
)
def test_the_disk_is_full_at_a_row(row: int, tmp_path: Path, undisturbed: tuple[Path, list[dict]]) -> None:
    """At every row of the session in turn, in the middle of it; there is room again a moment later."""
    rows, session = undisturbed[1], tmp_path / "session"
    full_at = min(row, len(rows) - 1)
    session.mkdir()
    process = played.start(session, full_at)
    process.join(120)
    assert process.exitcode == 1, Path(f"{session}.log").read_text()
    assert "File too large" in Path(f"{session}.log").read_text()
    assert chain.check(session)[0] == full_at
    settled(session, rows_of(session), rows)


@pytest.mark.parametrize("proposal", [pytest.param(1, marks=pytest.mark.faults), 2])
def test_the_disk_is_full_again_before_there_is_room(
    proposal: int, tmp_path: Path, undisturbed: tuple[Path, list[dict]]
) -> None:
    """Resumed too early, three times, in one and the same candidate's trial: it does not answer for that."""
    rows, session = undisturbed[1], tmp_path / "session"
    session.mkdir()
    ends = [row["seq"] for row in rows if row["kind"] == "trial_finished" and row["proposal"] == proposal]
    full_at = ends[0]
    for _ in range(4):
        process = played.start(session, full_at)
        process.join(120)
        assert process.exitcode == 1, Path(f"{session}.log").read_text()
        full_at = chain.check(session)[0] + 3  # resumed, closed, begun once more
    ended = [row["reason"] for row in rows_of(session) if row["kind"] == "trial_finished" and row["proposal"]]
    assert ended.count("stopped") >= 2
    assert "interrupted_twice" not in ended
    settled(session, rows_of(session), rows)


@pytest.mark.parametrize(
    "number", [signal.SIGQUIT, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2], ids=lambda number: number.name
)
def test_who_ends_it_otherwise_twice_blames_no_candidate(
    number: signal.Signals, tmp_path: Path, undisturbed: tuple[Path, list[dict]]
) -> None:
    """Ctrl-\\, a limit of CPU time, a batch system's word before it kills: three times in one candidate's trial."""
    rows, session = undisturbed[1], tmp_path / "session"
    session.mkdir()
    wanted = next(row["seq"] for row in rows if row["kind"] == "trial_started" and row["proposal"] == 2)
    for _ in range(3):
        process = played.start(session, struck=(wanted, number))
        process.join(120)
        assert process.exitcode == 130, Path(f"{session}.log").read_text()
        wanted = lines(session) + 1  # resumed, closed, begun once more
    assert "interrupted_twice" not in [row.get("reason") for row in rows_of(session)]
    settled(session, rows_of(session), rows)
