"""Several trials under way at once, while the loop goes on asking for one after the other.

The loop's decisions follow from the trials that it asks for, in the order in which it asks. What it will probably ask
for next (`forecast`) is begun in free slots before it does: a seed follows from a trial's id alone, so that the same
program at the same seed is measured, only earlier. Such trials have rows of their own; they become evidence by a
`trial_taken` row, when the loop asks. What it never asks for stays what it was: measured, and evidence of nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.ledger.ahead import INTERRUPTED, MARK, NOT_WANTED, STOPPED, AheadTrial
from harness.ledger.rows import NoticeRow, Row, ScoredRow, TrialFinishedRow, TrialStartedRow, TrialTakenRow
from harness.ledger.session_record import SessionRecord
from harness.records import Level, Outcome, Role, TrialResult
from harness.session import item_files
from harness.slots.order import Measured, Order, Slots, digest

_WAIT_SECONDS = 5.0
_CANDIDATE_ROLES = (Role.CANDIDATE, Role.REPEAT, Role.PLACEBO)
Forecast = Callable[[int], Iterable[Order]]


def _nothing(_: int) -> Iterable[Order]:
    return ()


@dataclass
class SideBySide:
    """folder: the session's. record: writes a row and takes it in. completed: a trial's result with what the session
    knows beside the slot.

    forecast: so many trials that the loop will probably ask for, the likeliest first. expected: those that it will
    ask for in any case, as far as that is known.
    """

    slots: Slots
    folder: Path
    state: SessionRecord
    record: Callable[[Row], Row]
    completed: Callable[[TrialResult, Order, Mapping[str, float]], TrialResult]
    forecast: Forecast = _nothing
    expected: Sequence[Order] = ()
    _orders: dict[str, Order] = field(default_factory=dict)  # under way, by id
    _cancelled: set[str] = field(default_factory=set)

    def take(self, order: Order) -> None:
        """That trial, made by now or soon, is evidence when this returns. KeyboardInterrupt ends it in order."""
        try:
            self._take(order)
        except KeyboardInterrupt:
            self.end(STOPPED)
            raise

    def _take(self, order: Order) -> None:
        trial = self._begun(order)
        while not trial.over:
            self._collect(_WAIT_SECONDS)
            self._fill(order)
        about = {name: getattr(order.spec, name) for name in ("commit", "role")}
        self.record(
            TrialTakenRow(
                trial_id=order.id, ahead=trial.id, proposal=order.proposal, attempt=order.attempt, **about
            )
        )
        self._fill()

    def _begun(self, order: Order) -> AheadTrial:
        """The trial that answers to the order, started if need be. order.id: as evidence, without the mark."""
        self._collect(0.0)
        if self._is_suspect(order):
            order = replace(order, alone=True)
            self._drain(order)
        while (trial := self._known(order)) is None and not self.slots.open_to(order):
            self._make_room()
            self._collect(_WAIT_SECONDS)
        trial = trial or self._start(order)
        self._fill(order)
        return trial

    def _known(self, order: Order) -> AheadTrial | None:
        """A trial of the same program at the same seed that was begun before. The incumbent's are only taken by the
        proposal that they were begun for: they are to be fresh.
        """
        wanted = order.source_sha256 or digest(order.source)
        for trial in self.state.ahead.by_later_id.get(order.id, ()):
            start = trial.start
            same = start.source_sha256 == wanted and start.seed == order.spec.seed
            same = same and start.role is order.spec.role and start.clock == order.spec.clock
            beside = start.role is not Role.INCUMBENT or start.proposal == order.proposal
            if same and beside and not trial.void and trial.id not in self._cancelled:
                return trial
        return None

    def _is_suspect(self, order: Order) -> bool:
        """Whether the harness died while this program ran beside others: the next time it is alone."""
        return self._has_died_with(order.source_sha256 or digest(order.source))

    def _has_died_with(self, source_sha256: str) -> bool:
        return not self.slots.elsewhere and self.state.ahead.interrupted[source_sha256] > 0

    def _drain(self, order: Order) -> None:
        own = self._known(order)
        while [each for each in self._orders if own is None or each != own.id]:
            self._collect(_WAIT_SECONDS)

    def _start(self, order: Order) -> AheadTrial:
        sha256 = order.source_sha256 or digest(order.source)
        name = f"{order.id}{MARK}{self.state.ahead.count + 1}"
        spec = replace(order.spec, trial_id=name)
        begun = replace(order, id=name, spec=spec, source_sha256=sha256)
        self.record(TrialStartedRow.of(spec, order.proposal, order.attempt, source_sha256=sha256))
        self._orders[name] = begun
        self.slots.start(begun)
        return self.state.ahead.waiting[name]

    def _fill(self, wanted: Order | None = None) -> None:
        """Begin what is forecast, as far as there is room."""
        if wanted is not None and (wanted.alone or self._is_suspect(wanted)):
            return
        free = self.slots.count - len(self._orders)
        if free <= 0:
            return
        for order in self._upcoming(self.slots.count + free):
            if len(self._orders) >= self.slots.count:
                return
            if self._known(order) is None and not self._is_suspect(order) and self.slots.open_to(order):
                self._start(order)

    def _upcoming(self, count: int) -> Iterable[Order]:
        asked = [
            order
            for order in self.expected
            if self.state.attempts[order.id.partition("~")[0]] < order.attempt
        ]
        return asked[:count] or self.forecast(count)

    def _make_room(self) -> None:
        """Cancel one trial that is no longer forecast, where the loop wants another one now."""
        if len(self._orders) < self.slots.count or self._cancelled & self._orders.keys():
            return
        likely = {(each.id, each.source_sha256) for each in self._upcoming(2 * self.slots.count)}
        for name, begun in self._orders.items():
            if (name.partition(MARK)[0], begun.source_sha256) not in likely:
                self._cancelled.add(name)
                self.slots.cancel(name)
                return

    def _collect(self, seconds: float) -> None:
        """Write down what has ended, and what is to be said; waits for the first so long."""
        for measured in self.slots.finished(seconds if self._orders else 0.0):
            if (order := self._orders.pop(measured.id, None)) is not None:
                self._write(order, measured)
        for text in self.slots.notices():
            self.record(NoticeRow(text=text))

    def _write(self, order: Order, measured: Measured) -> None:
        """Scores first: a trial without its last row has not been measured."""
        trial = self.state.ahead.waiting[order.id]
        result = measured.result
        if order.id in self._cancelled and result.outcome is not Outcome.COMPLETED:
            result = replace(result, outcome=Outcome.INFRA_FAILED, reason=NOT_WANTED)
        else:
            self._cancelled.discard(order.id)  # it was ready before it could be cancelled
        for score in measured.scores:
            sha256 = item_files.write(self.folder, trial.later_id, score.items) if score.items else ""
            self.record(ScoredRow.of(score, trial.start, order.split, sha256))
        result = self.completed(result, order, measured.beside)
        self.record(TrialFinishedRow.of(result, trial.start))

    def end(self, reason: str) -> None:
        """Nothing that is under way is wanted any more."""
        for name in list(self._orders):
            self.slots.cancel(name)
            del self._orders[name]
        for trial in self.state.ahead.under_way:
            self._close(trial, Outcome.INFRA_FAILED, reason)

    def _close(self, trial: AheadTrial, outcome: Outcome, reason: str) -> None:
        result = TrialResult(trial.id, outcome, reason, level=Level(self.state.level))
        self.record(TrialFinishedRow.of(result, trial.start))

    def settle(self, how: str = INTERRUPTED) -> list[str]:
        """After a restart: ids of trials that were under way and ended with the harness. Those that outlived it go on.

        The second time that the harness dies during a program's trial is that program's crash: then it was alone. Not
        where trials go on without us: what is not found again there had not been sent yet. how: STOPPED where it did
        not die, but could not say so any more.
        """
        lost = []
        for trial in self.state.ahead.under_way:
            if self.slots.find_again(trial.id):
                self._orders[trial.id] = self._order_again(trial)
                continue
            lost.append(trial.id)
            died_before = trial.start.role in _CANDIDATE_ROLES and self._has_died_with(trial.start.source_sha256)
            if how == INTERRUPTED and died_before:
                self._close(trial, Outcome.CRASHED, "interrupted_twice")
            else:
                self._close(trial, Outcome.INFRA_FAILED, how)
        return lost

    def _order_again(self, trial: AheadTrial) -> Order:
        from harness.ledger.session_record import CERTIFICATE_ROLES
        from harness.records import Limits, Split, TrialSpec

        start = trial.start
        spec = TrialSpec(trial.id, start.commit, start.role, start.seed, start.clock, Limits())
        split = Split.TEST if start.role in CERTIFICATE_ROLES else Split.VAL
        return Order(
            trial.id, spec, {}, split, start.proposal, start.attempt, source_sha256=start.source_sha256
        )
