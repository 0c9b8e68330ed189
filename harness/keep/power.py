"""What a number of trials can see: operating characteristics of the race, and of plain comparisons of means."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.keep.bounds import NODES, bounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Characteristics:
    """For one true effect: probability that it is kept, and expected trials of the candidate."""

    keep: float
    trials: float


def race(effect_sd: float, alpha: float = 0.05, max_runs: int = 6, futility: float = 1.0) -> Characteristics:
    """Of `harness.keep.race` for an effect in sd, against four trials of the incumbent; the sd is known.

    The random walk of `bounds.crossing`, with a floor: it stops below futility * sqrt(I_k) as well.
    """
    import numpy as np  # late: start-up imports this module

    information = [1 / (1 / 4 + 1 / look) for look in range(1, max_runs + 1)]
    level = bounds(alpha, 4, max_runs)[-1] * math.sqrt(information[-1])
    nodes, weights = np.polynomial.legendre.leggauss(NODES)

    def between(look: int) -> tuple["Array", "Array"]:
        floor = futility * math.sqrt(information[look])
        return floor + (level - floor) * (nodes + 1) / 2, weights * (level - floor) / 2

    def above(start: "Array", variance: float) -> "Array":
        from scipy.special import ndtr

        return np.asarray(ndtr((start + effect_sd * variance - level) / math.sqrt(variance)))

    points, widths = between(0)
    density = _normal(points - effect_sd * information[0], information[0])
    keep, trials = float(above(np.zeros(1), information[0])[0]), 1.0
    for look, (before, after) in enumerate(pairwise(information), start=1):
        going_on = density * widths
        trials += float(going_on.sum())
        keep += float(going_on @ above(points, after - before))
        new_points, new_widths = between(look)
        steps = new_points[:, None] - points[None, :] - effect_sd * (after - before)
        density = _normal(steps, after - before) @ going_on
        points, widths = new_points, new_widths
    return Characteristics(keep, trials)


def smallest_effect(
    power: float = 0.8, alpha: float = 0.05, max_runs: int = 6, futility: float = 1.0
) -> float:
    """The effect in sd that the race keeps with probability `power`."""
    low, high = 0.0, 12.0
    for _ in range(30):
        middle = (low + high) / 2
        weak = race(middle, alpha, max_runs, futility).keep < power
        low, high = (middle, high) if weak else (low, middle)
    return high


def detectable(sd: float, df: int, runs: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The effect that `runs` trials on either side show with probability `power`, one-sided at `alpha`.

    The noise is `sd` as estimated with `df` degrees of freedom.
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - alpha) + stdtrit(df, power)) * sd * math.sqrt(2 / runs)


def runs_needed(effect: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Trials on either side that show `effect`; the sd is known."""
    from scipy.special import ndtri

    return math.ceil(2 * (float(ndtri(1 - alpha) + ndtri(power)) * sd / effect) ** 2)


def _normal(at: "Array", variance: float) -> "Array":
    import numpy as np

    return np.asarray(np.exp(-(at**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance))
