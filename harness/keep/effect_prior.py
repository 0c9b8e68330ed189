"""What effects proposals have, before they are tried: fitted to a published night of 122 proposals, in sd units.

A quarter improves, three in ten do nothing, the rest harms; small effects are common and large ones rare.
"""

import math
from dataclasses import dataclass

_IMPROVES, _NOTHING, _HARMS = 0.25, 0.30, 0.45
# (share, mean size in sd) of the exponential parts of either side
_GAINS = ((0.85, 0.6), (0.15, 3.6))
_LOSSES = ((0.80, 2.0), (0.20, 8.0))
_FAR = 1000.0  # sd; beyond it nothing changes but the rounding


@dataclass(frozen=True, slots=True)
class Posterior:
    """probability: of an improvement; effect: its expected size in sd (a loss counts negative)."""

    probability: float
    effect: float


def posterior(estimate: float, error: float) -> Posterior:
    """After an estimated effect (in sd, positive is better) with standard error `error` (in sd).

    For an exponential effect with normal noise everything has a closed form: a normal distribution shifted by
    error^2 / mean and cut at zero.
    """
    estimate = max(-_FAR, min(_FAR, estimate))
    parts = [(_log_normal(estimate, error) + math.log(_NOTHING), 0.0)]
    parts += [_exponential(estimate, error, _IMPROVES * share, size) for share, size in _GAINS]
    mirrored = [_exponential(-estimate, error, _HARMS * share, size) for share, size in _LOSSES]
    parts += [(weight, -effect) for weight, effect in mirrored]
    highest = max(weight for weight, _ in parts)
    weights = [math.exp(weight - highest) for weight, _ in parts]
    effects = [effect for _, effect in parts]
    total = math.fsum(weights)
    better = math.fsum(weight for weight, effect in zip(weights, effects, strict=True) if effect > 0)
    return Posterior(
        better / total,
        math.fsum(weight * effect for weight, effect in zip(weights, effects, strict=True)) / total,
    )


def _exponential(estimate: float, error: float, share: float, size: float) -> tuple[float, float]:
    """Log weight of an exponential part, and the expected effect if it is true."""
    from scipy.special import log_ndtr

    centre = estimate - error * error / size
    inside = float(log_ndtr(centre / error))
    weight = math.log(share / size) + error * error / (2 * size * size) - estimate / size + inside
    hazard = math.exp(_log_normal(centre, error) + math.log(error) - inside)
    return weight, max(centre + error * hazard, 1e-12)


def _log_normal(value: float, error: float) -> float:
    return -0.5 * (value / error) ** 2 - math.log(error) - 0.5 * math.log(2 * math.pi)
