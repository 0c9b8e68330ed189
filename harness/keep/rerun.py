"""Run an apparent win twice more and decide on those two alone: nearly as good as the race, without its error rate."""

from dataclasses import dataclass

from harness.keep.final_keeps import FinalKeeps
from harness.keep.noise_level import from_evidence, mean, usable
from harness.records import Action, KeepEvidence, Step


@dataclass(frozen=True, slots=True)
class Rerun(FinalKeeps):
    """A candidate must beat the incumbent by `margin_sd` sd in its first trial, and again in the mean of `reruns`."""

    reruns: int = 2
    margin_sd: float = 1.5
    incumbent_runs: int = 5

    def __post_init__(self) -> None:
        if self.reruns < 1 or self.incumbent_runs < 2:
            raise ValueError("a rerun rule needs reruns >= 1 and incumbent_runs >= 2")

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not usable(evidence):
            return Step(Action.DISCARD, "not_finite")
        noise, bar = from_evidence(evidence), evidence.incumbent[evidence.incumbent_screening :]
        if noise is None or len(bar) < (1 if evidence.incumbent_screening else self.incumbent_runs):
            return Step(Action.RUN_INCUMBENT, "noise_unknown" if noise is None else "incumbent_runs")
        if not evidence.candidate:
            return Step(Action.RUN_CANDIDATE, "screening")
        decisive = evidence.candidate[1:] or evidence.candidate
        effect, needed = mean(bar) - mean(decisive), self.margin_sd * noise.sd
        statistics = {"effect": effect, "needed": needed, "sd": noise.sd, "df": noise.df}
        statistics["look"] = len(evidence.candidate)
        complete = len(evidence.candidate) > max(self.reruns, evidence.least_trials - 1)
        if effect <= needed and (complete or len(evidence.candidate) == 1):
            return Step(Action.DISCARD, "within_margin", statistics)
        if complete:
            return Step(Action.KEEP, "confirmed", statistics)
        return Step(Action.RUN_CANDIDATE, "rerun", statistics)
