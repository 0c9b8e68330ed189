"""The gain's interval over items: it moves with the numbers, tells nothing across unlike items, and covers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.keep.item_interval import LEAST_ITEMS, item_interval
from harness.records import ItemScores

COUNT = 24


def scores(values: object, weights: object = None, what: str = "documents") -> ItemScores:
    numbers = tuple(float(value) for value in values)  # type: ignore[attr-defined]  # an array or a list
    return ItemScores(what, numbers, tuple(weights) if weights is not None else (1.0,) * len(numbers))  # type: ignore[arg-type]


numbers = st.floats(-5, 5).map(lambda value: round(value, 3))
sides = st.lists(st.lists(numbers, min_size=COUNT, max_size=COUNT), min_size=1, max_size=3)
weights = st.lists(st.integers(1, 50).map(float), min_size=COUNT, max_size=COUNT)


@settings(max_examples=25, deadline=None)
@given(sides, sides, weights, st.sampled_from([1, -1]))
def test_the_interval_holds_the_gain_and_turns_with_the_sign(
    head: list[list[float]], baseline: list[list[float]], weight: list[float], sign: int
) -> None:
    """Around the ratio of sums; head and baseline exchanged, or the direction, and the interval is turned over."""
    heads, baselines = ([scores(one, weight) for one in side] for side in (head, baseline))
    found, turned = item_interval(heads, baselines, sign), item_interval(heads, baselines, -sign)
    exchanged = item_interval(baselines, heads, sign)
    assert found is not None
    assert turned is not None
    assert exchanged is not None
    gain = sign * (np.mean(head, axis=0) - np.mean(baseline, axis=0)).sum() / sum(weight)
    assert found.low <= gain + 1e-9
    assert gain - 1e-9 <= found.high
    assert (turned.low, turned.high) == pytest.approx((exchanged.low, exchanged.high), abs=1e-9)
    assert found.items == COUNT


@settings(max_examples=15, deadline=None)
@given(sides, st.floats(-3, 3))
def test_a_head_that_is_the_same_better_on_every_item_has_no_doubt(
    baseline: list[list[float]], better: float
) -> None:
    """Whatever the items are like, pairs cancel them."""
    heads = [scores([value - better for value in one]) for one in baseline]
    found = item_interval(heads, [scores(one) for one in baseline], -1)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((better, better), abs=1e-6)


def test_scores_of_other_items_are_not_compared() -> None:
    """Another count, other weights, another kind, too few or none: no interval rather than a wrong one."""
    one = scores(range(COUNT))
    for other in (
        scores(range(COUNT + 1)),
        scores(range(COUNT), [2.0] * COUNT),
        scores(range(COUNT), what="rows"),
    ):
        assert item_interval([one], [one, other], 1) is None
    few = scores(range(LEAST_ITEMS - 1))
    assert item_interval([few], [few], 1) is None
    assert item_interval([], [one], 1) is None
    assert item_interval([one], [one], 1) is not None


def test_the_same_numbers_give_the_same_interval() -> None:
    generator = np.random.default_rng(3)
    head, baseline = ([scores(generator.normal(size=50)) for _ in range(5)] for _ in range(2))
    assert item_interval(head, baseline, -1) == item_interval(head, baseline, -1)


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_the_interval_covers(kind: str) -> None:
    """Items drawn anew 300 times: the true gain is inside in 90 % at least (nominal 95 %), skewed items or not.

    Binomial: 262 of 300 or fewer has p .04 at a coverage of 90 %, and 1e-6 at 95 %.
    """
    generator, inside = np.random.default_rng(7), 0
    for _ in range(300):
        lengths = generator.integers(50, 500, 60).astype(float)
        noise = generator.normal(size=60) if kind == "normal" else generator.exponential(size=60) - 1
        baseline = lengths * (1.0 + 0.3 * generator.normal(size=60))
        found = item_interval(
            [scores(baseline - lengths * (0.1 + 0.2 * noise), lengths)], [scores(baseline, lengths)], -1
        )
        assert found is not None
        inside += found.low <= 0.1 <= found.high
    assert inside > 262
