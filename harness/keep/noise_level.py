"""How much the loss of one and the same configuration varies: the sd pooled within configurations."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.records import KeepEvidence

_HUGE = 1e100
_ROUNDING = 1e-12  # relative; smaller spreads are those of sums, not of training


@dataclass(frozen=True, slots=True)
class NoiseLevel:
    """Standard deviation of one trial's loss, and the degrees of freedom that it rests on."""

    sd: float
    df: int


def usable(evidence: KeepEvidence) -> bool:
    """Every number is finite, and far from where sums of squares overflow."""
    groups = (evidence.incumbent, evidence.candidate, *evidence.configurations, (evidence.prior_sd or 0.0,))
    return all(map(_ordinary, groups))


def mean(losses: Sequence[float]) -> float:
    """Measured from the first loss, so that equal losses have exactly their own value as the mean."""
    return losses[0] + math.fsum(loss - losses[0] for loss in losses) / len(losses)


# A rule sees the same groups again at every step of a session; pure functions of tuples can be remembered.
@lru_cache(maxsize=65536)
def _ordinary(losses: tuple[float, ...]) -> bool:
    return all(abs(loss) < _HUGE for loss in losses)


@lru_cache(maxsize=65536)
def _within(losses: tuple[float, ...]) -> tuple[float, int, float]:
    """Sum of squared deviations from the group's mean, its degrees of freedom, and the size of its losses."""
    if len(losses) < 2:
        return 0.0, 0, 0.0
    centre = mean(losses)
    return math.fsum((loss - centre) ** 2 for loss in losses), len(losses) - 1, abs(losses[0])


def pooled(
    groups: Iterable[Sequence[float]], prior_sd: float | None = None, prior_df: int = 0
) -> NoiseLevel | None:
    """The sd within groups, all groups together; None while no group has two losses and there is no prior.

    The noise hardly depends on the configuration, so configurations share it; their means they do not share.
    """
    squares, df, largest = 0.0, 0, 0.0
    if prior_sd is not None and prior_df > 0:
        squares, df = prior_sd**2 * prior_df, prior_df
    for losses in groups:
        of_group, degrees, size = _within(tuple(losses))
        squares, df, largest = squares + of_group, df + degrees, max(largest, size)
    if not df:
        return None
    sd = math.sqrt(squares / df)
    return NoiseLevel(sd if sd > _ROUNDING * largest else 0.0, df)


def from_evidence(evidence: KeepEvidence) -> NoiseLevel | None:
    """The noise that the next look at a candidate is measured by.

    A screening trial was selected for being low; with it, the spread of its configuration is not the noise.
    The candidate's own losses wait until it is decided: they would be used exactly as long as they look good.

    Equal losses in all trials of the incumbent are no licence to keep any difference, though: then the
    candidate's own join the pool, and only where those agree too the task counts as deterministic (sd 0).
    """
    incumbent = evidence.incumbent[evidence.incumbent_screening :]
    groups = (*evidence.configurations, incumbent)
    noise = pooled(groups, evidence.prior_sd, evidence.prior_df)
    return pooled((*groups, evidence.candidate)) if noise and noise.sd == 0 else noise
