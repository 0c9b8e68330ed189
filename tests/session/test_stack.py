"""Two levels in a session: provisional keeps, certified steps, roll-backs; each a row, and nothing lost by a kill."""

from collections.abc import Callable

import pytest

from harness.keep.stack import Stack
from harness.ledger import chain as ledger
from harness.ledger.rows import DecidedRow, SettledRow
from harness.records import Action, Decision, EndCause, Role
from harness.report.results_tsv import results_tsv
from harness.report.terminal.lines import event_line
from harness.report.wandb.rows import metrics_of
from harness.report.words import certificate_lines
from harness.session.session import Session
from harness.task.budget import Budget
from tests.session.conftest import Killed, Recorder, World

Make = Callable[..., World]
RULE = Stack(provisional_keeps=2)
GOOD = ("loss = 0.8\n# a", "loss = 0.6\n# b")
LUCKY = ("loss = 1.0\nlucky\n# c", "loss = 1.0\nlucky\n# d")
SMALL = Budget(certificate=2)


def finished(world: Make, *texts: str, budget: Budget = SMALL, rule: Stack = RULE) -> Session:
    session = world(texts, keep=rule, budget=budget).session()
    session.run()
    return session


def levels(session: Session) -> list[str]:
    return [proposal.level for proposal in session.trial_runner.state.decided]


def test_two_real_gains_become_a_certified_step(world: Make) -> None:
    """Fresh trials of head and baseline by turns, then one row; the branch gets a commit for each single change."""
    session = finished(world, *GOOD)
    state = session.trial_runner.state
    row = state.settlements[0]
    assert (row.action, row.keeps) == (Action.CERTIFY, [1, 2])
    assert levels(session) == ["certified", "certified"]
    assert state.certified_commit == state.incumbent == state.keeps[-1].commit
    messages = [str(session.workspace._repo.commit(name).message) for name in session.workspace.commits()]
    assert len(messages) == 2
    assert all("Step: 1 (certify: keep.crossed_bound" in message for message in messages)
    race = [trial.role for trial in state.trials if trial.trial_id.startswith("race1-")]
    assert race == [Role.STEP_CERTIFIED, Role.STEP_HEAD, Role.STEP_HEAD, Role.STEP_CERTIFIED]
    assert state.certificates[-1].passed


def test_luck_is_rolled_back(world: Make) -> None:
    """What looked better on the trials it was kept on: a commit says so, a ref keeps it, the agent is told."""
    made = world([*LUCKY, "loss = 0.9\n# e"], keep=RULE, budget=SMALL)
    session = made.session()
    session.run()
    state = session.trial_runner.state
    assert [row.action for row in state.settlements] == [Action.ROLL_BACK, Action.CERTIFY]
    assert levels(session) == ["rolled back", "rolled back", "certified"]
    assert state.decided[2].answer.parent == state.baseline
    rolled_back, kept = session.workspace.commits()
    message = str(session.workspace._repo.commit(rolled_back).message)
    assert "Roll-back: race 1, proposals 1, 2" in message
    assert f"Ledger: {state.settlements[0].seq} {state.settlements[0].hash}" in message
    assert session.workspace._resolve("refs/stacks/0001") == state.proposals[2].commit
    assert session.workspace.keeps() == [kept]
    told = made.script.views[-1].history
    assert [(past.decision, past.reason) for past in told][:2] == [(Decision.DISCARD, "keep.rolled_back")] * 2
    assert made.script.views[2].editable["train.py"] == b"loss = 1.0\n"


def test_both_levels_are_shown(world: Make) -> None:
    """results.tsv, terminal, W&B and the certificate's lines name provisional keeps, steps and roll-backs."""
    session = finished(world, *LUCKY, *GOOD)
    state = session.trial_runner.state
    lines = results_tsv(state).splitlines()
    assert [line.split("\t")[3] for line in lines[2:]] == ["discard", "discard", "keep", "keep"]
    assert "[rolled back]" in lines[2]
    assert "[certified in step 2]" in lines[4]
    said = [event_line(state, row) for row in state.settlements]
    assert "ROLLED BACK, proposals 1, 2" in said[0]
    assert "CERTIFIED STEP, proposals 3, 4" in said[1]
    logged = [metrics_of(state, row) for row in state.settlements]
    assert [found["race/certified"] for found in logged if found] == [0, 1]
    assert any("1 certified step, 1 stack rolled back" in line for line in certificate_lines(state))
    first = next(row for row in (each.ruling for each in state.decided) if isinstance(row, DecidedRow))
    assert "provisional" not in event_line(state, first)  # rolled back meanwhile


