"""What a session's gain really is: fresh trials of its head against fresh trials of its baseline.

The search looked at its own numbers a hundred times; these trials it never saw. Nothing else is reported as
the gain. Baseline trials of the search cannot stand in for fresh ones: the search kept what beat *them*, and
certificates that use them again pass more than twice as often as they should when nothing was gained.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.keep.noise_level import squared_deviations
from harness.keep.two_samples import welch

RUNS = 5  # of either side
ALPHA = 0.025  # one-sided, so that the two-sided interval has 95 %


@dataclass(frozen=True, slots=True)
class Certificate:
    """gain: baseline's mean loss minus the head's (positive: the head is better), in [low, high].

    p: one-sided, of a head that is no better; df: Welch's. sd: of one trial, both sides alike counted. gain, low
    and high are None when a trial of either side has no score: such a certificate fails.
    """

    passed: bool
    gain: float | None
    low: float | None
    high: float | None
    p: float
    df: float
    sd: float
    confidence: float


def certify(
    head: Sequence[float | None], baseline: Sequence[float | None], alpha: float = ALPHA
) -> Certificate:
    """One-sided test of Welch's, either side with its own spread, from losses of fresh trials (None: no score).

    Raises ValueError for fewer than two trials on a side.
    """
    if min(len(head), len(baseline)) < 2:
        raise ValueError("a certificate needs two trials or more of the head and of the baseline")
    confidence = 1 - 2 * alpha
    heads, baselines = _finite(head), _finite(baseline)
    if len(heads) < len(head) or len(baselines) < len(baseline):
        return Certificate(False, None, None, None, 1.0, len(head) + len(baseline) - 2, 0.0, confidence)
    found = welch(baselines, heads)
    half = _quantile(1 - alpha, found.df) * found.error
    p = _tail(found.effect, found.error, found.df)
    low, high = found.effect - half, found.effect + half
    return Certificate(p < alpha, found.effect, low, high, p, found.df, _sd(heads, baselines), confidence)


def _finite(losses: Sequence[float | None]) -> list[float]:
    return [loss for loss in losses if loss is not None and math.isfinite(loss)]


def _sd(heads: Sequence[float], baselines: Sequence[float]) -> float:
    squares = squared_deviations(heads) + squared_deviations(baselines)
    return math.sqrt(squares / (len(heads) + len(baselines) - 2))


def _tail(gain: float, error: float, df: float) -> float:
    """P(a t at least as large), by scipy.special: scipy.stats takes a second to import."""
    from scipy.special import stdtr

    if error > 0:
        return float(stdtr(df, -gain / error))
    return 0.0 if gain > 0 else 1.0


def _quantile(probability: float, df: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))
