"""For sessions that measure without keeping: a rule that wants every candidate, and a guard that then says stop."""

from dataclasses import dataclass

from harness.keep.final_keeps import FinalKeeps
from harness.records import Action, Evidence, Judgement, KeepEvidence, Step, Verdict


@dataclass(frozen=True, slots=True)
class WantsAll(FinalKeeps):
    """Keeps whatever has a score after as many trials as the guards ask for, and never fewer than two."""

    incumbent_runs: int = 2

    def next_step(self, evidence: KeepEvidence) -> Step:
        if len(evidence.candidate) < max(2, evidence.least_trials):
            return Step(Action.RUN_CANDIDATE, "screening")
        return Step(Action.KEEP, "wanted")


@dataclass(frozen=True)
class Last:
    """Asked after all others: who reaches it was blocked by none, and the head stays where it is."""

    name: str = "last"
    stages: tuple[str, ...] = ("promotion",)

    def __call__(self, _: Evidence) -> Verdict:
        return Verdict(self.name, Judgement.REJECT, "last.reached", "no guard objects")
