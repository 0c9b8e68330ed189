"""Where a session stands: a pure fold over its ledger's rows. A resumed session folds the same rows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.ledger.rows import from_json
from harness.records import Decision, Direction, Observation, Outcome, Role, Score, TrialResult, Usage

Row = Mapping[str, Any]
_OF_CONFIGURATION = (Role.BASELINE, Role.INCUMBENT, Role.CANDIDATE)


@dataclass
class OpenProposal:
    """A proposal that has not been decided yet. verdicts: those already given, newest last."""

    row: Row
    verdicts: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)

    @property
    def number(self) -> int:
        return int(self.row["proposal"])

    @property
    def commit(self) -> str:
        return str(self.row["commit"])


@dataclass
class State:
    """The rows, summed up. Commits are those of proposals (refs/proposals/NNNN) or of the baseline.

    observations: commit -> finished and scored trials, oldest first. unscored: finished, but no score yet.
    interrupted: started and never finished: the harness itself was ended meanwhile.
    """

    direction: Direction = Direction.MINIMIZE
    baseline: str = ""
    incumbent: str = ""
    level: int = 0
    certified: bool = False
    open: OpenProposal | None = None
    decided: list[Row] = field(default_factory=list)
    proposed: dict[int, Row] = field(default_factory=dict)
    observations: dict[str, list[Observation]] = field(default_factory=lambda: defaultdict(list))
    finished: dict[str, Row] = field(default_factory=dict)
    unscored: dict[str, Row] = field(default_factory=dict)
    started: dict[str, Row] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    interruptions: Counter[str] = field(default_factory=Counter)
    inconclusive: set[str] = field(default_factory=set)
    asked: int = 0
    margin_spent: float = 0.0
    selected: int = 0  # how many of the incumbent's losses it was kept on
    decisions_since_incumbent: int = 0
    prior: tuple[float, int] | None = None  # sd from earlier sessions and its degrees of freedom
    usage: Usage = field(default_factory=Usage)
    usage_of: dict[int, Usage] = field(default_factory=dict)
    trial_seconds: float = 0.0
    certificates: list[Row] = field(default_factory=list)
    ended: Row | None = None
    # Wall-clock time with the harness up, over all its starts, less waits for a turn.
    active_seconds: float = 0.0
    last_time: str = ""

    def apply(self, row: Row) -> None:
        """Take in the next row; kinds that mean nothing here are passed over."""
        if self.last_time and row["kind"] != "session_resumed":
            passed = datetime.fromisoformat(row["time"]) - datetime.fromisoformat(self.last_time)
            self.active_seconds += max(0.0, passed.total_seconds())
        self.last_time = str(row["time"])
        handler = getattr(self, f"_on_{row['kind']}", None)
        if handler:
            handler(row)

    @property
    def keeps(self) -> list[Row]:
        return [row for row in self.decided if row["decision"] == Decision.KEEP]

    @property
    def trials(self) -> int:
        """Finished trials, whatever came of them, infrastructure failures aside."""
        return sum(row["outcome"] != Outcome.INFRA_FAILED for row in self.finished.values())

    def loss(self, score: float) -> float:
        """A score turned so that lower is better."""
        return score if self.direction is Direction.MINIMIZE else -score

    def counted(self, commit: str, *roles: Role) -> list[Observation]:
        """A commit's trials that are evidence: of these roles (default: those that a keep rule sees)."""
        wanted = roles or _OF_CONFIGURATION
        return [
            seen
            for seen in self.observations.get(commit, [])
            if seen.role in wanted and seen.trial_id not in self.inconclusive
        ]

    def losses(self, commit: str, *roles: Role) -> list[float]:
        """Finite losses of a commit's counted trials, oldest first."""
        return [self.loss(seen.score) for seen in self.counted(commit, *roles) if seen.score is not None]

    def mean_score(self, commit: str, *roles: Role) -> float | None:
        scores = [seen.score for seen in self.counted(commit, *roles) if seen.score is not None]
        return sum(scores) / len(scores) if scores else None

    def _on_session_started(self, row: Row) -> None:
        self.direction = Direction(row["direction"])
        self.baseline = self.incumbent = str(row["baseline_commit"])
        self.level, self.certified = int(row["level"]), bool(row["certified"])
        prior = row.get("prior")
        self.prior = (float(prior[0]), int(prior[1])) if prior else None

    def _on_session_resumed(self, row: Row) -> None:
        self.ended = None
        self.level, self.certified = int(row["level"]), bool(row["certified"])

    def _on_proposal_asked(self, row: Row) -> None:
        self.asked = max(self.asked, int(row["proposal"]))

    def _on_proposed(self, row: Row) -> None:
        self.open = OpenProposal(row)
        self.proposed[int(row["proposal"])] = row
        usage = from_json(Usage, row.get("usage") or {})
        self.usage_of[int(row["proposal"])] = usage
        self.usage = added(self.usage, usage)

    def _on_verdict(self, row: Row) -> None:
        if self.open and row["proposal"] == self.open.number:
            self.open.verdicts.append(row)
        if row["judgement"] == "inconclusive" and row.get("trial_id"):
            self.inconclusive.add(str(row["trial_id"]))

    def _on_step(self, row: Row) -> None:
        if self.open and row["proposal"] == self.open.number:
            self.open.steps.append(row)

    def _on_decided(self, row: Row) -> None:
        self.decided.append(row)
        self.open = None
        self.decisions_since_incumbent += 1
        if row["decision"] == Decision.KEEP:
            self.incumbent = str(row["commit"])
            self.selected, self.decisions_since_incumbent = len(self.losses(self.incumbent)), 0
            self.margin_spent += float((row.get("statistics") or {}).get("margin", 0.0))

    def _on_trial_started(self, row: Row) -> None:
        self.started[str(row["trial_id"])] = row
        self.attempts[str(row["trial_id"]).partition("~")[0]] += 1
        self.active_seconds = max(0.0, self.active_seconds - row.get("waited_seconds", 0.0))

    def _on_trial_finished(self, row: Row) -> None:
        trial_id = str(row["trial_id"])
        self.started.pop(trial_id, None)
        self.finished[trial_id] = row
        self.trial_seconds += float(row.get("wall_seconds", 0.0))
        if row["outcome"] == Outcome.INFRA_FAILED:
            self.interruptions[str(row["commit"])] += row["reason"] == "interrupted"
        elif row["outcome"] == Outcome.COMPLETED:
            self.unscored[trial_id] = row
        else:
            self._observe(row, None)

    def _on_scored(self, row: Row) -> None:
        score = from_json(Score, row)
        if score.status != "infra_failed" and str(row["trial_id"]) in self.unscored:
            self._observe(self.unscored.pop(str(row["trial_id"])), score)

    def _on_certificate(self, row: Row) -> None:
        self.certificates.append(row)

    def _on_session_ended(self, row: Row) -> None:
        self.ended = row

    def _observe(self, row: Row, score: Score | None) -> None:
        if row["commit"] == self.incumbent:
            self.decisions_since_incumbent = 0
        result = from_json(TrialResult, row)
        invalid = score is not None and score.status != "scored"
        self.observations[str(row["commit"])].append(
            Observation(
                trial_id=result.trial_id,
                commit=str(row["commit"]),
                role=Role(row["role"]),
                seed=int(row["seed"]),
                outcome=Outcome.CRASHED if invalid else result.outcome,
                score=score.value if score is not None and not invalid else None,
                reason=score.reason if score is not None and invalid else result.reason,
                side=score.side if score else {},
                claims=result.claims,
                artefact_sha256=result.artefact_sha256,
                billed_seconds=result.billed_seconds,
                peak_memory_bytes=result.peak_memory_bytes,
                machine=result.machine,
                log=score.detail if score is not None and invalid else result.log,
            )
        )


def folded(rows: Iterable[Row]) -> State:
    """The state after these rows."""
    state = State()
    for row in rows:
        state.apply(row)
    return state


def added(one: Usage, other: Usage) -> Usage:
    names = Usage.__dataclass_fields__
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in names})
