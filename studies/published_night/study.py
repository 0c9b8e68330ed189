"""A published night looked at again: how often are the calls of `harness replay-night` right?

    make study NAME=published_night [ARGS="--nights 200"]

Plays synthetic nights whose proposals have known effects, keeping whatever scores lower in one trial, as published
nights did; writes each as a results.tsv, reads it with the code of `harness replay-night`, and holds its calls on every
keep against the truth. Writes results.csv, example.tsv and figure.svg beside this file. Unit: an sd of one trial is 1.
"""

import argparse
import csv
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from synthetic_nights import Book, Simulation, World, read, share

from harness.compare.night import gains, threshold_of, told
from harness.keep.greedy import Greedy
from harness.keep.standing import Standing
from harness.ledger.recorded_night import read_night
from harness.records import Action, Step

HERE = Path(__file__).parent
SCALE = 1e-4  # bits per byte of one unit of the synthetic nights: their sd of 5 becomes 5e-4
KINDS = ("mar8 100", "all 100", "sparse 200", "late 200", "null 100")
CONDITIONS = ("t, 3 df", "5 % diverge", "AR(1) .6", "drift -3 sd", "spread x2")
GUESSES = (0.5, 1.0, 2.0)  # the sd that the reader assumes, as a factor on the true one


class Call(NamedTuple):
    """One keep: its true effect (sd), its gain in the file (sd), and what was said of it."""

    effect: float
    gain: float
    beyond: bool
    bonferroni: bool
    swap: bool


class Looked(NamedTuple):
    """One night. low: the lower end that is given for the whole gain; gain: the true one (both in sd)."""

    calls: tuple[Call, ...]
    low: float
    gain: float


class RecordedNight(Simulation):
    """Keeps the rows of a results.tsv and the effects of the keeps, in order."""

    def __init__(self, world: World) -> None:
        super().__init__(Greedy(), world, Standing())
        self.rows: list[tuple[str, float]] = []
        self.effects: list[float] = []

    def _decided(self, step: Step, effect: float, spread: float) -> None:
        if not self.rows:
            self.rows.append(("keep", self.night.baseline_losses[0]))
        kept = step.action is Action.KEEP
        self.rows.append(("keep" if kept else "discard", self.candidate[0]))
        if kept:
            self.effects.append(effect)
        super()._decided(step, effect, spread)

    def write(self, file: Path) -> None:
        """As autoresearch writes it, the first row being the baseline."""
        with file.open("w", newline="") as out:
            writer = csv.writer(out, delimiter="\t")
            writer.writerow(("commit", "val_bpb", "memory_gb", "status", "description"))
            for number, (status, loss) in enumerate(self.rows):
                what = "baseline" if number == 0 else f"proposal {number}"
                writer.writerow((f"c{number:06d}", f"{1 + SCALE * loss:.8f}", "44.0", status, what))


def looked_at(
    book: Book, kind: str, condition: str, seed: int, index: int, guess: float, file: Path
) -> Looked:
    """One night, written to `file` and read from it. guess: the sd that is assumed, as a factor on the true one."""
    night = RecordedNight(book.world(kind, condition, seed, index))
    played = night.run()
    night.write(file)
    found = read_night(file)
    kept = [gain for _, gain in gains(found)]
    assert len(kept) == len(night.effects)
    proposals, unit = len(found.finished()) - found.segments, SCALE * book.sd
    sd = guess * unit
    bound = threshold_of(sd)
    calls = []
    for gain, effect in zip(kept, night.effects, strict=True):
        alone = told([gain], proposals, sd)
        calls.append(
            Call(effect / book.sd, gain / unit, gain > bound, bool(alone.bonferroni), bool(alone.swap))
        )
    return Looked(tuple(calls), told(kept, proposals, sd).total_low / unit, played.gain / book.sd)


