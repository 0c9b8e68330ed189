"""Trials that are made side by side: their rows are held back until the loop takes them, in its own order.

Several slots finish in whatever order the machine gives. What counts as evidence, and in which order, follows from
the `trial_taken` rows alone, so that decisions are those of a session that makes one trial after the other.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

from harness.ledger.rows import AboutTrial, Row, ScoredRow, TrialFinishedRow, TrialStartedRow, TrialTakenRow

MARK = "@"  # in the id of a trial that has not been taken yet: its later id, the mark, a number
STOPPED, INTERRUPTED, NOT_WANTED = "stopped", "interrupted", "not_wanted"
_NOBODY_ASKS = (STOPPED, INTERRUPTED, NOT_WANTED)


@dataclass(slots=True)
class AheadTrial:
    """scores: every answer of the evaluator, the last one counts; they are written before `finish`."""

    start: TrialStartedRow
    finish: TrialFinishedRow | None = None
    scores: tuple[ScoredRow, ...] = ()

    @property
    def id(self) -> str:
        return self.start.trial_id

    @property
    def over(self) -> bool:
        """Whether nothing more will be said of it."""
        return self.finish is not None

    @property
    def void(self) -> bool:
        """Whether it ended without having been measured: it may be made again."""
        return self.finish is not None and self.finish.reason in _NOBODY_ASKS

    @property
    def later_id(self) -> str:
        """Its id as evidence."""
        return self.start.trial_id.partition(MARK)[0]


class AheadTrials:
    """waiting: by id, those that were started and not taken; by_later_id: the same by the id that they will have.
    count: of all that were ever started. interrupted: by a program's digest, how often the harness died during one of
    its trials.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, AheadTrial] = {}
        self.by_later_id: dict[str, list[AheadTrial]] = defaultdict(list)
        self.count = 0
        self.interrupted: Counter[str] = Counter()
        self.unused = 0  # trials that were made to their end and that nobody can ask for any more
        self.left_artefacts: list[str] = []  # of these
        self._decided = 0

    @property
    def under_way(self) -> list[AheadTrial]:
        return [trial for trial in self.waiting.values() if not trial.over]

    def hold(self, row: Row) -> bool:
        """Whether the row is about a trial that has not been taken; it is then kept here."""
        if not isinstance(row, AboutTrial) or MARK not in row.trial_id:
            return False
        if isinstance(row, TrialStartedRow):
            trial = self.waiting[row.trial_id] = AheadTrial(row)
            self.by_later_id[trial.later_id].append(trial)
            self.count += 1
        elif isinstance(row, TrialFinishedRow):
            trial = self.waiting[row.trial_id]
            trial.finish = row
            self.interrupted[trial.start.source_sha256] += row.reason == INTERRUPTED
            self._drop_if_late(trial)
        elif isinstance(row, ScoredRow):
            self.waiting[row.trial_id].scores += (row,)
        return True

    def decided(self, proposal: int) -> None:
        """Nobody will ask for another trial of this proposal or one before it."""
        self._decided = max(self._decided, proposal)
        for trial in list(self.waiting.values()):
            self._drop_if_late(trial)

    def _drop_if_late(self, trial: AheadTrial) -> None:
        about = trial.start.proposal
        if trial.finish is None or about is None or about > self._decided:
            return
        del self.waiting[trial.id]
        self.by_later_id[trial.later_id].remove(trial)
        self.unused += not trial.void
        if trial.finish.artefact:
            self.left_artefacts.append(trial.finish.artefact)

    def release(self, row: TrialTakenRow) -> list[Row]:
        """Its rows, as they would stand had the trial been made now."""
        trial = self.waiting.pop(row.ahead)
        self.by_later_id[trial.later_id].remove(trial)
        assert trial.finish is not None
        now = {name: getattr(row, name) for name in ("trial_id", "commit", "role", "proposal", "attempt")}
        about = {name: now[name] for name in ("trial_id", "commit", "role", "proposal")}
        scores = [score.model_copy(update=about) for score in trial.scores]
        return [trial.start.model_copy(update=now), trial.finish.model_copy(update=now), *scores]
