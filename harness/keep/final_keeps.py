"""What rules have in common whose every keep is final: nothing is left to settle between two proposals."""

from harness.records import Action, KeepEvidence, Step


class FinalKeeps:
    """Base of rules with one level."""

    __slots__ = ()

    @property
    def settling_trials(self) -> int:
        return 0

    def between(self, evidence: KeepEvidence) -> Step:  # noqa: ARG002 -- other rules look at it
        return Step(Action.PROPOSE, "final")
