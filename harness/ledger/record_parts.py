"""What a session is made of, as its ledger tells it: plain objects. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Row = Mapping[str, Any]


@dataclass(slots=True)
class Trial:
    """One start of one trial. outcome is "" while it is under way; value: by split."""

    trial_id: str
    role: str = ""
    commit: str = ""
    proposal: int | None = None
    seed: int | None = None
    attempt: int = 1
    started: str = ""
    finished: str = ""
    seq: int = -1
    clock: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = ""
    reason: str = ""
    billed_seconds: float = 0.0
    startup_seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    claims: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""
    artefact_sha256: str = ""
    status: str = ""
    values: dict[str, float] = field(default_factory=dict)
    side: Mapping[str, Any] = field(default_factory=dict)
    score_reason: str = ""
    score_detail: str = ""
    score_seconds: float = 0.0

    @property
    def value(self) -> float | None:
        """The score on val, or else on the split that it was scored on."""
        return self.values.get("val", next(iter(self.values.values()), None))


@dataclass(slots=True)
class Proposal:
    """A proposal and all that became of it. decision is "" until it has been decided."""

    number: int
    commit: str = ""
    parent: str = ""
    rationale: str = ""
    hypothesis: str = ""
    files: Mapping[str, Any] = field(default_factory=dict)
    patch: str = ""
    problem: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    verdicts: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)
    decision: str = ""
    reason: str = ""
    message: str = ""
    score: float | None = None
    incumbent_score: float | None = None
    category: str = ""
    complexity: Any = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    gpu_seconds: float = 0.0
    time: str = ""

    @property
    def kept(self) -> bool:
        return self.decision == "keep"

    @property
    def title(self) -> str:
        """First paragraph of the rationale, on one line."""
        return " ".join(self.rationale.strip().partition("\n\n")[0].split())

    @property
    def candidate_trials(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.role == "candidate"]

    @property
    def status(self) -> str:
        """keep | discard | crash | "" while undecided. A timeout is a crash, as autoresearch counts it."""
        if self.decision == "keep" or not self.decision:
            return self.decision
        ran = [trial for trial in self.candidate_trials if trial.outcome not in ("", "infra_failed")]
        return "crash" if ran and ran[-1].outcome in ("crashed", "timed_out") else "discard"

    @property
    def rejection(self) -> Row | None:
        """The verdict of the guard that rejected it, if one did."""
        return next((verdict for verdict in self.verdicts if verdict.get("judgement") == "reject"), None)


def number(value: object, default: float = 0.0) -> float:
    """A number of a row, or the default for anything that is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def score_or_none(value: object) -> float | None:
    """A finite score of a row, else None."""
    found = number(value, float("nan"))
    return found if found - found == 0 else None


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
