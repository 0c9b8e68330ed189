"""Where a session stands: the one fold over its ledger's rows. The loop, a resumed loop and every report read it.

Each row changes what it bears on and nothing else, so that a row costs the same after ten proposals and after ten
thousand. Pure: no clock, no file.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from harness.errors import LedgerError, UserError
from harness.ledger.ahead import AheadTrials
from harness.ledger.chain import FILE_NAME, Ledger, each, named
from harness.ledger.clock import SittingClock
from harness.ledger.evidence_pool import EvidencePool
from harness.ledger.record_parts import ProposalRecord, TrialRecord, number, plain_mapping
from harness.ledger.rows import (
    ARTEFACT_LOST,
    AblationRow,
    AboutTrial,
    AgentSpentRow,
    CertificateRow,
    DecidedRow,
    NoticeRow,
    ProposalAskedRow,
    ProposedRow,
    Row,
    ScoredRow,
    SessionEndedRow,
    SessionResumedRow,
    SessionStartedRow,
    SettledRow,
    StepRow,
    TransferRow,
    TrialFinishedRow,
    TrialStartedRow,
    TrialTakenRow,
    VerdictRow,
    row_of,
)
from harness.ledger.wall_clock import Share, WallClock
from harness.records import (
    Action,
    Decision,
    Direction,
    Judgement,
    Level,
    Observation,
    Outcome,
    Role,
    Usage,
    added,
)

CERTIFICATE_ROLES = (Role.CERTIFICATE_HEAD, Role.CERTIFICATE_BASELINE)


class SessionRecord:
    """The rows, summed up. Commits are those of proposals (refs/proposals/NNNN) or of the baseline.

    open: a proposal that has not been decided yet. decided: in the order of decision; keeps: those that stand, the
    provisional ones on top. certified_commit: the last state that is not provisional. under_way: started
    trials that have not finished. unscored: completed ones without a score. attempts: starts by a trial's name.
    interruptions: by commit, how often the harness died uncleanly during one of its trials. asked: number of the
    proposal that the agent was last asked for; thinking: whether its answer is still to come.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.started = SessionStartedRow()
        self.ended: SessionEndedRow | None = None
        self.level, self.certified = Level.L0, True
        self.isolation_certified = False  # False as soon as one sitting ran without proven isolation
        self.incumbent = self.certified_commit = ""
        self.settlements: list[SettledRow] = []  # certified steps and roll-backs
        self.open: ProposalRecord | None = None
        self.decided: list[ProposalRecord] = []
        self.keeps: list[ProposalRecord] = []
        self.proposals: dict[int, ProposalRecord] = {}
        self.trials: list[TrialRecord] = []
        self.trials_by_role: dict[Role, list[TrialRecord]] = defaultdict(list)
        self.trials_by_commit: dict[str, list[TrialRecord]] = defaultdict(list)
        self.under_way: dict[str, TrialRecord] = {}
        self.unscored: dict[str, TrialRecord] = {}
        self.attempts: Counter[str] = Counter()
        self.interruptions: Counter[str] = Counter()
        self.finished_by_role: Counter[Role] = Counter()
        self.sitting_trials = 0  # begun since the harness was started last
        self.finished_trials = 0  # whatever came of them, infrastructure failures aside
        self.finished_seconds = 0.0  # wall clock of these
        self.seconds_by_role: dict[Role, float] = defaultdict(float)  # that they held the machine
        self.certificates: list[CertificateRow] = []
        self.transfers: list[TransferRow] = []  # certificates at other budgets
        self.ablations: list[AblationRow] = []
        self.notices: list[NoticeRow] = []
        self.asked, self.thinking = 0, False
        self.margin_spent = 0.0
        self._selected: dict[str, int] = {}  # how many of a commit's losses it was kept on
        self.decisions_since_incumbent = 0
        self.usage = Usage()
        self.evidence = EvidencePool()
        self.clock, self.wall_clock = SittingClock(), WallClock()
        self.ahead = AheadTrials()
        self.length = 0
        self._certificate_from = 0  # certificates before were about another head
        self._trial_of: dict[str, TrialRecord] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in the next row."""
        self.clock.add(row)
        self.length += 1
        if not self.ahead.hold(row):
            _HANDLERS[type(row)](self, row)

    def proposal(self, number: int) -> ProposalRecord:
        """The proposal of that number, made when it is new."""
        return self.proposals.setdefault(number, ProposalRecord(number))

    def trial(self, trial_id: str) -> TrialRecord | None:
        return self._trial_of.get(trial_id)

    @property
    def direction(self) -> Direction:
        return self.started.direction

    @property
    def baseline(self) -> str:
        return self.started.baseline_commit

    @property
    def needed_commits(self) -> list[str]:
        """What going on with it needs of its repository, each once."""
        of_trials = [trial.commit for trial in (*self.under_way.values(), *self.unscored.values())]
        found = [self.baseline, self.incumbent, *(keep.commit for keep in self.keeps), *of_trials]
        if self.open is not None:
            found.append(self.open.commit)
        return [*filter(None, dict.fromkeys(found))]

    @property
    def prior(self) -> tuple[float, int] | None:
        return self.started.prior

    @property
    def of_older_build(self) -> bool:
        """Whether another build began it."""
        return self.started.of_older_build

    @property
    def metric(self) -> str:
        return self.started.metric

    @property
    def unit(self) -> str:
        return self.started.unit or self.metric

    @property
    def sign(self) -> int:
        """Turns a difference of scores (new - old) into a gain: -1 when lower is better."""
        return 1 if self.direction is Direction.MAXIMIZE else -1

    @property
    def limits(self) -> dict[str, float]:
        """The session's limits by name (proposals, trials, hours, dollars, tokens), as far as there are any."""
        budget = plain_mapping(self.started.config.get("budget"))
        names = ("proposals", "trials", "hours", "dollars", "tokens")
        return {name: number(budget[name]) for name in names if number(budget.get(name)) > 0}

    @property
    def active_seconds(self) -> float:
        """With the harness up, over all sittings, less waits for a turn: what budget.hours counts."""
        return self.clock.active_seconds

    @property
    def time_shares(self) -> list[Share]:
        """Where that time went, in fixed order; [] before a trial has ended."""
        return self.wall_clock.shares(self.active_seconds)

    @property
    def observations(self) -> dict[str, list[Observation]]:
        """Commit -> finished and scored trials, oldest first."""
        return self.evidence.observations

    @property
    def inconclusive(self) -> set[str]:
        """Ids of trials that a guard called disturbed: no evidence."""
        return self.evidence.inconclusive

    @property
    def selected(self) -> int:
        """How many of the incumbent's losses it was kept on; 0: the baseline."""
        return self._selected.get(self.incumbent, 0)

    @property
    def provisional(self) -> list[ProposalRecord]:
        """Keeps on top of the certified state, oldest first."""
        return [keep for keep in self.keeps if keep.level == "provisional"]

    @property
    def certified_steps(self) -> list[SettledRow]:
        return [row for row in self.settlements if row.action is Action.CERTIFY]

    @property
    def certificate(self) -> CertificateRow | None:
        """The head's first one: asking again until one passes would be another search."""
        found = self.certificates[self._certificate_from :]
        return found[0] if found else None

    @property
    def baseline_values(self) -> list[float]:
        """Scores of the baseline's own trials on val."""
        found = [trial.values.get("val") for trial in self.trials_by_role[Role.BASELINE]]
        return [value for value in found if value is not None]

    @property
    def baseline_score(self) -> float | None:
        return self.mean_score(self.baseline)

    @property
    def incumbent_score(self) -> float | None:
        return self.mean_score(self.incumbent)

    @property
    def dollars(self) -> float:
        return self.usage.dollars

    @property
    def tokens(self) -> int:
        """All tokens that the agent used, as the provider counted them."""
        usage = self.usage
        return usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens + usage.output_tokens

    def trial_seconds(self, certificate: bool = True) -> float:
        """Seconds that trials held the machine (wall clock); with certificate=False only the search's."""
        return sum(
            seconds
            for role, seconds in self.seconds_by_role.items()
            if certificate or role not in CERTIFICATE_ROLES
        )

    def loss(self, score: float) -> float:
        """A score turned so that lower is better."""
        return score if self.direction is Direction.MINIMIZE else -score

    def counted(self, commit: str, *roles: Role) -> list[Observation]:
        """A commit's trials that are evidence: of these roles (default: those that a keep rule sees)."""
        return self.evidence.counted(commit, *roles)

    def losses(self, commit: str, *roles: Role) -> list[float]:
        """Finite losses of a commit's counted trials, oldest first."""
        return [self.loss(seen.score) for seen in self.counted(commit, *roles) if seen.score is not None]

    def mean_score(self, commit: str, *roles: Role) -> float | None:
        scores = [seen.score for seen in self.counted(commit, *roles) if seen.score is not None]
        return sum(scores) / len(scores) if scores else None

    def confirmatory(self) -> dict[str, tuple[float, ...]]:
        """Losses of every configuration with more than one trial that is noise, without its screening trial.

        That one was selected for being low; the baseline had none.
        """
        return self.evidence.confirmatory(self.baseline, self.loss(1.0))

    def _on_session_started(self, row: SessionStartedRow) -> None:
        self.started, self.incumbent = row, row.baseline_commit
        self.certified_commit = row.baseline_commit
        self.level, self.certified = row.level, row.certified
        self.isolation_certified = row.certified

    def _on_session_resumed(self, row: SessionResumedRow) -> None:
        self.ended = None
        self.sitting_trials = 0
        self.level, self.certified = row.level, row.certified
        self.isolation_certified = self.isolation_certified and row.certified

    def _on_session_ended(self, row: SessionEndedRow) -> None:
        self.ended, self.thinking = row, False

    def _on_proposal_asked(self, row: ProposalAskedRow) -> None:
        self.asked, self.thinking = max(self.asked, row.proposal), True
        self.wall_clock.on_asked(self.active_seconds)

    def _on_proposed(self, row: ProposedRow) -> None:
        self.open, self.thinking = self.proposal(row.proposal), False
        self.wall_clock.on_answer(self.active_seconds)
        self.open.answer = row
        self.usage = added(self.usage, row.usage)

    def _on_agent_spent(self, row: AgentSpentRow) -> None:
        self.usage = added(self.usage, row.usage)

    def _on_verdict(self, row: VerdictRow) -> None:
        if row.proposal is not None:
            self.proposal(row.proposal).verdicts.append(row)
        if row.judgement is Judgement.INCONCLUSIVE and row.trial_id:
            self.evidence.disregard(row.trial_id)
        for trial_id in row.no_evidence:
            self.evidence.disregard(trial_id)

    def _on_step(self, row: StepRow) -> None:
        if row.proposal is not None:
            self.proposal(row.proposal).steps.append(row)

    def _on_decided(self, row: DecidedRow) -> None:
        proposal, self.open = self.proposal(row.proposal), None
        proposal.settled = row
        self.decided.append(proposal)
        self.ahead.decided(row.proposal)
        self.decisions_since_incumbent += 1
        if row.decision is Decision.KEEP:
            self.keeps.append(proposal)
            self.incumbent = row.commit
            if not row.provisional:
                self.certified_commit = row.commit
            self._selected[row.commit], self.decisions_since_incumbent = len(self.losses(row.commit)), 0
            self.margin_spent += row.statistics.get("margin", 0.0)
            self._certificate_from = len(self.certificates)

    def _on_settled(self, row: SettledRow) -> None:
        self.settlements.append(row)
        certify = row.action is Action.CERTIFY
        for keep in self.provisional:
            keep.certified_step, keep.rolled_back = (row.race, False) if certify else (None, True)
        self.keeps = [keep for keep in self.keeps if keep.kept]
        if certify:
            self.certified_commit = self.incumbent
        else:
            self.incumbent = self.certified_commit
            self._certificate_from = self._certificates_of(self.incumbent)
        self.decisions_since_incumbent = 0

    def _certificates_of(self, commit: str) -> int:
        """Where the certificates of this head begin; those before were about another one."""
        numbers = [number for number, row in enumerate(self.certificates) if row.head_commit == commit]
        return numbers[0] if numbers else len(self.certificates)

    def _on_trial_started(self, row: TrialStartedRow) -> None:
        self.clock.leave_out(row.waited_seconds)
        self.wall_clock.on_begun(row.trial_id, self.active_seconds)
        self.sitting_trials += 1
        trial = TrialRecord(row)
        self.trials.append(trial)
        self.trials_by_role[row.role].append(trial)
        self.trials_by_commit[row.commit].append(trial)
        self._trial_of[row.trial_id] = self.under_way[row.trial_id] = trial
        self.attempts[row.trial_id.partition("~")[0]] += 1
        if row.proposal is not None:
            self.proposal(row.proposal).trials.append(trial)

    def _known_trial(self, row: AboutTrial) -> TrialRecord:
        if row.trial_id not in self._trial_of:  # a ledger that was cut out of a longer one
            about = {name: getattr(row, name) for name in ("trial_id", "commit", "role", "proposal")}
            self._on_trial_started(TrialStartedRow(**about))
        return self._trial_of[row.trial_id]

    def _on_trial_finished(self, row: TrialFinishedRow) -> None:
        trial = self._known_trial(row)
        trial.finish = row
        self.under_way.pop(row.trial_id, None)
        self.finished_by_role[row.role] += 1
        self.seconds_by_role[row.role] += trial.held_seconds
        self.wall_clock.on_trial(row, self.active_seconds)
        if row.outcome is Outcome.INFRA_FAILED:
            self.interruptions[row.commit] += row.reason == "interrupted"
            return
        self.finished_trials += 1
        self.finished_seconds += row.wall_seconds
        if row.outcome is Outcome.COMPLETED:
            self.unscored[row.trial_id] = trial
        else:
            self._observe(trial)

    def _on_scored(self, row: ScoredRow) -> None:
        trial = self._known_trial(row)
        trial.scored = row
        self.wall_clock.on_scored(row.seconds)
        if row.value is not None:
            trial.values[row.split.value] = row.value
        if row.reason == ARTEFACT_LOST:
            self.unscored.pop(row.trial_id, None)
        elif row.status != "infra_failed" and self.unscored.pop(row.trial_id, None) is not None:
            self._observe(trial)

    def _observe(self, trial: TrialRecord) -> None:
        if trial.commit == self.incumbent:
            self.decisions_since_incumbent = 0
        self.evidence.add(trial.observation())

    def _on_trial_taken(self, row: TrialTakenRow) -> None:
        for held in self.ahead.release(row):
            _HANDLERS[type(held)](self, held)

    def _on_certificate(self, row: CertificateRow) -> None:
        self.certificates.append(row)

    def _on_transfer(self, row: TransferRow) -> None:
        self.transfers.append(row)

    def _on_ablation(self, row: AblationRow) -> None:
        self.ablations.append(row)

    def _on_notice(self, row: NoticeRow) -> None:
        self.notices.append(row)


