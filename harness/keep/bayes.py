"""Keep what is probably an improvement: gains what the race gains and keeps somewhat more that is none."""

import math
from dataclasses import dataclass

from harness.keep.effect_prior import Posterior, posterior
from harness.keep.final_keeps import FinalKeeps
from harness.keep.noise_level import NoiseLevel, from_evidence, mean, usable
from harness.records import Action, KeepEvidence, Step

_LEAST_RUNS = 2  # of a candidate, before it is kept


@dataclass(frozen=True, slots=True)
class Bayes(FinalKeeps):
    """Keep at a posterior probability of `keep_at`, drop at `drop_at`, else another trial, up to `max_runs`.

    The prior (harness/keep/effect_prior.py) was fitted to one task; on another one the probabilities are
    as good as it is. There is no error rate to state: believe the certificate.
    """

    keep_at: float = 0.8
    drop_at: float = 0.5
    max_runs: int = 6
    incumbent_runs: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.drop_at < self.keep_at < 1:
            raise ValueError("drop_at and keep_at must be probabilities, drop_at the smaller one")
        if self.max_runs < _LEAST_RUNS or self.incumbent_runs < 2:
            raise ValueError("a Bayes rule needs max_runs >= 2 and incumbent_runs >= 2")

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not usable(evidence):
            return Step(Action.DISCARD, "not_finite")
        noise = from_evidence(evidence)
        if noise is None or len(evidence.incumbent) < self.incumbent_runs:
            return Step(Action.RUN_INCUMBENT, "incumbent_runs")
        if not evidence.candidate:
            return Step(Action.RUN_CANDIDATE, "screening")
        return self._look(evidence, noise)

    def _look(self, evidence: KeepEvidence, noise: NoiseLevel) -> Step:
        runs = len(evidence.candidate)
        effect = mean(evidence.incumbent) - mean(evidence.candidate)
        belief = believed(evidence, noise, effect)
        statistics = {"probability": belief.probability, "effect": effect, "sd": noise.sd, "df": noise.df}
        statistics |= {"expected_effect": belief.effect, "look": runs}
        if belief.probability >= self.keep_at and runs >= max(_LEAST_RUNS, evidence.least_trials):
            return Step(Action.KEEP, "probably_better", statistics)
        if belief.probability <= self.drop_at:
            return Step(Action.DISCARD, "probably_not_better", statistics)
        if runs >= max(self.max_runs, evidence.least_trials):
            return Step(Action.DISCARD, "no_runs_left", statistics)
        return Step(Action.RUN_CANDIDATE, "undecided", statistics)


def believed(evidence: KeepEvidence, noise: NoiseLevel, effect: float) -> Posterior:
    """The posterior of an effect, in the metric's unit. Without noise there is nothing to doubt."""
    if noise.sd == 0:
        return Posterior(float(effect > 0), effect)
    uncertain = 1 + 1 / (4 * noise.df)  # the sd is an estimate, too
    error = uncertain * math.sqrt(1 / len(evidence.incumbent) + 1 / len(evidence.candidate))
    belief = posterior(effect / noise.sd, error)
    return Posterior(belief.probability, belief.effect * noise.sd)
