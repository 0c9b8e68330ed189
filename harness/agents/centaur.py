"""A "Centaur": a model that sees the state of a CMA-ES sampler, a search by numbers alone over the same program.

The sampler is told every scored proposal, whoever thought it out. Stateless: it is rebuilt from the history each time.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.agents.controls.constants import Number, written
from harness.agents.controls.space import Range, as_state, constants_of, first_space, written_as
from harness.agents.data_text import as_data, one_line
from harness.records import Direction, Files, Json, View

if TYPE_CHECKING:
    from cmaes import CMA

_FACTOR, _MOST = 4.0, 8  # of each constant's first value; constants
_SPREAD = 0.5  # sd at first, where a constant reaches from -1 to 1
_POPULATION = 6  # small: a night has few scored proposals
_DRAWS, _SHOWN_DRAWS = 400, 3
_NAME_CHARACTERS = 60
_WORTH_SAYING = 0.4  # correlation
_ABOUT = (
    "A CMA-ES sampler, which knows nothing but numbers, was told {points} scored settings of these constants "
    "({generations} generations of {population}). It is advice: combine it with what it cannot see."
)
Point = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Centaur:
    """text: what the model is shown, "" where there are too few constants. state: for the proposal's row."""

    text: str
    state: Mapping[str, Json]


def centaur(view: View) -> Centaur:
    """The sampler's state for the next proposal: where its mean lies and how wide it looks, what it varies together,
    and what it would try next. Its dice are the view's."""
    first = first_space(view, _FACTOR, _MOST)
    now = constants_of(view.editable)
    space = {name: span for name, span in first.items() if name in now and span.high > span.low}
    state: dict[str, Json] = {"space": as_state(first)}
    if len(space) < 2:
        return Centaur("", state)
    points = _points(view, space)
    sampler = _told(view, space, points)
    told = _ABOUT.format(
        points=len(points), generations=sampler.generation, population=sampler.population_size
    )
    return Centaur(told + "\n" + as_data("sampler", "\n".join(_lines(view, space, sampler))) + "\n", state)


def _points(view: View, space: Mapping[str, Range]) -> list[tuple[Point, float]]:
    """Settings and losses in the order in which they were tried, each setting once: another difference between two
    proposals is nothing that the sampler could learn from."""
    sign = 1.0 if view.direction is Direction.MINIMIZE else -1.0
    found: dict[Point, float] = {}
    if view.baseline_score is not None:
        found[(0.0,) * len(space)] = sign * view.baseline_score
    for past in view.history:
        point = None if past.score is None else _point(past.files, space)
        if point is not None and past.score is not None:
            found.setdefault(point, sign * past.score)
    return list(found.items())


def _point(files: Files, space: Mapping[str, Range]) -> Point | None:
    """None where a constant is gone, or is 0."""
    constants = constants_of(files)
    if not all(name in constants and constants[name].value for name in space):
        return None
    return tuple(_coordinate(span, abs(constants[name].value)) for name, span in space.items())


def _coordinate(span: Range, size: float) -> float:
    """0 for the first value, -1 and 1 for it divided and multiplied by the factor; what lies far out is taken in."""
    return min(max(math.log(size / span.first) / math.log(_FACTOR), -2.0), 2.0)


def _size(span: Range, coordinate: float) -> Number:
    return span.clip(span.first * _FACTOR**coordinate)


def _told(view: View, space: Mapping[str, Range], points: list[tuple[Point, float]]) -> "CMA":
    """Told generation by generation; points that do not fill one wait for the next proposal."""
    import numpy
    from cmaes import CMA

    bounds = [[_coordinate(span, span.low), _coordinate(span, span.high)] for span in space.values()]
    mean = numpy.zeros(len(space))
    sampler = CMA(
        mean,
        _SPREAD,
        bounds=numpy.array(bounds),
        seed=view.seed % 2**32,
        population_size=_POPULATION,
    )
    for start in range(0, len(points) - _POPULATION + 1, _POPULATION):
        generation = points[start : start + _POPULATION]
        sampler.tell([(numpy.array(point), loss) for point, loss in generation])
    return sampler


def _lines(view: View, space: Mapping[str, Range], sampler: "CMA") -> list[str]:
    import numpy

    draws = numpy.array([sampler.ask() for _ in range(_DRAWS)])
    mean, sd, together = draws.mean(axis=0), draws.std(axis=0), numpy.corrcoef(draws.T)
    now = constants_of(view.editable)
    names = {name: one_line(name, _NAME_CHARACTERS) for name in space}

    def spelled(name: str, coordinate: float) -> str:
        return written(written_as(now[name], _size(space[name], coordinate)))

    lines = [
        f"{names[name]}: now {written(now[name].value)}, mean {spelled(name, middle)}, "
        f"one sd from {spelled(name, middle - width)} to {spelled(name, middle + width)}"
        for name, middle, width in zip(space, mean.tolist(), sd.tolist(), strict=True)
    ]
    for (one, first), (other, second) in itertools.combinations(enumerate(names.values()), 2):
        if abs(together[one, other]) >= _WORTH_SAYING:
            lines.append(f"varied together: {first} and {second} (correlation {together[one, other]:+.1f})")
    for draw in draws[:_SHOWN_DRAWS].tolist():
        settings = zip(space, draw, strict=True)
        lines.append(
            "would try: " + ", ".join(f"{names[name]} = {spelled(name, at)}" for name, at in settings)
        )
    return lines
