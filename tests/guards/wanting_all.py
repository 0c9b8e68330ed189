"""For sessions that measure without keeping: a rule that wants every candidate, and a guard that then says stop."""

from dataclasses import dataclass, replace

from guards.budget_honesty import BudgetHonesty
from harness.keep.final_keeps import FinalKeeps
from harness.records import Action, Evidence, Judgement, KeepEvidence, Observation, Step, Verdict


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


class OnAnyMachine(BudgetHonesty):
    """Looks at the candidate alone: what else a busy machine does is no matter of these sessions."""

    def __call__(self, evidence: Evidence) -> Verdict:
        return super().__call__(replace(evidence, candidate_trials=tuple(map(_own, evidence.candidate_trials))))


def _own(trial: Observation) -> Observation:
    kept = {name: value for name, value in trial.machine.items() if name in ("work_ratio", "left_processes")}
    return replace(trial, machine=kept)
