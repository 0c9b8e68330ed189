"""Measures: starts trials, has them scored, and writes what happened before and after into the ledger."""

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.errors import InfrastructureError
from harness.ledger.ahead import INTERRUPTED, STOPPED
from harness.ledger.chain import Ledger
from harness.ledger.interruption import uninterrupted
from harness.ledger.record_parts import TrialRecord
from harness.ledger.rows import (
    ARTEFACT_LOST,
    NoticeRow,
    Row,
    ScoredRow,
    TrialFinishedRow,
    TrialStartedRow,
    row_of,
)
from harness.ledger.session_record import CERTIFICATE_ROLES, SessionRecord
from harness.ledger.tracker import Tracker
from harness.protocols import Evaluator, Executor, Stop
from harness.records import (
    Clock,
    Files,
    Level,
    Observation,
    Outcome,
    Role,
    Score,
    Split,
    TrialResult,
    TrialSpec,
    step_rate,
)
from harness.session import item_files
from harness.session.manifest import Manifest, manifest
from harness.session.side_by_side import SideBySide
from harness.slots.order import Order, Slots, digest, following
from harness.task.task import Profile, Task, TaskData
from harness.trial.artefact import whole
from harness.trial.conditions import LATEST, compared, foreign_cores
from harness.trial.machine_probe import HostProbe, MachineProbe
from harness.trial.seeds import trial_seed
from harness.trial.turns import in_sweep, turn

MOST_ATTEMPTS = 3
_TRUSTED_ROLES = (Role.BASELINE, Role.INCUMBENT, Role.STEP_CERTIFIED)
_CANDIDATE_ROLES = (Role.CANDIDATE, Role.REPEAT, Role.PLACEBO)


