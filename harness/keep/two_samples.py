"""Two configurations compared by fresh trials of either, each with its own spread: Welch's test, moderated.

A configuration's own variance from two or three trials is hardly an estimate; the pooled one is no estimate of a
configuration that is noisier than the rest. As in Smyth (2004, Statistical Applications in Genetics and Molecular
Biology 3) the pooled variance enters with a fixed weight of PRIOR_DEGREES, and the own one with its n - 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.keep.noise_level import NoiseLevel, mean, squared_deviations
from harness.keep.normal_score import LARGEST, normal_score

PRIOR_DEGREES = 2


@dataclass(frozen=True, slots=True)
class Variance:
    """Of one trial's loss, and the degrees of freedom that it rests on."""

    value: float
    df: float


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """effect: mean of the old losses minus that of the new ones (positive: new is better). error: its standard
    error; df: Satterthwaite's; z: normal score of effect / error.
    """

    effect: float
    error: float
    df: float
    z: float

    def beyond(self, shift: float) -> float:
        """Normal score of the effect with `shift` added to it."""
        return _normal_score(self.effect + shift, self.error, self.df)


def moderated(losses: Sequence[float], noise: NoiseLevel, prior_degrees: float = PRIOR_DEGREES) -> Variance:
    """A single trial says nothing about its spread: then the pooled variance with all its degrees is returned."""
    if len(losses) < 2:
        return Variance(noise.sd**2, noise.df)
    weight = min(prior_degrees, noise.df)
    degrees = weight + len(losses) - 1
    return Variance((weight * noise.sd**2 + squared_deviations(losses)) / degrees, degrees)


def compare(old: Sequence[float], new: Sequence[float], noise: NoiseLevel) -> TwoSampleTest:
    """Are the new losses lower? Neither side may be empty."""
    effect = mean(old) - mean(new)
    parts = []
    for side in (old, new):
        variance = moderated(side, noise)
        parts.append((variance.value / len(side), variance.df))
    return _compared(effect, parts)


def welch(old: Sequence[float], new: Sequence[float]) -> TwoSampleTest:
    """The same with each side's own variance alone. Raises ValueError for fewer than two trials on a side."""
    if min(len(old), len(new)) < 2:
        raise ValueError("Welch's test needs two trials or more on either side")
    parts = [(squared_deviations(side) / (len(side) - 1) / len(side), len(side) - 1.0) for side in (old, new)]
    return _compared(mean(old) - mean(new), parts)


def _compared(effect: float, parts: Sequence[tuple[float, float]]) -> TwoSampleTest:
    """parts: variance of either mean, and its degrees of freedom (Satterthwaite 1946)."""
    total = sum(variance for variance, _ in parts)
    df = sum(degrees for _, degrees in parts)
    if total > 0:
        df = satterthwaite(*zip(*parts, strict=True))
    error = math.sqrt(total)
    return TwoSampleTest(effect, error, df, _normal_score(effect, error, df))


def satterthwaite(variances: Sequence[float], degrees: Sequence[float]) -> float:
    """Degrees of freedom of a sum of estimated variances, not all of them 0 (Satterthwaite 1946)."""
    total = sum(variances)  # shares of it, as squares of tiny variances would vanish
    return 1 / sum((part / total) ** 2 / df for part, df in zip(variances, degrees, strict=True))


def _normal_score(effect: float, error: float, df: float) -> float:
    if error == 0:
        return math.copysign(LARGEST, effect) if effect else 0.0
    return normal_score(effect / error, df)
