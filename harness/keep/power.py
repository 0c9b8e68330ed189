"""What a number of trials can see: the race, the race of a stack, and plain comparisons of means."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.keep.bounds import block_bounds, crossing
from harness.keep.two_samples import PRIOR_DEGREES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FEW_DRAWS = 4000
_BISECTIONS = 14


@dataclass(frozen=True, slots=True)
class Characteristics:
    """For one true effect: probability that it is kept, and expected trials, the incumbent's beside it included."""

    keep: float
    trials: float


def race(
    effect_sd: float, alpha: float = 0.05, max_runs: int = 6, futility: float = 1.0, draws: int = 20_000
) -> Characteristics:
    """Of `harness.keep.race` for an effect in sd; the pooled sd is known, the incumbent has four older trials.

    From draws with a fixed seed, all looks at once: good to .003.
    """
    import numpy as np  # late: start-up imports this module

    rng = np.random.default_rng(1)
    new = rng.normal(size=(draws, max_runs)) - effect_sd
    old = rng.normal(size=(draws, max_runs - 1))
    screened = rng.normal(size=draws) / 2 - new[:, 0] >= futility * math.sqrt(1 + 1 / 4)
    going_on, kept, trials = screened, 0, float(draws)
    for block, bound in enumerate(block_bounds(alpha, max_runs - 1, ahead=1), start=1):
        trials += 2 * float(going_on.sum())
        z = _moderated_score(old[:, :block], new[:, : block + 1])
        kept += int((going_on & (z >= bound)).sum())
        going_on = going_on & (z < bound) & (z >= futility)
    return Characteristics(kept / draws, trials / draws)


def _moderated_score(old: "Array", new: "Array") -> "Array":
    """Normal scores of `two_samples.compare`, row by row, for a pooled sd of 1 that is known."""
    import numpy as np
    from scipy.special import ndtri, stdtr

    parts = []
    for side in (old, new):
        count = side.shape[1]
        squares = ((side - side.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        degrees = PRIOR_DEGREES + count - 1 if count > 1 else 10**6
        variance = (PRIOR_DEGREES + squares) / degrees if count > 1 else np.ones(len(side))
        parts.append((variance / count, degrees))
    total = sum(variance for variance, _ in parts)
    df = total**2 / sum(variance**2 / degrees for variance, degrees in parts)
    t = (old.mean(axis=1) - new.mean(axis=1)) / np.sqrt(total)
    return np.asarray(-ndtri(np.maximum(stdtr(df, -t), 1e-300)))


def smallest_effect(
    power: float = 0.8, alpha: float = 0.05, max_runs: int = 6, futility: float = 1.0
) -> float:
    """The effect in sd that the race keeps with probability `power`."""
    low, high = 0.0, 12.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        weak = race(middle, alpha, max_runs, futility, _FEW_DRAWS).keep < power
        low, high = (middle, high) if weak else (low, middle)
    return high


def smallest_step(power: float, alpha: float, looks: int) -> float:
    """The gain in sd of a whole stack that its race certifies with probability `power`; the sd is known."""
    information = [look / 2 for look in range(1, looks + 1)]
    constant = block_bounds(alpha, looks)[-1]
    low, high = 0.0, 12.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        weak = crossing(information, constant, middle) < power
        low, high = (middle, high) if weak else (low, middle)
    return high


def promising(effect_sd: float, score: float, incumbent_runs: int = 4) -> float:
    """Probability that a single trial of an effect in sd reaches a normal score, against so many of the incumbent."""
    from scipy.special import ndtr

    return float(ndtr(effect_sd / math.sqrt(1 + 1 / incumbent_runs) - score))


def detectable(sd: float, df: float, runs: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The effect that `runs` trials on either side show with probability `power`, one-sided at `alpha`.

    The noise is `sd` as estimated with `df` degrees of freedom.
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - alpha) + stdtrit(df, power)) * sd * math.sqrt(2 / runs)


def runs_needed(effect: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Trials on either side that show `effect`; the sd is known."""
    from scipy.special import ndtri

    return math.ceil(2 * (float(ndtri(1 - alpha) + ndtri(power)) * sd / effect) ** 2)
