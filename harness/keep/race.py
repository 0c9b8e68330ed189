"""The default keep rule: screen with one trial, confirm by a group-sequential race, stop early either way."""

import math
from dataclasses import dataclass

from harness.keep.bounds import bounds
from harness.keep.drift import drift
from harness.keep.noise_level import NoiseLevel, from_evidence, mean, usable
from harness.keep.normal_score import LARGEST, normal_score
from harness.records import Action, KeepEvidence, Step

_LEAST_RUNS = 2  # of the incumbent, before anything is compared with it


@dataclass(frozen=True, slots=True)
class Race:
    """Keep when the evidence crosses an O'Brien-Fleming bound, drop when it is below `futility`.

    alpha: probability that a candidate without effect is kept.
    max_runs: most trials of a candidate.
    futility: smallest normal score that goes on; low scores may go on without harm to alpha.
    incumbent_runs: trials of the baseline before the first proposal; later incumbents get so many when raced.
    refresh: one more trial of the incumbent after so many decisions without one, against drift; 0: never.
    margin: a simplification is kept once it is shown to be worse by less than this (in the metric's unit).
    margin_budget: the sum of the margins that a session may give away so; 0: simplifications get none.
    """

    alpha: float = 0.05
    max_runs: int = 6
    futility: float = 1.0
    incumbent_runs: int = 4
    refresh: int = 0
    margin: float = 0.0
    margin_budget: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is {self.alpha}; it must lie between 0 and 0.5")
        if self.max_runs < 1:
            raise ValueError(f"max_runs is {self.max_runs}; a candidate needs at least one trial")
        if self.incumbent_runs < _LEAST_RUNS:
            raise ValueError(f"incumbent_runs is {self.incumbent_runs}; the sd needs at least {_LEAST_RUNS}")
        if min(self.refresh, self.margin, self.margin_budget) < 0:
            raise ValueError("refresh, margin and margin_budget cannot be negative")

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not usable(evidence):
            return Step(Action.DISCARD, "not_finite")
        noise = from_evidence(evidence)
        if noise is None or len(evidence.incumbent) < self._incumbents_wanted(evidence):
            return Step(Action.RUN_INCUMBENT, "noise_unknown" if noise is None else "incumbent_runs")
        if not evidence.candidate:
            stale = 0 < self.refresh <= evidence.decisions_since_incumbent
            return Step(Action.RUN_INCUMBENT, "refresh") if stale else Step(Action.RUN_CANDIDATE, "screening")
        return self._look(evidence, noise)

    def _incumbents_wanted(self, evidence: KeepEvidence) -> int:
        """For a kept incumbent two; while a race goes on, one more with each further trial of the candidate."""
        if not evidence.incumbent_screening:
            return self.incumbent_runs
        return min(self.incumbent_runs, max(_LEAST_RUNS, len(evidence.candidate) + 1))

    def _look(self, evidence: KeepEvidence, noise: NoiseLevel) -> Step:
        """What the trials so far say."""
        runs, margin = len(evidence.candidate), self._margin(evidence)
        effect = mean(evidence.incumbent) - mean(evidence.candidate)
        z = score(evidence, noise, effect)
        z_margin = score(evidence, noise, effect + margin) if margin else z
        bound = self._bound(evidence)
        statistics = {"z": z, "bound": bound, "effect": effect, "sd": noise.sd, "df": noise.df, "look": runs}
        if alarm := drift(evidence, noise):
            statistics["drift"] = alarm.z
        may_keep = noise.sd > 0 or runs > 1
        if may_keep and z >= bound:
            return Step(Action.KEEP, "crossed_bound", statistics)
        if may_keep and z_margin >= bound:
            return Step(Action.KEEP, "simpler_and_not_worse", {**statistics, "margin": margin})
        if z_margin < self.futility:
            return Step(Action.DISCARD, "futile", statistics)
        if runs >= self.max_runs:
            return Step(Action.DISCARD, "no_runs_left", statistics)
        return Step(Action.RUN_CANDIDATE, "undecided", statistics)

    def _bound(self, evidence: KeepEvidence) -> float:
        planned = max(self.incumbent_runs, len(evidence.incumbent))
        return bounds(self.alpha, planned, self.max_runs)[min(len(evidence.candidate), self.max_runs) - 1]

    def _margin(self, evidence: KeepEvidence) -> float:
        """How much worse this candidate may be: nothing, unless it is simpler and the budget has room."""
        simpler = 0 < evidence.candidate_complexity < evidence.incumbent_complexity
        affordable = evidence.margin_spent + self.margin <= self.margin_budget
        return self.margin if simpler and affordable else 0.0


def score(evidence: KeepEvidence, noise: NoiseLevel, effect: float) -> float:
    """Normal score of an effect (incumbent's mean loss minus candidate's), with t's degrees of freedom."""
    if noise.sd == 0:
        return math.copysign(LARGEST, effect) if effect else 0.0
    error = noise.sd * math.sqrt(1 / len(evidence.incumbent) + 1 / len(evidence.candidate))
    return normal_score(effect / error, noise.df)
