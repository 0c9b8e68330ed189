"""Where a session's wall-clock time went, over all its sittings. Folded from rows; reports only show it."""

from collections.abc import Iterator
from typing import NamedTuple

from harness.ledger.ahead import STOPPED
from harness.ledger.rows import TrialFinishedRow


class Share(NamedTuple):
    """A part of the time that the harness was up. seconds: never negative; share: of all, 0 to 1."""

    name: str
    seconds: float
    share: float


class WallClock:
    """Adds up what rows say. Seconds of trials that were under way side by side add up, too."""

    def __init__(self) -> None:
        self.billed_seconds = self.startup_seconds = self.scoring_seconds = self.agent_seconds = 0.0
        self.waiting_seconds = 0.0  # of trials: after the gate, and neither billed nor anybody's else
        self.preparation_seconds = self.stopped_seconds = 0.0
        self._asked: float | None = None
        self._begun: dict[str, float] = {}

    def on_begun(self, trial_id: str, active_seconds: float) -> None:
        """A trial is begun. Its row says nothing of its time where the session is ended meanwhile."""
        self._begun[trial_id] = active_seconds

    def on_trial(self, row: TrialFinishedRow, active_seconds: float) -> None:
        """Of CPU seconds, which several threads may use at a time, at most the time that passed is counted."""
        begun = self._begun.pop(row.trial_id, active_seconds)
        if row.reason == STOPPED:
            self.stopped_seconds += max(0.0, active_seconds - begun)
            return
        passed = max(0.0, row.wall_seconds - row.startup_seconds)
        billed = min(row.billed_seconds, passed)
        self.startup_seconds += row.startup_seconds - row.machine.get("ahead_seconds", 0.0)
        self.preparation_seconds += row.preparation_seconds
        self.billed_seconds += billed
        self.waiting_seconds += passed - billed

    def on_scored(self, seconds: float) -> None:
        self.scoring_seconds += seconds

    def on_asked(self, active_seconds: float) -> None:
        """The agent is asked, and the session waits for it."""
        self._asked = active_seconds

    def on_answer(self, active_seconds: float) -> None:
        if self._asked is not None:
            self.agent_seconds += max(0.0, active_seconds - self._asked)
        self._asked = None

    def shares(self, active_seconds: float) -> list[Share]:
        """Of the time that the harness was up, or of all trials' together where that is more; [] before a trial."""
        known = {
            "billed training": self.billed_seconds,
            "waiting for the processor": self.waiting_seconds,
            "start-up of trials": self.startup_seconds,
            "compiling beforehand": self.preparation_seconds,
            "scoring": self.scoring_seconds,
            "waiting for the agent": self.agent_seconds,
            "trials that were stopped": self.stopped_seconds,
        }
        whole = max(active_seconds, sum(known.values()))
        if not self.billed_seconds:
            return []
        for name in ("compiling beforehand", "trials that were stopped"):
            if not known[name]:
                del known[name]
        known["the referee's own"] = whole - sum(known.values())
        return list(_shares(known, whole))


def _shares(known: dict[str, float], whole: float) -> Iterator[Share]:
    for name, seconds in known.items():
        yield Share(name, max(0.0, seconds), max(0.0, seconds) / whole)
