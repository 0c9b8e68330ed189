"""The loop keeps what it promises: decisions, the branch, limits, and nothing lost when it is killed."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guards.budget_honesty import BudgetHonesty
from harness.errors import HarnessError, InfrastructureError, UserError
from harness.keep.early_stop import EarlyStop
from harness.keep.promotion import Promotion
from harness.ledger import chain as ledger
from harness.ledger.rows import Row, TrialStartedRow
from harness.records import (
    Action,
    Decision,
    Direction,
    EndCause,
    Proposal,
    Role,
    SideLimit,
    Split,
    Step,
    Usage,
)
from harness.session.referee import explained
from harness.session.session import Session
from harness.task.budget import Budget
from tests.session.conftest import Forbids, Killed, Recorder, World

BETTER = "loss = 0.8\n# a larger model"
WORSE = "loss = 1.5\n# less of it"
CRASH = "crash\nloss = 0.1"
NO_OP = "loss = 1.0\n# only a comment"
FORBIDDEN = "forbidden\nloss = 0.2"
SERIES = (WORSE, BETTER, CRASH, FORBIDDEN, "loss = 0.8\n# a comment more", "loss = 0.5\n# larger still")
Make = Callable[..., World]


def decisions(session: Session) -> list[tuple[str, str]]:
    return [(each.decision, each.reason.partition(".")[0]) for each in session.trial_runner.state.decided]


def test_a_series_is_decided_each_for_its_own_reason(world: Make) -> None:
    """Improvements are kept, the worse, crashing, forbidden and empty ones are not, and each says why."""
    session = world(SERIES).session()
    assert session.run().cause is EndCause.AGENT_FINISHED
    assert decisions(session) == [
        ("discard", "keep"),
        ("keep", "keep"),
        ("discard", "crashed"),
        ("discard", "words"),
        ("discard", "keep"),
        ("keep", "keep"),
    ]
    state = session.trial_runner.state
    assert state.decided[2].ruling.message == "ValueError: bad shape"
    assert state.certificates[-1].passed
    assert 0.45 < state.certificates[-1].gain < 0.55


def test_the_branch_holds_exactly_the_keeps(world: Make) -> None:
    """One commit a keep, with trailers that lead back to the ledger; proposals stay reachable as refs."""
    session = world(SERIES).session()
    session.run()
    keeps = session.workspace.keeps()
    assert len(keeps) == 2
    assert session.workspace.files(keeps[-1])["train.py"] == SERIES[5].encode()
    message = session.workspace._repo.commit(keeps[0]).message
    kept = session.trial_runner.state.keeps[0].ruling
    assert f"Ledger: {kept.seq} {kept.hash}" in message
    assert all(f"\n{trailer}: " in message for trailer in ("Metric", "Seeds", "Verdict"))
    assert len(session.workspace._git.for_each_ref("refs/proposals").splitlines()) == 6


def test_no_seed_is_used_twice_and_search_never_sees_the_sealed_split(world: Make) -> None:
    """Each trial has a seed of its own; the test split is scored for certificate trials only."""
    made = world(SERIES)
    made.session().run()
    seeds = [spec.seed for spec in made.machine.runs]
    assert len(set(seeds)) == len(seeds)
    sealed = {trial_id for trial_id, split in made.machine.scored if split is Split.TEST}
    certificate = {spec.trial_id for spec in made.machine.runs if spec.role.value.startswith("certificate")}
    assert sealed == certificate
    assert len(certificate) == 10


def summary(session: Session) -> object:
    """What must not depend on how often a session was interrupted."""
    state = session.trial_runner.state
    return (
        [(each.number, each.decision, each.commit in state.observations) for each in state.decided],
        len(session.workspace.keeps()),
        [len(row.head_scores) + len(row.baseline_scores) for row in state.certificates],
    )


@pytest.mark.slow
@pytest.mark.parametrize("series", [(CRASH, BETTER), SERIES], ids=["short", "long"])
def test_a_session_killed_after_any_row_goes_on_where_it_stopped(
    world: Make, series: tuple[str, ...]
) -> None:
    """Kill at every single row in turn: the ledger stays clean, no finished trial is repeated or lost, and
    the decisions are those of an undisturbed session."""
    budget = Budget(certificate=2)
    whole = world(series, budget=budget).session()
    whole.run()
    rows = whole.trial_runner.ledger.length
    for stop_after in range(1, rows):
        made = world(series, budget=budget)
        with pytest.raises(Killed):
            made.session(Recorder(stop_after)).run()
        resumed = made.session()
        resumed.run()
        assert summary(resumed) == summary(whole), f"killed after row {stop_after}"
        after = ledger.read(made.folder)
        finished = [row["trial_id"] for row in after if row["kind"] == "trial_finished"]
        assert len(finished) == len(set(finished))
        good = [row["trial_id"].partition("~")[0] for row in after if row["kind"] == "scored"]
        assert len(good) == len(set(good)), f"a trial was repeated after row {stop_after}"


class StopsCandidate(Recorder):
    """Plays a candidate that manages to kill the harness."""

    def record(self, row: Row) -> None:
        if isinstance(row, TrialStartedRow) and row.role is Role.CANDIDATE:
            raise Killed


def test_a_candidate_that_is_there_whenever_the_harness_dies_is_discarded(world: Make) -> None:
    """The second interruption during the same candidate counts as its crash; an honest one survives the first."""
    made = world([BETTER])
    for _ in range(2):
        with pytest.raises(Killed):
            made.session(StopsCandidate()).run()
    session = made.session()
    session.run()
    assert session.trial_runner.state.decided[0].reason == "crashed.interrupted_twice"


def test_an_infrastructure_failure_is_repeated_with_a_fresh_seed(world: Make) -> None:
    """It is no result, is never held against the candidate, and stops the session only when it persists."""
    made = world([BETTER])
    made.machine.fail_next = 2
    session = made.session()
    session.run()
    assert decisions(session) == [("keep", "keep")]
    first = [spec for spec in made.machine.runs if spec.trial_id.startswith("baseline-1")]
    assert [spec.trial_id for spec in first] == ["baseline-1", "baseline-1~2", "baseline-1~3"]
    assert len({spec.seed for spec in first}) == 3
    broken = world([BETTER])
    broken.machine.fail_next = 100
    with pytest.raises(InfrastructureError, match="no_space"):
        broken.session().run()


def test_a_task_that_does_not_work_is_said_so(world: Make) -> None:
    """A baseline that crashes ends the session with its own words, before any proposal."""
    made = world([BETTER])
    (Path(made.task.folder) / "train.py").write_text("crash\n")
    with pytest.raises(HarnessError, match=r"own program fails (?s:.*)bad shape"):
        made.session().run()
    assert not made.script.views


def test_a_guard_that_crashes_rejects(world: Make) -> None:
    """The default is no."""
    session = world([FORBIDDEN], guards=(Forbids(fails=True),)).session()
    session.run()
    assert session.trial_runner.state.decided[0].reason == "words.crashed"


def test_disturbed_trials_are_no_evidence_and_do_not_go_on_for_ever(world: Make) -> None:
    """An inconclusive verdict takes its trial out of the evidence; after three of them the proposal is dropped."""
    guard = Forbids(word="0.8", stages=("runtime",), inconclusive=True)
    session = world([BETTER, NO_OP], guards=(guard,)).session()
    session.run()
    assert decisions(session)[0] == ("discard", "inconclusive")
    assert session.trial_runner.state.losses(session.trial_runner.state.decided[0].commit) == []
    assert [each.untold for each in session.trial_runner.state.decided] == [True, False]


@pytest.mark.parametrize(
    ("look", "disturbed", "words"),
    [
        (1, 0, "after 1 trial,"),
        (3, 0, "after 3 trials,"),
        (1, 1, "after 1 undisturbed trial of 2,"),
        (2, 1, "after 2 undisturbed trials of 3,"),
    ],
)
def test_a_reason_accounts_for_every_trial_that_was_made(look: int, disturbed: int, words: str) -> None:
    """Whoever saw two trials printed and reads of one is told of the other."""
    numbers = {"z": 1.0, "bound": 0.6, "look": float(look), "effect": 0.1, "sd": 0.06}
    assert words in explained(Step(Action.DISCARD, "not_promising", numbers), disturbed)


@pytest.mark.parametrize(
    ("budget", "cause", "said"),
    [
        (Budget(proposals=2), EndCause.PROPOSALS, "2 proposals are decided"),
        (Budget(trials=6), EndCause.TRIALS, "6 of 6 trials"),
        (Budget(dollars=1.0), EndCause.DOLLARS, r"\$1.00 of \$1.00"),
        (Budget(tokens=30), EndCause.TOKENS, "30 of 30 tokens"),
        (Budget(hours=0.0), EndCause.HOURS, "hours are over"),
    ],
)
def test_a_session_stops_before_a_limit_is_passed(
    world: Make, budget: Budget, cause: EndCause, said: str
) -> None:
    """Each limit ends the search in order, with a reason; nothing is started beyond it."""
    made = world([WORSE] * 5, budget=budget)
    session = made.session()
    end = session.run()
    assert re.search(said, end.text)
    assert end.cause is cause
    assert len(session.trial_runner.state.decided) <= 2
    assert session.trial_runner.state.finished_trials <= 6
    assert ledger.read(made.folder)[-1]["kind"] == "session_ended"


def test_a_limit_can_be_raised_afterwards(world: Make) -> None:
    """The same session goes on from its end; certificates are made afresh."""
    made = world(SERIES, budget=Budget(proposals=2))
    made.session().run()
    made.budget = Budget(proposals=6)
    session = made.session()
    session.run()
    assert len(session.trial_runner.state.decided) == 6
    assert len(session.trial_runner.state.certificates) == 2
    runs = [spec.trial_id for spec in made.machine.runs]
    assert len(runs) == len(set(runs))


def test_the_agent_sees_rounded_scores_and_nothing_of_the_sealed_split(world: Make) -> None:
    """Scores in the view lie on a grid of about half a sd; the history says what came of each proposal."""
    made = world(SERIES)
    made.session().run()
    last = made.script.views[-1]
    assert [past.decision for past in last.history].count(Decision.KEEP) == 2
    assert last.history[2].log.endswith("ValueError: bad shape")
    assert last.history[0].category == "hyperparameter"
    assert last.incumbent_score is not None
    assert len(f"{last.incumbent_score}") <= 5
    assert "test" not in repr(last.history)
    assert last.number == 7


def counted_by(session: Session) -> set[str]:
    return {trial.start.budget_counted_by for trial in session.trial_runner.state.trials}


def test_more_time_than_the_baseline_for_the_same_work_is_rejected(world: Make) -> None:
    """Steps are the candidate's own word, as every row says; who takes five times as long is not believed. Without a
    budget of steps time itself is the bound. A crash is a crash, however long it took to come to it."""
    by_steps, by_time = world(["slow\nloss = 0.5", "slow\ncrash", BETTER]), world(["slow\nloss = 0.5"])
    profile = replace(by_steps.task.profiles["cpu"], steps=100)
    by_steps.task = replace(by_steps.task, profiles={"cpu": profile})
    by_steps.guards = by_time.guards = (BudgetHonesty(tolerance=0.9),)
    session = by_steps.session()
    session.run()
    assert [each.reason for each in session.trial_runner.state.decided][:2] == ["budget.work", "crashed.exit_1"]
    assert session.trial_runner.state.decided[2].decision is Decision.KEEP
    assert counted_by(session) == {"candidate"}
    other = by_time.session()
    other.run()
    assert [each.decision for each in other.trial_runner.state.decided] == [Decision.KEEP]
    assert counted_by(other) == {"referee"}


def test_what_answers_cost_is_held_against_the_baseline_and_told_roughly(world: Make) -> None:
    """Every score of a candidate is given the baseline's trials; the agent sees 1, 2, 5 or 10 times, no finer."""
    made = world(["loss = 0.8  # large", WORSE, NO_OP])
    made.session().run()
    *_, last = made.script.views
    assert [past.inference_cost for past in last.history] == [5, 1, 1]
    baseline = [f"baseline-{number}" for number in range(1, 5)]
    for (trial_id, _), references in zip(made.machine.scored, made.machine.references, strict=True):
        own = trial_id.startswith(("baseline", "cert1-baseline", "incumbent-1"))  # before the first keep
        assert references[:4] == ([] if own else baseline), trial_id


