"""The control that critics ask for: Bayesian optimisation (TPE) of the numbers that stand in the source.

Stateless: the study is rebuilt from the history for every proposal, and the sampler's seed is the view's.
"""

from typing import TYPE_CHECKING

from harness.agents.controls.constants import Number
from harness.agents.controls.space import Range, apply_sizes, as_state, described, first_space
from harness.records import Direction, Json, Proposal, View

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Space = dict[str, Range]
_ATTEMPTS = 20


class Optuna:
    """Tunes up to `most` constants within a factor of their first values, all at once, with optuna's TPE."""

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
        if not space:
            return None
        sizes = self._ask(view, space)
        files = {} if sizes is None else apply_sizes(view.editable, sizes)
        if sizes is None or not files:
            return None
        state: dict[str, Json] = {
            "sizes": dict(sizes),
            "space": as_state(space),
        }
        text = described(view.editable, sizes)
        return Proposal(
            files, f"tuned values: {text}", "the model of earlier scores prefers them", state=state
        )

    def _ask(self, view: View, space: Space) -> dict[str, Number] | None:
        """The study's next point that changes the incumbent and was not tried yet."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=view.seed, n_startup_trials=self._warm_up)
        maximise = view.direction is Direction.MAXIMIZE
        study = optuna.create_study(sampler=sampler, direction="maximize" if maximise else "minimize")
        for trial in _past_trials(view, space):
            study.add_trial(trial)
        tried = [past.state.get("sizes") for past in view.history]
        for _ in range(_ATTEMPTS):
            suggested = study.ask(_distributions(space)).params
            sizes = {name: _size(space[name], value) for name, value in suggested.items()}
            if sizes not in tried and apply_sizes(view.editable, sizes):
                return sizes
        return None


def _past_trials(view: View, space: Space) -> "list[FrozenTrial]":
    """The history as optuna's trials. What crashed or was rejected unseen counts as worse than any score."""
    trials = []
    if view.baseline_score is not None:
        first = {name: span.first for name, span in space.items()}
        trials.append(_trial(space, first, view.baseline_score))
    for past in view.history:
        sizes = past.state.get("sizes")
        if isinstance(sizes, dict) and set(sizes) == set(space):
            numbers = {name: size for name, size in sizes.items() if isinstance(size, int | float)}
            trials.append(_trial(space, numbers, past.score))
    return trials


def _trial(space: Space, sizes: dict[str, Number], score: float | None) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    inside = {name: _parameter(span, span.clip(sizes[name])) for name, span in space.items()}
    state = TrialState.PRUNED if score is None else TrialState.COMPLETE
    return create_trial(params=inside, distributions=_distributions(space), value=score, state=state)


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
