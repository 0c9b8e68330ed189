"""Which trials the loop will probably ask for: what the keep rule would say, played on with likely results.

Nothing here decides anything. A wrong forecast costs a slot's time, a right one saves the loop's.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.ledger.ahead import AheadTrial
from harness.ledger.record_parts import ProposalRecord
from harness.protocols import Proposer
from harness.records import Action, Files, KeepEvidence, Outcome, Proposal, Role
from harness.session import evidence, names
from harness.session.referee import Referee
from harness.session.trial_runner import TrialRunner
from harness.slots.order import Order

_GOES_ON_AFTER_FIRST = 0.3  # of candidates with one unknown trial, those that get another one
_GOES_ON_LATER = 0.6
_KEPT_IN_RACE = 0.4  # of candidates that are past their first trial
_HEAD_STANDS = 0.5  # after a race between head and certified state
_LEAST_WEIGHT = 0.05
_SURE = 0.5  # enough for a start-up that may be in vain
_PROMISING_SD = 1.5  # how much better than the incumbent a candidate is imagined whose race is played on
Weighted = tuple[float, Order]


@dataclass
class Forecast:
    """proposer: with the proposals that wait."""

    referee: Referee
    proposer: Proposer

    def __post_init__(self) -> None:
        self.runner: TrialRunner = self.referee.trial_runner
        self.state, self.keep = self.referee.state, self.referee.keep
        self.files_of = self.referee.intake.files_of

    def __call__(self, count: int) -> list[Order]:
        return self._likely(count, _LEAST_WEIGHT)

    def _likely(self, count: int, least: float) -> list[Order]:
        found = [*self._baseline()] or sorted(self._search(count), key=lambda one: -one[0])
        return [order for weight, order in found if weight >= least][: min(count, self._affordable())]

    def sure(self) -> list[Order]:
        """The next trial that will be asked for and the one after it, as far as that is clear."""
        return self._likely(2, _SURE)

    def _affordable(self) -> int:
        """Trials that the budget has left, less what is under way for it."""
        most = self.referee.limits.budget.trials
        return 1 << 30 if most is None else max(0, most - self.state.finished_trials)

    def _baseline(self) -> Iterator[Weighted]:
        state = self.state
        if state.decided:
            return
        seen = len(state.counted(state.baseline, Role.BASELINE))
        for number in range(seen + 1, self.keep.incumbent_runs + 1):
            yield 1.0, self._order(state.baseline, Role.BASELINE, names.baseline(number))

    def _search(self, count: int) -> Iterator[Weighted]:
        opened, left = self.state.open, 1.0
        if self.referee.ending or (opened is None and self._settles()):
            yield from self._settling(count)
            left = 0.0 if self.referee.ending else _HEAD_STANDS
        elif opened is not None:
            source = self.files_of(opened.commit) if opened.commit else {}
            if source and not opened.problem:
                yield from self._race(opened, opened.number, opened.commit, source, count)
            raced = len(self.referee.trials(opened)) > 1
            left = 1 - (_KEPT_IN_RACE if raced else self._keep_rate())
        yield from self._of_prepared(left, count)

    def _of_prepared(self, left: float, count: int) -> Iterator[Weighted]:
        """left: probability that the incumbent is still this one when the first of them is proposed."""
        fresh = replace(
            evidence.for_keep(self.state, ProposalRecord(0), self.state.prior),
            candidate=(),
            incumbent_beside=0,
        )
        first, rate = self.keep.next_step(fresh).action, self._keep_rate()
        for number, source in self._prepared():
            if left < _LEAST_WEIGHT:
                return
            if first is Action.RUN_CANDIDATE:
                order = self._candidate("", number, 1, source, "")
                yield left, order
                if self._loss(order) is None:
                    left *= 1 - rate
                    continue
            record = ProposalRecord(number)
            yield from ((left * each, order) for each, order in self._race(record, number, "", source, count))
            left *= 1 - rate

    def _keep_rate(self) -> float:
        """Share of proposals that were kept, for good or provisionally, with a guess where there were few."""
        rolled_back = (row for row in self.state.settlements if row.action is Action.ROLL_BACK)
        kept = len(self.state.keeps) + sum(len(row.keeps) for row in rolled_back)
        return (kept + 0.5) / (len(self.state.decided) + 5.0)

    def _settles(self) -> bool:
        seen = evidence.for_keep(self.state, None, self.state.prior)
        return self.keep.between(seen).action is not Action.PROPOSE

    def _prepared(self) -> Iterator[tuple[int, Files]]:
        """Programs that may be proposed as they are, next first."""
        task, base = self.referee.task, self.files_of(self.state.incumbent)
        editable = {name: base[name] for name in task.editable if name in base}
        opened = self.state.open.number if self.state.open else len(self.state.decided)
        for number, proposal in self.proposer.ready(editable):
            if number > opened and self._may_be_tried(proposal, editable):
                yield number, {**base, **proposal.files}

    def _may_be_tried(self, proposal: Proposal, editable: Files) -> bool:
        """Guards have the last word, when it is proposed; what is plainly no edit of editable files is left to them."""
        changed = any(editable.get(name) != content for name, content in proposal.files.items())
        inside = proposal.files.keys() <= set(self.referee.task.editable)
        return changed and inside and not (proposal.problem or proposal.links or proposal.deleted)

    def _order(
        self, commit: str, role: Role, name: str, proposal: int | None = None, pair: str = ""
    ) -> Order:
        return self.runner.order(self.files_of(commit), commit, role, name, proposal, pair=pair)

    def _race(
        self, record: ProposalRecord, number: int, commit: str, source: Files, count: int
    ) -> Iterator[Weighted]:
        """The trials that decide about one proposal, as far as they can be foreseen."""
        seen = evidence.for_keep(self.state, record if commit else ProposalRecord(0), self.state.prior)
        seen = seen if commit else replace(seen, candidate=(), incumbent_beside=0)
        trials = len(self.referee.trials(record)) if commit else 0
        incumbents, weight = self.state.finished_by_role[Role.INCUMBENT], 1.0
        for _ in range(count):
            action = self.keep.next_step(seen).action
            if action is Action.RUN_CANDIDATE:
                trials += 1
                pair = names.pair(number, trials - 1)
                order = self._candidate(commit, number, trials, source, pair)
            elif action is Action.RUN_INCUMBENT:
                incumbents += 1
                pair = names.pair(number, seen.incumbent_beside + 1)
                order = self._order(
                    self.state.incumbent, Role.INCUMBENT, names.incumbent(incumbents), number, pair
                )
            else:
                return
            yield weight, order
            known = self._loss(order)
            if known is None and action is Action.RUN_CANDIDATE:
                weight *= _GOES_ON_LATER if seen.candidate else _GOES_ON_AFTER_FIRST
            if known == "failed":
                return
            seen = _with(seen, action, _imagined(seen, action) if known is None else known)

    def _candidate(self, commit: str, number: int, trial: int, source: Files, pair: str) -> Order:
        stop = self.referee.stop_for(self.state.counted(self.state.incumbent))
        name = names.candidate(number, trial)
        return self.runner.order(source, commit, Role.CANDIDATE, name, number, stop=stop, pair=pair)

    def _settling(self, count: int) -> Iterator[Weighted]:
        """The race between head and certified state, or a trial of the incumbent between proposals."""
        state, weight = self.state, 1.0
        seen = evidence.for_keep(state, None, state.prior, self.referee.ending)
        incumbents, race = state.finished_by_role[Role.INCUMBENT], len(state.settlements) + 1
        for _ in range(count):
            action = self.keep.between(seen).action
            if action is Action.RUN_INCUMBENT:
                incumbents += 1
                order = self._order(state.incumbent, Role.INCUMBENT, names.incumbent(incumbents))
            elif action in (Action.RUN_HEAD, Action.RUN_CERTIFIED):
                head = action is Action.RUN_HEAD
                role = Role.STEP_HEAD if head else Role.STEP_CERTIFIED
                number = len(seen.step_head if head else seen.step_certified) + 1
                commit = state.incumbent if head else state.certified_commit
                name = f"{evidence.race_trial(state, role)}{number}"
                order = self._order(commit, role, name, pair=names.race_pair(race, number))
            else:
                return
            yield weight, order
            known = self._loss(order)
            if known == "failed":
                return
            seen = _with(seen, action, _imagined(seen, action) if known is None else known)
            if known is None and len(seen.step_head) == len(seen.step_certified):
                weight *= _GOES_ON_LATER

    def _loss(self, order: Order) -> "float | str | None":
        """Of a trial that was made already; "failed" where it has no score; None where nobody knows."""
        for trial in self.state.ahead.by_later_id.get(order.id, ()):
            if trial.start.source_sha256 == order.source_sha256 and trial.over and not trial.void:
                return self._known_loss(trial)
        return None

    def _known_loss(self, trial: AheadTrial) -> "float | str":
        assert trial.finish is not None
        value = trial.scores[-1].value if trial.scores else None
        scored = trial.finish.outcome is Outcome.COMPLETED and value is not None
        return self.state.loss(value) if scored and value is not None else "failed"


def _with(seen: KeepEvidence, action: Action, loss: float | str) -> KeepEvidence:
    """One more trial."""
    assert isinstance(loss, float)
    if action is Action.RUN_CANDIDATE:
        return replace(seen, candidate=(*seen.candidate, loss))
    if action is Action.RUN_HEAD:
        return replace(seen, step_head=(*seen.step_head, loss), incumbent=(*seen.incumbent, loss))
    if action is Action.RUN_CERTIFIED:
        certified = (*seen.certified, loss)
        return replace(seen, step_certified=(*seen.step_certified, loss), certified=certified)
    beside = seen.incumbent_beside + bool(seen.candidate)
    return replace(
        seen,
        incumbent=(*seen.incumbent, loss),
        incumbent_beside=beside,
        decisions_since_incumbent=0,
    )


def _imagined(seen: KeepEvidence, action: Action) -> float:
    """What a trial will probably give, where it goes on."""
    if action is Action.RUN_CERTIFIED and seen.certified:
        return statistics.fmean(seen.certified)
    if action is Action.RUN_CANDIDATE and seen.candidate:
        return statistics.fmean(seen.candidate)
    usual = statistics.fmean(seen.incumbent) if seen.incumbent else 0.0
    if action is Action.RUN_CANDIDATE and len(seen.incumbent) > 1:
        return usual - _PROMISING_SD * statistics.stdev(seen.incumbent)
    return usual