def test_the_agent_is_told_to_think_while_trials_go_on(world: Make) -> None:
    """While proposal n is on trial, the agent may prepare n + 1; during the baseline's trials, the first."""
    made = world([WORSE, BETTER])
    made.session().run()
    numbers = [view.number for view in made.script.prepared]
    assert numbers[0] == 1
    assert set(numbers) == {1, 2, 3}


@pytest.mark.parametrize(
    ("proposal", "reason"),
    [
        (Proposal({}, "nothing"), "agent.problem"),
        (Proposal({"train.py": b"loss = 1.0\n"}, "the same"), "agent.problem"),
        (Proposal({"../x": b""}, "outside"), "agent.problem"),
        (Proposal({"a\nb": b""}, "odd name"), "agent.problem"),
        (Proposal({".git/hooks/post-commit": b""}, "a hook"), "agent.problem"),
        (Proposal({"train.py": b"x"}, "cut", problem="the answer was cut off"), "agent.problem"),
        (Proposal({"train.py": b"loss = 0.9"}, "bad \ud800 text \0", usage=Usage()), "keep."),
    ],
)
def test_an_odd_proposal_is_recorded_and_discarded(world: Make, proposal: Proposal, reason: str) -> None:
    """Whatever an agent hands in, the session goes on and the ledger has it."""
    made = world([proposal, BETTER])
    session = made.session()
    session.run()
    first, second = session.trial_runner.state.decided
    assert first.reason.startswith(reason)
    assert second.decision == "keep"
    ledger.check(made.folder)


