"""What stopping hopeless trials early saves, and what it throws away, on synthetic training curves.

    python scripts/simulate_early_stop.py

The incumbent's loss falls as a power of the budget used; `remaining` is how many sd it still falls in the second
half. A candidate ends at its effect (a published night's distribution, scripts/synthetic_nights.json) and gets there
on a path of its own: it may be ahead or behind half-way by `path` sd without that meaning anything.
"""

from dataclasses import dataclass

import numpy as np
from synthetic_nights import read

from harness.keep.early_stop import Curve, EarlyStop

SHARES = np.linspace(0.05, 1.0, 20)
EXPONENT = 0.3


@dataclass(frozen=True, slots=True)
class Result:
    """saved: share of all candidates' trial time. lost: share of improvements that were stopped."""

    saved: float
    lost: float


def curve(rng: np.random.Generator, effect_sd: float, remaining: float, path: float) -> Curve:
    """In sd units; training noise of half an sd at every point."""
    scale = remaining / (0.5**-EXPONENT - 1)
    shape = scale * (SHARES**-EXPONENT - 1)
    detour = rng.normal() * path * np.minimum(1.0, 2 * (1 - SHARES))
    noise = 0.5 * rng.normal(size=SHARES.size)
    return list(zip(SHARES.tolist(), (shape - effect_sd + detour + noise).tolist(), strict=True))


def measure(rule: EarlyStop, remaining: float, path: float, count: int = 2000, seed: int = 1) -> Result:
    rng = np.random.default_rng(seed)
    book = read()
    effects = book.nights["all 100"].draw(rng, count) / book.sd
    saved, lost, incumbent = 0.0, 0, []
    for number, effect in enumerate(effects.tolist()):
        if number % 20 == 0:  # another session
            incumbent = [curve(rng, 0.0, remaining, 0.0) for _ in range(4)]
        whole = curve(rng, effect, remaining, path)
        stops = (point for point in range(1, len(whole)) if rule.is_hopeless(whole[:point], incumbent))
        stop = next(stops, None)
        if stop is not None:
            saved += 1 - whole[stop - 1][0]
            lost += effect > 0
    return Result(saved / count, lost / max(1, int((effects > 0).sum())))


def main() -> None:
    print(f"{'remaining':>9} {'path':>5} {'after':>6} {'speed':>6} {'saved':>7} {'improvements lost':>18}")
    for remaining, path in ((20.0, 1.0), (20.0, 4.0), (50.0, 1.0), (50.0, 4.0), (50.0, 12.0)):
        for after, speed in ((0.5, 1.0), (0.5, 1.1), (0.5, 1.5), (0.75, 1.1)):
            found = measure(EarlyStop(after, speed), remaining, path)
            print(
                f"{remaining:>7} sd {path:>2.0f} sd {after:>6} {speed:>6} {found.saved:>7.1%} {found.lost:>18.1%}"
            )


if __name__ == "__main__":
    main()
