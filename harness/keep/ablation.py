"""Which single changes carry a stack of keeps: arithmetic on fresh trials of the stack with and without each.

The intervals hold together: with the stated confidence all of them cover (Bonferroni). Each comparison is Welch's with
moderated variances, as in a race; no interval says that a change is worth nothing, only what was not shown.
"""

from collections.abc import Sequence
from typing import Literal

from harness.keep.noise_level import NoiseLevel
from harness.keep.two_samples import compare
from harness.records import AblatedChange

CONFIDENCE = 0.95

How = Literal["whole", "taken_back", "added"]
Losses = Sequence[float | None]
"""None: a trial without a score."""


def contribution(
    proposal: int,
    how: How,
    sides: tuple[Losses, Losses],
    noise: NoiseLevel,
    comparisons: int,
    alike: bool = True,
) -> AblatedChange:
    """sides: losses without the change and with it. comparisons: how many intervals are to hold together.

    alike: whether both sides had the same machine under them; if not, nothing is said.
    """
    complete = [[loss for loss in side if loss is not None] for side in sides]
    counts = (len(sides[0]), len(sides[1]))
    if len(complete[1]) < len(sides[1]) or not complete[1]:
        return AblatedChange(proposal, how, "no_score", trials=counts)
    if len(complete[0]) < len(sides[0]) or not complete[0]:
        return AblatedChange(proposal, how, "fails_without", trials=counts)
    if not alike:
        return AblatedChange(proposal, how, "unlike_conditions", trials=counts)
    found = compare(complete[0], complete[1], noise)
    half = _quantile((1 - CONFIDENCE) / (2 * comparisons), found.df) * found.error
    low, high = found.effect - half, found.effect + half
    status: Literal["carries", "harms", "not_shown"] = "not_shown"
    if low > 0 or high < 0:
        status = "carries" if low > 0 else "harms"
    return AblatedChange(proposal, how, status, found.effect, low, high, counts)


def _quantile(tail: float, df: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - tail))