def test_an_agent_that_never_delivers_is_given_up(world: Make) -> None:
    """25 unusable proposals in a row end the search."""
    session = world([Proposal({}, "nothing")] * 40).session()
    assert session.run().cause is EndCause.UNUSABLE_PROPOSALS
    assert len(session.trial_runner.state.decided) == 25


def test_one_seed_is_repeated_before_a_keep_where_the_task_is_deterministic(world: Make) -> None:
    """A candidate that would be kept runs its first seed again; the repetition is no evidence for the rule."""
    from dataclasses import replace

    made = world([BETTER], promotion=Promotion(same_seed=True))
    made.task = replace(made.task, determinism="bitwise")
    session = made.session()
    session.run()
    repeats = [spec for spec in made.machine.runs if spec.role is Role.REPEAT]
    first = next(spec for spec in made.machine.runs if spec.trial_id == "p0001-1")
    assert [spec.seed for spec in repeats] == [first.seed]
    assert session.trial_runner.state.decided[0].decision == "keep"


def test_artefacts_of_discarded_proposals_are_deleted(world: Make) -> None:
    """Weights are large: only those of the baseline, of keeps and of the certificate stay."""
    made = world([WORSE, BETTER])
    made.session().run()
    left = {file.name for file in (made.folder / "artefacts").iterdir()}
    assert not any(name.startswith("p0001") for name in left)
    assert "p0002-1" in left


