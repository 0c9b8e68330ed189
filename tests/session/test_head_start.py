"""Which trials start up beside the score of the one before: those that are asked for next, and no secret can reach."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from harness.keep.stack import Stack
from harness.ledger import chain
from harness.records import Outcome, Role, TrialResult, TrialSpec
from harness.session.trial_runner import _used_meanwhile
from harness.trial.conditions import foreign_cores
from harness.trial.turns import VARIABLE
from tests.session.conftest import Killed, Recorder, World

SERIES = ("loss = 1.5\n# worse", "loss = 0.9\n# better", "crash\nloss = 0.1", "loss = 0.7\n# much better")
Make = Callable[..., World]


def made_by(world: World) -> list[tuple[str, int]]:
    return [(spec.trial_id, spec.seed) for spec in world.machine.runs]


def test_calibration_and_certificate_start_ahead_and_nothing_else_changes(world: Make) -> None:
    """Each trial of the baseline's four but the first, of the certificate's but the first; the same trials, the same
    seeds and the same rows as without."""
    plain, ahead = world(SERIES), world(SERIES, starts_ahead=True)
    for each in (plain, ahead):
        each.session().run()
    assert made_by(plain) == made_by(ahead)
    kinds = [[row["kind"] for row in chain.read(each.folder)] for each in (plain, ahead)]
    assert kinds[0] == kinds[1]
    assert not plain.machine.begun_ahead
    begun = {spec.trial_id for spec in ahead.machine.begun_ahead}
    certificate = [spec for spec in ahead.machine.runs if spec.trial_id.startswith("cert1")]
    assert {f"baseline-{number}" for number in (2, 3, 4)} <= begun
    assert {spec.trial_id for spec in certificate[1:]} <= begun


def test_what_is_begun_is_what_is_asked_for_next(world: Make) -> None:
    """The order as a whole, seed included; one in vain is allowed where a race may end."""
    made = world(SERIES, starts_ahead=True, keep=Stack())
    made.session().run()
    following = [after for _, after in pairwise(made.machine.runs)]
    wrong = [spec for spec in made.machine.begun_ahead if spec not in following]
    assert made.machine.begun_ahead
    assert all(spec.role in (Role.STEP_HEAD, Role.STEP_CERTIFIED) for spec in wrong)


def test_no_proposed_program_starts_beside_the_score_of_a_proposed_one(world: Make) -> None:
    """Attack: a predictor that has read held-out inputs whispers to a trial that will train. One of the two is always
    the task's own program."""
    made = world(SERIES, starts_ahead=True, keep=Stack())
    beside: list[tuple[TrialSpec, TrialSpec]] = []
    begin = made.machine.start_ahead
    made.machine.start_ahead = lambda spec, source: (  # type: ignore[method-assign] # looks on
        beside.append((made.machine.runs[-1], spec)), begin(spec, source)
    )[1]  # fmt: skip
    session = made.session()
    session.run()
    baseline = session.trial_runner.state.baseline
    assert beside
    assert all(baseline in (scored.commit, begun.commit) for scored, begun in beside)


def test_killed_after_any_row_each_trial_counts_once(world: Make) -> None:
    """One that waits at its gate has no row: it is neither lost nor repeated, and its seed stays what it was."""
    whole = world(SERIES, starts_ahead=True)
    tracker = Recorder()
    whole.session(tracker).run()
    ends = [row.seq for row in tracker.seen if row.kind in ("trial_finished", "scored")]
    for stop in ends[::4]:
        made = world(SERIES, starts_ahead=True)
        with pytest.raises(Killed):
            made.session(Recorder(stop)).run()
        made.session().run()
        assert made_by(made) == made_by(whole)


def test_not_where_sessions_take_turns(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn after a score may be another session's, and its billed time with it."""
    monkeypatch.setenv(VARIABLE, "")
    made = world(SERIES[:1], starts_ahead=True)
    session = made.session()
    order = session.trial_runner.order(session.intake.files_of(session.trial_runner.state.baseline), "b",
                                       Role.BASELINE, "baseline-1")  # fmt: skip
    session.trial_runner._begins_after(order)()
    assert not made.machine.begun_ahead


def test_a_start_up_that_nobody_looked_at_makes_no_foreign_cores() -> None:
    """30 s on one core beside a score, then 6 s on four: four busy cores are its own, as if it had been seen from its
    start on."""
    ahead = {"ahead_seconds": 30.0, "ahead_cpu_seconds": 30.0}
    about = {"wall_seconds": 36.0, "cpu_seconds": 54.0}
    early = TrialResult("a", Outcome.COMPLETED, "exit_0", machine=ahead, **about)
    plain = TrialResult("a", Outcome.COMPLETED, "exit_0", **about)
    assert foreign_cores(4.0, *_used_meanwhile(early)) == foreign_cores(1.5, *_used_meanwhile(plain)) == 0.0
