"""Side metrics of a task that must not get worse than a margin: a slice of the corpus, parameters, answer time."""

import math
import statistics
from collections.abc import Sequence

from guards.tails import student_above
from guards.verdicts import accept, inconclusive, reject
from harness.records import Direction, Evidence, Json, Observation, Outcome, Role, SideLimit, Verdict


class SideMetrics:
    """Compares each limited side metric of a candidate with the baseline's: the baseline, so that margins of
    several keeps do not add up.

    A mean within the margin passes. One beyond it is rejected when chance is below alpha (Student's t, variances
    pooled), or when most_trials of the candidate's own still show it; in between, more trials are asked for.
    """

    name = "side_metrics"
    stages = ("promotion",)

    def __init__(self, alpha: float = 0.05, most_trials: int = 4) -> None:
        if not 0 < alpha < 0.5 or most_trials < 1:
            raise ValueError("alpha must be between 0 and 0.5, most_trials at least 1")
        self._alpha, self._most = alpha, most_trials

    def __call__(self, evidence: Evidence) -> Verdict:
        shown: dict[str, Json] = {}
        wanted = ""
        for name, limit in evidence.side_limits.items():
            own = _values(evidence.candidate_trials, name, Role.CANDIDATE)
            theirs = _values(evidence.baseline_trials, name, Role.BASELINE)
            if not own or not theirs:
                return reject(
                    self.name, "side_metrics.missing", f"{name} is not among what evaluate() returned"
                )
            excess = _worse_by(own, theirs, limit) - limit.margin
            shown[name] = round(statistics.fmean(own), 6)
            if excess <= 0:
                continue
            message = (
                f"{name} is {excess + limit.margin:.4g} worse than the baseline's; at most {limit.margin:g}"
            )
            if len(own) >= self._most or chance(excess, own, theirs) < self._alpha:
                return reject(self.name, "side_metrics.worse", message, shown)
            wanted = message
        if wanted:
            count = len(_candidates(evidence)) + 1
            return inconclusive(self.name, "side_metrics.more_trials", wanted, shown, trials_wanted=count)
        return accept(self.name, evidence=shown)


def _candidates(evidence: Evidence) -> list[Observation]:
    return [trial for trial in evidence.candidate_trials if trial.role is Role.CANDIDATE]


def _values(trials: Sequence[Observation], name: str, role: Role) -> list[float]:
    done = [trial for trial in trials if trial.outcome is Outcome.COMPLETED and trial.role is role]
    return [trial.side[name] for trial in done if math.isfinite(trial.side.get(name, math.nan))]


def _worse_by(own: Sequence[float], theirs: Sequence[float], limit: SideLimit) -> float:
    apart = statistics.fmean(own) - statistics.fmean(theirs)
    return apart if limit.direction is Direction.MINIMIZE else -apart


def chance(excess: float, own: Sequence[float], theirs: Sequence[float]) -> float:
    """P(a difference of the means at least this large by chance); 1 where nothing is known of the spread."""
    df = len(own) + len(theirs) - 2
    if df < 1:
        return 1.0
    squares = sum(_squares(values) for values in (own, theirs))
    error = math.sqrt(squares / df * (1 / len(own) + 1 / len(theirs)))
    return student_above(excess / error, df) if error > 0 else 0.0


def _squares(values: Sequence[float]) -> float:
    mean = statistics.fmean(values)
    return math.fsum((value - mean) ** 2 for value in values)
