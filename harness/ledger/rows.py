"""What a row of the ledger may be: one class a kind. docs/ledger.md's tables are made from this file.

A writer makes one of these and the chain adds number, time and hashes; a reader gets the same class back. Every
field has a default, so that a row of an older build still reads; a kind or a field that is not here was written by
a newer build and is refused in one line.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness import __version__
from harness.errors import LedgerError
from harness.ledger.plain import to_json
from harness.records import (
    AblatedChange,
    Action,
    Clock,
    DecidedBy,
    Decision,
    Direction,
    EndCause,
    Json,
    Judgement,
    Level,
    Outcome,
    Role,
    Score,
    Split,
    TransferWord,
    TrialResult,
    TrialSpec,
    Usage,
    Verdict,
)

Number = int | float  # kept as it was written: 8 stays 8
Texts = dict[str, str]
Numbers = dict[str, Number]
Values = dict[str, Any]
_AGENT_FINISHED_IN_WORDS = "the agent has no more proposals"
ScoreStatus = Literal["scored", "invalid", "infra_failed"]


class Row(BaseModel):
    """What every row has. The chain fills these fields in when the row is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    when: ClassVar[str] = ""

    seq: int = Field(default=-1, description="number of the row, from 0 without a gap")
    time: str = Field(default="", description="ISO 8601, UTC, milliseconds")
    sitting_seconds: float | None = Field(
        default=None, description="since this process opened the ledger, by a clock that never jumps"
    )
    kind: str = Field(default="", description="one of the kinds below")
    previous: str = Field(default="", description="`hash` of the row before; 64 zeros in the first")
    hash: str = Field(default="", description="SHA-256 of this row's canonical JSON without `hash`")

    def content(self) -> dict[str, Json]:
        """The fields of its kind as plain JSON values. Raises TypeError for what JSON lacks."""
        own = (name for name in type(self).model_fields if name not in Row.model_fields)
        return {name: to_json(getattr(self, name)) for name in own}


class SessionStartedRow(Row):
    when: ClassVar[str] = "first row"
    kind: Literal["session_started"] = "session_started"
    version: str = Field(default="", description="of the harness")
    task: str = ""
    agent: str = ""
    choices: Texts = Field(default={}, description="group: choice")
    config: Values = Field(default={}, description="resolved")
    arguments: list[str] = []
    own_code: Texts = Field(default={}, description="part of the user's own: SHA-256 of its file")
    fingerprint: str = Field(default="", description="SHA-256 of all that bears on results")
    metric: str = "score"
    direction: Direction = Direction.MINIMIZE
    unit: str = ""
    editable: list[str] = Field(default=[], description="paths")
    references: Numbers = Field(default={}, description="name: score of a simple method")
    program: str = Field(default="", description="the human's instructions, whole")
    machine: Values = {}
    findings: Values = Field(default={}, description="self-attack: what came of it")
    level: Level = Field(default=Level.L0, description="of isolation, as measured")
    certified: bool = Field(default=True, description="isolation proven?")
    baseline_commit: str = ""
    prior: tuple[float, int] | None = Field(
        default=None, description="sd of a score from earlier sessions, its df"
    )

    @property
    def of_older_build(self) -> bool:
        """Whether another version wrote it, or one that did not note the sitting's time yet."""
        return self.version != __version__ or self.sitting_seconds is None


class SessionResumedRow(Row):
    when: ClassVar[str] = "another sitting begins"
    kind: Literal["session_resumed"] = "session_resumed"
    machine: Values = {}
    interrupted: list[str] = Field(
        default=[], description="ids of trials that the sitting before left unfinished"
    )
    level: Level = Level.L0
    certified: bool = True


class ProposalAskedRow(Row):
    when: ClassVar[str] = "before the agent is asked"
    kind: Literal["proposal_asked"] = "proposal_asked"
    proposal: int = Field(default=0, description="its number, from 1")


class ProposedRow(Row):
    when: ClassVar[str] = "the agent's answer is committed"
    kind: Literal["proposed"] = "proposed"
    proposal: int = 0
    commit: str = Field(default="", description='"" if there can be none')
    parent: str = ""
    rationale: str = ""
    hypothesis: str = ""
    files: Texts = Field(default={}, description="path: SHA-256")
    deleted: list[str] = Field(default=[], description="paths")
    links: Texts = Field(default={}, description="path: target")
    usage: Usage = Usage()
    state: Values = Field(default={}, description="what the agent wants to see again")
    problem: str = Field(default="", description="why it cannot be tried")
    patch: str = Field(default="", description="unified diff, clipped; whole in `patches/NNNN.patch`")


