"""Does a certified gain hold at another budget? From fresh trials of head and baseline there, and the certificate's.

Pure. Losses: lower is better; None: a trial that ended without a score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.keep.certificate import ALPHA, Certificate, certify
from harness.keep.noise_level import mean, squared_deviations
from harness.keep.two_samples import satterthwaite
from harness.records import TransferWord

SHARE = 0.5  # of the certified gain, that is asked for
Losses = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Transfer:
    """found: the gain at the other budget. lacking: its upper limit less `share` of the certified gain, None where
    that cannot be said; below 0 the gain falls short.
    """

    word: TransferWord
    found: Certificate
    lacking: float | None


def transfer(
    head: Losses,
    baseline: Losses,
    certified_head: Losses = (),
    certified_baseline: Losses = (),
    share: float = SHARE,
    alpha: float = ALPHA,
) -> Transfer:
    """Carries over: the interval lies above 0 (in part only where `lacking` is below 0). Does not: it lies below 0,
    or holds 0 and excludes `share` of the certified gain (both gains' errors counted), or only the head fails.

    certified_head, certified_baseline: the certificate's own trials; without them there is no share to fall short of.
    Raises ValueError for fewer than two trials on a side.
    """
    found = certify(head, baseline, alpha)
    if found.low is None or found.high is None:
        only_head = all(loss is not None for loss in baseline)
        return Transfer("does_not" if only_head else "cannot_tell", found, None)
    lacking = _lacking((baseline, head), (certified_baseline, certified_head), share, alpha)
    if found.low > 0:
        return Transfer("carries_over", found, lacking)
    short = found.high <= 0 or (lacking is not None and lacking < 0)
    return Transfer("does_not" if short else "cannot_tell", found, lacking)


def _lacking(
    there: tuple[Losses, Losses], before: tuple[Losses, Losses], share: float, alpha: float
) -> float | None:
    """Upper limit of (gain there - share of the gain before), of four means with spreads of their own (Welch)."""
    from scipy.special import stdtrit

    sides = [[loss for loss in side if loss is not None] for side in (*there, *before)]
    if min(map(len, sides)) < 2 or len(sides[2]) < len(before[0]) or len(sides[3]) < len(before[1]):
        return None
    weights = (1.0, -1.0, -share, share)
    value = sum(weight * mean(side) for weight, side in zip(weights, sides, strict=True))
    degrees = [len(side) - 1 for side in sides]
    parts = [
        weight**2 * squared_deviations(side) / df / len(side)
        for weight, side, df in zip(weights, sides, degrees, strict=True)
    ]
    total = sum(parts)
    if total <= 0:
        return value
    df = satterthwaite(parts, degrees)
    return value + float(stdtrit(df, 1 - alpha)) * math.sqrt(total)