_HANDLERS: dict[type[Row], Callable[..., None]] = {
    SessionStartedRow: SessionRecord._on_session_started,
    SessionResumedRow: SessionRecord._on_session_resumed,
    SessionEndedRow: SessionRecord._on_session_ended,
    ProposalAskedRow: SessionRecord._on_proposal_asked,
    ProposedRow: SessionRecord._on_proposed,
    VerdictRow: SessionRecord._on_verdict,
    StepRow: SessionRecord._on_step,
    DecidedRow: SessionRecord._on_decided,
    SettledRow: SessionRecord._on_settled,
    TrialStartedRow: SessionRecord._on_trial_started,
    TrialFinishedRow: SessionRecord._on_trial_finished,
    ScoredRow: SessionRecord._on_scored,
    TrialTakenRow: SessionRecord._on_trial_taken,
    CertificateRow: SessionRecord._on_certificate,
    TransferRow: SessionRecord._on_transfer,
    AblationRow: SessionRecord._on_ablation,
    NoticeRow: SessionRecord._on_notice,
    AgentSpentRow: SessionRecord._on_agent_spent,
}


def load(folder: Path) -> SessionRecord:
    """The session in a folder, from its verified rows. Raises UserError without one, or where it has no row yet,
    LedgerError for a damaged one.
    """
    found = begun(folder)
    if found is None:
        torn = (folder / FILE_NAME).stat().st_size > 0
        what = "nothing but the torn start of a row" if torn else "no row"
        raise UserError(f"{folder} holds no session that has begun: there is {what} in {FILE_NAME}")
    return found


def begun(folder: Path) -> SessionRecord | None:
    """The same; None for a ledger without a whole row, as a session has that was ended before its first."""
    with named(folder / FILE_NAME):
        record = SessionRecord(row_of(values) for values in each(folder))
    if record.length and not record.baseline:
        raise LedgerError(f"{folder / FILE_NAME} does not begin with the start of a session")
    return record if record.length else None


def all_begun(
    folders: Sequence[Path], left_out: Callable[[Path], object] = lambda _: None
) -> Iterator[tuple[Path, SessionRecord]]:
    """Each of them with its session, but for those that have not begun. Raises UserError where none has."""
    found = 0
    for folder in folders:
        session = begun(folder)
        if session is not None:
            found += 1
            yield folder, session
        elif len(folders) > 1:
            left_out(folder)
    if folders and not found:
        load(folders[0])  # says why it holds none


def opened(folder: Path) -> tuple[Ledger, SessionRecord]:
    """A folder's ledger, open for writing, and where its session stands. Raises LedgerError."""
    record = SessionRecord()
    return Ledger(folder, lambda values: record.add(row_of(values))), record
