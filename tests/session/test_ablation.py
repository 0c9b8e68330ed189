"""Ablation on demand: inside a certified step, and of all that was kept; real git, ledger and statistics."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.commands import run_named
from harness.commands.ablation import lines
from harness.errors import UserError
from harness.keep.stack import Stack
from harness.ledger.rows import AblationRow
from harness.ledger.session_record import load
from harness.records import Role
from harness.session.ablation import ablate, stack_of
from harness.session.session import Session
from harness.task.budget import Budget
from tests.session.conftest import Killed, Recorder, World, noise_of

Make = Callable[..., World]
RULE = Stack(provisional_keeps=3)
# The loss is the sum of three lines that stand apart: the first two help, the third is luck while it is a candidate.
BASE = ("part = 0.40", "part = 0.30", "part = 0.30")
PATCHES = (
    ("part = 0.20", "part = 0.30", "part = 0.30"),
    ("part = 0.20", "part = 0.20", "part = 0.30"),
    ("part = 0.20", "part = 0.20", "part = 0.30 # lucky"),
)


def program(parts: tuple[str, ...]) -> str:
    """The parts three lines apart, so that each can be taken back alone."""
    return "\n#\n#\n".join(parts) + "\n"


class Summing:
    """Reads the played program's loss from its parts."""

    def __init__(self, world: World) -> None:
        self._run = world.machine.run

    def __call__(self, spec: Any, source: Any, stop: Any = None) -> Any:
        text = source["train.py"].decode()
        total = sum(float(line.split()[2]) for line in text.splitlines() if line.startswith("part"))
        lucky = "lucky" if "lucky" in text else ""
        return self._run(spec, {"train.py": f"loss = {total} {lucky}".encode()}, stop)


@pytest.fixture
def summing(world: Make) -> Make:
    def make(texts: tuple[str, ...], **changes: Any) -> World:
        made = world(texts, **changes)
        (made.task.path / "train.py").write_text(program(BASE))
        made.machine.run = Summing(made)  # type: ignore[method-assign]
        drawn = count()  # the same luck each time: names of these trials, and so their seeds, hold a commit's hash
        made.machine.noise = lambda _: noise_of(next(drawn))
        return made

    return make


def opened_again(made: World, session: Session) -> Any:
    return SimpleNamespace(trial_runner=session.trial_runner, workspace=session.workspace)


def stacked(summing: Make) -> tuple[World, Session]:
    made = summing(tuple(program(parts) for parts in PATCHES), keep=RULE, budget=Budget(certificate=2))
    session = made.session()
    session.run()
    assert [row.keeps for row in session.trial_runner.state.certified_steps] == [[1, 2, 3]]
    return made, session


def test_the_changes_that_carry_a_step_are_named(summing: Make) -> None:
    """Two help and one was luck: the step as a whole and each of the two carry, the third is not shown."""
    made, session = stacked(summing)
    state, before = session.trial_runner.state, len(made.machine.runs)
    row = ablate(opened_again(made, session), stack_of(state, 1, made.folder), 3)
    assert [(change.proposal, change.how, change.status) for change in row.changes] == [
        (0, "whole", "carries"),
        (1, "taken_back", "carries"),
        (2, "taken_back", "carries"),
        (3, "taken_back", "not_shown"),
    ]
    effects = [change.effect for change in row.changes]
    assert effects == pytest.approx([0.3, 0.2, 0.1, 0.0], abs=0.02)
    assert all(
        (change.low or 0) < effect < (change.high or 0)
        for change, effect in zip(row.changes, effects, strict=True)
    )
    made_now = made.machine.runs[before:]
    assert [spec.role for spec in made_now] == [Role.ABLATION] * 3 * (2 + 4)
    assert len({spec.seed for spec in made_now}) == len(made_now), "fresh seeds"
    assert load(made.folder).ablations == [row], "on the record"
    assert session.trial_runner.state.incumbent == row.head_commit, "nothing is kept or dropped by it"


def test_its_lines_say_what_was_measured_and_how_sure_it_is(summing: Make) -> None:
    """The whole first, then by worth; numbers, intervals, trials and titles."""
    made, session = stacked(summing)
    row = ablate(opened_again(made, session), stack_of(session.trial_runner.state, 1, made.folder), 2)
    said = lines(row, {1: "a first idea"}, "nats")
    assert said[0].startswith("certified step 1, commit ")
    assert "95% intervals that hold together" in said[0]
    assert said[1].startswith("the whole: carries it, +0.")
    assert said[2].startswith("proposal 1 (a first idea): carries it, +0.")
    assert "nats (+0." in said[2]
    assert "2 and 4 trials, taken back)" in said[2]


def test_a_change_that_others_build_on_is_measured_where_it_came_in(world: Make) -> None:
    """Both edits are in one line: the first cannot be taken back alone, so its parent is measured against it."""
    made = world(("loss = 0.8\n# larger", "loss = 0.5\n# larger still"))
    session = made.session()
    session.run()
    stack = stack_of(session.trial_runner.state, None, made.folder)
    row = ablate(opened_again(made, session), stack, 2)
    assert (row.step, row.start_commit) == (0, session.trial_runner.state.baseline)
    assert [(change.how, change.status) for change in row.changes] == [
        ("whole", "carries"),
        ("added", "carries"),
        ("taken_back", "carries"),
    ]
    assert [change.effect for change in row.changes] == pytest.approx([0.5, 0.2, 0.3], abs=0.02)


