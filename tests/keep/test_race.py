"""What the race promises step by step."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.keep.race import Race
from harness.records import Action, KeepEvidence

BASELINE = (1.00, 1.01, 0.99, 1.00)  # sd 0.008
NORMAL = st.floats(0.5, 1.5)
ORDER = {Action.DISCARD: 0, Action.RUN_CANDIDATE: 1, Action.RUN_INCUMBENT: 1, Action.KEEP: 2}


@st.composite
def evidence(draw: st.DrawFn, losses: st.SearchStrategy[float] = NORMAL) -> KeepEvidence:
    several = st.lists(losses, min_size=2, max_size=4).map(tuple)
    return KeepEvidence(
        incumbent=tuple(draw(st.lists(losses, max_size=7))),
        candidate=tuple(draw(st.lists(losses, max_size=7))),
        configurations=tuple(draw(st.lists(several, max_size=3))),
        incumbent_screening=draw(st.integers(0, 1)),
        prior_sd=draw(st.none() | st.floats(0, 0.2)),
        prior_df=draw(st.integers(0, 20)),
    )


def action(*candidate: float, incumbent: tuple[float, ...] = BASELINE, rule: Race | None = None) -> Action:
    return (rule or Race()).next_step(KeepEvidence(incumbent, candidate)).action


def test_asks_for_the_baseline_first() -> None:
    """Four trials of the baseline give the noise; only then a candidate is run."""
    for runs in range(4):
        assert action(incumbent=BASELINE[:runs]) is Action.RUN_INCUMBENT
    assert action() is Action.RUN_CANDIDATE


def test_noise_that_is_not_known_is_measured() -> None:
    """A kept incumbent with one confirmatory trial and no other configuration has no sd yet."""
    assert Race().next_step(KeepEvidence((1.0, 1.1), (), incumbent_screening=1)).reason == "noise_unknown"
    warm = KeepEvidence((1.0, 1.1), (), incumbent_screening=1, prior_sd=0.01, prior_df=3)
    assert Race().next_step(warm).action is Action.RUN_CANDIDATE


def test_drops_keeps_and_goes_on() -> None:
    """Below z = 1 a candidate is dropped after one trial; a clear win is kept at once; between, it is raced."""
    assert action(1.0) is Action.DISCARD
    assert action(0.96) is Action.RUN_CANDIDATE  # over four sd, but the sd has three degrees of freedom only
    warm = KeepEvidence(BASELINE, (0.96,), prior_sd=0.01, prior_df=30)
    assert Race().next_step(warm).action is Action.KEEP
    assert action(0.5) is Action.KEEP


def test_a_candidate_that_never_convinces_is_dropped_at_the_last_look() -> None:
    step = Race(alpha=0.001).next_step(KeepEvidence(BASELINE, (0.99,) * 6))
    assert (step.action, step.reason) == (Action.DISCARD, "no_runs_left")


def test_incumbent_is_interleaved_while_it_has_few_trials() -> None:
    """A kept incumbent has two trials; while it is raced it gets one more with each of the candidate's, to four."""
    known = {"incumbent_screening": 1, "prior_sd": 0.01, "prior_df": 20}
    for incumbents, candidates, expected in [
        (1, 0, Action.RUN_INCUMBENT),
        (2, 0, Action.RUN_CANDIDATE),
        (2, 1, Action.RUN_CANDIDATE),
        (2, 2, Action.RUN_INCUMBENT),
        (3, 2, Action.RUN_CANDIDATE),
        (3, 3, Action.RUN_INCUMBENT),
        (4, 3, Action.RUN_CANDIDATE),
    ]:
        seen = KeepEvidence((1.0,) * incumbents, (0.985,) * candidates, **known)
        assert Race().next_step(seen).action is expected, (incumbents, candidates)


def test_refresh_runs_a_stale_incumbent() -> None:
    seen = KeepEvidence(BASELINE, (), decisions_since_incumbent=10)
    assert Race(refresh=10).next_step(seen).reason == "refresh"
    assert Race(refresh=11).next_step(seen).action is Action.RUN_CANDIDATE
    assert Race().next_step(seen).action is Action.RUN_CANDIDATE


def test_equal_losses_are_no_licence() -> None:
    """Four equal losses of the incumbent do not make the smallest difference certain after one trial."""
    equal = (1.0,) * 4
    assert action(0.999, incumbent=equal) is Action.RUN_CANDIDATE
    assert action(0.999, 0.999, incumbent=equal) is Action.KEEP  # deterministic on both sides
    assert action(0.9, 1.08, incumbent=equal) is Action.DISCARD
    assert action(1.0, incumbent=equal) is Action.DISCARD
    third = (1 / 3,) * 4  # the mean of equal losses is exactly their value
    assert action(1 / 3, incumbent=third) is Action.DISCARD


