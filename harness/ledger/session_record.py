"""The read model of a session: ledger rows go in one by one. Pure; standard library only.

Readers tolerate missing keys: an interrupted session lacks its last rows, an older one some keys.
"""

from collections.abc import Iterable

from harness.ledger.record_parts import Proposal, Row, Trial, number, score_or_none, seconds_between

CERTIFICATE_ROLES = ("certificate_head", "certificate_baseline")
_MEASURED = (
    "role", "commit", "seed", "outcome", "reason", "artefact_sha256", "startup_seconds", "billed_seconds",
    "wall_seconds", "cpu_seconds", "peak_memory_bytes", "claims", "log",
)  # fmt: skip
_PROPOSED = ("commit", "parent", "rationale", "hypothesis", "files", "patch", "problem", "usage", "time")
_DECIDED = ("decision", "reason", "message", "commit", "category", "complexity", "statistics", "gpu_seconds")


def _fill(target: object, row: Row, *names: str) -> None:
    for name in names:
        if row.get(name) is not None:
            setattr(target, name, row[name])


class Session:
    """The read model. `add` takes rows in ledger order; a row of an unknown kind changes nothing."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.started: Row = {}
        self.resumed: list[Row] = []
        self.ended: Row = {}
        self.certificate: Row = {}
        self.notices: list[Row] = []
        self.trials: list[Trial] = []
        self.proposals: dict[int, Proposal] = {}
        self.asked: int | None = None  # the proposal that the agent is working on
        self.first_time = ""
        self.active_seconds = 0.0  # with the harness up, less waits for a turn: what budget.hours counts
        self.last_time = ""
        self.last_seq = -1
        self._trial_of: dict[str, Trial] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Takes in the next row."""
        time = str(row.get("time", ""))
        if row.get("kind") != "session_resumed":
            self.active_seconds += seconds_between(self.last_time, time)
        self.first_time = self.first_time or time
        self.last_time = time or self.last_time
        self.last_seq = int(row.get("seq", self.last_seq + 1))
        handler = getattr(self, f"_on_{row.get('kind', '')}", None)
        if handler is not None:
            handler(row)

    def proposal(self, number: int) -> Proposal:
        """The proposal of that number, made when it is new."""
        return self.proposals.setdefault(number, Proposal(number))

    @property
    def metric(self) -> str:
        return str(self.started.get("metric", "score"))

    @property
    def unit(self) -> str:
        return str(self.started.get("unit") or self.metric)

    @property
    def sign(self) -> int:
        """Turns a difference of scores (new - old) into a gain: -1 when lower is better."""
        return 1 if self.started.get("direction") == "maximize" else -1

    @property
    def limits(self) -> Row:
        """The session's limits by name (proposals, trials, hours, dollars, tokens); None or missing: unlimited."""
        config = self.started.get("config")
        budget = config.get("budget") if isinstance(config, dict) else None
        return self.started.get("limits") or (budget if isinstance(budget, dict) else {})

    @property
    def decided(self) -> list[Proposal]:
        return [proposal for proposal in self.proposals.values() if proposal.decision]

    @property
    def keeps(self) -> list[Proposal]:
        return [proposal for proposal in self.proposals.values() if proposal.kept]

    @property
    def isolation_certified(self) -> bool:
        """False as soon as one sitting of the session ran without proven isolation."""
        sittings = [self.started, *self.resumed]
        return bool(self.started) and all(bool(row.get("certified", True)) for row in sittings)

    @property
    def baseline_values(self) -> list[float]:
        """Scores of the baseline's trials on val."""
        found = [trial.values.get("val") for trial in self.trials if trial.role == "baseline"]
        return [value for value in found if value is not None]

    @property
    def baseline_score(self) -> float | None:
        values = self.baseline_values
        return sum(values) / len(values) if values else None

    @property
    def incumbent_score(self) -> float | None:
        """Mean score of the last keep, or of the baseline before there is one."""
        scores = [keep.score for keep in self.keeps if keep.score is not None]
        return scores[-1] if scores else self.baseline_score

    @property
    def running(self) -> list[Trial]:
        """Trials that were started and have not finished."""
        return [trial for trial in self._trial_of.values() if not trial.outcome]

    @property
    def dollars(self) -> float:
        return sum(number(proposal.usage.get("dollars")) for proposal in self.proposals.values())

    @property
    def tokens(self) -> int:
        keys = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
        usages = [proposal.usage for proposal in self.proposals.values()]
        return int(sum(number(usage.get(key)) for usage in usages for key in keys))

    def trial_seconds(self, certificate: bool = True) -> float:
        """Seconds that trials held the machine (wall clock); with certificate=False only the search's."""
        return sum(
            trial.wall_seconds or trial.startup_seconds + trial.billed_seconds
            for trial in self.trials
            if certificate or trial.role not in CERTIFICATE_ROLES
        )

    def _on_session_started(self, row: Row) -> None:
        self.started = row

    def _on_session_resumed(self, row: Row) -> None:
        self.resumed.append(row)
        self.ended = {}
        for trial_id in row.get("interrupted") or []:
            trial = self._trial_of.get(str(trial_id))
            if trial is not None and not trial.outcome:
                trial.outcome = "interrupted"

    def _on_session_ended(self, row: Row) -> None:
        self.ended = row
        self.asked = None

    def _on_proposal_asked(self, row: Row) -> None:
        self.asked = int(row.get("proposal", 0))

    def _on_proposed(self, row: Row) -> None:
        self.asked = None
        proposal = self.proposal(int(row.get("proposal", 0)))
        _fill(proposal, row, *_PROPOSED)

    def _on_trial_started(self, row: Row) -> None:
        self.active_seconds = max(0.0, self.active_seconds - number(row.get("waited_seconds")))
        trial = Trial(str(row.get("trial_id", "?")), started=str(row.get("time", "")))
        trial.seq = int(row.get("seq", -1))
        _fill(trial, row, "role", "commit", "proposal", "seed", "attempt", "clock")
        self.trials.append(trial)
        self._trial_of[trial.trial_id] = trial
        if trial.proposal is not None:
            self.proposal(trial.proposal).trials.append(trial)

    def _known_trial(self, row: Row) -> Trial:
        trial_id = str(row.get("trial_id", "?"))
        if trial_id not in self._trial_of:
            self._on_trial_started(row)
        return self._trial_of[trial_id]

    def _on_trial_finished(self, row: Row) -> None:
        trial = self._known_trial(row)
        trial.finished = str(row.get("time", ""))
        _fill(trial, row, *_MEASURED)

    def _on_scored(self, row: Row) -> None:
        trial = self._known_trial(row)
        trial.status = str(row.get("status", ""))
        trial.score_reason, trial.score_detail = str(row.get("reason") or ""), str(row.get("detail") or "")
        trial.score_seconds = number(row.get("seconds"))
        trial.side = row.get("side") or {}
        value = score_or_none(row.get("value"))
        if value is not None:
            trial.values[str(row.get("split", "val"))] = value

    def _on_verdict(self, row: Row) -> None:
        if row.get("proposal") is not None:
            self.proposal(int(row["proposal"])).verdicts.append(row)

    def _on_step(self, row: Row) -> None:
        if row.get("proposal") is not None:
            self.proposal(int(row["proposal"])).steps.append(row)

    def _on_decided(self, row: Row) -> None:
        proposal = self.proposal(int(row.get("proposal", 0)))
        _fill(proposal, row, *_DECIDED, "time")
        if row.get("usage"):
            proposal.usage = row["usage"]
        if proposal.kept:
            self.certificate = {}  # an earlier one was about another head
        proposal.score = score_or_none(row.get("score"))
        proposal.incumbent_score = score_or_none(row.get("incumbent_score"))

    def _on_certificate(self, row: Row) -> None:
        # A head's first one counts: asking again until one passes would be another search.
        self.certificate = self.certificate or row

    def _on_notice(self, row: Row) -> None:
        self.notices.append(row)
