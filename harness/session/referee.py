"""Decides about one proposal: guards, trials one at a time under the keep rule, checks before a keep."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import HarnessError, UserError
from harness.keep.promotion import Promotion
from harness.ledger.record_parts import ProposalRecord
from harness.ledger.rows import SettledRow, StepRow, VerdictRow
from harness.protocols import Guards, KeepRule, Stop
from harness.records import Action, DecidedBy, Decision, Judgement, Observation, Role, Step, Verdict
from harness.session import evidence, names
from harness.session.guard_line import Stage, ask
from harness.session.intake import Intake
from harness.session.limits import SessionLimits
from harness.session.trial_runner import TrialRunner
from harness.trial.conditions import LATEST, alike, changed

MOST_INCONCLUSIVE = 3  # disturbed trials of one proposal
_MOST_FAILURES = 2  # of an unmodified or kept program, before it is given up
_LOG_CHARACTERS = 400
_TRIAL = "trial"  # who rejects when a trial ended without a score


@dataclass(frozen=True, slots=True)
class Ruling:
    """reason: a stable code "family.case". message: one line for people. statistics: the numbers behind it."""

    decision: Decision
    decided_by: DecidedBy
    reason: str
    message: str
    statistics: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Referee:
    """Everything it decides follows from the rows so far, so an interrupted decision is simply taken up again.

    stop_for: from the incumbent's trials, what a candidate's trial is watched with (see protocols.Stop).
    """

    trial_runner: TrialRunner
    intake: Intake
    guards: Guards
    keep: KeepRule
    limits: SessionLimits
    promotion: Promotion
    stop_for: Callable[[Sequence[Observation]], Stop | None] = field(default=lambda _: None)

    ending: bool = field(default=False, init=False)  # no proposal will be asked for any more

    def __post_init__(self) -> None:
        self.state, self.task = self.trial_runner.state, self.trial_runner.task
        self.manifest = self.trial_runner.protected()

    def measure_baseline(self) -> None:
        """The score to beat and its noise, on fresh seeds. Raises HarnessError when the task itself fails."""
        while (
            not self.state.decided
            and len(self.state.losses(self.state.baseline, Role.BASELINE)) < self.keep.incumbent_runs
        ):
            number = len(self.state.counted(self.state.baseline, Role.BASELINE)) + 1
            self._check_limits(
                self._measure_trusted(self.state.baseline, Role.BASELINE, names.baseline(number))
            )

    def _check_limits(self, baseline: Observation) -> None:
        """A name that the task limits and nobody measures would stand in the way of every keep. Raises UserError."""
        missing = [name for name in self.task.side_limits if name not in baseline.side]
        if baseline.score is not None and missing:
            raise UserError(
                f"side_limits of task {self.task.name}: {', '.join(missing)} is not among the side metrics of the "
                f"baseline: {', '.join(sorted(baseline.side)) or 'none'}"
            )

    def decide(self, proposal: ProposalRecord) -> Ruling:
        """Keep or discard. Raises LimitReached before a trial that the budget does not allow."""
        if proposal.problem:
            return Ruling(Decision.DISCARD, DecidedBy.AGENT, "agent.problem", proposal.problem)
        if proposal.answer.parent != self.state.incumbent:
            what = "what it was built on was rolled back before it could be decided"
            return Ruling(Decision.DISCARD, DecidedBy.STATISTICS, evidence.ROLLED_BACK, what)
        refusal = self._refused("static", proposal) or self._probed(proposal) or self._reviewed(proposal)
        while refusal is None:
            step = self.keep.next_step(evidence.for_keep(self.state, proposal, self.state.prior))
            self._record_step(proposal, step)
            if step.action is Action.DISCARD:
                return self._by_statistics(proposal, Decision.DISCARD, step)
            if step.action is Action.KEEP and not self._like_incumbent(proposal):
                unlike = Step(Action.DISCARD, "unlike_conditions", step.statistics)
                return self._by_statistics(proposal, Decision.DISCARD, unlike)
            if step.action is Action.KEEP:
                refusal = self._check_promotion(proposal)
                if refusal is None and not self._lacks_trials(proposal):
                    return self._by_statistics(proposal, Decision.KEEP, step)
            if refusal is None:
                self.limits.check_trial(self.state)
                refusal = self._one_trial(proposal, step)
        decided_by = DecidedBy.TRIAL if refusal.guard == _TRIAL else DecidedBy.GUARD
        return Ruling(Decision.DISCARD, decided_by, refusal.reason, refusal.message)

    def settle(self, ending: bool = False) -> SettledRow | None:
        """What the keep rule wants before the next proposal, or (ending) because none will come.

        The row of a certified step or roll-back once there is one, None when there is nothing (more) to do. Raises
        LimitReached before a trial that the budget does not allow; the race's own were set aside.
        """
        self.ending = ending
        while True:
            step = self.keep.between(evidence.for_keep(self.state, None, self.state.prior, ending))
            if step.action is Action.PROPOSE:
                return None
            if step.action is Action.CERTIFY and not self._like_certified():
                step = Step(Action.ROLL_BACK, "unlike_conditions", step.statistics)
            if step.action in (Action.CERTIFY, Action.ROLL_BACK):
                return self._settled(step)
            if step.action is Action.RUN_INCUMBENT:
                self.limits.check_trial(self.state)
                self._measure_incumbent()
            elif not self.limits.allows_race_trial(self.state):
                return self._settled(Step(Action.ROLL_BACK, "no_trials_left", step.statistics))
            elif not self._raced(step.action):
                return self._settled(Step(Action.ROLL_BACK, "head_failed"))

    def _raced(self, action: Action) -> bool:
        """One trial of the race between head and certified state; False when the head ended without a score."""
        state = self.state
        role = Role.STEP_HEAD if action is Action.RUN_HEAD else Role.STEP_CERTIFIED
        commit = state.incumbent if role is Role.STEP_HEAD else state.certified_commit
        seen = self._of_race(commit, role)
        name = f"{evidence.race_trial(state, role)}{len(seen) + 1}"
        pair = names.race_pair(len(state.settlements) + 1, len(seen) + 1)
        if role is Role.STEP_CERTIFIED:
            self._measure_trusted(commit, role, name, pair=pair)
            return True
        if all(trial.score is not None for trial in seen):
            source = self.intake.files_of(commit)
            seen.append(self.trial_runner.measure(source, commit, role, name, pair=pair))
        return all(trial.score is not None for trial in seen)

    def _settled(self, step: Step) -> SettledRow:
        state = self.state
        row = SettledRow(
            action=step.action,
            race=len(state.settlements) + 1,
            keeps=[keep.number for keep in state.provisional],
            head_commit=state.incumbent,
            certified_commit=state.certified_commit,
            head_scores=self._race_scores(state.incumbent, Role.STEP_HEAD),
            certified_scores=self._race_scores(state.certified_commit, Role.STEP_CERTIFIED),
            reason=f"keep.{step.reason}",
            message=explained(step),
            statistics=dict(step.statistics),
        )
        self.trial_runner.record(row)
        return row

    def _like_certified(self) -> bool:
        sides = (self.state.incumbent, Role.STEP_HEAD), (self.state.certified_commit, Role.STEP_CERTIFIED)
        return alike(*([trial.machine for trial in self._of_race(*side)] for side in sides), self._usual())

    def _usual(self) -> list[Mapping[str, float]]:
        """What was measured beside the baseline's first trials: how far the machine's own scatter goes."""
        return [trial.machine for trial in self.state.counted(self.state.baseline, Role.BASELINE)]

    def _race_scores(self, commit: str, role: Role) -> list[float | None]:
        return [trial.score for trial in self._of_race(commit, role)]

    def _of_race(self, commit: str, role: Role) -> list[Observation]:
        prefix = evidence.race_trial(self.state, role)
        return [trial for trial in self.state.counted(commit, role) if trial.trial_id.startswith(prefix)]

    def _one_trial(self, proposal: ProposalRecord, step: Step) -> Verdict | None:
        """Run what the rule asked for; the verdict that ends the race, or None to go on."""
        if step.action is Action.RUN_INCUMBENT:
            self._measure_incumbent(proposal.number)
        elif self._was_disturbed(proposal):
            self._anchor(proposal)
        else:
            self._measure_candidate(proposal, Role.CANDIDATE)
            return self._reviewed(proposal)
        return None

    def _measure_incumbent(self, proposal: int | None = None) -> Observation:
        name = names.incumbent(self.state.finished_by_role[Role.INCUMBENT] + 1)
        pair = ""
        if proposal is not None:
            beside = evidence.for_keep(self.state, self.state.proposal(proposal), None).incumbent_beside
            pair = names.pair(proposal, beside + 1)
        return self._measure_trusted(self.state.incumbent, Role.INCUMBENT, name, proposal, pair)

    def _was_disturbed(self, proposal: ProposalRecord) -> bool:
        """The candidate's last trial was, and the incumbent has not been run since."""
        ran = [trial for trial in proposal.trials if trial.role in (Role.CANDIDATE, Role.INCUMBENT)]
        return bool(ran) and ran[-1].role is Role.CANDIDATE and ran[-1].trial_id in self.state.inconclusive

    def _anchor(self, proposal: ProposalRecord) -> None:
        """Ask the incumbent how the machine is now. If it has changed, nothing measured before compares any more."""
        state = self.state
        before = [*state.counted(state.incumbent), *state.counted(proposal.commit, Role.CANDIDATE)]
        if not changed(self._measure_incumbent(proposal.number).machine):
            return
        text = "the machine is not what it was: incumbent and candidate are measured anew"
        row = VerdictRow(
            proposal=proposal.number,
            stage="runtime",
            guard="conditions",
            judgement=Judgement.INCONCLUSIVE,
            reason="conditions.changed",
            message=text,
            no_evidence=[trial.trial_id for trial in before],
        )
        self.trial_runner.record(row)
        self.trial_runner.notice(text)

    def _like_incumbent(self, proposal: ProposalRecord) -> bool:
        """Whether candidate and incumbent had the same machine under them, as far as that was measured."""
        sides = self.state.counted(proposal.commit, Role.CANDIDATE), self.state.counted(self.state.incumbent)
        return alike(*([trial.machine for trial in side[-LATEST:]] for side in sides), self._usual())

    def _reviewed(self, proposal: ProposalRecord) -> Verdict | None:
        """What the last trial says beyond its score. After a restart it is looked at again: a verdict may be missing.

        A trial without a score is the candidate's worst score; too many disturbed ones say nothing at all.
        """
        trials = self.trials(proposal)
        if not trials:
            return None
        refusal = self._refused("runtime", proposal, trials[-1].trial_id)
        if refusal is not None:
            return refusal
        for seen in trials:
            if seen.score is None:
                reason = seen.reason if "." in seen.reason else f"{seen.outcome.value}.{seen.reason}"
                return Verdict(_TRIAL, Judgement.REJECT, reason, last_line(seen.log))
        disturbed = [trial for trial in trials if trial.trial_id in self.state.inconclusive]
        if len(disturbed) >= MOST_INCONCLUSIVE:
            text = f"{len(disturbed)} trials were disturbed: they do not tell whether the change helps"
            return Verdict(_TRIAL, Judgement.REJECT, "inconclusive.disturbed", text)
        return None

    def _by_statistics(self, proposal: ProposalRecord, decision: Decision, step: Step) -> Ruling:
        disturbed = sum(trial.trial_id in self.state.inconclusive for trial in self.trials(proposal))
        said = explained(step, disturbed)
        return Ruling(decision, DecidedBy.STATISTICS, f"keep.{step.reason}", said, step.statistics)

    def trials(self, proposal: ProposalRecord) -> list[Observation]:
        """The proposal's own trials, oldest first."""
        seen = self.state.observations.get(proposal.commit, [])
        return [trial for trial in seen if trial.role is Role.CANDIDATE]

    def _measure_candidate(
        self, proposal: ProposalRecord, role: Role, seed: int | None = None, name: str = ""
    ) -> Observation:
        count = len(self.trials(proposal)) + 1
        name = names.candidate(proposal.number, count if role is Role.CANDIDATE else name or role.value)
        pair = names.pair(proposal.number, count - 1) if role is Role.CANDIDATE else ""
        source = self.intake.files_of(proposal.commit)
        stop = self.stop_for(self.state.counted(self.state.incumbent)) if role is Role.CANDIDATE else None
        return self.trial_runner.measure(
            source, proposal.commit, role, name, proposal=proposal.number, seed=seed, stop=stop, pair=pair
        )

    def _measure_trusted(
        self, commit: str, role: Role, name: str, proposal: int | None = None, pair: str = ""
    ) -> Observation:
        """A trial of the baseline or the incumbent. Raises HarnessError when those fail again and again."""
        source = self.intake.files_of(commit)
        seen = self.trial_runner.measure(source, commit, role, name, proposal=proposal, pair=pair)
        failed = [trial for trial in self.state.counted(commit, role) if trial.score is None]
        if seen.score is None and len(failed) >= _MOST_FAILURES:
            what = "task's own program" if commit == self.state.baseline else "incumbent"
            log = seen.log[-_LOG_CHARACTERS:]
            raise HarnessError(f"the {what} fails ({seen.outcome.value}, {seen.reason}): {log}")
        return seen

    def _check_promotion(self, proposal: ProposalRecord) -> Verdict | None:
        """The verdict that stops a candidate which would be kept, or None."""
        trials = self.trials(proposal)
        if self.promotion.wants_repeat(self.task, trials) and not self._has_repeat(proposal, trials[0].seed):
            self._measure_candidate(proposal, Role.REPEAT, seed=trials[0].seed)
        refusal = self._refused("promotion", proposal, "promotion")
        if refusal is None and self.promotion.placebo and not self._lacks_trials(proposal):
            return self._placebo(proposal)
        return refusal

    def _lacks_trials(self, proposal: ProposalRecord) -> bool:
        """Whether a guard needs more trials of the candidate before it can say anything about a keep."""
        wanted = max((row.trials_wanted for row in proposal.verdicts), default=0)
        return len(self.trials(proposal)) < wanted

    def _has_repeat(self, proposal: ProposalRecord, seed: int) -> bool:
        seen = self.state.observations.get(proposal.commit, [])
        return any(trial.role is Role.REPEAT and trial.seed == seed for trial in seen)

    def _probed(self, proposal: ProposalRecord) -> Verdict | None:
        """One trial at a seed of the incumbent's, where a guard suspects that nothing would change.

        With fixed work two equal programs leave the same bits; such a trial decides about nothing else.
        """
        wanted = any(row.incumbent_seed_wanted for row in proposal.verdicts)
        known = [trial for trial in self.state.counted(self.state.incumbent) if trial.artefact_sha256]
        if not (wanted and known and self.fixed_work):
            return None
        seed = known[0].seed
        if not self._has_repeat(proposal, seed):
            self.limits.check_trial(self.state)
            self._measure_candidate(proposal, Role.REPEAT, seed=seed, name="probe")
        trial_id = next(
            trial.trial_id for trial in self.state.observations[proposal.commit] if trial.seed == seed
        )
        return self._refused("runtime", proposal, trial_id)

    @property
    def fixed_work(self) -> bool:
        """Whether steps or tokens bound a trial, not time."""
        clock = self.trial_runner.profile.trial_clock()
        return clock.steps is not None or clock.tokens is not None

    def _placebo(self, proposal: ProposalRecord) -> Verdict | None:
        """Short trials of baseline and candidate on real and on shuffled data; the verdict if it rejects."""
        check, roles = self.promotion.check, (Role.PLACEBO, Role.PLACEBO_TWIN)
        wanted = {self.state.baseline: check.repeats, proposal.commit: 1}
        for commit, role in itertools.product(wanted, roles):
            for number in range(len(self.state.counted(commit, role)), wanted[commit]):
                self.limits.check_trial(self.state)
                name = f"{role.value}-{commit[:8]}-{number + 1}"
                clock = check.clock(self.trial_runner.profile.trial_clock())
                source, about = self.intake.files_of(commit), proposal.number
                self.trial_runner.measure(source, commit, role, name, proposal=about, clock=clock)
        seen = [self.state.counted(commit, role) for commit in wanted for role in roles]
        verdict = check.judge(self.state.direction, *seen)
        self._record_verdict(proposal, "promotion", verdict)
        return verdict if verdict.judgement is Judgement.REJECT else None

    def _refused(self, stage: Stage, proposal: ProposalRecord, after: str = "") -> Verdict | None:
        """Ask this stage's guards and record each verdict; the one that rejects, or None.

        after: id of the trial that has just ended; "" before any.
        """
        manifests = (self.manifest, self.trial_runner.protected() if after else self.manifest)
        asked = evidence.for_guards(
            stage,
            self.task,
            self.state,
            proposal,
            self.intake.history,
            self.state.prior,
            manifests,
            self.fixed_work,
        )
        refusal = None
        for verdict in ask(self.guards, asked):
            self._record_verdict(proposal, stage, verdict, after if stage == "runtime" else None)
            if verdict.judgement is Judgement.REJECT:
                refusal = verdict
        return refusal

    def _record_verdict(
        self, proposal: ProposalRecord, stage: Stage, verdict: Verdict, trial_id: str | None = None
    ) -> None:
        about = VerdictRow.of(verdict, proposal=proposal.number, stage=stage, trial_id=trial_id)
        self.trial_runner.record(about)

    def _record_step(self, proposal: ProposalRecord, step: Step) -> None:
        """Not twice: a resumed session comes to the same conclusion again."""
        last = proposal.steps[-1] if proposal.steps else None
        statistics, before = dict(step.statistics), last.statistics if last else {}
        if last is None or (last.action, before) != (step.action, statistics):
            row = StepRow(
                proposal=proposal.number, action=step.action, reason=step.reason, statistics=statistics
            )
            self.trial_runner.record(row)
            if "drift" in statistics and "drift" not in before:
                z = step.statistics["drift"]
                self.trial_runner.notice(
                    f"drift: the incumbent's later trials differ from its first (z {z:.1f})"
                )


def explained(step: Step, disturbed: int = 0) -> str:
    """The statistics in a line: "z 2.61 against 2.41 after 2 trials". disturbed: trials beside those, not counted."""
    said = step.statistics
    if "z" not in said:
        return ", ".join(f"{key} {value:.4g}" for key, value in said.items())
    line = f"z {said['z']:.2f}"
    line += f" against {said['bound']:.2f}" if "bound" in said else ""
    line += f" after {_looked(round(said['look']), disturbed)}" if "look" in said else ""
    if "effect" not in said:
        return line
    return f"{line}, {'worse' if said['effect'] < 0 else 'better'} by {abs(said['effect']):.4g} (sd {said['sd']:.2g})"


def _looked(count: int, disturbed: int) -> str:
    """ "1 trial", "3 trials", "1 undisturbed trial of 2": nobody shall miss one that was printed."""
    if disturbed:
        return f"{count} undisturbed {'trial' if count == 1 else 'trials'} of {count + disturbed}"
    return f"{count} {'trial' if count == 1 else 'trials'}"


def last_line(log: str) -> str:
    """The last line that says something: for a Python traceback, the error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:_LOG_CHARACTERS] if lines else ""
