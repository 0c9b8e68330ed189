"""When a session stops: before a limit is passed, not after."""

from dataclasses import dataclass

from harness.ledger.session_record import SessionRecord
from harness.records import EndCause
from harness.task.budget import Budget
from harness.task.task import Profile

_HOUR = 3600.0


class LimitReached(Exception):
    """cause: which limit; the text says the same to people."""

    def __init__(self, cause: EndCause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The session's share of the budget. Time and trials for the certificate are set aside beforehand."""

    budget: Budget
    profile: Profile
    settling_trials: int = 0  # that provisional keeps may need at the end

    def check_proposal(self, state: SessionRecord) -> None:
        """May another proposal be asked for, or the open one be gone on with? Raises LimitReached."""
        budget, new = self.budget, state.open is None
        if new and budget.proposals is not None and len(state.decided) >= budget.proposals:
            text = f"{budget.proposals} proposals are decided (budget.proposals)"
            raise LimitReached(EndCause.PROPOSALS, text)
        if new and budget.dollars is not None and state.usage.dollars >= budget.dollars:
            text = f"the agent spent ${state.usage.dollars:.2f} of ${budget.dollars:.2f} (budget.dollars)"
            raise LimitReached(EndCause.DOLLARS, text)
        if new and budget.tokens is not None and state.tokens >= budget.tokens:
            text = f"the agent used {state.tokens} of {budget.tokens} tokens (budget.tokens)"
            raise LimitReached(EndCause.TOKENS, text)
        self.check_trial(state)

    def check_trial(self, state: SessionRecord) -> None:
        """May another trial be started? Raises LimitReached."""
        budget = self.budget
        if budget.trials is not None and state.finished_trials + self._reserved(state) >= budget.trials:
            text = f"{state.finished_trials} of {budget.trials} trials are done (budget.trials)"
            raise LimitReached(EndCause.TRIALS, text)
        if budget.hours is not None:
            needed = (self._reserved(state) + 1) * self.trial_seconds(state)
            if state.active_seconds + needed > budget.hours * _HOUR:
                hours = state.active_seconds / _HOUR
                text = f"{hours:.2f} of {budget.hours} hours are over (budget.hours)"
                raise LimitReached(EndCause.HOURS, text)

    def allows_race_trial(self, state: SessionRecord) -> bool:
        """Whether a stack's race may go on: of what was set aside, only the certificate's trials are left alone."""
        budget, certificate = self.budget, 2 * self.budget.certificate
        if budget.trials is not None and state.finished_trials + certificate >= budget.trials:
            return False
        needed = (certificate + 1) * self.trial_seconds(state)
        return budget.hours is None or state.active_seconds + needed <= budget.hours * _HOUR

    def proposals_left(self, state: SessionRecord) -> int | None:
        return None if self.budget.proposals is None else max(0, self.budget.proposals - len(state.decided))

    def dollars_left(self, state: SessionRecord) -> float | None:
        return None if self.budget.dollars is None else max(0.0, self.budget.dollars - state.usage.dollars)

    def tokens_left(self, state: SessionRecord) -> int | None:
        return None if self.budget.tokens is None else max(0, self.budget.tokens - state.tokens)

    def seconds_left(self, state: SessionRecord) -> float | None:
        """Of the session's hours, less the time that its certificate will need; None: without a limit."""
        if self.budget.hours is None or not state.length:
            return None
        reserved = self._reserved(state) * self.trial_seconds(state)
        return self.budget.hours * _HOUR - state.active_seconds - reserved

    def _reserved(self, state: SessionRecord) -> int:
        """Trials that the certificate will need, if there is something to certify, and a stack's race before it."""
        settling = self.settling_trials if state.provisional else 0
        return settling + (2 * self.budget.certificate if state.keeps else 0)

    def trial_seconds(self, state: SessionRecord) -> float:
        """What a trial takes on the wall: as they did so far, or what the profile says."""
        count = state.finished_trials
        return state.finished_seconds / count if count else self.profile.seconds