def test_a_change_that_is_needed_to_run_at_all(world: Make) -> None:
    """Without the second keep the first one's program crashes on fresh trials: that is said, not a number."""
    made = world(("loss = 0.8\n# larger", "loss = 0.5\n# larger still"))
    session = made.session()
    session.run()
    real = made.machine.run
    made.machine.run = lambda spec, source, stop=None: real(  # type: ignore[method-assign]
        spec, {"train.py": source["train.py"].replace(b"0.8", b"0.8 crash")}, stop
    )
    row = ablate(opened_again(made, session), stack_of(session.trial_runner.state, None, made.folder), 2)
    assert [change.status for change in row.changes] == ["carries", "no_score", "fails_without"]


@pytest.mark.slow
def test_an_interrupted_ablation_is_gone_on_with(summing: Make) -> None:
    """Killed after any of its rows: the second call makes the missing trials only and comes to the same row."""
    made, session = stacked(summing)
    stack = stack_of(session.trial_runner.state, 1, made.folder)
    first = session.trial_runner.ledger.length
    whole = ablate(opened_again(made, session), stack, 2)
    for stop_after in range(first + 2, session.trial_runner.ledger.length - 1, 9):
        other, again = stacked(summing)
        recorder = Recorder(stop_after)
        again.trial_runner.trackers = (recorder,)
        with pytest.raises(Killed):
            ablate(opened_again(other, again), stack_of(again.trial_runner.state, 1, other.folder), 2)
        resumed = other.session()
        row = ablate(opened_again(other, resumed), stack_of(resumed.trial_runner.state, 1, other.folder), 2)
        assert [(one.how, one.status, one.trials) for one in row.changes] == [
            (one.how, one.status, one.trials) for one in whole.changes
        ]
        finished = [
            spec.trial_id.partition("~")[0] for spec in other.machine.runs if spec.role is Role.ABLATION
        ]
        assert len(finished) <= len(set(finished)) + 1, "only the trial that was under way is repeated"


def test_what_was_never_certified_cannot_be_taken_apart(world: Make, summing: Make) -> None:
    """A wrong number names those that there are; a session without keeps says so."""
    made = world(["loss = 2.0"])
    session = made.session()
    session.run()
    with pytest.raises(UserError, match="kept nothing"):
        stack_of(session.trial_runner.state, None, made.folder)
    with pytest.raises(UserError, match=r"no certified step$"):
        stack_of(session.trial_runner.state, 1, made.folder)
    _, stacked_session = stacked(summing)
    with pytest.raises(UserError, match="its certified steps are 1"):
        stack_of(stacked_session.trial_runner.state, 7, made.folder)


def test_the_command_helps_and_names_mistakes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--help is the whole use, exit code 0; a wrong number or folder is one line, exit code 2."""
    assert run_named("ablation", ["--help"]) == 0
    said = capsys.readouterr().out
    assert "ablation TAG [step=N] [runs=3]" in said
    assert "hold together" in said
    for arguments, words in (
        (["step=x", str(tmp_path)], "step=x: give the number of a certified step"),
        (["step=0", str(tmp_path)], "step=0"),
        (["step=1"], "usage:"),
        ([str(tmp_path), "runs=1"], "runs=1: give a whole number"),
        ([str(tmp_path / "none"), "step=1"], "none"),
    ):
        assert run_named("ablation", arguments) == 2, arguments
        found = capsys.readouterr()
        assert (found.out, len(found.err.splitlines())) == ("", 1)
        assert words in found.err


@pytest.mark.slow
def test_a_real_session_is_taken_apart_on_the_command_line(tmp_path: Path) -> None:
    """digits with fixed work: the recorded patches make a certified step, and the command says what carries it."""
    environment = {**os.environ, "COLUMNS": "300"}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    made = call("harness", "task=digits", "budget=smoke", "budget.steps=300", "budget.seconds=30",
                "budget.certificate=3", "session.tag=real", "session.folder=.", "tracking=none")  # fmt: skip
    assert made.returncode == 0, made.stderr
    state = load(tmp_path / "real")
    step = state.certified_steps[0].race
    found = call("harness.ablation", "real", f"step={step}", "runs=2")
    assert found.returncode == 0, found.stderr
    said = found.stdout.splitlines()
    assert said[0].startswith(f"certified step {step}, commit ")
    assert said[1].startswith("the whole: carries it")
    again = load(tmp_path / "real")
    assert again.ended is not None
    assert [row.step for row in again.ablations] == [step]
    keeps = state.certified_steps[0].keeps
    assert len(again.ablations[0].changes) == (
        1 if len(keeps) == 1 else 1 + len(keeps)
    )  # one alone is the whole
    assert again.incumbent == state.incumbent


def test_a_row_of_it_reads_back() -> None:
    """Old readers refuse it in one line, this one reads it with every field."""
    row = AblationRow.model_validate(
        {"changes": [{"proposal": 1, "how": "added", "status": "carries", "effect": 1, "trials": [2, 4]}]}
    )
    assert row.changes[0].trials == (2, 4)
