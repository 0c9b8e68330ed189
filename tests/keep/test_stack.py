"""What the stack promises: cheap keeps, certified steps, roll-backs, and an error that was stated beforehand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_nights import Simulation, World, nights

from harness.keep.planning import plan
from harness.keep.stack import Stack
from harness.keep.standing import Standing
from harness.records import Action, KeepEvidence

BASELINE = (1.00, 1.01, 0.99, 1.00)
KNOWN = {"prior_sd": 0.01, "prior_df": 5}
LOSSES = st.lists(st.floats(0.5, 1.5), max_size=7).map(tuple)


def racing(head: tuple[float, ...], certified: tuple[float, ...], **more: object) -> KeepEvidence:
    kept_on = head[0] if head else 0.98
    seen = KeepEvidence((kept_on, kept_on, *head), (), incumbent_screening=1, incumbent_selected=1, **KNOWN)  # type: ignore[arg-type] # a mapping of numbers
    return replace(
        seen, provisional=5, certified=BASELINE + certified, step_head=head, step_certified=certified, **more
    )


def test_one_promising_trial_is_kept_provisionally() -> None:
    assert Stack().next_step(KeepEvidence(BASELINE, (0.99,), **KNOWN)).action is Action.KEEP
    assert Stack().next_step(KeepEvidence(BASELINE, (0.999,), **KNOWN)).action is Action.DISCARD
    assert Stack().next_step(KeepEvidence(BASELINE, (), **KNOWN)).action is Action.RUN_CANDIDATE
    assert Stack().next_step(KeepEvidence(BASELINE[:3], ())).action is Action.RUN_INCUMBENT


def test_a_new_head_gets_a_fresh_trial_before_anything_is_proposed() -> None:
    kept = KeepEvidence(
        (0.98,), (), incumbent_screening=1, incumbent_selected=1, provisional=1, certified=BASELINE
    )
    assert Stack().between(kept).action is Action.RUN_INCUMBENT
    assert Stack().between(replace(kept, incumbent=(0.98, 0.99))).action is Action.PROPOSE
    assert Stack().between(KeepEvidence(BASELINE, ())).action is Action.PROPOSE


def test_a_stale_bar_is_measured_again() -> None:
    seen = KeepEvidence(BASELINE, (), decisions_since_incumbent=20)
    assert Stack().between(seen).reason == "refresh"
    assert Stack(refresh=0).between(seen).action is Action.PROPOSE
    assert Stack().between(replace(seen, ending=True)).action is Action.PROPOSE


def test_head_and_certified_state_take_turns_on_fresh_trials() -> None:
    """C H | H C | C H ...; nothing is decided before two whole blocks, and older losses take no part."""
    asked, head, certified = "", (), ()
    for _ in range(4):
        action = Stack().between(racing(head, certified)).action
        asked += "H" if action is Action.RUN_HEAD else "C"
        head, certified = (*head, 0.9), certified
        if action is Action.RUN_CERTIFIED:
            head, certified = head[:-1], (*certified, 1.0)
    assert asked == "CHHC"
    assert Stack().between(racing(head, certified)).action is Action.CERTIFY
    assert Stack().between(racing((1.0, 1.0), (0.99, 1.0))).action is Action.ROLL_BACK
    undecided = Stack().between(racing((0.99, 0.99), (1.0, 0.998)))
    assert (undecided.action, undecided.statistics["look"]) == (Action.RUN_CERTIFIED, 2.0)
    six = racing((0.995, 0.99, 1.0) * 2, (1.0, 0.99, 1.0) * 2)
    assert (Stack().between(six).action, Stack().between(six).reason) == (Action.ROLL_BACK, "no_looks_left")


def test_the_end_settles_a_small_stack() -> None:
    """Fewer than five provisional keeps wait; when no further proposal will come they race as well."""
    few = replace(racing((), ()), provisional=2)
    assert Stack().between(few).action is Action.PROPOSE
    assert Stack().between(replace(few, ending=True)).action is Action.RUN_CERTIFIED
    settled = replace(few, provisional=0, certified=(), ending=True)
    assert Stack().between(settled).action is Action.PROPOSE


def test_errors_are_spent_from_a_budget_stated_beforehand() -> None:
    """The first race spends half of it; failures shrink what is left, a certified step earns the budget again."""
    rule = Stack()
    assert rule.next_alpha(()) == pytest.approx(0.0238, abs=1e-4)
    spent = [rule.next_alpha((False,) * races) for races in range(12)]
    assert spent == sorted(spent, reverse=True)
    assert sum(spent) < rule.session_error * (1 - rule.session_error)
    assert rule.next_alpha((True,)) > rule.next_alpha(())
    assert rule.next_alpha((True,) * 50) == rule.alpha
    assert any("at most 0.05 false certified steps" in line for line in plan(rule, 300))


@given(st.lists(st.booleans(), max_size=30).map(tuple))
def test_no_race_spends_more_than_is_left(races: tuple[bool, ...]) -> None:
    """All that is spent never exceeds what there was at first and what certified steps earned."""
    rule = Stack()
    spent = sum(rule.next_alpha(races[:race]) for race in range(len(races) + 1))
    assert 0 < rule.next_alpha(races) <= rule.alpha
    assert spent <= rule.session_error * (1 - rule.session_error + sum(races))


@given(LOSSES, LOSSES, LOSSES, st.booleans())
def test_every_state_has_an_answer(
    head: tuple[float, ...], certified: tuple[float, ...], candidate: tuple[float, ...], ending: bool
) -> None:
    """Any losses: an action of the right kind with finite statistics, and no certificate without a better mean."""
    seen = racing(head, certified, candidate=candidate, ending=ending)
    about, between = Stack().next_step(seen), Stack().between(seen)
    assert about.action in (Action.KEEP, Action.DISCARD, Action.RUN_CANDIDATE, Action.RUN_INCUMBENT)
    assert between.action in (Action.RUN_HEAD, Action.RUN_CERTIFIED, Action.CERTIFY, Action.ROLL_BACK)
    assert all(math.isfinite(value) for step in (about, between) for value in step.statistics.values())
    if between.action is Action.CERTIFY:
        assert sum(head) / len(head) < sum(certified) / len(certified)


def test_nights_without_effects_certify_next_to_nothing() -> None:
    """A/A, 150 nights of 100 slots, with Gaussian noise and under a machine that gets faster: .05 steps a night."""
    for condition in ("Gaussian", "drift -3 sd"):
        done = nights(Stack(), "null 100", 150, seed=3, condition=condition)
        assert sum(len(night.steps) for night in done) <= 18  # 99.99 % of draws at .05 a night
        assert all(night.gain == 0 for night in done)


def test_steps_that_are_certified_are_gains() -> None:
    """Nights with effects: hardly a certified step without gain, and most of a greedy loop's gain."""
    done = nights(Stack(), "all 100", 60, seed=4)
    steps = sum(len(night.steps) for night in done)
    assert steps > 90
    assert sum(night.false_steps for night in done) <= 3


def test_three_times_the_noise_does_not_certify() -> None:
    """Candidates of no effect and three times the spread, all of them: at most .15 steps a night."""
    done = nights(Stack(), "null 100", 120, seed=5, condition="spread x3")
    assert sum(len(night.steps) for night in done) <= 27


def test_what_is_rolled_back_is_gone() -> None:
    """A head that got worse by luck of its first trials is taken back whole, and the search goes on from there."""
    slots = 60
    lucky = np.full(slots, 0.0)
    lucky[4:14:2] = -3.0  # every candidate's first trial, until five are kept
    world = World([0.0] * 90, (lucky + 0.01 * np.random.default_rng(1).normal(size=slots)).tolist())
    night = Simulation(Stack(), world, Standing(prior_sd=1.0, prior_df=5)).run()
    assert night.rolled_back >= 5
    assert night.steps == []
    assert night.gain == 0.0


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": 0.0}, {"session_error": 0.5}, {"provisional_keeps": 0}, {"looks": 1}, {"incumbent_runs": 1}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Stack(**wrong)  # type: ignore[arg-type] # wrong on purpose
