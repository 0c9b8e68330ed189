"""How much the loss of one and the same configuration varies: the sd pooled within configurations."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.records import KeepEvidence


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """Standard deviation of one trial's loss, and the degrees of freedom that it rests on."""

    sd: float
    df: int


def mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)


def squared_deviations(losses: Sequence[float]) -> float:
    centre = mean(losses)
    return math.fsum((loss - centre) ** 2 for loss in losses)


def pooled(
    groups: Iterable[Sequence[float]], prior_sd: float | None = None, prior_df: int = 0
) -> NoiseLevel | None:
    """The sd within groups, all groups together; None while no group has two losses and there is no prior.

    The noise hardly depends on the configuration, so configurations share it; their means they do not share.
    """
    known = prior_sd is not None and prior_df > 0
    squares, df = (prior_sd or 0.0) ** 2 * prior_df if known else 0.0, prior_df if known else 0
    for losses in groups:
        if len(losses) > 1:
            squares += squared_deviations(losses)
            df += len(losses) - 1
    return NoiseLevel(math.sqrt(squares / df), df) if df else None


def from_evidence(evidence: KeepEvidence) -> NoiseLevel | None:
    """The noise that the next look at a candidate is measured by.

    A screening trial was selected for being low; with it, the spread of its configuration is not the noise.
    The candidate's own losses wait until it is decided: they would be used exactly as long as they look good.
    """
    incumbent = evidence.incumbent[evidence.incumbent_screening :]
    return pooled((*evidence.configurations, incumbent), evidence.prior_sd, evidence.prior_df)
