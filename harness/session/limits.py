"""When a session stops: before a limit is passed, not after."""

from dataclasses import dataclass

from harness.ledger.state import State
from harness.records import Outcome
from harness.task.budget import Budget
from harness.task.task import Profile

_HOUR = 3600.0


class LimitReached(Exception):
    """Its text says which limit, for the record."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The session's share of the budget. Time and trials for the certificate are set aside beforehand."""

    budget: Budget
    profile: Profile

    def check_proposal(self, state: State) -> None:
        """May another proposal be asked for, or the open one be gone on with? Raises LimitReached."""
        budget, new = self.budget, state.open is None
        if new and budget.proposals is not None and len(state.decided) >= budget.proposals:
            raise LimitReached(f"{budget.proposals} proposals are decided (budget.proposals)")
        if new and budget.dollars is not None and state.usage.dollars >= budget.dollars:
            raise LimitReached(
                f"the agent spent ${state.usage.dollars:.2f} of ${budget.dollars:.2f} (budget.dollars)"
            )
        if new and budget.tokens is not None and tokens(state) >= budget.tokens:
            raise LimitReached(f"the agent used {tokens(state)} of {budget.tokens} tokens (budget.tokens)")
        self.check_trial(state)

    def check_trial(self, state: State) -> None:
        """May another trial be started? Raises LimitReached."""
        budget = self.budget
        if budget.trials is not None and state.trials + self._reserved(state) >= budget.trials:
            raise LimitReached(f"{state.trials} of {budget.trials} trials are done (budget.trials)")
        if budget.hours is not None:
            needed = (self._reserved(state) + 1) * self.trial_seconds(state)
            if state.active_seconds + needed > budget.hours * _HOUR:
                hours = state.active_seconds / _HOUR
                raise LimitReached(f"{hours:.2f} of {budget.hours} hours are over (budget.hours)")

    def proposals_left(self, state: State) -> int | None:
        return None if self.budget.proposals is None else max(0, self.budget.proposals - len(state.decided))

    def dollars_left(self, state: State) -> float | None:
        return None if self.budget.dollars is None else max(0.0, self.budget.dollars - state.usage.dollars)

    def tokens_left(self, state: State) -> int | None:
        return None if self.budget.tokens is None else max(0, self.budget.tokens - tokens(state))

    def _reserved(self, state: State) -> int:
        """Trials that the certificate will need, if there is something to certify."""
        return 2 * self.budget.certificate if state.keeps else 0

    def trial_seconds(self, state: State) -> float:
        """What a trial takes on the wall: as they did so far, or what the profile says."""
        seen = [
            float(row["wall_seconds"])
            for row in state.finished.values()
            if row["outcome"] != Outcome.INFRA_FAILED
        ]
        return sum(seen) / len(seen) if seen else self.profile.seconds


def tokens(state: State) -> int:
    """All tokens that the agent used, as the provider counted them."""
    usage = state.usage
    return usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens + usage.output_tokens
