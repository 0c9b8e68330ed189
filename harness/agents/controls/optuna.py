"""The control that critics ask for: Bayesian optimisation (TPE) of the numbers that stand in the source.

Stateless: the study is rebuilt from the history for every proposal, and the sampler's seed is the view's.
"""

from typing import TYPE_CHECKING

from harness.agents.controls.constants import Number
from harness.agents.controls.space import Range, first_space
from harness.agents.controls.tuning import Space, baseline_loss, is_new, told, tuned
from harness.records import Proposal, View

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_ATTEMPTS = 20


class Optuna:
    """Tunes up to `most` constants within a factor of their first values, all at once, with optuna's TPE."""

    reads_program = False

    def __init__(
        self, factor: float = 4.0, most: int = 8, warm_up: int = 5, names: tuple[str, ...] = ()
    ) -> None:
        """factor: range of each constant around its first value. most: how many constants, in the order in
        which they stand. names: take exactly these. warm_up: random proposals before the model is used.

        Raises ValueError for values that cannot be meant.
        """
        if factor <= 1 or most < 1 or warm_up < 1:
            raise ValueError("factor must be more than 1, most and warm_up at least 1")
        self._factor = factor
        self._most = most
        self._warm_up = warm_up
        self._names = names

    def propose(self, view: View) -> Proposal | None:
        """None when there is nothing to tune, or nothing new is found."""
        space = first_space(view, self._factor, self._most, self._names)
        sizes = self._ask(view, space) if space else None
        if sizes is None:
            return None
        return tuned(view, space, sizes, "the model of earlier scores prefers them")

    def _ask(self, view: View, space: Space) -> dict[str, Number] | None:
        """The study's next point that changes the incumbent and was not tried yet."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=view.seed, n_startup_trials=self._warm_up)
        study = optuna.create_study(sampler=sampler, direction="minimize")
        for trial in past_trials(view, space):
            study.add_trial(trial)
        for _ in range(_ATTEMPTS):
            suggested = study.ask(_distributions(space)).params
            sizes = {name: _size(space[name], value) for name, value in suggested.items()}
            if is_new(view, sizes):
                return sizes
        return None


def past_trials(view: View, space: Space) -> "list[FrozenTrial]":
    """The history as optuna's trials. A failure is "pruned": TPE ranks such trials behind all that have a value,
    and draws away from them; "failed" ones it would not look at.
    """
    trials = []
    if (first := baseline_loss(view)) is not None:
        trials.append(_trial(space, {name: span.first for name, span in space.items()}, first))
    return trials + [_trial(space, each.sizes, each.loss) for each in told(view, space)]


def _trial(space: Space, sizes: dict[str, Number], loss: float | None) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    inside = {name: _parameter(span, span.clip(sizes[name])) for name, span in space.items()}
    state = TrialState.PRUNED if loss is None else TrialState.COMPLETE
    return create_trial(params=inside, distributions=_distributions(space), value=loss, state=state)


def _distributions(space: Space) -> "dict[str, BaseDistribution]":
    """A power of two is searched by its exponent."""
    from optuna.distributions import FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name, span in space.items():
        if span.kind == "float":
            found[name] = FloatDistribution(span.low, span.high, log=True)
        elif span.kind == "int":
            found[name] = IntDistribution(round(span.low), max(round(span.high), round(span.low)), log=True)
        else:
            low, high = int(span.low).bit_length() - 1, int(span.high).bit_length() - 1
            found[name] = IntDistribution(low, high)
    return found


def _parameter(span: Range, size: Number) -> Number:
    if span.kind == "power":
        return int(size).bit_length() - 1
    return min(max(float(size), span.low), span.high) if span.kind == "float" else int(size)


def _size(span: Range, parameter: Number) -> Number:
    return span.clip(2.0**parameter if span.kind == "power" else parameter)
