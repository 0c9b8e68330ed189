"""How much the loss of one and the same configuration varies: the sd pooled within configurations."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.records import KeepEvidence

MOST_PRIOR_DEGREES = 5  # however much was stored, a session's own trials must soon outvote it
_HUGE = 1e100
_ROUNDING = 1e-12  # relative; smaller spreads are those of sums, not of training
_TOO_EVEN = 0.01  # probability of so small a spread, below which a configuration is left out of the pool


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


def squared_deviations(losses: Sequence[float]) -> float:
    """Sum of squared deviations from the mean of the losses."""
    return _within(tuple(losses))[0]


def pooled(
    groups: Iterable[Sequence[float]], prior_sd: float | None = None, prior_df: int = 0
) -> NoiseLevel | None:
    """The sd within groups, all groups together; None while no group has two losses and there is no prior.

    The noise hardly depends on the configuration, so configurations share it; their means they do not share.
    A group whose losses lie closer together than one in a hundred would (a program that ignores its seed, say)
    is left out: it would make the noise look small for all others.
    """
    prior = (
        (prior_sd**2 * prior_df, prior_df, 0.0) if prior_sd is not None and prior_df > 0 else (0.0, 0, 0.0)
    )
    within = [_within(tuple(losses)) for losses in groups]
    all_of_them = _level(prior, within)
    if all_of_them is None or all_of_them.sd == 0:
        return all_of_them
    variance = all_of_them.sd**2
    return _level(prior, [part for part in within if part[0] > _least_spread(part[1]) * variance])


_Within = tuple[float, int, float]
"""Sum of squared deviations, degrees of freedom, size of the losses."""


def _level(prior: _Within, within: Sequence[_Within]) -> NoiseLevel | None:
    squares = prior[0] + math.fsum(part[0] for part in within)
    df = prior[1] + sum(part[1] for part in within)
    if not df:
        return None
    sd, largest = math.sqrt(squares / df), max((part[2] for part in within), default=0.0)
    return NoiseLevel(sd if sd > _ROUNDING * largest else 0.0, df)


@lru_cache(maxsize=256)
def _least_spread(df: int) -> float:
    """The sum of squares, in units of the variance, that a group of the pool's own spread nearly always passes."""
    from scipy.special import chdtri

    return float(chdtri(df, 1 - _TOO_EVEN)) if df else math.inf


def from_evidence(evidence: KeepEvidence) -> NoiseLevel | None:
    """The noise that the next look at a candidate is measured by.

    A screening trial was selected for being low; with it, the spread of its configuration is not the noise.
    The candidate's own losses wait until it is decided: they would be used exactly as long as they look good.

    Equal losses in all trials of the incumbent are no licence to keep any difference, though: then the
    candidate's own join the pool, and only where those agree too the task counts as deterministic (sd 0).
    """
    incumbent = evidence.incumbent[evidence.incumbent_screening :]
    groups = (*evidence.configurations, incumbent)
    noise = pooled(groups, evidence.prior_sd, min(evidence.prior_df, MOST_PRIOR_DEGREES))
    return pooled((*groups, evidence.candidate)) if noise and noise.sd == 0 else noise
