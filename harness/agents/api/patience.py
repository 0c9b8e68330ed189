"""Asking a provider again: as long as it says, or ever longer; every failure is counted."""

from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_any
from tenacity import stop_after_attempt as after_attempts
from tenacity import stop_after_delay as after_seconds

from harness.agents.api.model import Faults, Model, Reply, Request, Trouble
from harness.agents.spending import Meter

_LONGEST_PAUSE_SECONDS = 120.0


class Patience:
    """attempts: requests before the provider counts as down. first_pause_seconds: doubled every time."""

    def __init__(self, attempts: int = 8, first_pause_seconds: float = 2.0) -> None:
        if attempts < 1 or first_pause_seconds < 0:
            raise ValueError("attempts must be at least 1 and first_pause_seconds not negative")
        self._attempts = attempts
        self._first_pause = first_pause_seconds

    def ask(self, model: Model, request: Request, meter: Meter, faults: Faults) -> Reply:
        """The reply, with its usage and that of every failed attempt in the meter.

        Raises Trouble (the last one), Hopeless or Exhausted.
        """

        def attempt() -> Reply:
            most_output = meter.affordable_output(request.new_bytes())
            try:
                reply = model.ask(request, most_output, max(meter.seconds_left, 1.0))
            except Trouble as trouble:
                faults[trouble.kind] += 1
                if trouble.usage is not None:
                    before = meter.context
                    meter.add(trouble.usage, trouble.hour_writes)
                    meter.context = before  # the next attempt sends the same request again
                raise
            meter.add(reply.usage, reply.hour_writes)
            return reply

        stop = stop_any(after_attempts(self._attempts), after_seconds(max(meter.seconds_left, 1.0)))
        retrying = Retrying(retry=retry_if_exception_type(Trouble), wait=self._pause, stop=stop, reraise=True)
        return retrying(attempt)

    def _pause(self, state: RetryCallState) -> float:
        error: Any = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, Trouble) and error.retry_after is not None:
            return min(error.retry_after, _LONGEST_PAUSE_SECONDS)
        return float(min(self._first_pause * 2 ** (state.attempt_number - 1), _LONGEST_PAUSE_SECONDS))
