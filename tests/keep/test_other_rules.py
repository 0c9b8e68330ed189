"""Greedy, rerun and Bayes: what they promise beside the race."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.setup import load
from harness.keep.bayes import Bayes
from harness.keep.effect_prior import posterior
from harness.keep.greedy import Greedy
from harness.keep.race import Race
from harness.keep.rerun import Rerun
from harness.keep.stack import Stack
from harness.protocols import KeepRule
from harness.records import Action, KeepEvidence

RULES = (Race(), Greedy(), Rerun(), Bayes(), Stack())
FIVE = (1.00, 1.01, 0.99, 1.00, 1.00)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0.9, 1.1)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@given(st.data())
def test_no_rule_keeps_without_finite_evidence(rule: KeepRule, data: st.DataObject) -> None:
    """Whatever the floats: an answer, and a keep only of finite losses with a better mean."""
    losses = st.lists(NUMBERS, max_size=7).map(tuple)
    seen = KeepEvidence(
        data.draw(losses), data.draw(losses), incumbent_screening=data.draw(st.integers(0, 1))
    )
    step = rule.next_step(seen)
    if step.action is Action.KEEP:
        assert seen.candidate
        assert all(map(math.isfinite, seen.candidate + seen.incumbent))
    assert all(math.isfinite(value) for value in step.statistics.values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("sd", [0.0, 0.01])
def test_every_rule_comes_to_an_end(rule: KeepRule, sd: float) -> None:
    """From nothing, each rule decides within twenty trials, with noise and without."""
    rng = np.random.default_rng(1)
    for effect in (-0.02, 0.0, 0.02, 0.2):
        incumbent: tuple[float, ...] = ()
        candidate: tuple[float, ...] = ()
        beside = 0
        for _ in range(20):
            step = rule.next_step(KeepEvidence(incumbent, candidate, incumbent_beside=beside))
            if step.action in (Action.KEEP, Action.DISCARD):
                break
            loss = 1 + sd * float(rng.normal())
            if step.action is Action.RUN_INCUMBENT:
                incumbent = (*incumbent, loss)
                beside += bool(candidate)
            else:
                candidate = (*candidate, loss - effect)
        assert step.action is (Action.KEEP if effect > 0.1 else step.action)
        assert step.action in (Action.KEEP, Action.DISCARD)
        if effect < 0:
            assert step.action is Action.DISCARD


def test_greedy_keeps_what_is_lower_and_not_what_is_equal() -> None:
    assert Greedy().next_step(KeepEvidence((1.0,), (0.9999,))).action is Action.KEEP
    assert Greedy().next_step(KeepEvidence((1.0,), (1.0,))).action is Action.DISCARD
    assert Greedy(incumbent_runs=3).next_step(KeepEvidence((1.0,), ())).action is Action.RUN_INCUMBENT


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_guard_that_lacks_trials_gets_them(rule: KeepRule) -> None:
    """However clear the win: no keep while the candidate has fewer trials than a guard asked for."""
    seen = KeepEvidence(FIVE, (0.5,), prior_sd=0.01, prior_df=5, least_trials=3)
    for _ in range(6):
        step = rule.next_step(seen)
        if step.action is Action.RUN_INCUMBENT:
            beside = seen.incumbent_beside + 1
            seen = replace(seen, incumbent=(*seen.incumbent, 1.0), incumbent_beside=beside)
        elif step.action is Action.RUN_CANDIDATE:
            seen = replace(seen, candidate=(*seen.candidate, 0.5))
    assert (step.action, len(seen.candidate)) == (Action.KEEP, 3)


def test_rerun_decides_on_the_reruns_alone() -> None:
    """A lucky first trial gives a candidate two more, and does not count for it."""
    assert Rerun().next_step(KeepEvidence(FIVE, (0.995,))).action is Action.DISCARD
    assert Rerun().next_step(KeepEvidence(FIVE, (0.5,))).action is Action.RUN_CANDIDATE
    assert Rerun().next_step(KeepEvidence(FIVE, (0.5, 1.0))).action is Action.RUN_CANDIDATE
    assert Rerun().next_step(KeepEvidence(FIVE, (0.5, 1.0, 0.99))).action is Action.DISCARD
    assert Rerun().next_step(KeepEvidence(FIVE, (0.98, 0.98, 0.98))).action is Action.KEEP


@given(st.floats(-6, 6), st.floats(0.05, 2), st.floats(0.01, 3))
def test_belief_grows_with_the_estimate(estimate: float, error: float, more: float) -> None:
    low, high = posterior(estimate, error), posterior(estimate + more, error)
    assert 0 <= low.probability <= high.probability + 1e-9 <= 1 + 2e-9
    assert low.effect <= high.effect + 1e-9


@pytest.mark.parametrize(("estimate", "error"), [(-2.0, 0.5), (0.0, 1.0), (1.0, 1.1), (3.0, 0.7)])
def test_the_closed_form_is_bayes_theorem(estimate: float, error: float) -> None:
    """Against a sum over a fine grid of effects."""
    grid = np.linspace(1e-4, 120, 1_200_001)
    gain = 0.85 / 0.6 * np.exp(-grid / 0.6) + 0.15 / 3.6 * np.exp(-grid / 3.6)
    harm = 0.80 / 2.0 * np.exp(-grid / 2.0) + 0.20 / 8.0 * np.exp(-grid / 8.0)
    step = grid[1] - grid[0]

    def likelihood(effect: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((estimate - effect) / error) ** 2)

    up, down = 0.25 * gain * likelihood(grid) * step, 0.45 * harm * likelihood(-grid) * step
    total = up.sum() + down.sum() + 0.30 * likelihood(np.zeros(1))[0]
    found = posterior(estimate, error)
    assert found.probability == pytest.approx(up.sum() / total, rel=1e-3)
    assert found.effect == pytest.approx(((up - down) * grid).sum() / total, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ("race", Race),
        ("strict", Race),
        ("greedy", Greedy),
        ("rerun", Rerun),
        ("bayes", Bayes),
        ("stack", Stack),
    ],
)
def test_every_choice_of_the_config_builds(choice: str, kind: type) -> None:
    rule = load([f"keep={choice}", "task=digits"]).keep
    assert isinstance(rule, kind)
    if choice == "strict":
        assert rule == Race(alpha=0.01)


def test_the_error_can_be_set_on_the_command_line() -> None:
    assert load(["task=digits", "keep=race", "keep.alpha=0.02"]).keep == Race(alpha=0.02)
