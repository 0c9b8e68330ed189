"""How often does `harness.compare` call one of equal arms better, and how often does it see a real difference?

python scripts/simulate_compare.py [--sweeps 1000]: A/A sweeps (all arms equal) for several shapes of gains, and a
power curve. A wrong call is any "better" or "worse" in a sweep whose arms are equal.
"""

import argparse
import math
from collections.abc import Callable

import numpy

from harness.compare.statistics import Gain, differences

Draw = Callable[[numpy.random.Generator, float], float]
ERROR = 0.3  # a certificate's standard error, in units of the sd between sessions


def normal(random: numpy.random.Generator, shift: float) -> float:
    return shift + random.normal() + ERROR * random.normal()


def mostly_nothing(random: numpy.random.Generator, shift: float) -> float:
    """Seven sessions of ten keep nothing and gain exactly nothing."""
    return 0.0 if random.random() < 0.7 else 1.0 + shift + 0.5 * random.normal() + ERROR * random.normal()


def skewed(random: numpy.random.Generator, shift: float) -> float:
    """Now and then one session finds something large."""
    return shift + random.lognormal(0, 1) / 2.16 + ERROR * random.normal()


def noise_only(random: numpy.random.Generator, shift: float) -> float:
    """Sessions do not differ at all: certificates do."""
    return shift + ERROR * random.normal()


def unequal(random: numpy.random.Generator, shift: float) -> float:
    """Skewed gains, in arms that are equal in the mean and far from it in spread (see `sweep`)."""
    return shift + random.lognormal(0, 1) - math.exp(0.5)


SHAPES: dict[str, Draw] = {
    "normal": normal, "mostly nothing": mostly_nothing, "skewed": skewed, "noise only": noise_only,
    "skewed, unequal spread": unequal,
}  # fmt: skip


def sweep(
    random: numpy.random.Generator, draw: Draw, shifts: list[float], repeats: int, tasks: int
) -> list[str]:
    """The verdicts of one made-up sweep."""
    arms = {}
    for place, shift in enumerate(shifts):
        gains = []
        for task in range(tasks):
            for repeat in range(repeats):
                value = draw(random, shift) * (3.0 if draw is unequal and place % 2 else 1.0)
                gains.append(Gain(value, ERROR if value else 0.0, str(task), str(repeat)))
        arms[f"arm{place}"] = gains
    return [pair.verdict for pair in differences(arms)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=1000)
    count = parser.parse_args().sweeps
    random = numpy.random.default_rng(20260105)
    print(f"A/A: wrong calls in {count} sweeps (at most {0.05 * count:.0f} are allowed)")
    print("| gains | arms | repeats | tasks | wrong | share |\n|---|---|---|---|---|---|")
    for name, draw in SHAPES.items():
        for arms, repeats, tasks in ((2, 3, 1), (4, 3, 1), (4, 5, 1), (4, 3, 2), (8, 10, 1)):
            wrong = sum(
                any(verdict != "cannot tell" for verdict in sweep(random, draw, [0.0] * arms, repeats, tasks))
                for _ in range(count)
            )
            print(f"| {name} | {arms} | {repeats} | {tasks} | {wrong} | {wrong / count:.1%} |", flush=True)
    print(
        "\nPower: two arms, normal gains, true difference in sd between sessions (certificate error included)"
    )
    print("| difference | 3 repeats | 5 | 10 | 20 |\n|---|---|---|---|---|")
    size = math.hypot(1.0, ERROR)
    for difference in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0):
        seen = []
        for repeats in (3, 5, 10, 20):
            calls = [
                sweep(random, normal, [difference * size, 0.0], repeats, 1)[0] for _ in range(count // 2)
            ]
            seen.append(f"{calls.count('better') / len(calls):.0%} ({calls.count('worse')} wrong way)")
        print(f"| {difference} | {' | '.join(seen)} |", flush=True)


if __name__ == "__main__":
    main()
