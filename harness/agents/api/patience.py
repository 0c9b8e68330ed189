"""How often and how long to ask a provider again. What failed attempts cost is counted, too."""

import threading
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_any,
    stop_when_event_set,
)
from tenacity import stop_after_attempt as after_attempts

from harness.agents.api.model import Failure, Faults, Model, Reply, Request, Trouble
from harness.agents.spending import Meter

_LONGEST_PAUSE_SECONDS = 120.0  # where the provider does not say how long


class Patience:
    """attempts: requests before the provider counts as down. first_pause_seconds: doubled every time."""

    def __init__(self, attempts: int = 8, first_pause_seconds: float = 2.0) -> None:
        if attempts < 1 or first_pause_seconds < 0:
            raise ValueError("attempts must be at least 1 and first_pause_seconds not negative")
        self._attempts = attempts
        self._first_pause = first_pause_seconds
        self._closed = threading.Event()

    def close(self) -> None:
        """Nobody waits any longer, and nothing is asked again."""
        self._closed.set()

    def ask(self, model: Model, request: Request, meter: Meter, faults: Faults) -> Reply:
        """The reply, with its usage and that of every failed attempt in the meter.

        Raises Trouble (the last one), Refused, Hopeless, or Exhausted when the proposal's time is over; what a provider
        asks us to wait counts against it.
        """

        def attempt() -> Reply:
            most_output = meter.affordable_output(request.new_bytes())
            try:
                reply = model.ask(request, most_output, meter.seconds_left)
            except Failure as failure:
                if isinstance(failure, Trouble):
                    faults[failure.kind] += 1
                if failure.usage is not None:
                    before = meter.context
                    meter.add(failure.usage, failure.hour_writes)
                    meter.context = before  # the next attempt sends the same request again
                raise
            assert reply.usage is not None
            meter.add(reply.usage, reply.hour_writes)
            if reply.misreported:
                faults["misreported_usage"] += 1
            return reply

        def pause(state: RetryCallState) -> float:
            return min(self._pause(state), max(meter.seconds_left, 0.0))

        retrying = Retrying(
            retry=retry_if_exception_type(Trouble),
            wait=pause,
            stop=stop_any(after_attempts(self._attempts), stop_when_event_set(self._closed)),
            sleep=sleep_using_event(self._closed),
            reraise=True,
        )
        return retrying(attempt)

    def _pause(self, state: RetryCallState) -> float:
        error: Any = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, Trouble) and error.retry_after is not None:
            return error.retry_after
        return float(min(self._first_pause * 2 ** (state.attempt_number - 1), _LONGEST_PAUSE_SECONDS))
