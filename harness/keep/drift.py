"""Does the machine still measure what it measured? The incumbent's trials over time must look alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from harness.keep.noise_level import NoiseLevel, mean
from harness.keep.normal_score import normal_score
from harness.records import KeepEvidence

FALSE_ALARM = 0.001  # probability per check
_LEAST_LOSSES = 4


@dataclass(frozen=True, slots=True)
class Drift:
    """The incumbent's losses moved by `shift` after `before` of its trials; z: normal score of that."""

    shift: float
    before: int
    z: float

    @property
    def text(self) -> str:
        return (
            f"the incumbent's later trials score {abs(self.shift):.3g} "
            f"{'worse' if self.shift > 0 else 'better'} than its first {self.before} (z {self.z:.1f}): "
            "the machine has changed, comparisons with older trials are not safe"
        )


def drift(evidence: KeepEvidence, noise: NoiseLevel) -> Drift | None:
    """The alarm, if fresh trials of the incumbent disagree with its earlier ones.

    Losses that the incumbent was kept on are left out: they are low by selection, and fresh ones look worse.
    """
    return change_point(evidence.incumbent[evidence.incumbent_selected :], noise)


def change_point(
    losses: Sequence[float], noise: NoiseLevel, false_alarm: float = FALSE_ALARM
) -> Drift | None:
    """The clearest split of `losses` (in order of time) into before and after, if it is clear enough."""
    if len(losses) < _LEAST_LOSSES or noise.sd == 0:
        return None
    splits = range(1, len(losses))
    at = max(splits, key=lambda at: abs(_t(losses[:at], losses[at:], noise)))
    clearest = disagreement(losses[:at], losses[at:], noise)
    return clearest if abs(clearest.z) > _threshold(false_alarm / len(splits)) else None


def disagreement(before: Sequence[float], after: Sequence[float], noise: NoiseLevel) -> Drift:
    """How far two batches of trials of the same configuration lie apart; the sd must not be zero."""
    shift = mean(after) - mean(before)
    return Drift(shift, len(before), normal_score(_t(before, after, noise), noise.df))


def _t(before: Sequence[float], after: Sequence[float], noise: NoiseLevel) -> float:
    error = noise.sd * math.sqrt(1 / len(before) + 1 / len(after))
    return (mean(after) - mean(before)) / error


@lru_cache(maxsize=64)
def _threshold(two_sided: float) -> float:
    return NormalDist().inv_cdf(1 - two_sided / 2)
