"""Plain facts that travel between the zones: frozen dataclasses, next to no behaviour, standard library only.

Everything here can be written to the ledger and read back; a guard or a keep rule sees nothing else.
Scores carry the task's own unit and direction; *losses* (used by keep rules) are scores turned so that
lower is better.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Literal, TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
Files: TypeAlias = Mapping[str, bytes]
"""Relative POSIX path -> exact bytes."""


class Direction(StrEnum):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Outcome(StrEnum):
    """How a trial ended. Only an infrastructure failure is not a result, and only it is retried."""

    COMPLETED = "completed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    INFRA_FAILED = "infra_failed"


class Judgement(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


class Decision(StrEnum):
    KEEP = "keep"
    DISCARD = "discard"


class DecidedBy(StrEnum):
    """What settled a proposal."""

    STATISTICS = "statistics"  # the keep rule
    GUARD = "guard"
    TRIAL = "trial"  # one that crashed, timed out or had no valid score
    AGENT = "agent"  # it handed in nothing that could be tried


TransferWord = Literal["carries_over", "does_not", "cannot_tell"]
"""Of a certified gain at another budget."""


class EndCause(StrEnum):
    """Why a search ended. Those of a limit are named as the budget names them."""

    AGENT_FINISHED = "agent_finished"  # it has no more proposals
    AGENT_FAILED = "agent_failed"  # it cannot go on: no key, provider down
    UNUSABLE_PROPOSALS = "unusable_proposals"  # too many in a row
    PROPOSALS = "proposals"
    TRIALS = "trials"
    HOURS = "hours"
    DOLLARS = "dollars"
    TOKENS = "tokens"


class Role(StrEnum):
    """Why a trial was run."""

    BASELINE = "baseline"
    INCUMBENT = "incumbent"
    CANDIDATE = "candidate"
    CERTIFICATE_HEAD = "certificate_head"
    CERTIFICATE_BASELINE = "certificate_baseline"
    NOISE = "noise"
    PLACEBO = "placebo"  # short, on shuffled training data
    PLACEBO_TWIN = "placebo_twin"  # equally short, on the real training data
    REPEAT = "repeat"  # a seed that this candidate already had: is it deterministic?
    STEP_HEAD = "step_head"  # the race that certifies a stack of keeps or rolls it back
    STEP_CERTIFIED = "step_certified"  # the last certified state in that race
    ABLATION = "ablation"


class Split(StrEnum):
    VAL = "val"
    TEST = "test"  # sealed: certificates only, never named in text that an agent reads


class Level(IntEnum):
    """Isolation of untrusted processes, as measured by the harness's own self-attacks."""

    L0 = 0  # none
    L1 = 1  # other uid + Landlock + seccomp + subreaper
    L2 = 2  # namespaces, unprivileged, + seccomp
    L3 = 3  # other uid + namespaces + seccomp


@dataclass(frozen=True, slots=True)
class Clock:
    """What bounds a trial. `seconds` is billed from the opening of the data gate.

    kind: "wall" (CLOCK_BOOTTIME) or "cpu" (user + system time of the whole process tree).
    startup_seconds: wall-clock cap on everything before the gate, which is not billed.
    steps, tokens: if set, the budget is fixed work and `seconds` only a cap (for shared machines).
    """

    kind: str = "wall"
    seconds: float = 300.0
    startup_seconds: float = 120.0
    steps: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trial may use."""

    memory_bytes: int = 8 << 30
    processes: int = 64
    open_files: int = 1024
    out_bytes: int = 2 << 30
    artefact_bytes: int = 1 << 30
    log_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """What a proposal cost. Tokens as the provider counted them; dollars by the prices in the config."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    dollars: float = 0.0
    seconds: float = 0.0


def added(one: Usage, other: Usage) -> Usage:
    """The sum of two usages, name by name."""
    names = Usage.__dataclass_fields__
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in names})


MOST_FILES = 1000  # that one proposal may change: each is a call of git


@dataclass(frozen=True, slots=True)
class Proposal:
    """An agent's edit: the complete new bytes of every path that it changed, relative to the incumbent.

    links: path -> target of symbolic links that the agent left in its copy (never followed).
    state: what a stateless agent needs to see again in its history (e.g. tuned values).
    problem: set when the agent could not deliver a usable edit (malformed, does not apply, refusal);
    such a proposal is recorded and discarded without a trial.
    """

    files: Files
    rationale: str
    hypothesis: str = ""
    deleted: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = Usage()
    state: Mapping[str, Json] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One run of one candidate at one seed."""

    trial_id: str
    commit: str
    role: Role
    seed: int
    clock: Clock
    limits: Limits


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What the referee measured of a trial. Nothing in it was said by the candidate but `claims` and `log`.

    artefact: path of the referee's own copy, relative to the session folder, "" if there is none.
    reason: one word for the outcome, e.g. "exit_1", "deadline", "memory", "no_artefact", "bad_artefact".
    claims: scalars that the candidate wrote about itself (steps, training loss): shown, never believed.
    log: clipped tail of stdout and stderr.
    cache: what of compiled code it found, see harness/trial/compiled.py; "" where none is kept.
    preparation_seconds: what preparing that took, just before the trial.
    machine: what the referee saw of the machine around the trial, by the names in guards/budget_honesty.py.
    """

    trial_id: str
    outcome: Outcome
    reason: str
    artefact: str = ""
    artefact_sha256: str = ""
    startup_seconds: float = 0.0
    billed_seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    claims: Mapping[str, Json] = field(default_factory=dict)
    log: str = ""
    level: Level = Level.L0
    cache: str = ""
    preparation_seconds: float = 0.0
    machine: Mapping[str, float] = field(default_factory=dict)


