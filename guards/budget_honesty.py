"""Whether every trial had the same machine under it, and what a candidate says about its budget.

Only what the referee measures, and what the unmodified baseline says of its steps, can buy a repetition: a candidate
must not get another try by saying odd things.
What it says about itself is shown beside the referee's clock, and nothing is decided on it. Where the budget is a
number of steps or tokens, that number is the candidate's word: its time is held against the baseline's for as much.
What runs before the gate is not billed, since imports and compilation must not be: but with data that it makes up, or
finds among the libraries, a program can learn there, too. So that time is held against the baseline's own.

Names in `Observation.machine`, each optional:
    canary_ratio            speed of the referee's own fixed piece of work beside the trial, 1 = as calibrated
    step_rate_ratio         speed of the unmodified baseline, in this trial or the one before it, 1 = as calibrated
    energy_ratio            energy of that fixed piece of work on a GPU, 1 = as calibrated
    pulse_ratio             speed of the referee's small work while the trial ran, 1 = as beside the incumbent's latest
    pulse_tolerance         how much faster that may be, by its own scatter
    foreign_shift           cores that other programs used meanwhile, more than beside the incumbent's latest trials
    foreign_tolerance       how far that may be from 0, by its own scatter
    foreign_processes       processes on the trial's device that are not the trial's
    foreign_memory_gib      where the driver shows no processes: memory of the device, before or after the trial, beyond
                            what the referee's own processes may hold
    cpu_clock_exact         1 where no process can have escaped the count of CPU time
    left_processes          processes of the trial that were there after its end
    work_ratio              billed time of a budget of steps or tokens, 1 = the baseline's median for as many
    early_seconds           worked before the gate opened, in the clock of the budget, or by the wall's clock in a
                            preparation just before (harness/trial/compiled.py), whichever is longer
    ahead_seconds           of its start-up, what went on beside the score of the trial before
    ahead_cpu_seconds       CPU time that it had used when that score was over
"""

import math
import statistics
from collections.abc import Iterator, Sequence

from guards.verdicts import accept, inconclusive, reject
from harness.records import Evidence, Json, Observation, Role, Verdict, step_rate

_TIMES = ("seconds", "elapsed", "train_seconds", "training_seconds")
_CLAIM_SECONDS = 2.0
_FOREIGN_GIB = 0.5
_RATIOS = {  # what is compared with the calibration: its name, and the words for less and for more of it
    "canary_ratio": ("the machine was", "slower than", "faster than", "as fast"),
    "step_rate_ratio": ("the baseline trained", "slower than", "faster than", "as fast"),
    "energy_ratio": ("fixed work took", "less energy than", "more energy than", "as much"),
}
_NO_EVIDENCE = "it does not count, and another is made (of three at most)"


class BudgetHonesty:
    """tolerance: how far a ratio may be from 1. work_factor: most that `work_ratio` may be, as the median of a
    candidate's trials; a single trial may take twice that, since a busy machine makes steps slower by up to two times.
    startup_factor: likewise, of the baseline's own longest time before the gate. What stays below startup_seconds +
    startup_share of the time that the baseline is billed for is never too much: a small model compiled for a processor
    takes some 30 CPU seconds.
    """

    name = "budget_honesty"
    stages = ("runtime", "promotion")

    def __init__(
        self,
        tolerance: float = 0.1,
        work_factor: float = 3.0,
        startup_factor: float = 4.0,
        startup_seconds: float = 40.0,
        startup_share: float = 0.5,
    ) -> None:
        if not 0 < tolerance < 1:
            raise ValueError(f"tolerance {tolerance} is not between 0 and 1")
        if not work_factor > 1:
            raise ValueError(f"work_factor {work_factor} is not above 1")
        if not startup_factor >= 1 or startup_seconds < 0 or startup_share < 0:
            raise ValueError(
                "startup_factor is 1 or more, startup_seconds and startup_share are not negative"
            )
        self._tolerance, self._work_factor = tolerance, work_factor
        self._startup = (startup_factor, startup_seconds, startup_share)

    def __call__(self, evidence: Evidence) -> Verdict:
        for trial in evidence.candidate_trials:
            for case, message in self._dishonest(trial):
                return reject(self.name, f"budget.{case}", f"{trial.trial_id}: {message}")
        latest = evidence.candidate_trials[-1:]  # the trial that a repetition would replace
        # Steps score the same on a slow machine, which matters only where it explains what they took
        too_much = self._too_much_work(evidence)
        for trial in () if evidence.fixed_work and too_much is None else latest:
            for case, message in self._disturbed(trial):
                about: dict[str, Json] = {"trial_id": trial.trial_id}
                said = f"{trial.trial_id}: {message}: {_NO_EVIDENCE}"
                return inconclusive(self.name, f"budget.{case}", said, about)
        # A disturbed machine is slow, too: that was looked at before.
        if verdict := too_much or self._too_early(evidence):
            return verdict
        measured = any(trial.machine for trial in latest)
        words = "" if measured else "the machine was not measured beside the trial"
        words = self._much_early(evidence) or words
        shown = self._claims(latest) | _rate_ratio(latest, evidence.incumbent_trials)
        return accept(self.name, words, shown)

    def _dishonest(self, trial: Observation) -> Iterator[tuple[str, str]]:
        if trial.machine.get("left_processes", 0) > 0:
            yield "left_process", "processes of the trial were there after its end"

    def _too_much_work(self, evidence: Evidence) -> Verdict | None:
        """Twice the gradients a step is honest work, many times the steps is not."""
        ratios = [trial.machine["work_ratio"] for trial in _own(evidence) if "work_ratio" in trial.machine]
        allowed = f"times the baseline's time for the same work, {self._work_factor:g} are allowed"
        return self._beyond(
            "work", [ratio / self._work_factor for ratio in ratios], ratios, allowed, evidence
        )

    def _too_early(self, evidence: Evidence) -> Verdict | None:
        """Libraries more than the baseline's and a compilation are honest work, a trial's length of learning is not."""
        if (usual := _usual_start(evidence)) is None:
            return None
        factor, floor_seconds, share = self._startup
        early, billed = usual
        allowed = max(factor * early, floor_seconds + share * billed)
        seconds = _early_seconds(_own(evidence))
        words = (
            f"s before the gate, {allowed:.1f} are allowed (the baseline works {early:.1f} s); where compiling takes "
            "so long, guards.budget_honesty.startup_seconds allows more"
        )
        return self._beyond("startup", [one / allowed for one in seconds], seconds, words, evidence)

    def _much_early(self, evidence: Evidence) -> str:
        """Said, and nothing decided on it: below the limit a compilation and learning from made-up data look alike."""
        usual, own = _usual_start(evidence), _early_seconds(_own(evidence))
        if usual is None or not own:
            return ""
        factor, _, share = self._startup
        early, billed = usual
        if (middle := statistics.median(own)) <= max(factor * early, share * billed):
            return ""
        return f"worked {middle:.1f} s before the gate, where nothing is billed; the baseline {early:.1f} s"

    def _beyond(
        self, case: str, ratios: Sequence[float], shown: Sequence[float], allowed: str, evidence: Evidence
    ) -> Verdict | None:
        """ratios: 1 = all that is allowed. One slow trial may be the machine's fault.

        The median and not the least: who tosses a coin about cheating must not get away with it.
        """
        if not ratios:
            return None
        usual, reason = statistics.median(ratios), f"budget.{case}"
        if max(ratios) > 2:
            return reject(self.name, reason, f"a trial took {max(shown):.1f} {allowed}")
        if usual <= 1:
            return None
        middle = statistics.median(shown)
        if len(ratios) > 1:
            return reject(self.name, reason, f"{len(ratios)} trials took {middle:.1f} {allowed}")
        if evidence.stage == "promotion":
            message = f"the only trial took {middle:.1f} {allowed}"
            return inconclusive(self.name, reason, message, trials_wanted=2)
        return None

    def _claims(self, trials: Sequence[Observation]) -> dict[str, Json]:
        """Claimed times beside the billed ones where they do not fit: shown, nothing is decided on them."""
        shown: dict[str, Json] = {}
        for trial in trials:
            for name in _TIMES:
                claimed = trial.claims.get(name)
                if isinstance(claimed, bool) or not isinstance(claimed, int | float):
                    continue
                allowed = trial.billed_seconds * (1 + self._tolerance) + _CLAIM_SECONDS
                if not 0 <= claimed <= allowed:
                    shown |= {f"claimed_{name}": claimed, "billed_seconds": trial.billed_seconds}
        return shown

    def _disturbed(self, trial: Observation) -> Iterator[tuple[str, str]]:
        if trial.machine.get("foreign_processes", 0) > 0:
            yield "foreign_process", "another process was on the trial's device"
        if (held := trial.machine.get("foreign_memory_gib", 0.0)) > _FOREIGN_GIB:
            yield "foreign_process", f"another program held {held:.1f} GiB of the trial's device"
        # Only faster: a candidate can slow our pulse down on purpose, and must not buy another try with it.
        if (faster := trial.machine.get("pulse_ratio", 1.0)) > 1 + trial.machine.get(
            "pulse_tolerance", math.inf
        ):
            yield "disturbed", f"the machine was {faster:.2f} times as fast as beside the incumbent"
        shift = trial.machine.get("foreign_shift", 0.0)
        if abs(shift) > trial.machine.get("foreign_tolerance", math.inf):
            more = "more" if shift > 0 else "fewer"
            yield (
                "disturbed",
                f"other programs used {abs(shift):.1f} cores {more} than beside the incumbent's trials",
            )
        for name in _RATIOS:
            ratio = trial.machine.get(name, 1.0)
            if not math.isfinite(ratio) or abs(ratio - 1) > self._tolerance:
                yield "disturbed", _compared(name, ratio)


def _compared(name: str, ratio: float) -> str:
    """ "the machine was faster than calibrated (2.31 times as fast)": which way it is off comes before how far."""
    what, less, more, measure = _RATIOS[name]
    if not math.isfinite(ratio):
        return f"{what} not comparable with the calibration"
    return f"{what} {less if ratio < 1 else more} calibrated ({ratio:.2f} times {measure})"


def _early_seconds(trials: Sequence[Observation]) -> list[float]:
    """Work before the gate, of those trials in which it was measured."""
    return [trial.machine["early_seconds"] for trial in trials if "early_seconds" in trial.machine]


def _usual_start(evidence: Evidence) -> tuple[float, float] | None:
    """The baseline's longest work before the gate and the billed seconds of its trials; None if neither is known."""
    measured = [trial for trial in evidence.baseline_trials if "early_seconds" in trial.machine]
    if not measured:
        return None
    return max(_early_seconds(measured)), statistics.median(trial.billed_seconds for trial in measured)


def _own(evidence: Evidence) -> list[Observation]:
    """Whole trials of the candidate: short controls work less."""
    return [trial for trial in evidence.candidate_trials if trial.role is Role.CANDIDATE]


def _rate_ratio(trials: Sequence[Observation], incumbents: Sequence[Observation]) -> dict[str, Json]:
    """Claimed steps a second against the incumbent's: a reader sees what a change costs or saves a step."""
    own, theirs = _rates(trials), _rates(incumbents)
    if not own or not theirs:
        return {}
    ratio = own[-1] / statistics.median(theirs)
    return {"claimed_step_rate_ratio": ratio} if math.isfinite(ratio) else {}


def _rates(trials: Sequence[Observation]) -> list[float]:
    rates = [step_rate(trial.claims, trial.billed_seconds) for trial in trials]
    return [rate for rate in rates if rate]
