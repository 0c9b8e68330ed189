"""How long a session's harness was up, over all its sittings."""

from harness.ledger.record_parts import seconds_between
from harness.ledger.rows import Row, SessionResumedRow


class SittingClock:
    """Adds up what rows say about time. A wall clock that jumps does not move it.

    Rows of builds that noted the wall clock alone are taken by that.
    """

    def __init__(self) -> None:
        self.active_seconds = 0.0
        self.first_time = ""
        self.last_time = ""
        self._sitting: float | None = None

    def add(self, row: Row) -> None:
        resumed = isinstance(row, SessionResumedRow)
        if row.sitting_seconds is not None:
            same = self._sitting is not None and row.sitting_seconds >= self._sitting and not resumed
            self.active_seconds += row.sitting_seconds - ((self._sitting or 0.0) if same else 0.0)
        elif not resumed:
            self.active_seconds += seconds_between(self.last_time, row.time)
        self._sitting = row.sitting_seconds
        self.first_time = self.first_time or row.time
        self.last_time = row.time or self.last_time

    def leave_out(self, seconds: float) -> None:
        """A wait that is not the session's."""
        self.active_seconds = max(0.0, self.active_seconds - seconds)
