"""The real thing on the smallest task: one command, killed in the middle, and the same command again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.ledger import chain as ledger

SETTINGS = ("task=digits", "budget=smoke", "budget.seconds=0.5", "budget.certificate=4", "session.tag=one")
EXPECTED = {  # proposal of tasks/digits/replay -> how its reason starts
    1: "keep.",
    2: "duplicates.unchanged",
    3: "keep.not_promising",
    4: "crashed.exit_1",
    5: "seed.",
    6: "scope.protected",
}


@contextlib.contextmanager
def started(folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "harness", *SETTINGS, f"session.folder={folder}", *more]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rows(folder: Path) -> list[dict]:
    with contextlib.suppress(UserError):
        return ledger.read(folder / "one")
    return []


def wait_for(folder: Path, kind: str, process: subprocess.Popen[str]) -> None:
    """Until the ledger holds a row of this kind."""
    while not any(row["kind"] == kind for row in rows(folder)):
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.05)


@pytest.mark.slow
def test_a_session_killed_twice_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    """kill -9 during a baseline trial and after the first decision: a clean ledger, no trial lost or repeated,
    every proposal decided for its own reason, and the branch holds exactly the keeps."""
    for kind in ("trial_started", "decided"):
        with started(tmp_path) as process:
            wait_for(tmp_path, kind, process)
            os.killpg(process.pid, signal.SIGKILL)
    with started(tmp_path) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    all_rows = rows(tmp_path)
    decided = {row["proposal"]: row for row in all_rows if row["kind"] == "decided"}
    reasons = {number: row["reason"] for number, row in decided.items()}
    assert reasons.keys() == EXPECTED.keys()
    assert all(reasons[number].startswith(expected) for number, expected in EXPECTED.items()), reasons
    assert [number for number, row in decided.items() if row["decision"] == "keep"] == [1]
    completed = [
        row for row in all_rows if row["kind"] == "trial_finished" and row["outcome"] != "infra_failed"
    ]
    names = [row["trial_id"].partition("~")[0] for row in completed]
    assert len(names) == len(set(names))
    assert {row["level"] for row in completed} == {all_rows[0]["level"]}
    git = ["git", "-C", str(tmp_path / "one" / "repository.git")]
    log = subprocess.run(
        [*git, "log", "--format=%s", "autoresearch/one"], capture_output=True, text=True, check=True
    )
    assert len(log.stdout.splitlines()) == 2
    assert [row["passed"] for row in all_rows if row["kind"] == "certificate"] == [True]
    table = (tmp_path / "one" / "results.tsv").read_text().splitlines()
    assert len(table) == 1 + 1 + len(EXPECTED)


@pytest.mark.slow
def test_a_session_that_has_ended_is_shown_again_and_nothing_is_run(tmp_path: Path) -> None:
    """Repeating the command of a finished session costs no trial; another configuration cannot take its folder."""
    more = ("agent.folder=null", "budget.proposals=1", "keep=greedy", "budget.certificate=0")
    for _ in range(2):
        with started(tmp_path, *more) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
    assert len([row for row in rows(tmp_path) if row["kind"] == "trial_started"]) == 3
    with started(tmp_path, *more, "budget.seconds=0.6") as process:
        output, _ = process.communicate()
    assert process.returncode == 2
    assert "another configuration (different: budget.seconds)" in output


def test_one_process_a_session_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """A second call while a session is under way says so in one line and touches nothing. An interrupt ends the
    trial's process tree, too, says how to go on, and the exit code is 130."""
    with started(tmp_path) as process:
        wait_for(tmp_path, "trial_started", process)
        with started(tmp_path) as second:
            output, _ = second.communicate()
        assert second.returncode == 2
        assert "is in use by another process" in output
        assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate()
    assert process.returncode == 130, output
    assert "next: harness resume " in output
    assert "go on with" not in output, "one command to go on is enough"
    left = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    assert not [
        line for line in left.splitlines() if "harness.sandbox.launcher" in line and line.split()[0] == "1"
    ]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("sandbox.level=L9", "choose auto"),
        pytest.param("budget=gpu", "no profile 'gpu'", marks=pytest.mark.slow),
    ],
)
def test_a_mistake_that_shows_late_is_one_line_too(tmp_path: Path, argument: str, said: str) -> None:
    """What only the start can find is still the user's mistake: one line, exit code 2."""
    with started(tmp_path, argument) as process:
        output, _ = process.communicate()
    assert process.returncode == 2, output
    assert said in output
    assert "Traceback" not in output
