"""What a session is made of, as its ledger tells it: trials and proposals, filled in row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harness.ledger.rows import (
    DecidedRow,
    ProposedRow,
    ScoredRow,
    StepRow,
    TrialFinishedRow,
    TrialStartedRow,
    VerdictRow,
)
from harness.records import Clock, DecidedBy, Decision, Judgement, Observation, Outcome, Role, Usage

_FAILED = (Outcome.CRASHED, Outcome.TIMED_OUT)
_UNTOLD = ("inconclusive.disturbed", "keep.unlike_conditions", "keep.rolled_back")  # reasons of a discard


@dataclass(slots=True)
class TrialRecord:
    """One start of one trial. outcome is None while it is under way; values: score by split."""

    start: TrialStartedRow
    finish: TrialFinishedRow | None = None
    scored: ScoredRow | None = None
    values: dict[str, float] = field(default_factory=dict)

    @property
    def trial_id(self) -> str:
        return self.start.trial_id

    @property
    def role(self) -> Role:
        return self.start.role

    @property
    def commit(self) -> str:
        return self.start.commit

    @property
    def proposal(self) -> int | None:
        return self.start.proposal

    @property
    def seed(self) -> int:
        return self.start.seed

    @property
    def attempt(self) -> int:
        return self.start.attempt

    @property
    def clock(self) -> Clock:
        return self.start.clock

    @property
    def measured(self) -> TrialFinishedRow:
        """What the referee measured; all zero while it is under way."""
        return self.finish or _NOTHING

    @property
    def outcome(self) -> Outcome | None:
        return self.finish.outcome if self.finish else None

    @property
    def held_seconds(self) -> float:
        """How long it held the machine (wall clock)."""
        seen = self.measured
        return seen.wall_seconds or seen.startup_seconds + seen.billed_seconds

    @property
    def side(self) -> Mapping[str, float]:
        return self.scored.side if self.scored else {}

    @property
    def value(self) -> float | None:
        """The score on val, or else on the split that it was scored on."""
        return self.values.get("val", next(iter(self.values.values()), None))

    def observation(self) -> Observation:
        """The trial as evidence, once it is finished and, where it completed, scored."""
        seen, score = self.measured, self.scored
        invalid = score is not None and score.status != "scored"
        return Observation(
            trial_id=self.trial_id,
            commit=self.commit,
            role=self.role,
            seed=self.seed,
            outcome=Outcome.CRASHED if invalid else seen.outcome,
            score=score.value if score is not None and not invalid else None,
            reason=score.reason if score is not None and invalid else seen.reason,
            side=self.side,
            claims=seen.claims,
            artefact_sha256=seen.artefact_sha256,
            billed_seconds=seen.billed_seconds,
            peak_memory_bytes=seen.peak_memory_bytes,
            machine=seen.machine,
            log=score.detail if score is not None and invalid else seen.log,
        )


_NOTHING = TrialFinishedRow()


@dataclass(slots=True)
class ProposalRecord:
    """A proposal and all that became of it. settled is None until it has been decided."""

    number: int
    answer: ProposedRow = field(default_factory=ProposedRow)
    settled: DecidedRow | None = None
    trials: list[TrialRecord] = field(default_factory=list)
    verdicts: list[VerdictRow] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    certified_step: int | None = None  # the race that certified it, of a keep that was provisional
    rolled_back: bool = False

    @property
    def commit(self) -> str:
        return self.answer.commit

    @property
    def rationale(self) -> str:
        return self.answer.rationale

    @property
    def problem(self) -> str:
        return self.answer.problem

    @property
    def usage(self) -> Usage:
        return self.answer.usage

    @property
    def decision(self) -> Decision | None:
        return self.settled.decision if self.settled else None

    @property
    def ruling(self) -> DecidedRow:
        """Its decision's row; an empty one until there is one."""
        return self.settled or _UNDECIDED

    @property
    def reason(self) -> str:
        return self.ruling.reason

    @property
    def score(self) -> float | None:
        return self.ruling.score

    @property
    def kept(self) -> bool:
        """Kept, provisionally or for good, and not rolled back."""
        return self.decision is Decision.KEEP and not self.rolled_back

    @property
    def level(self) -> str:
        """ "keep" (final), "provisional", "certified" (a part of a certified step), "rolled back", "" if not kept."""
        if self.decision is not Decision.KEEP:
            return ""
        if self.rolled_back:
            return "rolled back"
        if self.certified_step is not None:
            return "certified"
        return "provisional" if self.ruling.provisional else "keep"

    @property
    def untold(self) -> bool:
        """Discarded without an answer whether it helps: its trials were disturbed, it and the incumbent did not have
        the same machine, or what it was built on was rolled back first.
        """
        return self.decision is Decision.DISCARD and self.reason in _UNTOLD

    @property
    def title(self) -> str:
        """First paragraph of the rationale, on one line."""
        return " ".join(self.rationale.strip().partition("\n\n")[0].split())

    @property
    def candidate_trials(self) -> list[TrialRecord]:
        return [trial for trial in self.trials if trial.role is Role.CANDIDATE]

    @property
    def counting_trials(self) -> list[TrialRecord]:
        """Those of the candidate that it was decided on: without the disturbed ones. What became of them since, where
        it was kept and the machine changed, is another matter.
        """
        inconclusive = [each for each in self.verdicts if each.judgement is Judgement.INCONCLUSIVE]
        lost = {each.trial_id for each in inconclusive} | {
            one for each in inconclusive for one in each.no_evidence
        }
        return [trial for trial in self.candidate_trials if trial.trial_id not in lost]

    @property
    def status(self) -> str:
        """keep | discard | crash | "" while undecided. A timeout is a crash, as autoresearch counts it."""
        if self.settled is None or self.kept:
            return str(self.decision or "")
        if self.rolled_back:
            return str(Decision.DISCARD)
        ran = [trial for trial in self.candidate_trials if trial.outcome not in (None, Outcome.INFRA_FAILED)]
        return "crash" if ran and ran[-1].outcome in _FAILED else "discard"

    @property
    def doubts(self) -> list[str]:
        """What its guards accepted, but left to trials to show: each once, in the order in which it was said."""
        return list(dict.fromkeys(one for verdict in self.verdicts for one in verdict.doubts))

    @property
    def rejection(self) -> VerdictRow | None:
        """The verdict of the guard that rejected it, if one did."""
        return next((each for each in self.verdicts if each.judgement is Judgement.REJECT), None)

    @property
    def decided_by(self) -> DecidedBy:
        """What settled it; for rows of builds that did not say, by what else they say."""
        if self.ruling.decided_by is not None:
            return self.ruling.decided_by
        if self.rejection is not None:
            return DecidedBy.GUARD
        family = self.reason.partition(".")[0]
        by_family = {"keep": DecidedBy.STATISTICS, "agent": DecidedBy.AGENT}
        return by_family.get(family, DecidedBy.AGENT if self.problem else DecidedBy.TRIAL)


_UNDECIDED = DecidedRow()


def number(value: object, default: float = 0.0) -> float:
    """A number of a configuration or of a candidate's claims, or the default for anything that is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def moment(text: str) -> datetime | None:
    """A row's time, None when it cannot be read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def seconds_between(earlier: str, later: str) -> float:
    """Seconds between two rows' times, 0 when either cannot be read."""
    first, last = moment(earlier), moment(later)
    return max(0.0, (last - first).total_seconds()) if first and last else 0.0


def plain_mapping(value: object) -> Mapping[str, Any]:
    """A node of a configuration, {} for anything that is none."""
    return value if isinstance(value, dict) else {}