class VerdictRow(Row):
    when: ClassVar[str] = "a guard has spoken"
    kind: Literal["verdict"] = "verdict"
    proposal: int | None = None
    stage: str = Field(default="", description="static, runtime, promotion")
    trial_id: str | None = None
    guard: str = ""
    judgement: Judgement = Judgement.ACCEPT
    reason: str = Field(default="", description='a stable code "family.case"')
    message: str = ""
    evidence: Values = {}
    no_evidence: list[str] = Field(default=[], description="ids of earlier trials that no longer compare")
    doubts: list[str] = Field(default=[], description="what an accepting guard could not settle")
    trials_wanted: int = Field(
        default=0, description="so many of the candidate's own before it can say anything"
    )
    incumbent_seed_wanted: bool = Field(default=False, description="one trial at a seed of the incumbent's")

    @classmethod
    def of(cls, verdict: Verdict, *, proposal: int, stage: str, trial_id: str | None) -> "VerdictRow":
        return cls(proposal=proposal, stage=stage, trial_id=trial_id, **_fields(verdict))


class StepRow(Row):
    when: ClassVar[str] = "the keep rule asks for something"
    kind: Literal["step"] = "step"
    proposal: int | None = None
    action: Action = Action.DISCARD
    reason: str = ""
    statistics: Numbers = {}


class AboutTrial(Row):
    trial_id: str = ""
    commit: str = ""
    role: Role = Role.CANDIDATE
    proposal: int | None = None


class TrialStartedRow(AboutTrial):
    when: ClassVar[str] = "before a trial; its seed is drawn, the commit is fixed"
    kind: Literal["trial_started"] = "trial_started"
    seed: int = 0
    attempt: int = 1
    clock: Clock = Clock()
    budget_counted_by: Literal["referee", "candidate"] = Field(
        default="referee", description="candidate: a budget of steps or tokens is its own word"
    )
    waited_seconds: float = Field(default=0.0, description="for its turn in a sweep")
    source_sha256: str = Field(default="", description="of all files of the program; side by side only")

    @classmethod
    def of(
        cls, spec: TrialSpec, proposal: int | None, attempt: int, waited: float = 0.0, source_sha256: str = ""
    ) -> "TrialStartedRow":
        """waited: seconds for its turn."""
        return cls(
            trial_id=spec.trial_id,
            commit=spec.commit,
            role=spec.role,
            seed=spec.seed,
            proposal=proposal,
            attempt=attempt,
            clock=spec.clock,
            budget_counted_by="referee"
            if spec.clock.steps is None and spec.clock.tokens is None
            else "candidate",
            waited_seconds=round(waited, 3),
            source_sha256=source_sha256,
        )


class TrialFinishedRow(AboutTrial):
    when: ClassVar[str] = "a trial's process tree is gone"
    kind: Literal["trial_finished"] = "trial_finished"
    seed: int = 0
    attempt: int = 1
    level: Level = Level.L0
    outcome: Outcome = Outcome.INFRA_FAILED
    reason: str = ""
    artefact: str = Field(default="", description="path in the session's folder")
    artefact_sha256: str = ""
    startup_seconds: float = 0.0
    billed_seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    claims: Values = Field(default={}, description="what the candidate said of itself: shown, never believed")
    log: str = Field(default="", description="clipped tail of the candidate's output")
    cache: str = Field(
        default="",
        description="compiled code that it found: cold (none), baseline (the unmodified program's), prepared (its own "
        "source's); empty where none is kept",
    )
    preparation_seconds: float = Field(
        default=0.0, description="of the preparation made just before it, if one was"
    )
    machine: Numbers = Field(
        default={},
        description="what the referee saw beside it, by the names of `guards/budget_honesty.py` "
        "and `harness/trial/machine_probe.py`",
    )

    @classmethod
    def of(cls, result: TrialResult, start: TrialStartedRow) -> "TrialFinishedRow":
        about = {name: getattr(start, name) for name in ("commit", "role", "proposal", "seed", "attempt")}
        return cls(**_fields(result), **about)

    def result(self) -> TrialResult:
        """What the executor measured."""
        return TrialResult(**{name: getattr(self, name) for name in TrialResult.__dataclass_fields__})


