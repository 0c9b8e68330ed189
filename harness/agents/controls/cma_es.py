"""The classic of optimisation without gradients: CMA-ES over the numbers that stand in the source. Stateless."""

from harness.agents.controls.evolution import Evolution, Point
from harness.agents.controls.space import first_space
from harness.agents.controls.tuning import Space, TriedSizes, is_new, told, tuned
from harness.records import Proposal, View


class CmaEs:
    """Tunes up to `most` constants within a factor of their first values, all at once, by generations."""

    def __init__(
        self,
        factor: float = 4.0,
        most: int = 8,
        population: int | None = None,
        spread: float = 1 / 6,
        names: tuple[str, ...] = (),
    ) -> None:
        """factor, most, names: see Optuna. population: proposals of a generation, None: 4 + 3 ln(constants).
        spread: first standard deviation, as a share of a constant's range (in its logarithm).

        Raises ValueError for values that cannot be meant.
        """
        if factor <= 1 or most < 1 or not 0 < spread <= 1 or (population is not None and population < 4):
            raise ValueError(
                "factor must be more than 1, most at least 1, population at least 4, spread in (0, 1]"
            )
        self._factor, self._most, self._names = factor, most, names
        self._population, self._spread = population, spread

    def propose(self, view: View) -> Proposal | None:
        """None when there is nothing to tune, or nothing new is drawn."""
        space = first_space(view, self._factor, self._most, self._names)
        evolution = evolution_of(space, told(view, space), self._population, self._spread)
        if not evolution.searched:
            return None
        for sizes, point in evolution.draws(view.seed):
            if is_new(view, sizes):
                why = f"drawn from generation {evolution.generation + 1} of CMA-ES"
                return tuned(view, space, sizes, why, point=list(point))
        return None


def evolution_of(
    space: Space, past: list[TriedSizes], population: int | None = None, spread: float = 1 / 6
) -> Evolution:
    """CMA-ES after the proposals that carry the point they were drawn at."""
    found = [(point, each.loss) for each in past if (point := _point(each, space)) is not None]
    return Evolution(space, found, population, spread)


def _point(each: TriedSizes, space: Space) -> Point | None:
    """None for another agent's proposal, which has none."""
    point = each.past.state.get("point")
    if not isinstance(point, list) or len(point) != len(Evolution(space).searched):
        return None
    return [float(value) for value in point if isinstance(value, int | float)]
