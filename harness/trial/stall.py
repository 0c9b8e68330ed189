"""Whether the referee itself stood still while it should have watched a trial (SIGSTOP, a debugger, a frozen cgroup).

A busy machine is no stall: time that a thread waited for a core is told apart by the kernel's own count, so that a
candidate which takes every core cannot have its trials called an infrastructure failure.
"""

import time
from pathlib import Path

_SCHEDULER = Path("/proc/thread-self/schedstat")
_WITHOUT_COUNT_SECONDS = 10.0  # where the kernel counts no waits, only a gap that no load makes


class StallWatch:
    """seconds: the longest that the watcher neither ran nor waited for a core between two looks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last, self._waited = time.monotonic(), _waited_seconds()

    def look(self) -> None:
        """Call it at every turn of the loop that watches."""
        now, waited = time.monotonic(), _waited_seconds()
        for_a_core = (
            _WITHOUT_COUNT_SECONDS if waited is None or self._waited is None else waited - self._waited
        )
        self.seconds = max(self.seconds, now - self._last - for_a_core)
        self._last, self._waited = now, waited


def _waited_seconds() -> float | None:
    """How long this thread has waited for a core so far; None where the kernel does not say."""
    try:
        return int(_SCHEDULER.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
