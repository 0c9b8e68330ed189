"""Keep whatever scores lower in a single trial: the old practice, for comparison and for quick looks."""

from dataclasses import dataclass

from harness.keep.final_keeps import FinalKeeps
from harness.keep.noise_level import mean, usable
from harness.records import Action, KeepEvidence, Step


@dataclass(frozen=True, slots=True)
class Greedy(FinalKeeps):
    """In a night of 100 changes without effect it keeps four, and believes in the gain of each."""

    incumbent_runs: int = 1

    def __post_init__(self) -> None:
        if self.incumbent_runs < 1:
            raise ValueError(f"incumbent_runs is {self.incumbent_runs}; there is nothing to compare with")

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not usable(evidence):
            return Step(Action.DISCARD, "not_finite")
        wanted = 1 if evidence.incumbent_screening else self.incumbent_runs
        if len(evidence.incumbent) < wanted:
            return Step(Action.RUN_INCUMBENT, "incumbent_runs")
        if len(evidence.candidate) < max(1, evidence.least_trials):
            return Step(Action.RUN_CANDIDATE, "screening")
        effect = mean(evidence.incumbent) - mean(evidence.candidate)
        if effect > 0:
            return Step(Action.KEEP, "lower", {"effect": effect})
        return Step(Action.DISCARD, "not_lower", {"effect": effect})
