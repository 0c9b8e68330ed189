"""A certified gain's second interval: over the documents or items of the sealed split, where a task tells their losses.

The certificate's own interval covers seeds: other trainings, scored on the same items. This one covers items: others
of the same kind, with the trainings that there are. Either may be the wider one, neither contains the other's doubt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.records import ItemScores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_ITEMS = 10  # fewer give no interval that could be believed
CONFIDENCE = 0.95
_RESAMPLES = 4000
_MOST_ACCELERATED = 2000  # items; with more the correction for skewness is nothing, and costs their square
_NUMBERS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, slots=True)
class ItemInterval:
    """Of the gain (positive is better), by a paired bootstrap over `items` items."""

    low: float
    high: float
    items: int


def item_interval(
    head: Sequence[ItemScores], baseline: Sequence[ItemScores], sign: int, seed: int = 0
) -> ItemInterval | None:
    """From the items of every trial of either side. sign: 1 if higher values are better, else -1.

    None where the sides were not scored on the same items with the same weights, or on fewer than LEAST_ITEMS.
    """
    every = [*head, *baseline]
    if not head or not baseline or len({(each.what, each.weights, len(each.values)) for each in every}) != 1:
        return None
    if len(every[0].weights) < LEAST_ITEMS:
        return None
    import numpy as np

    means = [np.mean([each.values for each in side], axis=0) for side in (baseline, head)]
    gains, weights = sign * (means[1] - means[0]), np.array(every[0].weights)
    low, high = _bootstrapped(gains, weights, seed)
    return ItemInterval(low, high, len(gains))


def _bootstrapped(gains: "Array", weights: "Array", seed: int) -> tuple[float, float]:
    """Of sum(gains) / sum(weights) when the pairs are drawn anew: bias-corrected and accelerated (Efron 1987)."""
    import numpy as np
    from scipy.stats import bootstrap

    whole = float(gains.sum() / weights.sum())
    if np.ptp(gains * weights.sum() - weights * gains.sum()) <= 1e-12 * max(1.0, abs(whole)):
        return whole, whole  # every item says the same: nothing to resample
    found = bootstrap(
        (gains, weights),
        lambda gains, weights, axis: gains.sum(axis=axis) / weights.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=max(1, _NUMBERS_AT_A_TIME // len(gains)),
        confidence_level=CONFIDENCE,
        method="BCa" if len(gains) <= _MOST_ACCELERATED else "percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (whole, whole)