def test_a_single_keep_is_settled_at_the_end(world: Make) -> None:
    """Fewer than five: the end of the session puts them to the test, and no certificate is made of a roll-back."""
    lucky = finished(world, LUCKY[0])
    assert levels(lucky) == ["rolled back"]
    assert lucky.trial_runner.state.certificates == []
    assert lucky.workspace.keeps() == []
    assert levels(finished(world, GOOD[0], rule=Stack())) == ["certified"]


@pytest.mark.parametrize("trials", [12, 20, 26, 40])
def test_the_race_stays_within_the_budget(world: Make, trials: int) -> None:
    """Whatever the limit: nothing provisional is left, and race and certificate take no trial more than it allows."""
    series = [f"loss = {0.9 - 0.02 * number}\n# {number}" for number in range(20)]
    session = finished(world, *series, budget=Budget(trials=trials, certificate=2))
    state = session.trial_runner.state
    assert state.provisional == []
    assert state.finished_trials <= trials + 1  # the trial after which the last keep was decided
    assert state.ended is not None
    assert state.ended.cause is EndCause.TRIALS


def test_a_head_that_fails_on_a_fresh_trial_is_rolled_back(world: Make) -> None:
    made = world([*GOOD], keep=RULE, budget=SMALL)
    made.machine.crash_role = Role.STEP_HEAD
    session = made.session()
    session.run()
    row = session.trial_runner.state.settlements[0]
    assert (row.action, row.reason) == (Action.ROLL_BACK, "keep.head_failed")
    assert session.workspace.keeps() == []


def summary(session: Session) -> object:
    state = session.trial_runner.state
    return (
        levels(session),
        [(row.action, row.keeps) for row in state.settlements],
        len(session.workspace.commits()),
        len(session.workspace.keeps()),
        [len(row.head_scores) for row in state.certificates],
    )


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "every"])
def test_a_stack_killed_after_any_row_goes_on_where_it_stopped(world: Make, stride: int) -> None:
    """Kill at every row of a session with a roll-back and a step: same levels, same branch, no trial repeated."""
    series = (LUCKY[0], GOOD[0])
    rule, whole = Stack(provisional_keeps=1), finished(world, *series, rule=Stack(provisional_keeps=1))
    assert {row.action for row in whole.trial_runner.state.settlements} == {Action.CERTIFY, Action.ROLL_BACK}
    for stop_after in range(1, whole.trial_runner.ledger.length, stride):
        made = world(series, keep=rule, budget=SMALL)
        with pytest.raises(Killed):
            made.session(Recorder(stop_after)).run()
        resumed = made.session()
        resumed.run()
        assert summary(resumed) == summary(whole), f"killed after row {stop_after}"
        rows = list(ledger.read(made.folder))
        scored = [row["trial_id"].partition("~")[0] for row in rows if row["kind"] == "scored"]
        assert len(scored) == len(set(scored)), f"a trial was repeated after row {stop_after}"
        assert sum(row["kind"] == "settled" for row in rows) == len(whole.trial_runner.state.settlements)


def test_a_guard_that_lacks_trials_gets_them_before_a_keep(world: Make) -> None:
    """`trials_needed` in an inconclusive verdict's evidence: that many trials of the candidate, then the decision."""
    from tests.session.conftest import Lacks

    made = world([GOOD[0]], keep=RULE, budget=SMALL, guards=(Lacks(3),))
    session = made.session()
    session.run()
    candidate = [spec for spec in made.machine.runs if spec.role is Role.CANDIDATE]
    assert len(candidate) == 3
    assert levels(session) == ["certified"]
    assert all(isinstance(row, SettledRow) for row in session.trial_runner.state.settlements)
