"""Real sessions of the build before rows were typed: they verify, report, and go on where they were killed."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.commands import run_named
from harness.ledger import chain
from harness.ledger.session_record import load
from harness.records import DecidedBy, Decision, EndCause

KEPT = Path(__file__).parent / "sessions_of_0_1"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """whole: a finished session of the task digits. cut: one that was killed in the first trial of proposal 3."""
    for name in ("whole", "cut"):
        with tarfile.open(KEPT / f"{name}.tar.xz") as archive:
            archive.extractall(tmp_path, filter="data")
    return tmp_path


def harness(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "harness", *arguments]
    environment = {**os.environ, "HARNESS_TASKS": str(folder / "tasks")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_they_verify_and_say_what_they_said(unpacked: Path) -> None:
    """Every row is known to this build, and the fold finds the decisions, the certificate and why it ended."""
    for name, rows in (("whole", 107), ("cut", 57)):
        assert chain.check(unpacked / name)[0] == rows
    whole = load(unpacked / "whole")
    assert [each.number for each in whole.decided] == [1, 2, 3, 4, 5, 6]
    assert [each.number for each in whole.keeps] == [1]
    by = [each.decided_by for each in whole.decided]
    guard, trial = DecidedBy.GUARD, DecidedBy.TRIAL
    assert by == [DecidedBy.STATISTICS, guard, trial, trial, guard, guard]
    assert whole.ended is not None
    assert whole.ended.cause is EndCause.AGENT_FINISHED
    assert whole.certificate is not None
    assert whole.certificate.passed
    cut = load(unpacked / "cut")
    assert [*cut.under_way] == ["p0003-1"]
    assert cut.ended is None


def test_they_make_a_report(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HTML, tables and results of a finished and of a killed one."""
    monkeypatch.chdir(unpacked)
    monkeypatch.setenv("HARNESS_TASKS", str(unpacked / "tasks"))
    for name in ("whole", "cut"):
        assert run_named("report", [name, "--tables"]) == 0, capsys.readouterr().err
        assert (unpacked / name / "report.html").stat().st_size > 10_000
    assert "gain +0.3799" in (unpacked / "whole" / "report.html").read_text()


@pytest.mark.slow
def test_one_that_was_killed_goes_on(unpacked: Path) -> None:
    """The same command: earlier trials and decisions stand, the interrupted trial is repeated, the rest is decided.

    What is another default of ours by now (the rule of keeping, the program's words) stays as it was when it began.

    Its task lets trials read how data are held out, as no session may that begins today: that is said, once a sitting.
    """
    before = load(unpacked / "cut")
    same = ("task=digits", "budget=smoke", "budget.seconds=0.5", "budget.certificate=2", "session.folder=.")
    done = harness(unpacked, *same, "session.tag=cut")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("goes on as it began") == 1
    assert "began with keep=race, no longer the default" in done.stderr
    after = load(unpacked / "cut")
    earlier = [trial.trial_id for trial in before.trials]
    assert [trial.trial_id for trial in after.trials[: len(earlier)]] == earlier
    assert after.attempts["p0003-1"] == 2
    assert len(after.decided) == 6
    assert [each.decision for each in after.decided[:2]] == [Decision.KEEP, Decision.DISCARD]
    refused = harness(unpacked, *same, "session.tag=cut", "budget.seconds=0.6")
    assert refused.returncode == 2
    assert "different: budget.seconds" in refused.stderr


def test_no_session_begins_like_that_today(unpacked: Path) -> None:
    """The task of the older build in a new session: one line that says what to do, and no session is made."""
    done = harness(unpacked, "task=digits", "budget=smoke", "session.tag=new", "session.folder=.")
    assert done.returncode == 2
    assert "readable_because" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (unpacked / "new" / "ledger.jsonl").exists()
