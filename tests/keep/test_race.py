"""What the race promises step by step."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_nights import Simulation, World

from harness.keep.noise_level import pooled
from harness.keep.race import Race
from harness.keep.standing import Standing
from harness.records import Action, KeepEvidence

BASELINE = (1.00, 1.01, 0.99, 1.00)  # sd 0.008
NORMAL = st.floats(0.5, 1.5)
ORDER = {Action.DISCARD: 0, Action.RUN_CANDIDATE: 1, Action.RUN_INCUMBENT: 1, Action.KEEP: 2}


@st.composite
def evidence(draw: st.DrawFn, losses: st.SearchStrategy[float] = NORMAL) -> KeepEvidence:
    several = st.lists(losses, min_size=2, max_size=4).map(tuple)
    incumbent = tuple(draw(st.lists(losses, max_size=7)))
    return KeepEvidence(
        incumbent=incumbent,
        incumbent_beside=draw(st.integers(0, len(incumbent))),
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


def raced(*candidate: float, beside: tuple[float, ...] = (), **known: float) -> KeepEvidence:
    """After a race in blocks: the trials of the incumbent beside the candidate's come after the baseline's."""
    return KeepEvidence(BASELINE + beside, candidate, incumbent_beside=len(beside), **known)  # type: ignore[arg-type] # counts are whole


def test_drops_keeps_and_goes_on() -> None:
    """Below z = 1 a candidate is dropped after one trial; no win is kept on a single one, however clear."""
    assert action(1.0) is Action.DISCARD
    assert action(0.5) is Action.RUN_INCUMBENT
    assert Race().next_step(raced(0.97, 0.99, beside=(1.0,))).action is Action.RUN_CANDIDATE
    assert Race().next_step(raced(0.5, 0.51, beside=(1.0,))).action is Action.KEEP  # two trials, and fifty sd
    assert (
        Race().next_step(raced(0.5, 0.51, 0.5, beside=(1.0, 1.0), prior_sd=0.01, prior_df=5)).action
        is Action.KEEP
    )


def test_a_candidate_that_never_convinces_is_dropped_at_the_last_look() -> None:
    step = Race(alpha=0.001).next_step(raced(*(0.985,) * 6, beside=(1.0, 0.99, 1.01, 1.0, 1.0)))
    assert (step.action, step.reason) == (Action.DISCARD, "no_runs_left")


def test_old_and_new_take_turns() -> None:
    """C | I C | C I | I C ...: decisions fall after whole blocks, and only trials of the race are compared."""
    asked, known = [], {"prior_sd": 0.01, "prior_df": 20}
    beside: tuple[float, ...] = ()
    candidate: tuple[float, ...] = (0.988,)
    for _ in range(6):
        step = Race(alpha=0.001).next_step(raced(*candidate, beside=beside, **known))
        asked.append("I" if step.action is Action.RUN_INCUMBENT else "C")
        if step.action is Action.RUN_INCUMBENT:
            beside = (*beside, 1.0)
        else:
            candidate = (*candidate, 0.988)
    assert "".join(asked) == "ICCIIC"
    faster = raced(0.96, 0.96, 0.96, beside=(0.96, 0.96), **known)  # the machine changed for both
    assert Race().next_step(faster).action is Action.DISCARD


def test_a_guard_may_need_more_trials() -> None:
    """No keep before the trials that a guard asked for; they are run even beyond max_runs."""
    won = raced(0.5, 0.51, 0.5, beside=(1.0, 1.0), prior_sd=0.01, prior_df=5)
    assert Race().next_step(won).action is Action.KEEP
    assert Race().next_step(replace(won, least_trials=4)).action in (
        Action.RUN_CANDIDATE,
        Action.RUN_INCUMBENT,
    )
    assert Race(max_runs=3).next_step(replace(won, least_trials=4)).action is not Action.DISCARD


@pytest.mark.parametrize("spread", [3.0, 10.0])
def test_a_noisier_candidate_is_not_kept_for_its_noise(spread: float) -> None:
    """No effect, three (ten) times the spread: kept in at most 8 (13) of 100 cases; with one sd for all, 12 and 31."""
    rng = np.random.default_rng(1)
    worlds = [World([0.0], rng.normal(size=20).tolist(), (), [spread]) for _ in range(600)]
    kept = sum(len(Simulation(Race(), world, Standing()).run(one_decision=True).keeps) for world in worlds)
    assert kept <= (48 if spread == 3 else 80)


def test_a_configuration_that_ignores_its_seed_does_not_shrink_the_noise() -> None:
    """Equal losses of a kept program are left out of the pool: a null is kept no oftener than without it."""
    rng, pinned = np.random.default_rng(2), Standing(past=((1.0,) * 5,) * 3)
    worlds = [World([0.0], rng.normal(size=20).tolist()) for _ in range(800)]
    kept = sum(len(Simulation(Race(), world, pinned).run(one_decision=True).keeps) for world in worlds)
    assert kept <= 32
    assert pooled(((1.0,) * 5, (0.0, 1.0, 2.0, 1.0))) == pooled(((0.0, 1.0, 2.0, 1.0),))


def test_refresh_runs_a_stale_incumbent() -> None:
    seen = KeepEvidence(BASELINE, (), decisions_since_incumbent=10)
    assert Race(refresh=10).next_step(seen).reason == "refresh"
    assert Race(refresh=11).next_step(seen).action is Action.RUN_CANDIDATE
    assert Race().next_step(seen).action is Action.RUN_CANDIDATE


def test_equal_losses_are_no_licence() -> None:
    """Four equal losses of the incumbent do not make the smallest difference certain after one trial."""
    equal = (1.0,) * 4
    assert action(0.999, incumbent=equal) is Action.RUN_INCUMBENT
    both = KeepEvidence((1.0,) * 5, (0.999, 0.999), incumbent_beside=1)
    assert Race().next_step(both).action is Action.KEEP  # deterministic on both sides
    scattered = KeepEvidence((1.0,) * 5, (0.9, 1.08), incumbent_beside=1)
    assert Race().next_step(scattered).action is Action.DISCARD
    assert action(1.0, incumbent=equal) is Action.DISCARD
    third = (1 / 3,) * 4  # the mean of equal losses is exactly their value
    assert action(1 / 3, incumbent=third) is Action.DISCARD


def test_a_simplification_may_cost_a_margin_within_the_budget() -> None:
    """Simpler and not worse than the margin: kept, and the step says what it spent; never beyond the budget."""
    seen = raced(1.0, 1.0, 1.0, beside=(1.0, 1.0), prior_sd=0.01, prior_df=50)
    seen = replace(seen, incumbent_complexity=100, candidate_complexity=90)
    rule = Race(margin=0.05, margin_budget=0.1)
    step = rule.next_step(seen)
    assert (step.action, step.statistics["margin"]) == (Action.KEEP, 0.05)
    assert Race().next_step(seen).action is Action.DISCARD
    assert rule.next_step(replace(seen, margin_spent=0.06)).action is Action.DISCARD
    assert rule.next_step(replace(seen, candidate_complexity=100)).action is Action.DISCARD
    assert rule.next_step(replace(seen, candidate_complexity=0)).action is Action.DISCARD
    assert rule.next_step(replace(seen, candidate=(1.05,) * 3)).action is Action.DISCARD
    assert "margin" not in rule.next_step(replace(seen, candidate=(0.9,) * 3)).statistics  # better anyway


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"alpha": 0.5}, {"max_runs": 1}, {"incumbent_runs": 1}, {"margin": -1.0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Race(**wrong)


@given(evidence())
def test_keeps_only_on_evidence(seen: KeepEvidence) -> None:
    """No keep without two trials of the candidate, one of the incumbent beside them and a better mean."""
    step = Race().next_step(seen)
    if step.action is Action.KEEP:
        beside = seen.incumbent[-seen.incumbent_beside :]
        assert (len(seen.candidate) >= 2, seen.incumbent_beside >= 1) == (True, True)
        assert sum(seen.candidate) / len(seen.candidate) < sum(beside) / len(beside)
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
    if "z" in before.statistics and "z" in after.statistics:
        assert ORDER[after.action] >= ORDER[before.action] or after.statistics["z"] == pytest.approx(
            before.statistics["z"], abs=1e-6
        )


@given(evidence(), st.randoms(use_true_random=False))
def test_order_does_not_matter(seen: KeepEvidence, shuffle: random.Random) -> None:
    """The order of a candidate's trials, of confirmatory trials and of configurations changes nothing."""

    def shuffled(losses: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(shuffle.sample(losses, len(losses)))

    seen = replace(seen, incumbent=seen.incumbent[:4])  # of more, the latest are what is compared with
    beside = min(seen.incumbent_beside, max(0, len(seen.incumbent) - seen.incumbent_screening))
    seen = replace(seen, incumbent_beside=beside)
    first, last = seen.incumbent_screening, len(seen.incumbent) - beside
    incumbent = (
        seen.incumbent[:first] + shuffled(seen.incumbent[first:last]) + shuffled(seen.incumbent[last:])
    )
    other = replace(
        seen,
        candidate=shuffled(seen.candidate),
        incumbent=incumbent,
        configurations=tuple(shuffled(losses) for losses in reversed(seen.configurations)),
        incumbent_selected=len(seen.incumbent),  # the drift alarm does look at the order
    )
    one = Race().next_step(replace(seen, incumbent_selected=len(seen.incumbent)))
    assert one.statistics == pytest.approx(Race().next_step(other).statistics, rel=1e-6, abs=1e-6)


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
