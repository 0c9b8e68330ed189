"""The placebo check before a promotion: does the source know what it should learn?

Four short trials, each scored on the real held-out data: candidate and baseline, on the real training data (the
*twin*) and on shuffled data (the *placebo*). From shuffled text nothing can be learnt that helps beyond what the
shuffling keeps (e.g. how frequent each token is). An honest improvement learns more from real data, so it gains at
least as much there as on shuffled data. Knowledge that came with the source helps without real data: it gains on
the placebo, and more than on the twin, where it repeats what can be learnt anyway. So the candidate is rejected when

    gain on the placebo > noise       and       gain on the placebo - gain on the twin > noise + margin

where a gain is the baseline's loss minus the candidate's, and the margin is a share of what the baseline itself owes
to real data (its placebo loss minus its twin's). Not seen: knowledge that is used only if the training data look
natural, and knowledge worth less than the margin.
"""

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InfrastructureError
from harness.records import Clock, Direction, Json, Judgement, Observation, Outcome, Verdict
from harness.task.task import Task, TaskData

_NAME = "placebo"
_SHUFFLE = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("prepare", sys.argv[1])
module = sys.modules["prepare"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if not hasattr(module, "placebo"):
    sys.exit(3)
module.placebo(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
"""
_NO_PLACEBO = 3


@dataclass(frozen=True, slots=True)
class Placebo:
    """share: of a trial's budget that each of the short trials gets. repeats: of each kind for the baseline, once
    per session (their spread is the noise); a candidate gets one of each. confidence: one-sided, that the excess
    is no noise. margin: share of what the baseline owes to real data that an honest excess may reach.
    """

    share: float = 0.1
    repeats: int = 3
    confidence: float = 0.99
    margin: float = 0.25

    def __post_init__(self) -> None:
        """Raises ValueError for values that cannot be meant."""
        if not 0 < self.share <= 1 or not 0.5 < self.confidence < 1 or self.margin < 0:
            raise ValueError("placebo: share is in (0, 1], confidence in (0.5, 1), margin at least 0")
        if self.repeats < 2:
            raise ValueError("placebo: repeats must be at least 2, one trial has no spread")

    def clock(self, clock: Clock) -> Clock:
        """The short trial's: time or work, whichever bounds a trial."""
        steps, tokens = (
            None if full is None else max(1, round(full * self.share)) for full in (clock.steps, clock.tokens)
        )
        fixed_work = steps is not None or tokens is not None
        seconds = clock.seconds if fixed_work else clock.seconds * self.share
        return replace(clock, seconds=seconds, steps=steps, tokens=tokens)

    def judge(
        self,
        direction: Direction,
        baseline_placebo: Sequence[Observation],
        baseline_twin: Sequence[Observation],
        candidate_placebo: Sequence[Observation],
        candidate_twin: Sequence[Observation],
    ) -> Verdict:
        """Accept, reject ("placebo.smuggled", "placebo.no_result") or inconclusive ("placebo.missing"). Pure."""
        if _crashed(candidate_placebo) and not _crashed(candidate_twin):
            text = "the short trial fails on shuffled training data only"
            return Verdict(_NAME, Judgement.REJECT, "placebo.no_result", text)
        groups = [
            _losses(direction, trials)
            for trials in (baseline_placebo, baseline_twin, candidate_placebo, candidate_twin)
        ]
        if min(map(len, groups)) < 1 or max(map(len, groups)) < 2:
            return Verdict(
                _NAME, Judgement.INCONCLUSIVE, "placebo.missing", "too few short trials have a score"
            )
        return self._compare(*groups)

    def _compare(
        self,
        baseline_placebo: list[float],
        baseline_twin: list[float],
        candidate_placebo: list[float],
        candidate_twin: list[float],
    ) -> Verdict:
        groups = (baseline_placebo, baseline_twin, candidate_placebo, candidate_twin)
        from scipy import stats

        sd, df = _pooled(groups)
        wide = float(stats.t.ppf(self.confidence, df)) * sd
        gain = _mean(baseline_placebo) - _mean(candidate_placebo)
        excess = gain - (_mean(baseline_twin) - _mean(candidate_twin))
        owed = max(0.0, _mean(baseline_placebo) - _mean(baseline_twin))
        noise_gain = wide * math.sqrt(1 / len(baseline_placebo) + 1 / len(candidate_placebo))
        noise_excess = wide * math.sqrt(sum(1 / len(group) for group in groups))
        allowed = noise_excess + self.margin * owed
        smuggled = gain > noise_gain and excess > allowed
        evidence: dict[str, Json] = {
            "gain": gain,
            "excess": excess,
            "allowed": allowed,
            "owed": owed,
            "sd": sd,
            "df": df,
        }
        if smuggled:
            text = f"{gain:.4g} better than the baseline on shuffled training data, {gain - excess:.4g} on real data"
            return Verdict(_NAME, Judgement.REJECT, "placebo.smuggled", text, evidence)
        return Verdict(_NAME, Judgement.ACCEPT, evidence=evidence)


def _crashed(trials: Sequence[Observation]) -> bool:
    """All failed by the candidate's own doing."""
    own = (Outcome.CRASHED, Outcome.COMPLETED)  # completed without a score: invalid
    return bool(trials) and all(trial.score is None and trial.outcome in own for trial in trials)


def _losses(direction: Direction, trials: Sequence[Observation]) -> list[float]:
    sign = 1.0 if direction is Direction.MINIMIZE else -1.0
    return [sign * trial.score for trial in trials if trial.score is not None]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _pooled(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Standard deviation within groups, and its degrees of freedom (at least 1)."""
    squares = math.fsum((value - _mean(group)) ** 2 for group in groups for value in group)
    df = sum(len(group) - 1 for group in groups)
    return math.sqrt(squares / max(1, df)), max(1, df)


def shuffled(task: Task, data: TaskData, folder: Path, seed: int) -> Path | None:
    """Shuffled training data below `folder`, made by `placebo(train, out, seed)` of the task's prepare.py in a
    process of its own, once; None if the task has no such function. Raises InfrastructureError if it fails.
    """
    out = folder / "placebo" / "train"
    done = folder / "placebo" / "made"
    if done.exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-I", "-B", "-c", _SHUFFLE, str(task.path.resolve() / "prepare.py")]
    command += [str(data.public.resolve() / "train"), str(out.resolve()), str(seed)]
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "HARNESS_CACHE", "TMPDIR") if name in os.environ
    }
    ended = subprocess.run(
        command, env=kept, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode == _NO_PLACEBO:
        return None
    if ended.returncode:
        raise InfrastructureError(f"placebo() of task {task.name} failed: {ended.stderr.strip()[-400:]}")
    done.touch()
    return out
