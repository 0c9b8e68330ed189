"""The default keep rule: screen with one trial, confirm by a group-sequential race, stop early either way."""

import math
from dataclasses import dataclass

from harness.keep.bounds import bounds
from harness.keep.noise_level import NoiseLevel, from_evidence, mean, pooled
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
    """

    alpha: float = 0.05
    max_runs: int = 6
    futility: float = 1.0
    incumbent_runs: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is {self.alpha}; it must lie between 0 and 0.5")
        if self.max_runs < 1:
            raise ValueError(f"max_runs is {self.max_runs}; a candidate needs at least one trial")
        if self.incumbent_runs < _LEAST_RUNS:
            raise ValueError(f"incumbent_runs is {self.incumbent_runs}; the sd needs at least {_LEAST_RUNS}")

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not all(map(math.isfinite, evidence.candidate + evidence.incumbent)):
            return Step(Action.DISCARD, "not_finite")
        noise = from_evidence(evidence)
        if noise is None or len(evidence.incumbent) < self._incumbents_wanted(len(evidence.candidate)):
            return Step(Action.RUN_INCUMBENT, "noise_unknown" if noise is None else "incumbent_runs")
        if not evidence.candidate:
            return Step(Action.RUN_CANDIDATE, "screening")
        return self._look(evidence, noise)

    def _incumbents_wanted(self, candidates: int) -> int:
        """Two for screening; while a race goes on, one more with each further trial of the candidate."""
        return min(self.incumbent_runs, max(_LEAST_RUNS, candidates + 1))

    def _look(self, evidence: KeepEvidence, noise: NoiseLevel) -> Step:
        """What the trials so far say. t pools the noise; z is the normal score of its tail."""
        runs = len(evidence.candidate)
        effect = mean(evidence.incumbent) - mean(evidence.candidate)
        z = score(evidence, noise, effect)
        look = min(runs, self.max_runs)
        bound = bounds(self.alpha, max(self.incumbent_runs, len(evidence.incumbent)), self.max_runs)[look - 1]
        statistics = {"z": z, "bound": bound, "effect": effect, "sd": noise.sd, "df": noise.df, "look": runs}
        if z >= bound and (noise.sd > 0 or runs > 1):
            return Step(Action.KEEP, "crossed_bound", statistics)
        if z < self.futility:
            return Step(Action.DISCARD, "futile", statistics)
        if runs >= self.max_runs:
            return Step(Action.DISCARD, "no_runs_left", statistics)
        return Step(Action.RUN_CANDIDATE, "undecided", statistics)


def score(evidence: KeepEvidence, noise: NoiseLevel, effect: float) -> float:
    """Normal score of an effect (incumbent's mean loss minus candidate's).

    Equal losses in all trials of the incumbent are no licence to keep any difference: then the candidate's
    own trials join the pool, and only where those agree too the task counts as deterministic.
    """
    if noise.sd == 0:
        noise = pooled((evidence.incumbent, evidence.candidate)) or noise
    if noise.sd == 0:
        return math.copysign(LARGEST, effect) if effect else 0.0
    error = noise.sd * math.sqrt(1 / len(evidence.incumbent) + 1 / len(evidence.candidate))
    return normal_score(effect / error, noise.df)