def test_a_simplification_may_cost_a_margin_within_the_budget() -> None:
    """Simpler and not worse than the margin: kept, and the step says what it spent; never beyond the budget."""
    seen = KeepEvidence(
        BASELINE, (1.0,), prior_sd=0.01, prior_df=50, incumbent_complexity=100, candidate_complexity=90
    )
    rule = Race(margin=0.05, margin_budget=0.1)
    step = rule.next_step(seen)
    assert (step.action, step.statistics["margin"]) == (Action.KEEP, 0.05)
    assert Race().next_step(seen).action is Action.DISCARD
    assert rule.next_step(replace(seen, margin_spent=0.06)).action is Action.DISCARD
    assert rule.next_step(replace(seen, candidate_complexity=100)).action is Action.DISCARD
    assert rule.next_step(replace(seen, candidate_complexity=0)).action is Action.DISCARD
    assert rule.next_step(replace(seen, candidate=(1.05,))).action is Action.DISCARD
    assert "margin" not in rule.next_step(replace(seen, candidate=(0.9,))).statistics  # better anyway


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"alpha": 0.5}, {"max_runs": 0}, {"incumbent_runs": 1}, {"margin": -1.0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Race(**wrong)


@given(evidence())
def test_keeps_only_on_evidence(seen: KeepEvidence) -> None:
    """No keep without two trials of the incumbent, one of the candidate and a better mean."""
    step = Race().next_step(seen)
    if step.action is Action.KEEP:
        assert len(seen.incumbent) >= 2
        assert sum(seen.candidate) / len(seen.candidate) < sum(seen.incumbent) / len(seen.incumbent)
    assert all(math.isfinite(value) for value in step.statistics.values())


@given(evidence(st.floats(allow_nan=True, allow_infinity=True)))
def test_never_keeps_what_is_not_finite(seen: KeepEvidence) -> None:
    """Any floats at all: an answer, finite statistics, and no keep unless all of them are ordinary numbers."""
    step = Race().next_step(seen)
    everything = seen.incumbent + seen.candidate + sum(seen.configurations, ())
    if not all(abs(loss) < 1e100 for loss in everything):
        assert step.action is Action.DISCARD
    assert all(math.isfinite(value) for value in step.statistics.values())


@given(evidence(), st.floats(0, 1))
def test_lower_losses_never_hurt(seen: KeepEvidence, shift: float) -> None:
    """Taking the same amount off all losses of the candidate never moves it away from a keep."""
    better = replace(seen, candidate=tuple(loss - shift for loss in seen.candidate))
    before, after = Race().next_step(seen), Race().next_step(better)
    assert ORDER[after.action] >= ORDER[before.action] or after.statistics["z"] == pytest.approx(
        before.statistics["z"], abs=1e-6
    )


@given(evidence(), st.randoms(use_true_random=False))
def test_order_does_not_matter(seen: KeepEvidence, shuffle: random.Random) -> None:
    """The order of a candidate's trials, of confirmatory trials and of configurations changes nothing."""

    def shuffled(losses: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(shuffle.sample(losses, len(losses)))

    screening = seen.incumbent_screening
    other = replace(
        seen,
        candidate=shuffled(seen.candidate),
        incumbent=seen.incumbent[:screening] + shuffled(seen.incumbent[screening:]),
        configurations=tuple(shuffled(losses) for losses in reversed(seen.configurations)),
        incumbent_selected=len(seen.incumbent),  # the drift alarm does look at the order
    )
    first = Race().next_step(replace(seen, incumbent_selected=len(seen.incumbent)))
    second = Race().next_step(other)
    assert first.statistics == pytest.approx(second.statistics, rel=1e-6, abs=1e-6)


@given(evidence(), st.sampled_from([2.0**-20, 0.25, 1024.0]))
def test_the_unit_does_not_matter(seen: KeepEvidence, unit: float) -> None:
    """The same losses in another unit: the same decision."""

    def scaled(losses: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(unit * loss for loss in losses)

    prior = None if seen.prior_sd is None else unit * seen.prior_sd
    other = replace(
        seen,
        incumbent=scaled(seen.incumbent),
        candidate=scaled(seen.candidate),
        configurations=tuple(map(scaled, seen.configurations)),
        prior_sd=prior,
    )
    assert Race().next_step(other).action is Race().next_step(seen).action