class Share(NamedTuple):
    """count of total, with a 95 % interval."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else math.nan


def shared(parts: Sequence[int], wholes: Sequence[int]) -> Share:
    """Of the keeps of all nights. The interval is from the spread between nights, for keeps of one night depend on each
    other; where a share is 0 or 1, or a night counts once, it is the exact binomial one (Clopper and Pearson)."""
    from scipy.stats import binomtest

    count, total = sum(parts), sum(wholes)
    if not total:
        return Share(0, 0, 0.0, 1.0)
    if count in (0, total) or max(wholes) == 1:
        exact = binomtest(count, total).proportion_ci(method="exact")
        return Share(count, total, exact.low, exact.high)
    found = share(parts, wholes)
    return Share(
        count, total, max(0.0, found.value - 1.96 * found.error), min(1.0, found.value + 1.96 * found.error)
    )


def figures(nights: Sequence[Looked]) -> Iterator[tuple[str, Share]]:
    """What stands in the table."""

    def of(true: Callable[[Call], bool], among: Callable[[Call], bool]) -> Share:
        wholes = [sum(among(call) for call in night.calls) for night in nights]
        parts = [sum(true(call) for call in night.calls if among(call)) for night in nights]
        return shared(parts, wholes)

    def gains_nothing(call: Call) -> bool:
        return call.effect <= 1e-9

    yield "keeps that gain nothing", of(gains_nothing, lambda _: True)
    yield "beyond 5 %: gain nothing", of(gains_nothing, lambda call: call.beyond)
    yield "Bonferroni: gain nothing", of(gains_nothing, lambda call: call.bonferroni)
    yield "within noise: gain nothing", of(gains_nothing, lambda call: not call.beyond)
    yield (
        "true gains that are called beyond 5 %",
        of(lambda call: call.beyond, lambda call: call.effect > 1e-9),
    )
    yield "true gains of 2 sd or more called", of(lambda call: call.beyond, lambda call: call.effect >= 2)
    above = [int(night.gain >= night.low) for night in nights]
    yield "whole gain above its lower end", shared(above, [1] * len(above))


def cells() -> Iterator[tuple[str, str, float]]:
    """(kind of night, condition, factor on the sd)."""
    yield from ((kind, "Gaussian", guess) for kind in KINDS for guess in GUESSES)
    yield from (("all 100", condition, 1.0) for condition in CONDITIONS)


def draw(rows: Sequence[tuple[str, str, float, str, Share]], file: Path) -> None:
    """Shares of keeps without gain under each call, with 95 % intervals, one row a kind of night."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "study"
    from matplotlib import pyplot

    shown = ("keeps that gain nothing", "beyond 5 %: gain nothing", "Bonferroni: gain nothing")
    figure, axes = pyplot.subplots(figsize=(8, 3.6))
    for offset, name in enumerate(shown):
        found = [
            (place, row[4])
            for place, kind in enumerate(KINDS)
            for row in rows
            if row[:4] == (kind, "Gaussian", 1.0, name) and row[4].total
        ]
        axes.errorbar(
            [each.value for _, each in found],
            [place + 0.2 * (offset - 1) for place, _ in found],
            xerr=[
                [max(0.0, each.value - each.low) for _, each in found],
                [each.high - each.value for _, each in found],
            ],
            fmt="o",
            capsize=3,
            label={0: "all keeps", 1: "called beyond 5 %", 2: "after Bonferroni"}[offset],
        )
    axes.set_yticks(range(len(KINDS)), KINDS)
    axes.invert_yaxis()
    axes.set_xlabel("share that gains nothing in truth (95 %)")
    axes.set_xlim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    chosen = parser.parse_args()
    book, rows = read(), []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.tsv"
        for kind, condition, guess in cells():
            nights = [
                looked_at(book, kind, condition, chosen.seed, index, guess, file)
                for index in range(chosen.nights)
            ]
            if not rows:
                (chosen.out / "example.tsv").write_text(file.read_text())
            for name, found in figures(nights):
                rows.append((kind, condition, guess, name, found))
                said = (
                    f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}) {found.count} of {found.total}"
                )
                print(f"{kind:<11} {condition:<12} sd x{guess:<4} {name:<38} {said}", flush=True)
    with (chosen.out / "results.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(
            ("night", "condition", "sd_factor", "figure", "nights", "count", "total", "low", "high")
        )
        for *about, found in rows:
            bounds = (f"{found.low:.4f}", f"{found.high:.4f}")
            writer.writerow((*about, chosen.nights, found.count, found.total, *bounds))
    draw(rows, chosen.out / "figure.svg")


if __name__ == "__main__":
    main()