ARTEFACT_LOST = "artefact.lost"  # a reason of a score: there is nothing left to score, the trial is made again


class ScoredRow(AboutTrial):
    when: ClassVar[str] = "the evaluator has spoken"
    kind: Literal["scored"] = "scored"
    split: Split = Split.VAL
    status: ScoreStatus = "scored"
    value: float | None = None
    side: Numbers = Field(default={}, description="name: number beside the metric")
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0
    items_sha256: str = Field(
        default="", description="of `items/<trial_id>.json`: each item's share of the score"
    )

    @classmethod
    def of(cls, score: Score, trial: AboutTrial, split: Split, items_sha256: str = "") -> "ScoredRow":
        about = {name: getattr(trial, name) for name in ("trial_id", "commit", "role", "proposal")}
        own = {name: value for name, value in _fields(score).items() if name != "items"}
        return cls(split=split, items_sha256=items_sha256, **own, **about)


class TrialTakenRow(AboutTrial):
    when: ClassVar[str] = "a trial made side by side with others is wanted now, and becomes evidence"
    kind: Literal["trial_taken"] = "trial_taken"
    ahead: str = Field(default="", description="its id until now: trial_id, @, a number of its own")
    attempt: int = 1


class DecidedRow(Row):
    when: ClassVar[str] = "a proposal is settled"
    kind: Literal["decided"] = "decided"
    proposal: int = 0
    decision: Decision = Decision.DISCARD
    decided_by: DecidedBy | None = Field(default=None, description="null in rows of builds that did not say")
    reason: str = Field(default="", description='a stable code "family.case"')
    message: str = ""
    score: float | None = Field(default=None, description="mean over seeds")
    incumbent_score: float | None = None
    commit: str = ""
    seeds: list[int] = []
    category: str = ""
    complexity: Number | None = None
    statistics: Numbers = {}
    usage: Usage = Usage()
    gpu_seconds: float = Field(default=0.0, description="billed seconds of its trials")
    provisional: bool = Field(default=False, description="a keep that a `settled` row has yet to certify")


class SettledRow(Row):
    when: ClassVar[str] = "provisional keeps are certified as a step, or rolled back"
    kind: Literal["settled"] = "settled"
    action: Action = Action.ROLL_BACK
    race: int = Field(default=0, description="its number, from 1")
    keeps: list[int] = Field(default=[], description="numbers of the proposals, in the order of keeping")
    head_commit: str = ""
    certified_commit: str = Field(default="", description="the certified state before")
    head_scores: list[float | None] = Field(default=[], description="of fresh trials; null: no score")
    certified_scores: list[float | None] = []
    reason: str = Field(default="", description='a stable code "family.case"')
    message: str = ""
    statistics: Numbers = {}


class CertificateRow(Row):
    when: ClassVar[str] = "head and baseline were measured afresh on the sealed split"
    kind: Literal["certificate"] = "certificate"
    head_commit: str = ""
    baseline_commit: str = ""
    split: Split = Split.TEST
    head_scores: list[float | None] = Field(default=[], description="null: no score")
    baseline_scores: list[float | None] = []
    gain: float | None = Field(default=None, description="positive is better; null: not measurable")
    low: float | None = None
    high: float | None = None
    p: float = 1.0
    df: float = Field(default=0.0, description="Welch's degrees of freedom")
    sd: float = 0.0
    claimed: float | None = Field(default=None, description="the gain by the search's own trials")
    passed: bool = False
    certified: bool | None = Field(default=None, description="isolation proven?")
    confidence: float = 0.95
    item_kind: str = Field(default="", description="what the task's items are; empty: it tells none")
    items: int = 0
    item_low: float | None = Field(
        default=None,
        description="the gain's other interval: over items, by a paired bootstrap, seeds as they are",
    )
    item_high: float | None = None
    conditions_alike: bool = Field(
        default=True, description="same machine under both sides? if not, not passed"
    )
    val_minus_test: dict[str, float | None] = Field(
        default={}, description="head, baseline: how far val flatters"
    )


