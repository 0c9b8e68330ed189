"""The bookkeeping between decisions: which losses belong to whom, and which of them may speak about noise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.records import KeepEvidence


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session stands between two proposals. Every method returns the next standing.

    incumbent: losses of the incumbent in the order of its trials; the first `selected` are those that it was
    kept on. The other fields are those of KeepEvidence.
    """

    incumbent: tuple[float, ...] = ()
    selected: int = 0
    configurations: tuple[tuple[float, ...], ...] = ()
    prior_sd: float | None = None
    prior_df: int = 0
    decisions_made: int = 0
    decisions_since_incumbent: int = 0
    margin_spent: float = 0.0

    def evidence(
        self, candidate: Sequence[float] = (), incumbent_complexity: int = 0, candidate_complexity: int = 0
    ) -> KeepEvidence:
        return KeepEvidence(
            incumbent=self.incumbent,
            candidate=tuple(candidate),
            configurations=self.configurations,
            incumbent_screening=min(1, self.selected),
            prior_sd=self.prior_sd,
            prior_df=self.prior_df,
            decisions_made=self.decisions_made,
            incumbent_complexity=incumbent_complexity,
            candidate_complexity=candidate_complexity,
            margin_spent=self.margin_spent,
            incumbent_selected=self.selected,
            decisions_since_incumbent=self.decisions_since_incumbent,
        )

    def with_incumbent(self, loss: float) -> "Standing":
        """After one more trial of the incumbent."""
        return replace(self, incumbent=(*self.incumbent, loss), decisions_since_incumbent=0)

    def discarded(self, candidate: Sequence[float]) -> "Standing":
        """After a discard; `candidate` are the losses of its completed trials, maybe none."""
        return replace(
            self,
            configurations=_with(self.configurations, candidate[1:]),
            decisions_made=self.decisions_made + 1,
            decisions_since_incumbent=self.decisions_since_incumbent + 1,
        )

    def kept(self, candidate: Sequence[float], margin: float = 0.0) -> "Standing":
        """After a keep: the candidate's losses are the new incumbent's. margin: from the step's statistics."""
        return replace(
            self,
            incumbent=tuple(candidate),
            selected=len(candidate),
            configurations=_with(self.configurations, self.incumbent[min(1, self.selected) :]),
            decisions_made=self.decisions_made + 1,
            decisions_since_incumbent=0,
            margin_spent=self.margin_spent + margin,
        )


def _with(groups: tuple[tuple[float, ...], ...], losses: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """The confirmatory losses of one more configuration; a single one says nothing about noise."""
    return (*groups, tuple(losses)) if len(losses) > 1 else groups
