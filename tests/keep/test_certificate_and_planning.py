"""The certificate's arithmetic, what trials can see, and what is said before and after."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.commands.certify import lines as certificate_lines
from harness.commands.noise import lines as noise_lines
from harness.commands.noise import split_runs, summary
from harness.errors import UserError
from harness.keep import power
from harness.keep.certificate import certify
from harness.keep.greedy import Greedy
from harness.keep.planning import plan
from harness.keep.race import Race
from harness.keep.stack import Stack

LOSSES = st.lists(st.floats(-10, 10), min_size=2, max_size=8)


@given(LOSSES, LOSSES)
def test_certificate_is_welchs_test(head: list[float], baseline: list[float]) -> None:
    """The same p and interval as scipy's, one-sided, and it passes exactly where the interval excludes zero."""
    found = certify(head, baseline)
    if found.sd < 1e-6:
        return
    expected = stats.ttest_ind(baseline, head, equal_var=False, alternative="greater")
    both = stats.ttest_ind(baseline, head, equal_var=False).confidence_interval(0.95)
    assert found.p == pytest.approx(float(expected.pvalue), rel=1e-6, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((both.low, both.high), rel=1e-6, abs=1e-9)
    assert found.low is not None
    assert found.passed == (found.low > 0)


@given(LOSSES, LOSSES, st.floats(0, 5))
def test_a_better_head_never_loses_a_certificate(
    head: list[float], baseline: list[float], more: float
) -> None:
    """Losses: lower is better. Taking the same off all of the head's never turns pass into fail."""
    if certify(head, baseline).passed:
        assert certify([loss - more for loss in head], baseline).passed


def test_a_failed_trial_fails_the_certificate() -> None:
    for missing in (None, math.nan, math.inf):
        found = certify([0.0, missing, 0.0, 0.0, 0.0], [9.0] * 5)
        assert (found.passed, found.gain, found.p) == (False, None, 1.0)
        assert "without a score" in certificate_lines(found)[0]
    with pytest.raises(ValueError, match="two trials"):
        certify([1.0], [1.0, 2.0])


def test_certificates_without_noise() -> None:
    assert certify([1.0] * 5, [2.0] * 5).passed
    assert not certify([1.0] * 5, [1.0] * 5).passed
    assert not certify([2.0] * 5, [1.0] * 5).passed


def test_a_second_certificate_says_that_it_is_one() -> None:
    found = certify([0.0, 0.1, 0.2, 0.1, 0.0], [1.0, 1.1, 1.2, 1.1, 1.0])
    assert certificate_lines(found, unit="bits per byte")[0].startswith(
        "certificate passed: gain 1 bits per byte"
    )
    assert len(certificate_lines(found)) == 1
    assert "the first one counts" in certificate_lines(found, [False])[1]


@pytest.mark.parametrize(
    ("effect", "keep", "trials"),
    [(-1, 0.0, 1.07), (0, 0.007, 1.52), (0.5, 0.044, 2.2), (1, 0.154, 3.2), (2, 0.573, 5.3), (3, 0.89, 5.8)],
)
def test_operating_characteristics(effect: float, keep: float, trials: float) -> None:
    """Probability of a keep and trials of both sides; test_error_rates.py has the same from the rule itself."""
    found = power.race(effect, draws=8000)
    assert found.keep == pytest.approx(keep, abs=0.02)
    assert found.trials == pytest.approx(trials, abs=0.15)


def test_what_a_stack_can_show() -> None:
    """At an alpha of .05: half of the stacks that gain one sd are certified, four in five of one and a half."""
    assert power.smallest_step(0.5, 0.05, 6) == pytest.approx(0.974, abs=0.01)
    assert power.smallest_step(0.8, 0.05, 6) == pytest.approx(1.467, abs=0.01)
    assert power.promising(0.0, 0.6) == pytest.approx(0.274, abs=1e-3)


def test_trials_needed() -> None:
    """At sd 5e-4, 80 %: 4 trials a side for 1e-3, 13 for 5e-4, 78 for 2e-4; and the other way round."""
    assert [power.runs_needed(effect, 5e-4) for effect in (1e-3, 5e-4, 2e-4)] == [4, 13, 78]
    assert power.detectable(5e-4, 10**6, 13) == pytest.approx(5e-4, rel=0.05)
    assert power.race(power.smallest_effect(0.8), draws=4000).keep == pytest.approx(0.8, abs=2e-3)


def test_plan_of_a_night() -> None:
    said = plan(Race(), 300, hours=8, sd=5e-4, unit="bits per byte")
    assert said[0].startswith("plan: about 54 decisions in 6.8 h (1.5 trials of 300 s each), plus ")
    assert "0.0013 with 80 %" in said[1]
    assert "kept with 0.7% probability" in said[2]
    assert plan(Greedy(), 20, hours=1, trials=34, proposals=100)[0].startswith(
        "plan: about 19 decisions in 8 min"
    )
    assert plan(Race(), 20, trials=5)[0].startswith("plan: about 0 decisions")
    assert len(plan(Greedy(), 20, proposals=40)) == 1


def test_plan_of_a_stacking_night() -> None:
    """What is provisional, what a race can show, and the error of the whole session."""
    said = plan(Stack(), 300, hours=8, sd=5e-4, unit="bits per byte")
    assert "(1.3 trials of 300 s each), plus start-up and scoring" in said[0]
    assert "every 5, and at the end" in said[1]
    assert "0.00058 bits per byte is certified with 50 %" in said[2]
    assert "at most 0.05 false certified steps" in said[3]
    assert "5% of its steps" in said[3]


def test_noise_in_words() -> None:
    losses = (1.0 + 0.01 * np.random.default_rng(0).normal(size=12)).tolist()
    found = summary(losses, [100.0, 101.0, 99.0])
    assert found.low < found.level.sd < found.high
    assert found.level.sd == pytest.approx(float(np.std(losses, ddof=1)))
    text = "\n".join(noise_lines(found, "nats"))
    assert "12 trials: mean 1.00" in text
    assert "3 seeds a side detect" in text
    assert "varying by 1.0%: steady" in text
    assert "mean -1.00" in noise_lines(found, turned=-1.0)[0]
    assert "deterministic" in noise_lines(summary([1.0, 1.0]))[1]
    with pytest.raises(ValueError, match="at least two"):
        summary([1.0])


@given(st.integers(2, 30), st.integers(0, 10**6))
def test_interval_of_the_sd_is_that_of_chi_squared(count: int, seed: int) -> None:
    losses = np.random.default_rng(seed).normal(size=count).tolist()
    found, df = summary(losses), count - 1
    expected = [found.level.sd * (df / stats.chi2.ppf(p, df)) ** 0.5 for p in (0.975, 0.025)]
    assert [found.low, found.high] == pytest.approx(expected, rel=1e-6)


def test_number_of_trials_is_read_from_the_arguments() -> None:
    assert split_runs(["task=digits", "runs=5"]) == (5, ["task=digits"])
    assert split_runs([]) == (8, [])
    for wrong in ("runs=1", "runs=x", "runs="):
        with pytest.raises(UserError, match="whole number"):
            split_runs([wrong])