@dataclass
class TrialRunner:
    """Everything that a measurement needs. folder: the session's. secret: what seeds are made of.

    before_trial: called when a trial is about to occupy the machine (an agent may think meanwhile).
    foresee: the next trials, where nobody has said what to `expect`. start_ahead: has a trial start up beside the score
    of the one before; None: not here.
    pause_seconds: before a trial is repeated that failed for a reason of ours. quiet: held while a trial runs
    on a wall clock, so that an agent's smoke test does not slow it down. machine_probe: looks at the machine meanwhile.
    """

    task: Task
    data: TaskData
    profile: Profile
    folder: Path
    ledger: Ledger
    state: SessionRecord
    trackers: tuple[Tracker, ...]
    executor: Executor
    evaluator: Evaluator
    secret: bytes
    before_trial: Callable[[], None] = field(default=lambda: None)
    foresee: Callable[[], Sequence[Order]] = field(default=lambda: ())
    start_ahead: Callable[[TrialSpec, Files], None] | None = None
    pause_seconds: float = 2.0
    quiet: threading.Lock = field(default_factory=threading.Lock)
    machine_probe: MachineProbe = field(default_factory=HostProbe)
    side_by_side: SideBySide | None = field(default=None, init=False)
    expected: Sequence[Order] = field(default=(), init=False)
    _digests: dict[str, str] = field(default_factory=dict, init=False)
    _warned: str = field(default="", init=False)
    # Of the trial before, if it was the baseline's.
    _baseline_rate: float | None = field(default=None, init=False)

    def record(self, row: Row) -> Row:
        """First on the disk, then in the state, then shown. What is taken in is what a later reader will read."""
        with uninterrupted():
            written = row_of(self.ledger.append(row.kind, **row.content()))
            self.state.add(written)
        for tracker in self.trackers:
            tracker.record(written)
        return written

    def notice(self, text: str) -> None:
        self.record(NoticeRow(text=text))

    def protected(self) -> Manifest:
        """Digests of everything that no trial may change, as it is now."""
        return manifest(self.task, self.data)

    def measure(
        self,
        source: Files,
        commit: str,
        role: Role,
        name: str,
        *,
        proposal: int | None = None,
        split: Split = Split.VAL,
        seed: int | None = None,
        clock: Clock | None = None,
        stop: Stop | None = None,
        pair: str = "",
    ) -> Observation:
        """One trial and its score, on the record. An infrastructure failure is repeated with a fresh seed.

        name: the trial's id; a repetition adds "~2". seed: only to repeat one on purpose. clock: only for a
        trial that is not of the session's usual length. stop, pair: see protocols.Executor and Order.
        Raises InfrastructureError when it keeps failing.
        """
        for _ in range(MOST_ATTEMPTS):
            order = self.order(source, commit, role, name, proposal, split, seed, clock, stop, pair)
            result = (
                self._alone(order) if self.side_by_side is None else self._taken(self.side_by_side, order)
            )
            if result.outcome is not Outcome.INFRA_FAILED:
                return self.state.observations[commit][-1]
            self.notice(f"trial {order.id} failed for a reason of ours ({result.reason}); it is repeated")
            time.sleep(self.pause_seconds)
        raise InfrastructureError(
            f"trial {name} failed {MOST_ATTEMPTS} times for a reason of ours: {result.reason}; {result.log[-200:]}"
        )

    def order(
        self,
        source: Files,
        commit: str,
        role: Role,
        name: str,
        proposal: int | None = None,
        split: Split = Split.VAL,
        seed: int | None = None,
        clock: Clock | None = None,
        stop: Stop | None = None,
        pair: str = "",
    ) -> Order:
        """What `measure` asks for, by the rows so far. commit: "" for a program that was not proposed yet."""
        attempt = self.state.attempts[name] + 1
        trial_id = name if attempt == 1 else f"{name}~{attempt}"
        drawn = trial_seed(self.secret, trial_id) if seed is None else seed
        bounds = clock or self.profile.trial_clock()
        spec = TrialSpec(trial_id, commit, role, drawn, bounds, self.profile.limits())
        references: tuple[Observation, ...] = ()
        sha256 = ""
        if self.side_by_side is not None:
            references, sha256 = tuple(self._references(commit)), self._digest(commit, source)
        return Order(
            trial_id, spec, source, split, proposal, attempt, references, pair, stop, source_sha256=sha256
        )

    def _digest(self, commit: str, source: Files) -> str:
        if not commit:
            return digest(source)
        if commit not in self._digests:
            self._digests[commit] = digest(source)
        return self._digests[commit]

    def make_side_by_side(self, slots: Slots) -> None:
        """From now on several trials are under way, in these slots."""
        self.side_by_side = SideBySide(slots, self.folder, self.state, self.record, self._beside_others)

    @property
    def slots(self) -> int:
        """How many trials may be under way."""
        return self.side_by_side.slots.count if self.side_by_side else 1

    def expect(self, orders: list[Order]) -> None:
        """The next trials are these, in any case; [] when that is over."""
        self.expected = orders
        if self.side_by_side is not None:
            self.side_by_side.expected = orders

    def _taken(self, side_by_side: SideBySide, order: Order) -> TrialResult:
        """One that was perhaps begun before it was asked for."""
        self.before_trial()
        side_by_side.take(order)
        trial = self.state.trial(order.id)
        assert trial is not None
        if trial.scored is not None and trial.scored.status == "infra_failed":
            said = f"{trial.scored.reason}: {trial.scored.detail}"
            raise InfrastructureError(f"trial {order.id} cannot be scored: {said}")
        return trial.measured.result()

    def _beside_others(self, result: TrialResult, order: Order, found: Mapping[str, float]) -> TrialResult:
        """With what was found beside it. What other slots of ours used is not told from what was foreign."""
        known = {name: value for name, value in found.items() if name != "busy_cores"}
        return self._completed(result, order.spec, known)

    def _alone(self, order: Order) -> TrialResult:
        begin_next = self._begins_after(order)
        with turn() as waited:
            result = self._run(order, waited)
            if result.outcome is Outcome.COMPLETED:
                begin_next()
                self._score(result, order.source, order.split)
        return result

    def _begins_after(self, order: Order) -> Callable[[], None]:
        """What is done beside the score of this one: the start-up of the next trial, where it is known.

        Only where one of the two programs is the task's own: what a proposed program's predictor has read cannot be
        whispered to a proposed program's trial. Not in a sweep, where the turn may be another session's.
        """
        if self.start_ahead is None or in_sweep():
            return lambda: None
        upcoming = following(order, self.expected or self.foresee())
        if upcoming is None or self.state.baseline not in (order.spec.commit, upcoming.spec.commit):
            return lambda: None
        return partial(self.start_ahead, upcoming.spec, upcoming.source)

    def _run(self, order: Order, waited_seconds: float) -> TrialResult:
        spec = order.spec
        start = TrialStartedRow.of(spec, order.proposal, order.attempt, waited=waited_seconds)
        try:
            self.record(start)
            self.before_trial()
            undisturbed = self.quiet if spec.clock.kind == "wall" else nullcontext()
            with undisturbed, self.machine_probe.beside(spec.clock.kind) as found:
                result = self.executor.run(spec, order.source, order.stop)
        except KeyboardInterrupt:
            self._close_in_order(spec.trial_id)
            raise
        if (busy := found.pop("busy_cores", None)) is not None:
            found["foreign_cores"] = foreign_cores(busy, *_used_meanwhile(result))
        result = self._completed(result, spec, found)
        self._warn()
        self.record(TrialFinishedRow.of(result, start))
        return result

    def _completed(self, result: TrialResult, spec: TrialSpec, found: dict[str, float]) -> TrialResult:
        """With what was found beside it, and how that compares."""
        seen = {**found, **self._ratios(found), **self._baseline_speed(result, spec.commit, spec.role)}
        seen |= self._work_ratio(result, spec.clock)
        seen |= compared(found, self._trusted_machines())
        return replace(result, machine={**result.machine, **seen})

    def _close_in_order(self, trial_id: str) -> None:
        """The session is being ended: that is nobody's fault, and says so at once. Only what is found open counts."""
        if trial_id in self.state.under_way and not self.ledger.failed:
            start = self.state.under_way[trial_id].start
            result = TrialResult(trial_id, Outcome.INFRA_FAILED, STOPPED, level=Level(self.state.level))
            self.record(TrialFinishedRow.of(result, start))

    def _ratios(self, found: Mapping[str, float]) -> dict[str, float]:
        """How the machine was around a trial, compared with the baseline's trials (with itself if there are none)."""
        ratios = {}
        for name in ("canary_seconds", "kernel_seconds"):  # one of them: of the processor or of the GPU
            if reference := self._reference(name, found):
                ratios["canary_ratio"] = reference / found[name]
        if reference := self._reference("kernel_joules", found):
            ratios["energy_ratio"] = found["kernel_joules"] / reference
        return ratios

    def _trusted_machines(self) -> list[Mapping[str, float]]:
        """What was measured beside the latest trials of programs that are kept or unmodified, on val."""
        seen = [trial for role in _TRUSTED_ROLES for trial in self.state.trials_by_role[role][-LATEST:]]
        valid = [
            trial.finish for trial in seen if trial.finish and trial.trial_id not in self.state.inconclusive
        ]
        latest = sorted(valid, key=lambda row: row.seq)
        return [row.machine for row in latest[-LATEST:]]

    def _reference(self, name: str, found: Mapping[str, float]) -> float | None:
        """The median beside the baseline's trials, else what is beside this one; None if that was not measured."""
        own = found.get(name)
        known = [trial.measured.machine.get(name) for trial in self._baseline_trials()]
        return statistics.median([value for value in known if value] or [own]) if own else None

    def _baseline_speed(self, result: TrialResult, commit: str, role: Role) -> dict[str, float]:
        """The baseline's steps a second, of this trial or of the one just before it, against the calibration.

        The unmodified task's own word counts here, no candidate's: it could buy another trial with it.
        """
        seen = [trial.measured for trial in self._baseline_trials()]
        rates = [step_rate(each.claims, each.billed_seconds) for each in seen]
        known = [rate for rate in rates if rate]
        before, self._baseline_rate = self._baseline_rate, None
        if commit == self.state.baseline:
            before = step_rate(result.claims, result.billed_seconds)
            if role is not Role.BASELINE:  # those are the calibration
                self._baseline_rate = before
        return {"step_rate_ratio": before / statistics.median(known)} if before and known else {}

    def _work_ratio(self, result: TrialResult, clock: Clock) -> dict[str, float]:
        """Where the budget is work, which the candidate counts itself: its time against the baseline's for as much.

        A trial that crashed did not do it.
        """
        if (clock.steps is None and clock.tokens is None) or result.outcome is Outcome.CRASHED:
            return {}
        trials = [trial.measured for trial in self._baseline_trials()]
        same = [seen.billed_seconds for seen in trials if seen.outcome is Outcome.COMPLETED]
        usual = statistics.median(same) if same else 0.0
        return {"work_ratio": result.billed_seconds / usual} if usual > 0 else {}

    def _warn(self) -> None:
        """Once for each thing that the machine probe cannot see."""
        if (warning := self.machine_probe.warning()) != self._warned:
            self._warned = warning
            if warning:
                self.notice(warning)

    def _baseline_trials(self) -> list[TrialRecord]:
        return [trial for trial in self.state.trials_by_role[Role.BASELINE] if trial.finish]

    def _score(self, result: TrialResult, source: Files, split: Split) -> Score:
        trial = self.state.trial(result.trial_id)
        assert trial is not None
        for _ in range(MOST_ATTEMPTS):
            score = self.evaluator.score(result, source, split, self._references(trial.commit))
            sha256 = item_files.write(self.folder, trial.trial_id, score.items) if score.items else ""
            self.record(ScoredRow.of(score, trial.start, split, sha256))
            if score.status != "infra_failed":
                return score
        raise InfrastructureError(f"trial {result.trial_id} cannot be scored: {score.reason}: {score.detail}")

    def _references(self, commit: str) -> list[Observation]:
        """The baseline's scored trials, which bound what answers may cost; none for the baseline itself."""
        baseline = self.state.baseline
        seen = self.state.observations.get(baseline, []) if commit != baseline else []
        return [trial for trial in seen if trial.score is not None]

    def settle(self, files_of: Callable[[str], Files], ended_in_order: bool = False) -> list[str]:
        """After a restart: close trials that never finished, score those that never were; ids of the former.

        A trial that was under way when the harness ended is nobody's result, and is repeated. The second time that the
        harness died in the same candidate's counts as its crash: it may be the cause. ended_in_order: it did not die,
        it only could not write that any more. A trial whose artefact is gone, or not as it was (a power cut, somebody's
        tidying), is made again: nobody could say any more what it was worth.
        """
        how = STOPPED if ended_in_order else INTERRUPTED
        lost = self.side_by_side.settle(how) if self.side_by_side else self._close_ahead(how)
        interrupted = list(self.state.under_way.values())
        for trial in interrupted:
            self._close_interrupted(trial.start, how)
        for trial in list(self.state.unscored.values()):
            self._score_late(trial, files_of)
        self._sweep()
        return [*lost, *(trial.trial_id for trial in interrupted)]

    def _score_late(self, trial: TrialRecord, files_of: Callable[[str], Files]) -> None:
        result = trial.measured.result()
        split = Split.TEST if trial.role in CERTIFICATE_ROLES else Split.VAL
        if whole(self.folder / result.artefact, result.artefact_sha256):
            with turn():
                self._score(result, files_of(trial.commit), split)
            return
        nothing = Score("infra_failed", reason=ARTEFACT_LOST, detail=result.artefact)
        self.record(ScoredRow.of(nothing, trial.start, split))
        self.notice(f"the artefact of trial {trial.trial_id} is gone or was changed; it is made again")

    def _close_ahead(self, how: str) -> list[str]:
        """Of a sitting with several slots, where this one has one: what was under way is over."""
        lost = self.state.ahead.under_way
        for trial in lost:
            result = TrialResult(trial.id, Outcome.INFRA_FAILED, how, level=Level(self.state.level))
            self.record(TrialFinishedRow.of(result, trial.start))
        return [trial.id for trial in lost]

    def _close_interrupted(self, start: TrialStartedRow, how: str) -> None:
        died_before = start.role in _CANDIDATE_ROLES and self.state.interruptions[start.commit] > 0
        suspect = how == INTERRUPTED and died_before
        outcome = Outcome.CRASHED if suspect else Outcome.INFRA_FAILED
        reason = "interrupted_twice" if suspect else how
        result = TrialResult(start.trial_id, outcome, reason, level=Level(self.state.level))
        self.record(TrialFinishedRow.of(result, start))

    def _sweep(self) -> None:
        """After a restart: delete artefacts that nothing will ask for: of discarded proposals, and of no trial."""
        discarded = {each.commit for each in self.state.decided if not each.kept}
        discarded -= {each.commit for each in self.state.keeps} | {self.state.baseline, ""}
        wanted = {
            trial.measured.artefact
            for commit, trials in self.state.trials_by_commit.items()
            for trial in trials
            if commit not in discarded
        }
        wanted |= {trial.finish.artefact for trial in self.state.ahead.waiting.values() if trial.finish}
        for file in (self.folder / "artefacts").glob("*"):
            if f"artefacts/{file.name}" not in wanted:
                file.unlink(missing_ok=True)

    def end_ahead(self, reason: str = STOPPED) -> None:
        """Trials that are under way and were not asked for end with the sitting, and that is nobody's fault."""
        if self.side_by_side is not None and not self.ledger.failed:
            self.side_by_side.end(reason)

    def forget_unused(self) -> None:
        """Delete the artefacts of trials that were made ahead and that nobody will ask for."""
        left = self.state.ahead.left_artefacts
        while left:
            (self.folder / left.pop()).unlink(missing_ok=True)

    def forget(self, commit: str) -> None:
        """Delete a commit's artefacts: it was discarded, and weights are large."""
        for trial in self.state.trials_by_commit[commit]:
            if trial.measured.artefact:
                (self.folder / trial.measured.artefact).unlink(missing_ok=True)


def _used_meanwhile(result: TrialResult) -> tuple[float, float]:
    """CPU and wall-clock seconds of a trial while the machine probe looked: what went before is left out."""
    seen = result.machine
    cpu_seconds = result.cpu_seconds - seen.get("ahead_cpu_seconds", 0.0)
    return cpu_seconds, result.wall_seconds - seen.get("ahead_seconds", 0.0)
