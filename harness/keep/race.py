"""Screen with one trial, confirm by a group-sequential race in interleaved blocks, stop early either way."""

from dataclasses import dataclass

from harness.keep.blocks import complete, next_in_block
from harness.keep.bounds import block_bounds
from harness.keep.drift import drift
from harness.keep.final_keeps import FinalKeeps
from harness.keep.noise_level import NoiseLevel, from_evidence, usable
from harness.keep.two_samples import TwoSampleTest, compare
from harness.records import Action, KeepEvidence, Step

_LEAST_RUNS = 2  # of the incumbent, before anything is compared with it


@dataclass(frozen=True, slots=True)
class Race(FinalKeeps):
    """Keep when the evidence crosses an O'Brien-Fleming bound, drop when it is below `futility`.

    The first trial is compared with the incumbent's latest ones and can only drop the candidate. Each later one
    has a fresh trial of the incumbent beside it, and those alone decide, with each side's own moderated variance.

    alpha: probability that a candidate without effect is kept.
    max_runs: most trials of a candidate.
    futility: smallest normal score that goes on; low scores may go on without harm to alpha.
    incumbent_runs: trials of the baseline before the first proposal; so many of an incumbent's latest trials are
    what a candidate is screened against.
    refresh: one more trial of the incumbent after so many decisions without one; 0: never.
    margin: a simplification is kept once it is shown to be worse by less than this (in the metric's unit).
    margin_budget: the sum of the margins that a session may give away so; 0: simplifications get none.
    """

    alpha: float = 0.05
    max_runs: int = 6
    futility: float = 1.0
    incumbent_runs: int = 4
    refresh: int = 0
    margin: float = 0.0
    margin_budget: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha is {self.alpha}; it must lie between 0 and 0.5")
        if self.max_runs < _LEAST_RUNS:
            raise ValueError(f"max_runs is {self.max_runs}; a keep needs at least {_LEAST_RUNS} trials")
        if self.incumbent_runs < _LEAST_RUNS:
            raise ValueError(f"incumbent_runs is {self.incumbent_runs}; the sd needs at least {_LEAST_RUNS}")
        if min(self.refresh, self.margin, self.margin_budget) < 0:
            raise ValueError("refresh, margin and margin_budget cannot be negative")

    def next_step(self, evidence: KeepEvidence) -> Step:
        if not usable(evidence):
            return Step(Action.DISCARD, "not_finite")
        noise = from_evidence(evidence)
        wanted = _LEAST_RUNS if evidence.incumbent_screening else self.incumbent_runs
        if noise is None or len(evidence.incumbent) < wanted:
            return Step(Action.RUN_INCUMBENT, "noise_unknown" if noise is None else "incumbent_runs")
        if not evidence.candidate:
            stale = 0 < self.refresh <= evidence.decisions_since_incumbent
            return Step(Action.RUN_INCUMBENT, "refresh") if stale else Step(Action.RUN_CANDIDATE, "screening")
        if len(evidence.candidate) == 1 and not evidence.incumbent_beside:
            return self._screened(evidence, noise)
        if not complete(evidence.incumbent_beside, len(evidence.candidate), ahead=1):
            return self._block(evidence)
        return self._look(evidence, noise)

    def _screened(self, evidence: KeepEvidence, noise: NoiseLevel) -> Step:
        """After the first trial: drop, or begin the race."""
        found = compare(evidence.incumbent[-self.incumbent_runs :], evidence.candidate, noise)
        statistics = _statistics(evidence, noise, found)
        if found.beyond(self._margin(evidence)) < self.futility:
            return Step(Action.DISCARD, "futile", statistics)
        return self._block(evidence, statistics)

    def _block(self, evidence: KeepEvidence, statistics: dict[str, float] | None = None) -> Step:
        counts = (evidence.incumbent_beside, len(evidence.candidate))
        action = next_in_block(*counts, Action.RUN_INCUMBENT, Action.RUN_CANDIDATE, ahead=1)
        return Step(action, "undecided", statistics or {})

    def _look(self, evidence: KeepEvidence, noise: NoiseLevel) -> Step:
        """What the trials so far say, once a block is complete."""
        runs, margin = len(evidence.candidate), self._margin(evidence)
        found = compare(evidence.incumbent[-evidence.incumbent_beside :], evidence.candidate, noise)
        bound = self._bound(runs)
        statistics = {**_statistics(evidence, noise, found), "bound": bound}
        if alarm := drift(evidence, noise):
            statistics["drift"] = alarm.z
        enough = runs >= max(_LEAST_RUNS, evidence.least_trials)
        if enough and found.z >= bound:
            return Step(Action.KEEP, "crossed_bound", statistics)
        if enough and margin and found.beyond(margin) >= bound:
            return Step(Action.KEEP, "simpler_and_not_worse", {**statistics, "margin": margin})
        if found.beyond(margin) < self.futility:
            return Step(Action.DISCARD, "futile", statistics)
        if runs >= max(self.max_runs, evidence.least_trials):
            return Step(Action.DISCARD, "no_runs_left", statistics)
        return self._block(evidence, statistics)

    def _bound(self, runs: int) -> float:
        return block_bounds(self.alpha, self.max_runs - 1, ahead=1)[min(runs, self.max_runs) - 2]

    def _margin(self, evidence: KeepEvidence) -> float:
        """How much worse this candidate may be: nothing, unless it is simpler and the budget has room."""
        simpler = 0 < evidence.candidate_complexity < evidence.incumbent_complexity
        affordable = evidence.margin_spent + self.margin <= self.margin_budget
        return self.margin if simpler and affordable else 0.0


def _statistics(evidence: KeepEvidence, noise: NoiseLevel, found: TwoSampleTest) -> dict[str, float]:
    look = float(len(evidence.candidate))
    return {"z": found.z, "effect": found.effect, "sd": noise.sd, "df": noise.df, "look": look}
