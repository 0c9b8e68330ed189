"""The arithmetic of an ablation: what is said of a change, and how often that is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.keep.ablation import contribution
from harness.keep.noise_level import NoiseLevel, pooled

NOISE = NoiseLevel(0.01, 20)
HEAD = (1.00, 1.01, 0.99, 1.00, 1.00, 1.01)


@pytest.mark.parametrize(
    ("without", "status"),
    [
        ((1.10, 1.11, 1.09), "carries"),
        ((1.00, 1.01, 0.99), "not_shown"),
        ((0.90, 0.91, 0.92), "harms"),
        ((1.0, None, 1.0), "fails_without"),
    ],
)
def test_a_change_is_called_by_its_interval(without: tuple[float | None, ...], status: str) -> None:
    """Felt, not felt, in the way, or needed to run at all."""
    found = contribution(3, "taken_back", (without, HEAD), NOISE, 4)
    assert (found.proposal, found.status, found.trials) == (3, status, (3, 6))
    if found.effect is not None:
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.effect < found.high


def test_nothing_is_said_across_unlike_conditions_or_without_a_score() -> None:
    far = (9.0, 9.0, 9.0)
    assert contribution(1, "added", (far, HEAD), NOISE, 2, alike=False).status == "unlike_conditions"
    assert contribution(1, "added", (far, (1.0, None)), NOISE, 2).status == "no_score"


@given(
    st.lists(st.floats(0.9, 1.1), min_size=2, max_size=6),
    st.lists(st.floats(0.9, 1.1), min_size=2, max_size=6),
    st.floats(-1, 1),
    st.integers(1, 6),
)
def test_intervals_move_with_the_losses_and_widen_with_the_comparisons(
    without: list[float], with_it: list[float], shift: float, comparisons: int
) -> None:
    """A change that is worth more by `shift` has its interval moved by it; more questions, wider answers."""
    one = contribution(1, "added", (without, with_it), NOISE, comparisons)
    moved = contribution(1, "added", ([loss + shift for loss in without], with_it), NOISE, comparisons)
    wider = contribution(1, "added", (without, with_it), NOISE, comparisons + 1)
    assert (moved.low or 0.0) - (one.low or 0.0) == pytest.approx(shift, abs=1e-9)
    assert (wider.high or 0.0) - (wider.low or 0.0) > (one.high or 0.0) - (one.low or 0.0)


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_changes_without_effect_seldom_carry_anything(spread: float) -> None:
    """Five changes that do nothing, three trials each, in 400 sessions: one is called something in 5 % of them or less.

    spread: of the programs without a change against the head's. Binomial: 33 of 400 has p .003 at a rate of 5 %.
    """
    generator, wrong = np.random.default_rng(5), 0
    for _ in range(400):
        head = tuple(generator.normal(size=6))
        sides = [tuple(spread * generator.normal(size=3)) for _ in range(5)]
        noise = pooled((head, *sides))
        assert noise is not None
        found = [contribution(1, "taken_back", (side, head), noise, 5) for side in sides]
        wrong += any(change.status != "not_shown" for change in found)
    assert wrong < 33
