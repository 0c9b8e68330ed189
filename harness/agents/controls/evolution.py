"""CMA-ES over the numbers of a program, rebuilt from what it was told: nothing is kept between two proposals.

The distribution follows from the told points alone; the seed only decides what is drawn from it. Every number is
searched on 0..1: its logarithm, the exponent of a power of two, or, for integers of a short range, the integer itself.
The package's variant with a margin (CMAwM; Hamano et al. 2022, arXiv 2205.13482) keeps whole numbers from freezing.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from harness.agents.controls.constants import Number
from harness.agents.controls.space import Range

if TYPE_CHECKING:
    from cmaes import CMAwM

Point = Sequence[float]
"""Where a proposal was drawn, in the order of the space; what CMA-ES wants to be told again, before rounding."""

_SHORT = 64  # integers; a longer range is searched like a float
_DRAWS = 200


@dataclass(frozen=True)
class Evolution:
    """space: what is searched, name by name. told: points with their losses, None for failures, oldest first.

    population: points of one generation; None: 4 + 3 ln(dimensions). spread: the first standard deviation, on 0..1.
    """

    space: Mapping[str, Range]
    told: Sequence[tuple[Point, float | None]] = ()
    population: int | None = None
    spread: float = 1 / 6

    @cached_property
    def searched(self) -> dict[str, Range]:
        """What can be varied at all: a range of a single value is left out."""
        return {
            name: span for name, span in self.space.items() if span.clip(span.low) != span.clip(span.high)
        }

    @cached_property
    def state(self) -> "CMAwM":
        """The optimiser after all whole generations of `told`. Raises ValueError where there is nothing to search."""
        import numpy as np
        from cmaes import CMAwM

        if not self.searched:
            raise ValueError("there is no number to search")
        spans = self.searched.values()
        first = np.array([_place(span, span.first) for span in spans])
        steps = np.array([1 / (count - 1) if (count := _whole_values(span)) else 0.0 for span in spans])
        unit = np.tile([0.0, 1.0], (len(steps), 1))
        found = CMAwM(first, self.spread, unit, steps, population_size=self.population)
        size = found.population_size
        for begin in range(0, len(self.told) - size + 1, size):
            mean = [float(value) for value in found.mean]
            generation = [
                (point, loss, math.dist(point, mean)) for point, loss in self.told[begin : begin + size]
            ]
            found.tell([(np.array(point), loss) for point, loss in ranked(generation)])
        return found

    def draws(self, seed: int) -> Iterator[tuple[dict[str, Number], list[float]]]:
        """Sizes to try, each with its point. The same seed gives the same draws."""
        self.state.reseed_rng(seed)
        for _ in range(_DRAWS):
            rounded, raw = self.state.ask()
            yield self.sizes([float(value) for value in rounded]), [float(value) for value in raw]

    def sizes(self, point: Point) -> dict[str, Number]:
        """The numbers at a point."""
        fixed = {name: span.clip(span.first) for name, span in self.space.items()}
        return fixed | {
            name: _size(span, value) for (name, span), value in zip(self.searched.items(), point, strict=True)
        }

    @property
    def centre(self) -> dict[str, Number]:
        """The distribution's mean: where CMA-ES believes the best numbers to be."""
        return self.sizes([float(value) for value in self.state.mean])

    @property
    def generation(self) -> int:
        return int(self.state.generation)

    @cached_property
    def deviations(self) -> dict[str, float]:
        """Standard deviation of what is drawn for each number, on 0..1 of its range: how sure CMA-ES is of it."""
        drawn = list(zip(*(point for _, point in self.draws(seed=0)), strict=True))
        return {name: statistics.pstdev(values) for name, values in zip(self.searched, drawn, strict=True)}


def ranked(told: "Sequence[tuple[Point, float | None, float]]") -> "list[tuple[Point, float]]":
    """(point, loss or None, distance from the mean) as CMA-ES wants it, which looks at the order alone.

    A failure is worse than the worst loss, and the further from the mean the worse: a generation that failed whole
    then draws the distribution back to where programs ran.
    """
    scored = [(point, loss) for point, loss, _ in told if loss is not None]
    worst = max((loss for _, loss in scored), default=0.0)
    failed = sorted(((far, at) for at, (_, loss, far) in enumerate(told) if loss is None))
    above = max(1.0, abs(worst))
    return scored + [(told[at][0], worst + above * rank) for rank, (_, at) in enumerate(failed, start=1)]


def _whole_values(span: Range) -> int:
    """How many values a range of whole numbers has; 0 where it is searched like a float."""
    if span.kind == "power":
        return round(math.log2(span.high)) - round(math.log2(span.low)) + 1
    count = round(span.high) - round(span.low) + 1
    return count if span.kind == "int" and count <= _SHORT else 0


def _ends(span: Range) -> tuple[float, float]:
    """Ends of the range on the scale that is searched."""
    if span.kind == "int":
        low, high = round(span.low), round(span.high)
        return (low, high) if _whole_values(span) else (math.log(low), math.log(high))
    return math.log(span.low), math.log(span.high)


def _linear(span: Range) -> bool:
    return span.kind == "int" and bool(_whole_values(span))


def _place(span: Range, value: float) -> float:
    low, high = _ends(span)
    at = value if _linear(span) else math.log(value)
    return min(1.0, max(0.0, (at - low) / (high - low)))


def _size(span: Range, place: float) -> Number:
    low, high = _ends(span)
    at = low + min(1.0, max(0.0, place)) * (high - low)
    return span.clip(at if _linear(span) else math.exp(at))