class TransferRow(Row):
    when: ClassVar[str] = "head and baseline were measured afresh at another budget, on demand"
    kind: Literal["transfer"] = "transfer"
    head_commit: str = ""
    baseline_commit: str = ""
    asked: Texts = Field(default={}, description="what was to be different: key: value, as it was given")
    profile: str = ""
    clock: Clock = Field(default=Clock(), description="of these trials")
    own_clock: Clock = Field(default=Clock(), description="of the session's")
    folder: str = Field(default="", description="of these trials and their ledger, in the session's folder")
    ledger_hash: str = Field(default="", description="`hash` of that ledger's last row")
    head_scores: list[float | None] = Field(default=[], description="on the sealed split; null: no score")
    baseline_scores: list[float | None] = []
    gain: float | None = Field(default=None, description="positive is better; null: not measurable")
    low: float | None = None
    high: float | None = None
    p: float = 1.0
    df: float = Field(default=0.0, description="Welch's degrees of freedom")
    sd: float = 0.0
    confidence: float = 0.95
    certified_gain: float | None = Field(default=None, description="at the session's own budget; null: none")
    share: float = Field(default=0.5, description="of the certified gain, that was asked for")
    lacking: float | None = Field(
        default=None, description="upper limit of the gain less that share; below 0 it falls short"
    )
    word: TransferWord = Field(default="cannot_tell", description="what docs/statistics.md defines")
    conditions_alike: bool = True


class AblationRow(Row):
    when: ClassVar[str] = "single changes of a stack were taken back, on demand"
    kind: Literal["ablation"] = "ablation"
    step: int = Field(default=0, description="the certified step; 0: all keeps of the head")
    head_commit: str = ""
    start_commit: str = Field(default="", description="what the first of the changes was built on")
    changes: list[AblatedChange] = []
    confidence: float = Field(default=0.95, description="that all intervals together have")


class AgentSpentRow(Row):
    when: ClassVar[str] = "a sitting ends, and its agent was served for no proposal"
    kind: Literal["agent_spent"] = "agent_spent"
    usage: Usage = Usage()


class NoticeRow(Row):
    when: ClassVar[str] = "something for people"
    kind: Literal["notice"] = "notice"
    text: str = ""


class SessionEndedRow(Row):
    when: ClassVar[str] = "a sitting reached a limit or the agent's end"
    kind: Literal["session_ended"] = "session_ended"
    cause: EndCause | None = Field(default=None, description="null in rows of builds that did not say")
    reason: str = Field(default="", description="the same for people")
    proposals: int = 0
    keeps: int = 0
    trials: int = 0
    busy_share: float = Field(
        default=0.0, description="share of the time with the harness up that trials took"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_older_build(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Older builds wrote the cause in words only; one of them is acted upon when a session is resumed."""
        if "cause" not in values and values.get("reason") == _AGENT_FINISHED_IN_WORDS:
            return {**values, "cause": EndCause.AGENT_FINISHED}
        return values


KINDS: dict[str, type[Row]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind
    for kind in (
        SessionStartedRow,
        SessionResumedRow,
        ProposalAskedRow,
        ProposedRow,
        VerdictRow,
        StepRow,
        TrialStartedRow,
        TrialFinishedRow,
        ScoredRow,
        TrialTakenRow,
        DecidedRow,
        SettledRow,
        CertificateRow,
        TransferRow,
        AblationRow,
        NoticeRow,
        AgentSpentRow,
        SessionEndedRow,
    )
}


def row_of(values: Mapping[str, Any]) -> Row:
    """The row that a line of the ledger holds. Raises LedgerError, one line, for what this build does not know."""
    kind = KINDS.get(str(values.get("kind")))
    if kind is None:
        raise _unknown(values, f"is of the kind {values.get('kind')!r}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            raise _unknown(values, f"has a field {place!r}") from None
        raise LedgerError(f"{_named(values)}: {place}: {first['msg']}") from None


def _named(values: Mapping[str, Any]) -> str:
    return f"ledger row {values.get('seq')} ({str(values.get('kind'))[:40]})"


def _unknown(values: Mapping[str, Any], what: str) -> LedgerError:
    return LedgerError(
        f"{_named(values)} {what[:120]} that this build ({__version__}) does not know: "
        "a newer one wrote it; update the harness"
    )


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
