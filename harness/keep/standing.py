"""The bookkeeping between decisions: which losses belong to whom, and which of them may speak about noise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.records import KeepEvidence

Losses = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A program's losses in the order of its trials; the first `selected` are those that it was kept on."""

    losses: Losses = ()
    selected: int = 0

    @property
    def screening(self) -> int:
        """How many of the first losses were low by selection; they say nothing about noise."""
        return min(1, self.selected)

    @property
    def confirmatory(self) -> Losses:
        return self.losses[self.screening :]

    def measured(self, loss: float) -> "Configuration":
        return replace(self, losses=(*self.losses, loss))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session stands between two proposals. Every method returns the next standing.

    incumbent: the head. certified: the last certified state while there are provisional keeps, else None. between:
    provisional heads that later ones were built on. past: confirmatory losses of what was discarded or replaced.
    The other fields are those of KeepEvidence.
    """

    incumbent: Configuration = Configuration()
    certified: Configuration | None = None
    between: tuple[Configuration, ...] = ()
    past: tuple[Losses, ...] = ()
    prior_sd: float | None = None
    prior_df: int = 0
    decisions_made: int = 0
    decisions_since_incumbent: int = 0
    margin_spent: float = 0.0
    provisional: int = 0
    beside: int = 0
    step_head: Losses = ()
    step_certified: Losses = ()
    races: tuple[bool, ...] = ()

    def evidence(
        self,
        candidate: Sequence[float] = (),
        incumbent_complexity: int = 0,
        candidate_complexity: int = 0,
        ending: bool = False,
    ) -> KeepEvidence:
        below = (*self.between, self.certified) if self.certified else self.between
        return KeepEvidence(
            incumbent=self.incumbent.losses,
            candidate=tuple(candidate),
            configurations=_telling((*self.past, *(layer.confirmatory for layer in below))),
            incumbent_screening=self.incumbent.screening,
            prior_sd=self.prior_sd,
            prior_df=self.prior_df,
            decisions_made=self.decisions_made,
            incumbent_complexity=incumbent_complexity,
            candidate_complexity=candidate_complexity,
            margin_spent=self.margin_spent,
            incumbent_selected=self.incumbent.selected,
            decisions_since_incumbent=self.decisions_since_incumbent,
            incumbent_beside=self.beside,
            provisional=self.provisional,
            certified=self.certified.losses if self.certified else (),
            step_head=self.step_head,
            step_certified=self.step_certified,
            races=self.races,
            ending=ending,
        )

    def with_incumbent(self, loss: float, beside: bool = False) -> "Standing":
        """After one more trial of the incumbent. beside: while a candidate with a trial of its own is open."""
        return replace(
            self,
            incumbent=self.incumbent.measured(loss),
            decisions_since_incumbent=0,
            beside=self.beside + beside,
        )

    def with_head(self, loss: float) -> "Standing":
        """After a trial of the head in its race against the certified state."""
        return replace(self.with_incumbent(loss), step_head=(*self.step_head, loss))

    def with_certified(self, loss: float) -> "Standing":
        assert self.certified is not None
        measured = self.certified.measured(loss)
        return replace(self, certified=measured, step_certified=(*self.step_certified, loss))

    def discarded(self, candidate: Sequence[float]) -> "Standing":
        """After a discard; `candidate` are the losses of its completed trials, maybe none."""
        return replace(
            self,
            past=_telling((*self.past, tuple(candidate[1:]))),
            decisions_made=self.decisions_made + 1,
            decisions_since_incumbent=self.decisions_since_incumbent + 1,
            beside=0,
        )

    def kept(self, candidate: Sequence[float], margin: float = 0.0, provisional: bool = False) -> "Standing":
        """After a keep: the candidate's losses are the new incumbent's. margin: from the step's statistics."""
        after = replace(
            self,
            incumbent=Configuration(tuple(candidate), len(candidate)),
            decisions_made=self.decisions_made + 1,
            decisions_since_incumbent=0,
            margin_spent=self.margin_spent + margin,
            beside=0,
        )
        if not provisional:
            return replace(after, past=_telling((*self.past, self.incumbent.confirmatory)))
        if self.certified is None:
            return replace(after, certified=self.incumbent, provisional=1)
        between = (*self.between, self.incumbent)
        return replace(after, between=between, provisional=self.provisional + 1)

    def settled(self, certify: bool) -> "Standing":
        """After the race between head and certified state."""
        assert self.certified is not None
        winner, loser = self.incumbent, self.certified
        if not certify:
            winner, loser = loser, winner
        past = (*self.past, loser.confirmatory, *(layer.confirmatory for layer in self.between))
        return replace(
            self,
            incumbent=winner,
            certified=None,
            between=(),
            past=_telling(past),
            decisions_since_incumbent=0,
            provisional=0,
            step_head=(),
            step_certified=(),
            races=(*self.races, certify),
        )


def _telling(groups: Sequence[Losses]) -> tuple[Losses, ...]:
    """A single loss says nothing about noise."""
    return tuple(group for group in groups if len(group) > 1)