def test_the_placebo_check_stops_knowledge_that_came_with_the_source(world: Make) -> None:
    """Before a keep: short trials on shuffled and real data, of the baseline once a session. A candidate that
    is as good on shuffled data is rejected; its honest twin, which learns from real data only, is kept."""
    smuggled, honest = BETTER + "\nknown", "loss = 0.79\n# learnt"
    made = world([smuggled, honest], promotion=Promotion(placebo=True))
    session = made.session()
    session.run()
    assert decisions(session) == [("discard", "placebo"), ("keep", "keep")]
    short = [spec for spec in made.machine.runs if spec.role in (Role.PLACEBO, Role.PLACEBO_TWIN)]
    assert len(short) == 2 * 3 + 2 + 2
    assert {spec.clock.seconds for spec in short} == {0.1}


def test_a_hopeless_trial_is_ended_early_only_where_asked_for(world: Make) -> None:
    """A candidate that claims to be far behind is discarded; by default claims end nothing, and never keep."""
    for after, expected in ((1.0, ("keep", "keep")), (0.3, ("discard", "timed_out"))):
        session = world([BETTER], early_stop=EarlyStop(after=after)).session()
        session.run()
        assert decisions(session) == [expected]


def test_a_limit_on_what_nobody_measures_is_said_at_once(world: Make) -> None:
    """A slip in task.yaml is no reason to reject every keep of a night: the session ends after the first trial."""
    made = world([BETTER])
    made.task = replace(made.task, side_limits={"recal": SideLimit(Direction.MAXIMIZE, 0.1)})
    session = made.session()
    with pytest.raises(UserError, match="recal is not among the side metrics of the baseline"):
        session.run()
    assert len(session.trial_runner.state.trials) == 1