def step_rate(claims: Mapping[str, Json], billed_seconds: float) -> float | None:
    """Steps a billed second by a trial's own count, finite and above 0; None where it claims no such number."""
    step = claims.get("step")
    if isinstance(step, bool) or not isinstance(step, int | float) or not billed_seconds > 0:
        return None
    try:
        rate = step / billed_seconds
    except OverflowError:  # an integer may be too large for a float
        return None
    return rate if math.isfinite(rate) and rate > 0 else None


@dataclass(frozen=True, slots=True)
class Metrics:
    """What `evaluate.py` returns: the task's metric and anything worth showing beside it."""

    value: float
    side: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemScores:
    """What a score is made of: the metric is the sum of `values` divided by the sum of `weights`.

    what: what an item is, in the plural ("documents", "queries"). Both in the order in which the split has them.
    """

    what: str
    values: tuple[float, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The evaluator's word on one artefact and split.

    status: "scored"; "invalid" (the artefact or the predictor broke the contract or failed an audit: the
    candidate's worst score); "infra_failed" (ours: retried, never held against the candidate).
    items: on the sealed split, where the task tells them. For the certificate alone: no agent and no guard sees them.
    """

    status: str
    value: float | None = None
    side: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0
    items: ItemScores | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """A finished trial with its score: the unit of evidence for guards and keep rules."""

    trial_id: str
    commit: str
    role: Role
    seed: int
    outcome: Outcome
    score: float | None
    reason: str = ""
    side: Mapping[str, float] = field(default_factory=dict)
    claims: Mapping[str, Json] = field(default_factory=dict)
    artefact_sha256: str = ""
    billed_seconds: float = 0.0
    peak_memory_bytes: int = 0
    log: str = ""
    machine: Mapping[str, float] = field(default_factory=dict)  # see TrialResult


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """What a candidate's latest trial was like, for agents. Nothing in it comes from where held-out data are.

    curve: training losses that it claimed, over equal shares of its time. startup_seconds: before the data gate;
    training_seconds: billed since then, of allowed_seconds; cpu_seconds: of the whole of it.
    """

    curve: tuple[float, ...] = ()
    startup_seconds: float = 0.0
    training_seconds: float = 0.0
    allowed_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PastProposal:
    """A proposal of this session that has been decided.

    measured: whether a trial of it said something. doubts: what static guards left to trials, a line each.
    """

    number: int
    files: Files  # all editable files as proposed
    rationale: str
    decision: Decision
    reason: str
    score: float | None = None  # rounded where an agent sees it
    category: str = ""
    state: Mapping[str, Json] = field(default_factory=dict)
    hypothesis: str = ""
    log: str = ""
    inference_cost: float | None = (
        None  # of loading and answering, in times of the baseline's: about 1, 2, 5, 10
    )
    measured: bool = True
    doubts: tuple[str, ...] = ()
    trial: TrialSummary | None = None


@dataclass(frozen=True, slots=True)
class SideLimit:
    """How far a side metric of a task may be from the baseline's mean.

    direction: which way is better. margin: in the side metric's unit, how much worse it may get.
    """

    direction: Direction
    margin: float


@dataclass(frozen=True, slots=True)
class View:
    """All that an agent may know. Scores in it are rounded; the sealed split does not appear."""

    task: str
    metric: str
    direction: Direction
    program: str
    editable: Files
    readable: Files
    incumbent_score: float | None
    baseline_score: float | None
    history: tuple[PastProposal, ...]
    number: int  # of the proposal that is asked for, from 1
    proposals_left: int | None = None
    seed: int = 0  # for agents that draw: differs per proposal
    dollars_left: float | None = None  # None: without a limit
    tokens_left: int | None = None
    incumbent_trial: TrialSummary | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a guard may know. Stage "static": before any trial; "runtime": after each trial;
    "promotion": once, when the keep rule has said keep.

    incumbent, candidate: every file of either tree, protected files included.
    editable: the paths that a proposal may change.
    manifest_before, manifest_after: SHA-256 of every protected file by label, around the trials.
    incumbent_trials, candidate_trials: evidence so far, oldest first.
    noise_sd: pooled sd of the score, None while unknown; noise_df: its degrees of freedom.
    baseline, baseline_trials: the session's unmodified program, and its trials.
    doubts: what static guards have left to trials. fixed_work: whether a trial is bounded by steps or tokens.
    side_limits: side metrics of the task that must not get worse than a margin.
    """

    stage: str
    editable: tuple[str, ...]
    incumbent: Files
    candidate: Files
    links: Mapping[str, str] = field(default_factory=dict)
    history: tuple[PastProposal, ...] = ()
    incumbent_trials: tuple[Observation, ...] = ()
    candidate_trials: tuple[Observation, ...] = ()
    manifest_before: Mapping[str, str] = field(default_factory=dict)
    manifest_after: Mapping[str, str] = field(default_factory=dict)
    noise_sd: float | None = None
    noise_df: int = 0
    determinism: str = "none"  # the task's declared class: "bitwise" | "close" | "none"
    baseline: Files = field(default_factory=dict)
    baseline_trials: tuple[Observation, ...] = ()
    doubts: tuple[str, ...] = ()
    fixed_work: bool = False
    side_limits: Mapping[str, SideLimit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A guard's word. reason is a stable code "family.case"; message is one line for people.

    doubts: what an accepting guard could not settle, a line each; trials must settle it before a keep.
    trials_wanted: how many trials of its own a candidate needs before this guard can say anything (inconclusive).
    incumbent_seed_wanted: whether the candidate is to be tried once at a seed of the incumbent's first.
    """

    guard: str
    judgement: Judgement
    reason: str = ""
    message: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    trials_wanted: int = 0
    incumbent_seed_wanted: bool = False


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """What a keep rule decides on. All numbers are losses (lower is better), in the metric's unit.

    incumbent, candidate: finite losses of completed trials, in the order in which they were run. Under a rule with
    two levels the incumbent is the head, kept provisionally or certified.
    configurations: losses of every other configuration with more than one confirmatory run, for the
    pooled sd; screening runs (a candidate's first, on which it was selected) are already left out.
    incumbent_screening: how many of the first incumbent losses were screening runs of its own race.
    prior_sd, prior_df: sd from earlier sessions of the same task, machine and budget.
    incumbent_complexity, candidate_complexity: size measures, 0 if unknown.
    margin_spent: sum of the margins of this session's keeps so far.
    incumbent_selected: how many of the first incumbent losses the incumbent was kept on (0: the baseline).
    decisions_since_incumbent: decisions since the incumbent's last trial.
    incumbent_beside: how many of the last incumbent losses were run since this candidate's first trial.
    least_trials: trials of the candidate that a guard needs before it can say anything.
    provisional: keeps since the last certified step; 0: the incumbent is the certified state.
    certified: losses of the certified state, in the order of its trials; empty while it is the incumbent.
    step_head, step_certified: losses of the race under way between head and certified state.
    races: whether each earlier race of this session ended in a certified step.
    ending: no further proposal will come; what is provisional has to be settled.
    """

    incumbent: tuple[float, ...]
    candidate: tuple[float, ...]
    configurations: tuple[tuple[float, ...], ...] = ()
    incumbent_screening: int = 0
    prior_sd: float | None = None
    prior_df: int = 0
    decisions_made: int = 0
    incumbent_complexity: int = 0
    candidate_complexity: int = 0
    margin_spent: float = 0.0
    incumbent_selected: int = 0
    decisions_since_incumbent: int = 0
    incumbent_beside: int = 0
    least_trials: int = 0
    provisional: int = 0
    certified: tuple[float, ...] = ()
    step_head: tuple[float, ...] = ()
    step_certified: tuple[float, ...] = ()
    races: tuple[bool, ...] = ()
    ending: bool = False


@dataclass(frozen=True, slots=True)
class AblatedChange:
    """What one change of a stack of keeps is worth: mean loss without it minus mean loss with it, in [low, high].

    proposal: whose change; 0: the whole stack against what it was built on. how: "taken_back" from the stack's head,
    or, where later changes build on it, "added" to those before it. trials: without it, with it.
    status: "carries" (low above 0), "harms" (high below 0), "not_shown", "fails_without" (a trial without it had no
    score), "no_score" (one with it had none), "unlike_conditions" (the machine was not the same under both).
    """

    proposal: int
    how: Literal["whole", "taken_back", "added"]
    status: Literal["carries", "harms", "not_shown", "fails_without", "no_score", "unlike_conditions"]
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    trials: tuple[int, int] = (0, 0)


class Action(StrEnum):
    """What a keep rule wants. The last five come between proposals, from rules with two levels."""

    RUN_CANDIDATE = "run_candidate"
    RUN_INCUMBENT = "run_incumbent"
    KEEP = "keep"
    DISCARD = "discard"
    PROPOSE = "propose"  # nothing to do: ask for the next proposal
    RUN_HEAD = "run_head"
    RUN_CERTIFIED = "run_certified"
    CERTIFY = "certify"  # head and what led to it become the certified state
    ROLL_BACK = "roll_back"  # the certified state is the incumbent again


@dataclass(frozen=True, slots=True)
class Step:
    """What a keep rule wants next, and why. statistics: z, df, sd, effect, looks and the like."""

    action: Action
    reason: str
    statistics: Mapping[str, float] = field(default_factory=dict)
