"""What the keeps of a recorded night can and cannot be told from noise, each having been decided on one trial.

    python scripts/replay_night.py results.tsv [--sd 5e-4 ...] [--maximise]

The file is autoresearch's: commit, val_<metric>, memory_gb, status (keep, discard or crash), description; the
first row is the baseline. The sd of one trial is not in it: measure it (python -m harness.noise) or try several.
"""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from harness.keep.power import runs_needed

SDS = (2e-4, 3.3e-4, 5e-4, 7e-4)
ALPHA = 0.05
_WORST = 1e3  # no score of a finished trial is larger; recorded crashes are 0.0
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A finished trial; loss: lower is better."""

    commit: str
    loss: float
    kept: bool
    description: str


@dataclass(frozen=True, slots=True)
class Told:
    """How many keeps at one sd. beyond: one-sided 5 % each; bonferroni: 5 % over all proposals; swap: smaller
    than the usual difference between two seeds (sd * sqrt 2). total_low: lower end of the whole gain."""

    sd: float
    beyond: int
    bonferroni: int
    swap: int
    total_low: float


def read(path: Path, maximise: bool = False) -> list[Recorded]:
    """Finished trials in order. Raises ValueError, one line, for a file of another format."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or len(rows[0]) < 5 or not rows[0][1].startswith("val_"):
        raise ValueError(f"{path}: expected columns commit, val_<metric>, memory_gb, status, description")
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) < 5 or row[3] == "crash":
            continue
        try:
            score = float(row[1])
        except ValueError:
            raise ValueError(f"{path}, line {number}: {row[1]!r} is not a number") from None
        if math.isfinite(score) and abs(score) < _WORST:
            found.append(Recorded(row[0], -score if maximise else score, row[3] == "keep", row[4]))
    if not found:
        raise ValueError(f"{path} holds no finished trial")
    return found


def gains(trials: Sequence[Recorded]) -> list[tuple[Recorded, float]]:
    """Every keep after the baseline, with its gain over the keep before it."""
    bar, found = trials[0].loss, []
    for trial in trials[1:]:
        if trial.kept:
            found.append((trial, bar - trial.loss))
            bar = trial.loss
    return found


def told(kept: Sequence[float], proposals: int, sd: float) -> Told:
    """One trial against one trial: a gain has the standard error sd * sqrt 2."""
    error = sd * math.sqrt(2)
    single, family = _NORMAL.inv_cdf(1 - ALPHA), _NORMAL.inv_cdf(1 - ALPHA / max(1, proposals))
    return Told(
        sd=sd,
        beyond=sum(gain > single * error for gain in kept),
        bonferroni=sum(gain > family * error for gain in kept),
        swap=sum(gain < error for gain in kept),
        total_low=sum(kept) - _NORMAL.inv_cdf(0.975) * error,
    )


def report(trials: Sequence[Recorded], sds: Sequence[float]) -> list[str]:
    kept, proposals = gains(trials), len(trials) - 1
    sizes = sorted(gain for _, gain in kept)
    if not kept:
        return [f"{proposals} proposals finished, none was kept"]
    middle = sizes[len(sizes) // 2] if len(sizes) % 2 else sum(sizes[len(sizes) // 2 - 1 :][:2]) / 2
    said = [f"{proposals} proposals finished, {len(kept)} kept; median gain of a keep {middle:.2g}", ""]
    said.append("sd        beyond 5 % each   after Bonferroni   smaller than one change of seed")
    for sd in sds:
        found = told(sizes, proposals, sd)
        counts = (found.beyond, found.bonferroni, found.swap)
        said.append(f"{sd:<8.2g}" + "".join(f"{f'{count} of {len(kept)}':>18}" for count in counts))
    total, low = sum(sizes), told(sizes, proposals, max(sds)).total_low
    said += [
        "",
        f"The whole gain is {total:.4g}. One trial against another puts it above {low:.4g} even at sd {max(sds):.2g},",
        "less what selection added: the total can be real where most single keeps cannot be told from noise.",
        "",
        "Trials a side that show an effect with 80 % power: "
        + "effect "
        + ", ".join(f"{e:.2g}" for e in effects(sds)),
    ]
    said += [
        f"  sd {sd:<8.2g} " + ", ".join(str(runs_needed(effect, sd)) for effect in effects(sds)) for sd in sds
    ]
    said += ["", "keeps within the noise of two trials even at the smallest sd:"]
    threshold = _NORMAL.inv_cdf(1 - ALPHA) * min(sds) * math.sqrt(2)
    said += [
        f"  {trial.commit}  {gain:+.2g}  {trial.description}" for trial, gain in kept if gain <= threshold
    ]
    return said


def effects(sds: Sequence[float]) -> list[float]:
    """Round sizes around the largest sd."""
    middle = 10.0 ** round(math.log10(max(sds)))
    return [middle, middle / 2, middle / 5]


def main() -> int:
    parser = argparse.ArgumentParser(description="What single-trial keeps can be told from noise")
    parser.add_argument("results", type=Path)
    parser.add_argument("--sd", type=float, nargs="+", default=list(SDS), help="of one trial's score")
    parser.add_argument("--maximise", action="store_true", help="higher scores are better")
    chosen = parser.parse_args()
    if min(chosen.sd) <= 0:
        parser.error("--sd must be above 0")
    try:
        print("\n".join(report(read(chosen.results, chosen.maximise), chosen.sd)))
    except (OSError, ValueError) as error:
        print(f"replay_night: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
