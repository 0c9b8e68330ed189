"""Group-sequential bounds of O'Brien and Fleming for two configurations that are raced against each other.

After k trials of one and n of the other the information about their difference is I = 1 / (1/n + 1/k), in units
of 1/sd^2. A race is won at look k if z_k >= u_k = c * sqrt(I_K / I_k). c is such that a candidate without effect
ever wins with probability alpha, were nothing dropped early.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# For incumbent_runs=4 and max_runs=6, from a simulation: they spend 0.0500 and 0.0099.
# tests/keep/test_bounds.py makes them again.
TABULATED: dict[float, tuple[float, ...]] = {
    0.05: (3.112, 2.410, 2.126, 1.968, 1.867, 1.796),
    0.01: (4.213, 3.263, 2.878, 2.664, 2.528, 2.432),
}
NODES = 80


def bounds(alpha: float, incumbent_runs: int = 4, max_runs: int = 6) -> tuple[float, ...]:
    """u_1 ... u_K for one-sided error `alpha`."""
    if incumbent_runs == 4 and max_runs == 6 and alpha in TABULATED:
        return TABULATED[alpha]
    return computed(alpha, incumbent_runs, max_runs)


def computed(alpha: float, incumbent_runs: int, max_runs: int) -> tuple[float, ...]:
    """The same for any alpha in (0, 0.5)."""
    return for_information(
        alpha, tuple(1 / (1 / incumbent_runs + 1 / look) for look in range(1, max_runs + 1))
    )


def block_bounds(alpha: float, blocks: int, ahead: int = 0) -> tuple[float, ...]:
    """u_1 ... u_K for blocks of one trial of either side; the new side has `ahead` trials before the first."""
    return for_information(
        alpha, tuple(1 / (1 / block + 1 / (block + ahead)) for block in range(1, blocks + 1))
    )


@lru_cache(maxsize=1024)
def for_information(alpha: float, information: tuple[float, ...]) -> tuple[float, ...]:
    """By bisection; some ten milliseconds, once for each alpha."""
    constant = solve(information, alpha)
    return tuple(constant * math.sqrt(information[-1] / so_far) for so_far in information)


def solve(information: Sequence[float], alpha: float) -> float:
    """The c at which a candidate without effect crosses with probability alpha."""
    low, high = 0.0, 8.0
    for _ in range(26):
        middle = (low + high) / 2
        low, high = (middle, high) if crossing(information, middle) > alpha else (low, middle)
    return (low + high) / 2


def crossing(information: Sequence[float], constant: float, effect: float = 0.0) -> float:
    """P(z_k >= constant * sqrt(I_K / I_k) at some look) for an effect in sd; no early drop.

    S_k = z_k * sqrt(I_k) is a random walk with variance I_k and the barrier is level. The density of the
    walks that stayed below it is carried from look to look by Gauss-Legendre quadrature.
    """
    import numpy as np  # late: start-up imports this module

    barrier = constant * math.sqrt(information[-1])
    lowest = min(0.0, effect * information[-1]) - 9 * math.sqrt(information[-1])
    nodes, weights = legendre()
    points = lowest + (barrier - lowest) * (nodes + 1) / 2
    weights = weights * (barrier - lowest) / 2

    def normal(at: "Array", variance: float) -> "Array":
        spread = (at - effect * variance) ** 2 / (2 * variance)
        return np.exp(-spread) / math.sqrt(2 * math.pi * variance)

    density = normal(points, information[0])
    for before, after in pairwise(information):
        density = normal(points[:, None] - points[None, :], after - before) @ (density * weights)
    return 1.0 - float(density @ weights)


@lru_cache(maxsize=1)
def legendre() -> tuple["Array", "Array"]:
    """Nodes and weights of the quadrature on [-1, 1]."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights
