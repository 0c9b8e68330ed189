"""What the keeps of a recorded night can and cannot be told from noise, each having been decided on one trial.

The sd of one trial is not in a results.tsv: measure it (`harness noise`), or see what several would mean.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from harness.keep.power import runs_needed
from harness.ledger.recorded_night import Night, Recorded

SDS = (2e-4, 3.3e-4, 5e-4, 7e-4)  # of autoresearch's bits per byte, relative to a score near one
ALPHA = 0.05
CLASSES = {
    "A": "stands out, even as the luckiest of {} changes (5 %, Bonferroni)",
    "B": "stands out by itself (5 %), not as the luckiest of {}",
    "C": "is within the noise of two trials",
    "D": "is smaller than one change of seed usually makes (sd x 1.41)",
}
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class KeepCounts:
    """How many keeps at one sd. beyond: one-sided 5 % each; bonferroni: 5 % over all proposals; swap: smaller
    than the usual difference between two seeds (sd * sqrt 2). total_low: the whole gain is above it in 97.5 of 100
    nights, selection included."""

    sd: float
    beyond: int
    bonferroni: int
    swap: int
    total_low: float


def gains(night: Night) -> list[tuple[Recorded, float]]:
    """Every keep after its segment's baseline, with its gain over the keep before it in the segment."""
    found = []
    for segment in range(night.segments):
        bar = None
        for trial in night.finished(segment):
            if trial.status != "keep" or trial.loss is None:
                continue
            if bar is not None:
                found.append((trial, bar - trial.loss))
            bar = trial.loss
    return found


def default_sds(night: Night) -> list[float]:
    """SDS scaled to the size of the first score."""
    first = abs(night.finished()[0].score or 0.0) or 1.0
    return [float(f"{sd * first:.2g}") for sd in SDS]


def told(kept: Sequence[float], proposals: int, sd: float, segments: int = 1) -> KeepCounts:
    """One trial against one trial: a gain has the standard error sd * sqrt 2.

    segments: how often the night measured a baseline. The whole gain of one is last keep minus baseline, and the
    last keep's luck is at most the best of all proposals' (independent Gaussian trials; no drift).
    """
    error = sd * math.sqrt(2)
    single, family = _NORMAL.inv_cdf(1 - ALPHA), _NORMAL.inv_cdf(1 - ALPHA / max(1, proposals))
    return KeepCounts(
        sd=sd,
        beyond=sum(gain > single * error for gain in kept),
        bonferroni=sum(gain > family * error for gain in kept),
        swap=sum(gain < error for gain in kept),
        total_low=sum(kept) - segments * sd * _luck(proposals, 0.0125 / segments),
    )


def _luck(proposals: int, share: float) -> float:
    """What the luckiest of so many trials exceeds in that share of cases, plus what the baseline's does (in sd)."""
    best = _NORMAL.inv_cdf((1 - share) ** (1 / max(1, proposals)))
    return best + _NORMAL.inv_cdf(1 - share)


def report(night: Night, sds: Sequence[float]) -> list[str]:
    """For a terminal."""
    kept = gains(night)
    proposals = len(night.finished()) - night.segments
    sizes = sorted(gain for _, gain in kept)
    if not kept:
        return [f"{night.counts()}: no keep to judge"]
    return [
        *_counts(night, sizes, proposals, sds),
        "",
        *_keep_by_keep(kept, proposals, sds),
        "",
        *_total(sizes, proposals, sds, night.segments),
    ]


def _counts(night: Night, sizes: Sequence[float], proposals: int, sds: Sequence[float]) -> list[str]:
    middle = sizes[len(sizes) // 2] if len(sizes) % 2 else sum(sizes[len(sizes) // 2 - 1 :][:2]) / 2
    better = "higher" if night.rising else "lower"
    again = f", measured anew {_times(night.segments - 1)}" if night.segments > 1 else ""
    said = [
        night.counts(),
        f"median gain of a keep {middle:.2g} {night.metric} ({better} is better){again}",
        "",
        "Each keep was decided on one trial against one. At that sd of one trial's score from seed to seed its gain",
        *(f"  {letter}  {words.format(proposals)}" for letter, words in CLASSES.items()),
        "",
        f"{'sd':<8}" + "".join(f"{letter:>8}" for letter in CLASSES) + f"   of {len(sizes)} keeps",
    ]
    for sd in sds:
        found = Counter(class_of(gain, proposals, sd) for gain in sizes)
        said.append(f"{sd:<8.2g}" + "".join(f"{found[letter]:>8}" for letter in CLASSES))
    return said


def class_of(gain: float, proposals: int, sd: float) -> str:
    """Which of CLASSES a keep's gain is in: each in one, so that the counts add up."""
    error, counts = sd * math.sqrt(2), told([gain], proposals, sd)
    if counts.bonferroni:
        return "A"
    return "B" if counts.beyond else "D" if gain < error else "C"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _total(sizes: Sequence[float], proposals: int, sds: Sequence[float], segments: int) -> list[str]:
    total, low = sum(sizes), told(sizes, proposals, max(sds), segments).total_low
    shown = effects(sds)
    return [
        f"The whole gain is {total:.4g} by single trials, and above {low:.4g} at sd {max(sds):.2g}, with the luck of",
        f"the best of {proposals} taken off.",
        "The total can be real where most single keeps cannot be told from noise. A machine that drifts is not in it.",
        "",
        f"Trials a side that show an effect with 80 % power: effect {', '.join(f'{e:.2g}' for e in shown)}",
        *(f"  sd {sd:<8.2g} " + ", ".join(str(runs_needed(effect, sd)) for effect in shown) for sd in sds),
    ]


def _keep_by_keep(kept: Sequence[tuple[Recorded, float]], proposals: int, sds: Sequence[float]) -> list[str]:
    """Every keep with its letter, the ones that stand out first."""
    sd = min(sds)
    several = " (the smallest: at a larger one fewer stand out)" if len(sds) > 1 else ""
    found = sorted(
        ((class_of(gain, proposals, sd), -gain, trial) for trial, gain in kept), key=lambda one: one[:2]
    )
    return [
        f"keep by keep at sd {sd:.2g}{several}:",
        *(f"  {letter}  {-loss:+.2g}  {trial.commit}  {trial.description}" for letter, loss, trial in found),
    ]


def threshold_of(sd: float) -> float:
    """The gain that one trial against one trial exceeds by chance in 5 of 100 cases."""
    return _NORMAL.inv_cdf(1 - ALPHA) * sd * math.sqrt(2)


def effects(sds: Sequence[float]) -> list[float]:
    """Round sizes around the largest sd."""
    middle = 10.0 ** round(math.log10(max(sds)))
    return [middle, middle / 2, middle / 5]
